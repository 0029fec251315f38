"""What Gate sends ends as the right rows, column by column."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.rows import TRADED, Bench

from recorder.clock import NS
from recorder.frame import Frame

NOW = T0 // MS
PONG = f'{{"time":{NOW // 1000},"time_ms":{NOW},"channel":"futures.pong","event":"","result":null}}'
ACK = (
    f'{{"time":{NOW // 1000},"channel":"futures.trades","event":"subscribe","error":null,'
    '"result":{"status":"success"}}'
)
LIQUIDATION: dict[str, Any] = {
    "price": "215.1", "size": "-124.5", "time": NOW - 40, "contract": "BTC_USDT",
}  # fmt: skip
TICKER: dict[str, Any] = {
    "contract": "BTC_USDT", "last": "77175.1", "mark_price": "77183.5", "funding_rate": "0.000072",
    "funding_rate_indicative": "0.000073", "funding_interval": 28800, "funding_offset": 0,
    "funding_next_apply": NOW // 1000 + 3600, "index_price": "77221.8", "price_type": "last",
    "total_size": "651185722", "t": NOW - 6,
}  # fmt: skip
TRADE: dict[str, Any] = {
    "id": 842235619, "size": "-3", "create_time": NOW // 1000, "create_time_ms": NOW - 2,
    "price": "83746.9", "contract": "BTC_USDT",
}  # fmt: skip


def update(name: str, *results: dict[str, Any], **changed: Any) -> str:
    told = {"time": NOW // 1000, "time_ms": NOW, "channel": f"futures.{name}", "event": "update",
            "result": results, **changed}  # fmt: skip
    return json.dumps(told, separators=(",", ":"))


#: One of each kind, to be changed at random.
FRAMES = [
    PONG, ACK, update("public_liquidates", LIQUIDATION), update("tickers", TICKER),
    update("trades", TRADE, {**TRADE, "id": 842235620, "size": 7}),
    update("book_ticker", result={"t": NOW, "u": 1, "s": "BTC_USDT", "b": "1", "a": "2"}),
]  # fmt: skip

CONTRACT = {
    "symbol": "BTC_USDT", "name": "BTC_USDT", "contract_size": 0.0001, "contract_unit": "base",
    "base": "BTC", "quote": "USDT", "kind": "perpetual", "contract_type": "linear",
    "funding_interval_hours": 4.0,
}  # fmt: skip


def received(*texts: str, listed: bool = True) -> list[Frame]:
    about = {"line": "A", "group": "g", "url": "wss://x/ws"}
    markers = [marker(0, "open", T0 - 1000 * MS, CONNECTION, **about)]
    if listed:
        told = {"exchange": "gate", "instruments": [CONTRACT]}
        markers.append(marker(1, "instruments", T0 - 2, **told))
    return [*markers, *frames_of(texts, first_seq=len(markers))]


def test_each_kind_of_frame_has_its_tables(bench: Bench) -> None:
    bench.take("gate", received(*FRAMES), whale_usd=1.0)
    assert bench.places() == {
        4: ["latency", "liquidations"],
        5: ["funding", "latency", "prices"],
        6: ["latency", "prices", "whales"],
        7: ["latency"],
    }
    assert bench.warnings == []


@pytest.mark.parametrize(
    ("time", "event_ns"),
    [(NOW - 40, T0 - 40 * MS), (NOW // 1000, T0), (0, None), (None, None)],
)
def test_a_liquidation_has_no_side_and_its_own_time(
    bench: Bench, time: int | None, event_ns: int | None
) -> None:
    """Before 2026-08-20 the time was in seconds. What the sign means is contradicted."""
    bench.take("gate", received(update("public_liquidates", {**LIQUIDATION, "time": time})))
    columns = (
        "channel", "exchange", "symbol", "event_ns", "position_side", "raw_side", "price",
        "price_kind", "quantity", "quantity_unit", "round(notional_usd, 6)", "extra",
    )  # fmt: skip
    assert bench.rows("liquidations", *columns) == [
        (
            *("futures.public_liquidates", "gate", "BTC_USDT", event_ns, None, None),
            *(215.1, "limit", pytest.approx(0.01245), "base", 2.677995, '{"size":"-124.5"}'),
        )
    ]


def test_without_a_list_a_size_is_in_contracts(bench: Bench) -> None:
    frames = received(
        update("public_liquidates", LIQUIDATION), update("trades", TRADE), listed=False
    )
    bench.take("gate", frames, whale_usd=1.0)
    assert bench.rows("liquidations", "quantity", "quantity_unit", "notional_usd") == [
        (124.5, "contracts", None)
    ]
    assert bench.rows("prices", *TRADED) == [(3.0, "contracts", None, "sell", "842235619")]
    assert bench.rows("whales", "seq") == []


def test_a_trade_s_sign_is_its_taker_s_side(bench: Bench) -> None:
    bought = {**TRADE, "id": 2, "size": 5000, "is_internal": True}
    still = {**TRADE, "id": 3, "size": "0", "is_internal": False}
    bench.take("gate", received(update("trades", TRADE, bought, still)), whale_usd=10_000.0)
    assert bench.rows("prices", "channel", "event_ns", "quantity", "side", "off_book") == [
        ("futures.trades:BTC_USDT", T0 - 2 * MS, pytest.approx(0.0003), "sell", None),
        ("futures.trades:BTC_USDT", T0 - 2 * MS, 0.5, "buy", True),
        ("futures.trades:BTC_USDT", T0 - 2 * MS, 0.0, None, False),
    ]
    columns = ("item", "asset", "side", "price", "quantity", "notional_usd", "tx", "extra")
    assert bench.rows("whales", *columns) == [
        (1, "BTC", "buy", 83746.9, 0.5, 41873.45, "2", '{"is_internal": true}')
    ]


def test_a_ticker_is_a_rate_with_its_interval_and_three_prices(bench: Bench) -> None:
    bench.take("gate", received(update("tickers", TICKER)))
    columns = (
        "channel", "symbol", "event_ns", "rate", "interval_hours", "next_funding_ns",
        "predicted_rate", "mark_price", "index_price", "basis", "extra",
    )  # fmt: skip
    assert bench.rows("funding", *columns) == [
        (
            *("futures.tickers:BTC_USDT", "BTC_USDT", T0 - 6 * MS, 0.000072, 8.0),
            *(T0 + 3600 * NS, None, 77183.5, 77221.8, "expected"),
            '{"funding_rate_indicative":"0.000073"}',
        )
    ]
    assert bench.rows("prices", "item", "kind", "price") == [
        (0, "mark", 77183.5), (1, "index", 77221.8), (2, "last", 77175.1)
    ]  # fmt: skip
    assert bench.rows("open_interest", "seq") == []


def test_what_a_ticker_does_not_say_is_null(bench: Bench) -> None:
    bare = {"contract": "BTC_USDT", "last": "1", "funding_rate": "0.1"}
    bench.take("gate", received(update("tickers", bare)))
    columns = ("event_ns", "interval_hours", "next_funding_ns", "mark_price", "extra")
    assert bench.rows("funding", *columns) == [(T0, 4.0, None, None, None)]
    bench.take("gate", received(update("tickers", bare), listed=False))
    assert bench.rows("funding", *columns) == [(T0, None, None, None, None)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (update("trades", {**TRADE, "price": ""}, TRADE), "a result without a number as price"),
        (update("public_liquidates", {"price": 1, "size": 1}), "a result without a contract"),
        (update("tickers", {"contract": "X", "last": "NaN"}), "a ticker without a number"),
        (update("trades", result={}), "futures.trades without a list of results"),
        ('{"channel":"futures.surprise","event":"update"}', "no table for the channel"),
        ('{"channel":"futures.trades","result":[]}', "a message without an event"),
        ("{}", "a message without a channel"),
    ],
)
def test_what_cannot_be_used_is_a_reject(bench: Bench, text: str, reason: str) -> None:
    bench.take("gate", received(text))
    [(found,)] = bench.rows("rejects", "reason")
    assert found.startswith(reason)
