"""A field that a frame leaves out never means the common case.

Whichever field is removed from a frame, no unit, side or sign of its rows changes. They become
NULL, or the row becomes a reject.
"""

from __future__ import annotations

import copy
import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from kit.frames import CONNECTION, T0, frames_of, marker
from kit.recordings import VENUES, shapes
from kit.rows import Bench

from recorder.feeds import feed

from .test_mutated_frames import GOLDEN

#: What may not change, of each table.
FACTS = {
    "prices": "quantity_unit, side, sign(price), NULL, NULL",
    "liquidations": "quantity_unit, position_side, sign(price), raw_side, NULL",
    "whales": "asset, side, sign(price), kind, NULL",
    "funding": "NULL, NULL, sign(rate), interval_hours, basis",
    "open_interest": "open_interest_unit, NULL, sign(open_interest), NULL, NULL",
}

#: The feeds that fill one of these tables.
MARKET = [kind for kind in GOLDEN if not FACTS.keys().isdisjoint(feed(kind).tables)]

#: A venue's lists, as capture writes them, so that sizes are known.
LISTED = {
    "okx": [("BTC-USDT-SWAP", 0.01, "base"), ("ETH-USDT-SWAP", 0.1, "base")],
    "binance": [("BTCUSD_PERP", 100.0, "usd"), ("BTCUSDT", 1.0, "base")],
    "deribit": [("BTC-PERPETUAL", 1.0, "usd")],
    "bitmex": [("XBTUSD", 1.0, "usd")],
    "bitget": [("DOGEUSDT", 1.0, "base"), ("APEUSDT", 1.0, "base")],
    "gate": [("BTC_USDT", 0.0001, "base")],
    "htx": [("BTC-USDT", 0.001, "base"), ("ETH-USDT", 0.01, "base")],
}


def without_one(value: Any) -> Iterator[Any]:
    """Yield copies of a JSON value, each without one of the fields in it."""
    if isinstance(value, dict):
        for key in value:
            yield {name: copy.deepcopy(inner) for name, inner in value.items() if name != key}
            for changed in without_one(value[key]):
                yield {**value, key: changed}
    if isinstance(value, list):
        for place, inner in enumerate(value):
            for changed in without_one(inner):
                yield [*value[:place], changed, *value[place + 1 :]]


def rows(bench: Bench, table: str) -> list[tuple[int, list[Any]]]:
    found = bench.sql(f"SELECT seq, {FACTS[table]} FROM {table}")
    return [(seq, facts) for seq, *facts in found]


def weaker(seen: Any, expected: Any) -> bool:
    """Return True if a value is the expected one, or says less: a size that is not converted."""
    return seen is None or seen == expected or (seen, expected) == ("contracts", "base")


def faults(bench: Bench, kind: str, wholes: Sequence[Any], *, with_list: bool) -> list[Any]:
    """Return the rows that say something else since their frame lacks a field."""
    named = LISTED.get(kind, []) if with_list else []
    facts = [
        {"symbol": symbol, "name": symbol, "contract_size": size, "contract_unit": unit}
        for symbol, size, unit in named
    ]
    told = marker(0, "instruments", T0 - 2, "list", exchange=kind, instruments=facts)
    opened = marker(0, "open", T0 - 1, CONNECTION, line="A", group="g")
    payloads: list[str] = []
    starts: list[int] = []  # where each whole frame is; those made of it follow
    for whole in wholes:
        starts.append(len(payloads))
        payloads += [json.dumps(whole), *(json.dumps(changed) for changed in without_one(whole))]
    assert len(payloads) > 2 * len(starts)
    bench.take(kind, [told, opened, *frames_of(payloads, first_seq=1)], whale_usd=1.0)
    found_faults = []
    for table in FACTS:
        found = rows(bench, table)
        by_frame: dict[int, list[list[Any]]] = {}
        for seq, seen in found:
            by_frame.setdefault(seq, []).append(seen)
        for seq, seen in found:
            start = starts[bisect_right(starts, seq - 1) - 1]
            whole_rows = by_frame.get(start + 1, [])
            if not any(all(map(weaker, seen, expected)) for expected in whole_rows):
                found_faults.append((table, payloads[seq - 1], f"{whole_rows} became {seen}"))
    return found_faults


@pytest.mark.parametrize("with_list", [True, False], ids=["with a list", "without"])
@pytest.mark.parametrize("kind", MARKET)
def test_a_removed_field_never_changes_a_unit_a_side_or_a_sign(
    bench: Bench, kind: str, with_list: bool
) -> None:
    wholes = []
    for text in GOLDEN[kind]:
        with suppress(ValueError):
            wholes.append(json.loads(text))
    assert faults(bench, kind, wholes, with_list=with_list) == []


@pytest.mark.parametrize("with_list", [True, False], ids=["with a list", "without"])
@pytest.mark.parametrize("kind", [kind for kind in MARKET if kind in VENUES])
def test_nor_does_one_of_a_real_frame(bench: Bench, kind: str, with_list: bool) -> None:
    wholes = [whole for whole in shapes(kind) if len(json.dumps(whole)) < 5_000]
    assert faults(bench, kind, wholes, with_list=with_list) == []


CONTRACTS = {
    "binance": ['{"e":"aggTrade","E":1790000000000,"a":1,"s":"BTCUSD_PERP","p":"60000","q":"7",'
                '"T":1790000000000,"m":false}',
                '{"e":"forceOrder","E":1790000000000,"o":{"s":"ADAUSD_260925","S":"SELL","q":"7",'
                '"p":"1","ap":"1","z":"7","T":1790000000000}}'],
    "okx": ['{"arg":{"channel":"trades"},"data":[{"instId":"BTC-USDT-SWAP","px":"60000","sz":"7",'
            '"side":"buy","tradeId":"1","ts":"1790000000000"}]}',
            '{"arg":{"channel":"liquidation-orders","instType":"FUTURES"},"data":[{"instId":'
            '"BTC-USD-260925","details":[{"side":"sell","posSide":"long","bkPx":"1","sz":"7",'
            '"ts":"1790000000000"}]}]}',
            '{"arg":{"channel":"open-interest"},"data":[{"instId":"BTC-USDT-SWAP","oi":"7",'
            '"ts":"1790000000000"}]}'],
    "bitmex": ['{"table":"liquidation","action":"insert","data":[{"orderID":"1","symbol":"XBTUSD",'
               '"side":"Buy","price":1,"leavesQty":7}]}',
               '{"table":"trade","action":"insert","data":[{"symbol":"XBTUSD","side":"Buy",'
               '"price":1,"size":7,"trdMatchID":"1","timestamp":"2026-09-21T14:13:20.000Z"}]}'],
}  # fmt: skip


@pytest.mark.parametrize("feed", CONTRACTS)
def test_without_a_list_no_size_in_contracts_is_called_coins(bench: Bench, feed: str) -> None:
    bench.take(feed, frames_of(CONTRACTS[feed]), whale_usd=1.0)
    units = bench.sql(
        "SELECT quantity_unit, quantity, notional_usd FROM prices UNION ALL "
        "SELECT quantity_unit, quantity, notional_usd FROM liquidations UNION ALL "
        "SELECT open_interest_unit, open_interest, open_interest_usd FROM open_interest"
    )
    assert units == [("contracts", 7.0, None)] * len(CONTRACTS[feed])
    assert bench.rows("whales", "seq") == []


#: Which symbols are contracts that are not counted in coins, as the venues' documents say.
IN_CONTRACTS = {
    "binance": r"USD_(PERP|\d{6})",
    "bybit": r"[A-Z0-9]+USD([A-Z]\d{2})?",
    "okx": r"[^-]+-[^-]+-.+",
    "deribit": r"(BTC|ETH)-(PERPETUAL|\d{1,2}[A-Z]{3}\d{2})",
    "bitmex": r"XBTUSD|XBT[A-Z]\d{2}|ETHUSD([A-Z]\d{2})?",
}
#: The fields that hold a size.
SIZES = {"q", "z", "l", "v", "sz", "oi", "size", "amount", "open_interest", "openInterest",
         "leavesQty"}  # fmt: skip
ROWS = """
SELECT seq, symbol, quantity, quantity_unit FROM prices WHERE quantity > 0
UNION ALL SELECT seq, symbol, quantity, quantity_unit FROM liquidations WHERE quantity > 0
UNION ALL SELECT seq, symbol, open_interest, open_interest_unit FROM open_interest
WHERE open_interest > 0
"""


def sizes(value: Any) -> Iterator[float]:
    """Yield every size that a frame states."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, dict | list):
            yield from sizes(inner)
        elif key in SIZES:
            with suppress(TypeError, ValueError):
                yield float(inner)


@pytest.mark.parametrize("listed", [True, False], ids=["with a list", "without"])
@pytest.mark.parametrize("kind", IN_CONTRACTS)
def test_no_real_frame_s_contracts_are_called_coins(bench: Bench, kind: str, listed: bool) -> None:
    """Their sizes as sent are in contracts or dollars; in coins they are other numbers."""
    frames = [one for one in shapes(kind) if isinstance(one, dict)]
    texts = [json.dumps(one) for one in frames]
    contract = re.compile(IN_CONTRACTS[kind] + "$")
    named = {word for text in texts for word in re.findall(r'"([^"]+)"', text)}
    symbols = {word for word in named if is_contract(contract, kind, word)}
    facts = [
        {"symbol": one, "name": one, "contract_size": 10.0, "contract_unit": "usd"}
        for one in sorted(symbols)
    ]
    told = marker(0, "instruments", T0 - 2, "list", exchange=kind,
                  instruments=facts if listed else [])  # fmt: skip
    bench.take(kind, [told, *frames_of(texts)], whale_usd=1e12)
    seen = 0
    for seq, symbol, quantity, unit in bench.sql(ROWS):
        if symbol in symbols:
            seen += 1
            as_sent = quantity in set(sizes(frames[seq]))
            assert not (unit == "base" and as_sent), (symbol, quantity, texts[seq])
    assert seen > 0


def is_contract(pattern: re.Pattern[str], kind: str, word: str) -> bool:
    return bool(pattern.search(word) if kind == "binance" else pattern.fullmatch(word))
