"""What Bitget sends ends as the right rows, column by column."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.rows import TRADED, Bench

from recorder.clock import NS
from recorder.frame import Frame

NOW = T0 // MS
ACK = (
    '{"event":"subscribe","arg":{"instType":"usdt-futures","topic":"publicTrade",'
    '"symbol":"BTCUSDT"},"connId":"c"}'
)
LIQUIDATION: dict[str, Any] = {
    "symbol": "APEUSDT", "side": "buy", "price": "0.1649", "amount": "13.70319",
    "ts": str(NOW - 10_000),
}  # fmt: skip
TICKER: dict[str, Any] = {
    "lastPrice": "0.09081", "indexPrice": "0.09083", "markPrice": "0.09082",
    "fundingRate": "0.0001",
    "openInterest": "1000", "nextFundingTime": str(NOW + 3_600_000), "deliveryTime": "",
}  # fmt: skip
TRADE: dict[str, Any] = {
    "i": "1475707793211920384", "p": "0.09079", "v": "2714", "S": "buy", "T": str(NOW - 1),
    "L": "1475707793211920385", "isRPI": "no",
}  # fmt: skip


def frame(topic: str, *rows: dict[str, Any], **changed: Any) -> str:
    arg = {"instType": changed.pop("market", "usdt-futures"), "topic": topic}
    if topic != "liquidation":
        arg["symbol"] = "DOGEUSDT"
    told = {"action": "update", "arg": arg, "data": rows, "ts": NOW, **changed}
    return json.dumps(told, separators=(",", ":"))


#: One of each kind, to be changed at random.
FRAMES = [
    ACK, frame("liquidation", LIQUIDATION), frame("ticker", TICKER),
    frame("publicTrade", TRADE, {**TRADE, "S": "sell", "i": "2"}),
    frame("books1", {"a": [["1", "2"]], "b": [], "seq": 1, "ts": str(NOW)}),
]  # fmt: skip

LISTED = [
    {"symbol": symbol, "name": symbol, "contract_size": 1.0, "contract_unit": "base", "base": base,
     "quote": "USDT", "kind": "perpetual", "funding_interval_hours": 4.0}
    for symbol, base in (("DOGEUSDT", "DOGE"), ("APEUSDT", "APE"))
]  # fmt: skip


def received(*texts: str, listed: bool = True) -> list[Frame]:
    about = {"line": "A", "group": "g", "url": "wss://x/ws"}
    markers = [marker(0, "open", T0 - 20 * NS, CONNECTION, **about)]
    if listed:
        told = {"exchange": "bitget", "instruments": LISTED}
        markers.append(marker(1, "instruments", T0 - 2, **told))
    return [*markers, *frames_of(texts, first_seq=len(markers))]


def test_each_kind_of_frame_has_its_tables(bench: Bench) -> None:
    bench.take("bitget", received("pong", *FRAMES), whale_usd=1.0)
    assert bench.places() == {
        4: ["latency", "liquidations"],
        5: ["funding", "latency", "prices"],
        6: ["latency", "prices", "whales"],
        7: ["latency"],
    }
    assert bench.warnings == []


@pytest.mark.parametrize("listed", [True, False])
def test_a_liquidation_s_side_is_the_position_s_and_its_amount_money(
    bench: Bench, listed: bool
) -> None:
    short = {**LIQUIDATION, "side": "sell"}
    bench.take("bitget", received(frame("liquidation", LIQUIDATION, short), listed=listed))
    columns = (
        "channel", "exchange", "symbol", "event_ns", "position_side", "raw_side", "price",
        "price_kind", "round(quantity, 6)", "quantity_unit", "notional_usd",
    )  # fmt: skip
    common = ("liquidation.usdt-futures", "bitget", "APEUSDT", T0 - 10 * NS)
    sizes = (0.1649, None, 83.1, "base", 13.70319)
    assert bench.rows("liquidations", *columns) == [
        (*common, "long", "buy", *sizes),
        (*common, "short", "sell", *sizes),
    ]


def test_a_contract_that_is_no_linear_one_has_no_unit(bench: Bench) -> None:
    frames = received(
        frame("liquidation", LIQUIDATION, market="coin-futures"),
        frame("publicTrade", TRADE, market="coin-futures"),
        listed=False,
    )
    bench.take("bitget", frames, whale_usd=1.0)
    columns = ("quantity", "quantity_unit", "notional_usd", "extra")
    assert bench.rows("liquidations", *columns) == [(None, None, None, '{"amount":13.70319}')]
    assert bench.rows("prices", *TRADED) == [(2714.0, None, None, "buy", TRADE["i"])]


def test_a_trade_is_in_coins_and_a_snapshot_of_trades_is_the_past(bench: Bench) -> None:
    past = frame("publicTrade", {**TRADE, "i": "1"}, action="snapshot")
    bench.take("bitget", received(past, frame("publicTrade", TRADE)), whale_usd=200.0)
    value = pytest.approx(246.40406)
    assert bench.rows("prices", "channel", "event_ns", *TRADED, "backfill") == [
        (
            *("publicTrade.usdt-futures.DOGEUSDT", T0 - MS, 2714.0, "base", value, "buy"),
            *(trade, backfill),
        )
        for trade, backfill in (("1", True), (TRADE["i"], False))
    ]
    assert bench.rows("whales", "asset", "side", "notional_usd") == [("DOGE", "buy", value)] * 2


def test_a_ticker_is_a_rate_and_three_prices(bench: Bench) -> None:
    columns = ("symbol", "event_ns", "rate", "interval_hours", "next_funding_ns", "mark_price")
    bench.take("bitget", received(frame("ticker", TICKER)))
    expected = ("DOGEUSDT", T0, 0.0001, 4.0, T0 + 3600 * NS, 0.09082)
    assert bench.rows("funding", *columns) == [expected]
    assert bench.rows("prices", "item", "kind", "price") == [
        (0, "mark", 0.09082), (1, "index", 0.09083), (2, "last", 0.09081)
    ]  # fmt: skip
    assert bench.rows("open_interest", "seq") == []
    for none in ("", "0"):
        bench.take("bitget", received(frame("ticker", {**TICKER, "nextFundingTime": none})))
        assert bench.rows("funding", "seq") == [] and len(bench.rows("prices", "seq")) == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (frame("publicTrade", {**TRADE, "p": ""}, TRADE), "a trade without a number"),
        (frame("liquidation", {"symbol": "X"}), "a liquidation without a side"),
        (frame("liquidation", {"side": "buy"}), "data without a symbol"),
        (frame("ticker", {"lastPrice": ""}), "a ticker without a number"),
        (frame("publicTrade", data={}), "publicTrade without a list"),
        ('{"arg":{"topic":"surprise"}}', "no table for the topic surprise"),
        ("{}", "a message without a topic"),
        ("ping", "not JSON"),
    ],
)
def test_what_cannot_be_used_is_a_reject(bench: Bench, text: str, reason: str) -> None:
    bench.take("bitget", received(text))
    [(found,)] = bench.rows("rejects", "reason")
    assert found.startswith(reason)
