"""What OKX sends ends as the right rows, column by column."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.recordings import lines, shared
from kit.records import Record, assert_same
from kit.rows import TRADED, Bench

from recorder.clock import NS, ulid
from recorder.frame import Frame

T0_MS = T0 // MS


def push(channel: str, *data: Any, **arg: str) -> str:
    return json.dumps({"arg": {"channel": channel, **arg}, "data": data}, separators=(",", ":"))


def trade(symbol: str, **changed: str) -> str:
    told = {"instId": symbol, "tradeId": "289", "px": "80000", "sz": "500", "side": "sell",
            "ts": str(T0_MS), "count": "1", "source": "0"}  # fmt: skip
    return push("trades", told | changed, instId=symbol)


def detail(**changed: str) -> dict[str, str]:
    told = {"bkLoss": "0", "bkPx": "80000", "ccy": "", "posSide": "long", "side": "sell",
            "sz": "8.5", "ts": str(T0_MS)}  # fmt: skip
    return told | changed


def liquidated(*details: dict[str, str], symbol: str = "BTC-USDT-SWAP") -> dict[str, Any]:
    kind = "SWAP" if symbol.endswith("SWAP") else "MARGIN"
    return {"details": list(details), "instId": symbol, "instType": kind, "uly": "BTC-USDT"}


def liquidations(*instruments: dict[str, Any]) -> str:
    return push("liquidation-orders", *instruments, instType="SWAP")


FUNDING_RATE = (
    '{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"formulaType":"withRate",'
    '"fundingRate":"0.0000691479391544","fundingTime":"1788508800000","instId":"BTC-USDT-SWAP",'
    '"instType":"SWAP","nextFundingRate":"","nextFundingTime":"1788537600000",'
    '"premium":"-0.0004571357779981","ts":"1788488645809"}]}'
)
MARK = push(
    "mark-price",
    {"instType": "SWAP", "instId": "BTC-USDT-SWAP", "markPx": "42310.6", "ts": str(T0_MS)},
    instId="BTC-USDT-SWAP",
)
INDEX = push(
    "index-tickers",
    {"instId": "BTC-USDT", "idxPx": "42311.5", "high24h": "1", "ts": str(T0_MS)},
    instId="BTC-USDT",
)
INTEREST = push(
    "open-interest",
    {"instId": "BTC-USDT-SWAP", "instType": "SWAP", "oi": "2216113.01", "oiCcy": "22161.13",
     "oiUsd": "1939251795.5", "ts": str(T0_MS)},
    instId="BTC-USDT-SWAP",
)  # fmt: skip
BOOK = push("books5", {"asks": [], "bids": [], "ts": str(T0_MS)}, instId="BTC-USDT")
TRADE = trade("BTC-USDT-SWAP")
LIQUIDATION = liquidations(
    liquidated(detail(), detail(posSide="net", sz="1")),
    liquidated(detail(side="buy", posSide="short", bkPx="79000"), symbol="ETH-USDT-SWAP"),
)
CANDLE = push("candle1m", ["1654154580000", "29930.7", "29936.3"], instId="BTC-USDT")
SUBSCRIBED = '{"event":"subscribe","arg":{"channel":"trades","instId":"X"},"connId":"b3367a44"}'

#: One of each kind, for tests that change them at random.
FRAMES = [FUNDING_RATE, MARK, INDEX, INTEREST, BOOK, TRADE, LIQUIDATION, CANDLE, SUBSCRIBED]

LINEAR = {"symbol": "BTC-USDT-SWAP", "contract_size": 0.01, "contract_unit": "base"}
INVERSE = {"symbol": "BTC-USD-SWAP", "contract_size": 100.0, "contract_unit": "usd"}
THIRD = {"symbol": "ETH-BTC-SWAP", "contract_size": 0.1, "contract_unit": None}

COMMON = ("channel", "exchange", "symbol", "event_ns", "connection", "seq", "item")
WHALE = (
    *COMMON, "kind", "wallet", "buyer", "seller", "asset", "action", "side", "price", "quantity",
    "notional_usd", "tx", "backfill", "extra",
)  # fmt: skip
FUNDING = (
    *COMMON, "rate", "interval_hours", "predicted_rate", "next_funding_ns", "mark_price",
    "index_price", "backfill", "extra",
)  # fmt: skip


def common(
    channel: str, symbol: str, event_ns: int | None, seq: int, item: int = 0
) -> tuple[Any, ...]:
    return (channel, "okx", symbol, event_ns, CONNECTION, seq, item)


def listed(*instruments: dict[str, Any]) -> Frame:
    return marker(0, "instruments", T0, exchange="okx", instruments=list(instruments))


# -- trades


def test_a_trade_is_worth_what_the_list_says_of_its_contract(bench: Bench) -> None:
    trades = [trade("BTC-USDT-SWAP"), trade("BTC-USD-SWAP"), trade("ETH-BTC-SWAP")]
    payloads = [*trades, trade("BTC-USDT-260327"), trade("BTC-USDT", sz="2", side="buy")]
    known = listed(LINEAR, INVERSE, THIRD)
    bench.take("okx", [known, *frames_of(payloads, first_seq=1)], whale_usd=0.0)
    assert bench.rows("whales", *WHALE) == [
        (
            *common("trades:BTC-USDT-SWAP", "BTC-USDT-SWAP", T0, 1),
            *("trade", None, None, None, "BTC", None, "sell", 80000.0, 5.0, 400_000.0),
            *("289", False, None),
        ),
        (
            *common("trades:BTC-USD-SWAP", "BTC-USD-SWAP", T0, 2),
            *("trade", None, None, None, "BTC", None, "sell", 80000.0, 0.625, 50_000.0),
            *("289", False, None),
        ),
        (
            *common("trades:BTC-USDT", "BTC-USDT", T0, 5),
            *("trade", None, None, None, "BTC", None, "buy", 80000.0, 2.0, 160_000.0),
            *("289", False, None),
        ),
    ]
    assert bench.rows("prices", "seq", "kind", "price", *TRADED) == [
        (1, "last", 80000.0, 5.0, "base", 400_000.0, "sell", "289"),
        (2, "last", 80000.0, 0.625, "base", 50_000.0, "sell", "289"),
        (3, "last", 80000.0, 500.0, "contracts", None, "sell", "289"),  # settled in a third coin
        (4, "last", 80000.0, 500.0, "contracts", None, "sell", "289"),  # in no list
        (5, "last", 80000.0, 2.0, "base", 160_000.0, "buy", "289"),
    ]


@pytest.mark.parametrize(("usd", "whales"), [(400_000.0, 1), (400_000.01, 0)])
def test_the_threshold_is_in_dollars(bench: Bench, usd: float, whales: int) -> None:
    bench.take("okx", [listed(LINEAR), *frames_of([TRADE], first_seq=1)], whale_usd=usd)
    assert len(bench.rows("whales", "tx")) == whales


def test_a_contract_counts_from_when_it_was_listed(bench: Bench) -> None:
    later = marker(1, "instruments", T0 + NS, exchange="okx", instruments=[LINEAR])
    frames = [*frames_of([TRADE]), later, *frames_of([TRADE], first_seq=2, recv_ns=T0 + 2 * NS)]
    bench.take("okx", frames, whale_usd=0.0)
    assert bench.rows("whales", "seq") == [(2,)]


# -- liquidations


def test_items_are_counted_over_the_whole_frame(bench: Bench) -> None:
    bench.take("okx", [listed(LINEAR), *frames_of([LIQUIDATION], first_seq=1)])
    columns = (*COMMON, "position_side", "raw_side", "price", "price_kind", "quantity",
               "quantity_unit", "notional_usd", "backfill")  # fmt: skip
    channel = "liquidation-orders:SWAP"
    assert bench.rows("liquidations", *columns) == [
        (
            *common(channel, "BTC-USDT-SWAP", T0, 1, 0),
            *("long", "sell", 80000.0, "bankruptcy", 8.5, "contracts", pytest.approx(6800), False),
        ),
        (
            *common(channel, "BTC-USDT-SWAP", T0, 1, 1),
            *("long", "sell", 80000.0, "bankruptcy", 1.0, "contracts", 800.0, False),
        ),
        (
            *common(channel, "ETH-USDT-SWAP", T0, 1, 2),
            *("short", "buy", 79000.0, "bankruptcy", 8.5, "contracts", None, False),
        ),
    ]
    extra = [json.loads(told) for (told,) in bench.rows("liquidations", "extra")]
    assert extra[0] == {"bkLoss": "0", "ccy": "", "posSide": "long"}
    assert bench.rows("latency", *COMMON, "backfill") == [
        (*common(channel, "BTC-USDT-SWAP", T0, 1), False)
    ]


def test_margin_liquidations_are_in_base_currency_without_a_price(bench: Bench) -> None:
    margin = liquidations(liquidated(detail(bkPx="", side="", posSide=""), symbol="BTC-USDT"))
    bench.take("okx", frames_of([margin]))
    columns = ("position_side", "price", "price_kind", "quantity", "quantity_unit", "notional_usd")
    assert bench.rows("liquidations", *columns) == [(None, None, None, 8.5, "base", None)]


def test_an_instrument_without_details_is_rejected_alone(bench: Bench) -> None:
    frame = liquidations(liquidated(detail()), liquidated(), {"instId": "X", "details": [5, {}]})
    bench.take("okx", frames_of([frame]))
    assert bench.rows("liquidations", "item") == [(0,)]
    assert bench.rows("rejects", "item", "reason") == [
        (1, "a liquidation without an instrument, without details, or without a side (the first "
            "of 3 wrong items)"),
    ]  # fmt: skip


def test_liquidations_sent_again_are_marked_and_one_row_each(tmp_path: Path) -> None:
    """The venue sends recent liquidations after every subscription."""
    past = detail(ts=str(T0_MS - 60_000))
    frames = [marker(0, "open", T0 - NS, line="A", group="liquidations")]
    frames += frames_of([liquidations(liquidated(past, past)), LIQUIDATION], first_seq=1)
    again = ulid(T0 + NS, bytes([2] * 10))
    frames += [marker(0, "open", T0 + NS, again, line="A", group="liquidations")]
    new = liquidations(liquidated(past, past, detail(), detail(ts=str(T0_MS + 2_000))))
    frames += frames_of([new], first_seq=1, recv_ns=T0 + 2 * NS, connection=again)

    def taken(name: str, *parts: Sequence[Frame]) -> Record:
        record = Record(tmp_path / name)
        for part in parts:
            record.seal("okx", part)
        assert record.ingest() == len(frames)
        return record

    record = taken("whole", frames)
    assert record.rows("liquidations", "connection", "seq", "item", "backfill") == [
        (CONNECTION, 1, 0, True),
        (CONNECTION, 1, 1, True),  # two equal events of one connection are two
        (again, 1, 3, False),
        (CONNECTION, 2, 0, False),
        (CONNECTION, 2, 1, False),
        (CONNECTION, 2, 2, False),
    ]
    whole = record.everything()
    for cut in (2, 3, 4):
        found = taken(f"cut {cut}", frames[:cut], frames[cut:]).everything()
        assert_same({**found, "ledger": []}, {**whole, "ledger": []})


# -- funding, prices, open interest


def test_funding_has_its_interval_from_the_next_two_moments(bench: Bench) -> None:
    bench.take("okx", frames_of([FUNDING_RATE]))
    at = 1788488645809 * MS
    [row] = bench.rows("funding", *FUNDING)
    assert row[:-1] == (
        *common("funding-rate:BTC-USDT-SWAP", "BTC-USDT-SWAP", at, 0),
        *(0.0000691479391544, 8.0, None, 1788508800000 * MS, None, None, False),
    )
    assert json.loads(row[-1]) == {"formulaType": "withRate", "premium": "-0.0004571357779981"}


@pytest.mark.parametrize(
    ("following", "hours"),
    [("1788512400000", 1.0), ("", None), ("0", None), ("1788508800000", None), ("1", None),
     ("1788500000000", None), ("1798508800000", None)],
)  # fmt: skip
def test_an_interval_that_makes_no_sense_is_unknown(
    bench: Bench, following: str, hours: float | None
) -> None:
    bench.take("okx", frames_of([FUNDING_RATE.replace("1788537600000", following)]))
    assert bench.rows("funding", "interval_hours") == [(hours,)]


def test_a_prediction_is_one_only_where_the_venue_makes_it(bench: Bench) -> None:
    made = FUNDING_RATE.replace('"nextFundingRate":""', '"nextFundingRate":"0.0002"')
    bench.take("okx", frames_of([FUNDING_RATE, made]))
    assert bench.rows("funding", "predicted_rate") == [(None,), (0.0002,)]


def test_the_state_before_a_subscription_is_marked_and_not_repeated(record: Record) -> None:
    sent = 1788488645809 * MS
    frames = []
    for number, told in (1, FUNDING_RATE), (2, FUNDING_RATE.replace("withRate", "noRate")):
        connection = ulid(sent + number * NS, bytes([number] * 10))
        opened = sent + number * NS
        frames += [marker(0, "open", opened, connection, line="A", group="funding")]
        frames += frames_of([told], first_seq=1, recv_ns=opened + 5 * MS, connection=connection)
    live = FUNDING_RATE.replace("1788488645809", "1788488649000")
    frames += frames_of([live], first_seq=2, recv_ns=sent + 3 * NS, connection=connection)
    record.take("okx", frames)
    assert record.rows("funding", "seq", "backfill") == [(1, True), (2, False)]
    assert record.rows("latency", "seq", "backfill") == [(1, True), (1, True), (2, False)]


def test_mark_and_index_prices(bench: Bench) -> None:
    bench.take("okx", frames_of([MARK, INDEX]))
    assert bench.rows("prices", *COMMON, "kind", "price") == [
        (*common("mark-price:BTC-USDT-SWAP", "BTC-USDT-SWAP", T0, 0), "mark", 42310.6),
        (*common("index-tickers:BTC-USDT", "BTC-USDT", T0, 1), "index", 42311.5),
    ]


def test_open_interest_is_in_contracts_and_in_dollars(bench: Bench) -> None:
    bench.take("okx", frames_of([INTEREST, INTEREST.replace("1939251795.5", "")]))
    assert bench.rows("open_interest", "open_interest", "open_interest_usd", "extra") == [
        (2216113.01, 1939251795.5, '{"oiCcy":"22161.13"}'),
        (2216113.01, None, '{"oiCcy":"22161.13"}'),
    ]


# -- the rest


def test_the_venue_s_time_is_the_event_s_and_none_is_the_sending_s(bench: Bench) -> None:
    bench.take("okx", frames_of([TRADE, BOOK], recv_ns=[T0 + 80 * MS, T0 - 20 * MS]))
    columns = ("channel", "symbol", "event_ns", "dispatch_ns", "total_ns", "network_ns")
    assert bench.rows("latency", *columns) == [
        ("trades:BTC-USDT-SWAP", "BTC-USDT-SWAP", T0, None, 80 * MS, None),
        ("books5:BTC-USDT", "BTC-USDT", T0, None, -20 * MS, None),
    ]


def test_answers_heartbeats_and_candles_are_no_events(bench: Bench) -> None:
    error = '{"event":"error","msg":"wrong channel:x,instId:y","code":"60018","connId":"e1f69f02"}'
    notice = '{"event":"notice","code":"64008","msg":"soon","connId":"a4d3ae55"}'
    rest = '{"code":"0","msg":"","data":[{"instId":"BTC-USD-SWAP","oi":"4092973"}]}'
    empty = push("trades", instId="BTC-USDT-SWAP")
    bench.take("okx", frames_of(["pong", SUBSCRIBED, error, notice, rest, CANDLE, empty]))
    assert bench.places() == {}


def test_what_cannot_be_used_is_rejected_in_words(bench: Bench) -> None:
    told = {
        "ping": "not JSON",
        '{"data":[]}': "a message without a channel",
        '{"arg":{"channel":"trades"},"data":{}}': "trades without a list of data",
        '{"arg":{"channel":"adl-warning"},"data":[{}]}': "no table for the channel adl-warning, "
        "and it carries no time",
        push("trades", {"px": "1", "sz": "1"}): "data without an instrument: trades",
        push("trades", {"instId": "X", "px": "", "sz": "1"}): "a trade without a number as price "
        "or size",
        push("funding-rate", {"instId": "X", "fundingRate": ""}): "a funding rate that is not a "
        "number",
        push("mark-price", {"instId": "X", "markPx": "much"}): "a price that is not a number",
        push("open-interest", {"instId": "X", "oi": []}): "an open interest that is not a number",
    }
    bench.take("okx", frames_of(list(told)))
    assert bench.rows("rejects", "reason", "payload") == [
        (reason, payload.encode()) for payload, reason in told.items()
    ]


def test_the_captured_frames_end_as_exactly_these_rows(bench: Bench) -> None:
    names = ("funding_rate", "trades")
    nautilus = [shared(f"nautilus/okx/nautilus_ws_{name}.json").read_bytes() for name in names]
    captured = [*lines("captured_2026/okx.jsonl"), *nautilus]
    bench.take("okx", [listed(LINEAR), *frames_of(captured, first_seq=1)], whale_usd=5_000.0)
    rates = ("seq", "symbol", "event_ns", "rate", "interval_hours", "predicted_rate",
               "next_funding_ns")  # fmt: skip
    btc = "BTC-USDT-SWAP"
    assert bench.rows("funding", *rates) == [
        (3, btc, 1788488645809 * MS, 0.0000691479391544, 8.0, None, 1788508800000 * MS),
        (4, "ETH-USDT-SWAP", 1788488645868 * MS, 0.0001, 8.0, None, 1788508800000 * MS),
        (8, btc, 1790358563915 * MS, 0.0000263463215391, 8.0, None, 1790380800000 * MS),
        (15, btc, 1744590349506 * MS, 0.0001, 8.0, 0.0002, 1744590349506 * MS),
    ]
    columns = ("seq", "symbol", "event_ns", "position_side", "raw_side", "price", "quantity",
               "notional_usd")  # fmt: skip
    assert bench.rows("liquidations", *columns) == [
        (9, "MINA-USDT-SWAP", 1789678209470 * MS, "short", "buy", 0.09859, 10975.0, None),
        (10, "CNPY-USDT-SWAP", 1789669898955 * MS, "short", "buy", 0.4162, 2137.0, None),
        (11, btc, 1791565600771 * MS, "long", "sell", 82655.7, 8.55, pytest.approx(7067.06235)),
        (12, "CELO-USDT-SWAP", 1791565462608 * MS, "short", "buy", 0.09583, 19979.0, None),
    ]
    assert bench.rows("prices", "seq", "symbol", "kind", "price") == [
        (5, btc, "last", 80666.7),
        (6, btc, "last", 80666.8),
        (7, "ETH-USDT-SWAP", "last", 2499.84),
        (16, "BTC-USD", "last", 42219.9),
    ]
    assert bench.rows("whales", "seq", "side", "quantity", "notional_usd", "tx") == [
        (6, "buy", 0.09, pytest.approx(7260.012), "2895225233"),
        (16, "buy", 0.12060306, pytest.approx(5091.849132894), "130639474"),
    ]
    assert {seq for seq in range(1, 17) if seq not in bench.places()} == {1, 2, 13, 14}
    assert bench.rows("rejects", "reason") == []


def test_an_older_recording_is_read_too(bench: Bench) -> None:
    old = lines("okx/crypto-msg-parser_okx.jsonl")
    assert len(old) == 50
    bench.take("okx", frames_of(old), whale_usd=0.0)
    assert bench.rows("rejects", "reason") == []
    assert bench.rows("funding", "symbol", "rate", "predicted_rate", "event_ns") == [
        ("BTC-USD-SWAP", 0.0000734174532791, 0.0001163723201487, None),
        ("BTC-USDT-SWAP", 0.0001534702159002, 0.0001542145319804, None),
    ]
    assert bench.rows("whales", "symbol", "notional_usd") == [
        ("BTC-USDT", pytest.approx(162.460537995))
    ]
    # Six trades, six tickers, seventeen order books; two funding rates without a time.
    assert bench.sql("SELECT count(*) FROM prices") == [(12,)]
    assert bench.sql("SELECT count(*) FROM latency") == [(6 + 6 + 17,)]
    silent = [text for seq, text in enumerate(old) if seq not in bench.places()]
    assert len(silent) == 19  # answers of REST, candles, one message of API v3
    assert all(b'"code"' in text or b"candle" in text or b'"table"' in text for text in silent)
