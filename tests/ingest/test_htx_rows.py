"""What HTX sends ends as the right rows, column by column."""

from __future__ import annotations

import ast
import gzip
import json
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.recordings import lines
from kit.rows import TRADED, Bench

from recorder.coding import decoded
from recorder.frame import Frame

NOW = T0 // MS
#: 0.011 BTC at 13,083 USDT.
MONEY = pytest.approx(143.913)
TOPIC = "market.BTC-USDT.trade.detail"
ACK = f'{{"id":"{TOPIC}","status":"ok","subbed":"{TOPIC}","ts":1}}'
OP_ACK = '{"op":"sub","cid":"1","topic":"public.*.liquidation_orders","ts":1,"err-code":0}'
PING, OP_PING = f'{{"ping":{NOW}}}', f'{{"op":"ping","ts":"{NOW}"}}'
LIQUIDATION: dict[str, Any] = {
    "symbol": "ETH", "contract_code": "ETH-USDT", "direction": "buy", "offset": "close",
    "volume": 500, "price": 2446.26, "created_at": NOW, "amount": 5, "trade_turnover": 12231.3,
    "contract_type": "swap", "pair": "ETH-USDT", "business_type": "swap",
    "trade_partition": "USDT",
}  # fmt: skip
RATE: dict[str, Any] = {
    "symbol": "BTC", "contract_code": "BTC-USDT", "fee_asset": "USDT",
    "funding_time": str(NOW - 7_000), "funding_rate": "0.000754108135233895",
    "estimated_rate": "0.000429934303518805", "settlement_time": str(NOW + 3_600_000),
}  # fmt: skip
TRADE: dict[str, Any] = {
    "amount": 22, "ts": NOW, "id": 1316022650000, "price": 13083, "direction": "buy",
    "quantity": 0.022, "trade_turnover": 287.826,
}  # fmt: skip
SPOT: dict[str, Any] = {
    "id": 161573809785708645025711503, "ts": NOW, "tradeId": 102751627361, "amount": 0.001,
    "price": 16855.48, "direction": "sell",
}  # fmt: skip


def notified(kind: str, symbol: str, *rows: dict[str, Any]) -> str:
    told = {"op": "notify", "topic": f"public.{symbol}.{kind}", "ts": NOW + 5, "data": rows}
    return json.dumps(told, separators=(",", ":"))


def trades(*rows: dict[str, Any], symbol: str = "BTC-USDT") -> str:
    tick = {"id": 131602265, "ts": NOW, "data": rows}
    told = {"ch": f"market.{symbol}.trade.detail", "ts": NOW + 3, "tick": tick}
    return json.dumps(told, separators=(",", ":"))


def candle(kind: str, close: object) -> str:
    tick = {"id": NOW // 60_000 * 60, "open": "1", "close": close, "vol": "0", "amount": "0"}
    return json.dumps({"ch": f"market.BTC-USDT.{kind}.1min", "ts": NOW, "tick": tick})


LIQUIDATED = notified("liquidation_orders", "ETH-USDT", LIQUIDATION)
FUNDED = notified("funding_rate", "BTC-USDT", RATE)

#: One of each kind, to be changed at random.
FRAMES = [
    ACK, OP_ACK, PING, OP_PING, LIQUIDATED, FUNDED, trades(TRADE), trades(SPOT, symbol="btcusdt"),
    candle("mark_price", "9800.12"), candle("index", "9801"),
    f'{{"ch":"market.BTC-USDT.bbo","ts":{NOW},"tick":{{"mrid":1,"bid":[1,2],"ask":[3,4]}}}}',
]  # fmt: skip


def received(*texts: str, listed: tuple[dict[str, Any], ...] = ()) -> list[Frame]:
    """The frames as the service packs them, after the markers of their connection."""
    about = {"line": "A", "group": "g", "url": "wss://x/ws"}
    markers = [marker(0, "open", T0 - MS, CONNECTION, **about)]
    if listed:
        markers.append(marker(1, "instruments", T0 - 2, exchange="htx", instruments=listed))
    packed = [gzip.compress(text.encode(), mtime=0) for text in texts]
    return [*markers, *frames_of(packed, first_seq=len(markers), kind="binary", recv_ns=T0)]


CONTRACT = {
    "symbol": "BTC-USDT", "name": "BTC-USDT", "contract_size": 0.001, "contract_unit": "base",
    "base": "BTC", "quote": "USDT", "kind": "perpetual", "contract_type": "linear",
    "funding_interval_hours": 4.0,
}  # fmt: skip
PAIR = {
    "symbol": "btcusdt", "name": "btcusdt", "contract_size": 1.0, "contract_unit": "base",
    "base": "BTC", "quote": "USDT", "kind": "spot",
}  # fmt: skip


def test_each_kind_of_frame_has_its_tables(bench: Bench) -> None:
    bench.take("htx", received(*FRAMES), whale_usd=1.0)
    assert bench.places() == {
        5: ["latency", "liquidations"],
        6: ["funding", "latency"],
        7: ["latency", "prices", "whales"],
        8: ["latency", "prices"],
        9: ["latency", "prices"],
        10: ["latency", "prices"],
        11: ["latency"],
    }
    assert bench.warnings == []


def test_a_liquidation_is_of_the_side_that_its_order_closed(bench: Bench) -> None:
    """The row that the venue sent on 2026-09-18: 500 contracts of 0.01 ETH, 12,231.30 USDT."""
    sold = {**LIQUIDATION, "direction": "sell", "created_at": NOW - 1}
    bench.take("htx", received(notified("liquidation_orders", "ETH-USDT", LIQUIDATION, sold)))
    columns = (
        "channel", "exchange", "symbol", "event_ns", "item", "position_side", "raw_side", "price",
        "price_kind", "quantity", "quantity_unit", "notional_usd", "backfill", "extra",
    )  # fmt: skip
    common = ("public.ETH-USDT.liquidation_orders", "htx", "ETH-USDT")
    sizes = (2446.26, "bankruptcy", 5.0, "base", 12231.3, False, '{"volume":500.0}')
    assert bench.rows("liquidations", *columns) == [
        (*common, T0, 0, "short", "buy", *sizes),
        (*common, T0 - MS, 1, "long", "sell", *sizes),
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"offset": "open"}, (None, 5.0, "base", 12231.3)),
        ({"offset": "both"}, ("short", 5.0, "base", 12231.3)),
        ({"amount": None}, ("short", 500.0, "contracts", 12231.3)),
        ({"amount": None, "volume": ""}, ("short", None, None, 12231.3)),
        ({"trade_turnover": None, "amount": "5"}, ("short", 5.0, "base", 12231.3)),
        ({"trade_turnover": None, "amount": None}, ("short", 500.0, "contracts", None)),
        ({"contract_code": "ETH-BTC"}, ("short", 5.0, "base", None)),
        ({"direction": "?"}, (None, 5.0, "base", 12231.3)),
    ],
)
def test_what_a_liquidation_does_not_say_is_null(
    bench: Bench, change: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    frame = notified("liquidation_orders", "ETH-USDT", {**LIQUIDATION, **change})
    bench.take("htx", received(frame))
    columns = ("position_side", "quantity", "quantity_unit", "round(notional_usd, 6)")
    assert bench.rows("liquidations", *columns) == [expected]


def test_half_of_a_contract_s_amount_was_traded(bench: Bench) -> None:
    """The venue documents the amount as the sum of the buyer's and the seller's."""
    bare = {**TRADE, "quantity": None, "id": 2}
    bench.take("htx", received(trades(TRADE, bare), listed=(CONTRACT,)), whale_usd=100.0)
    expected = [(13083.0, 0.011, "base", MONEY, "buy", "1316022650000"),
                (13083.0, 0.011, "base", MONEY, "buy", "2")]  # fmt: skip
    assert bench.rows("prices", "price", *TRADED) == expected
    columns = ("asset", "side", "price", "quantity", "notional_usd", "tx")
    first = ("BTC", "buy", 13083.0, 0.011, MONEY, "1316022650000")
    assert bench.rows("whales", *columns) == [first, (*first[:-1], "2")]
    bench.take("htx", received(trades(bare)))
    assert bench.rows("prices", "price", *TRADED) == [
        (13083.0, 11.0, "contracts", None, "buy", "2")
    ]


def test_a_pair_s_amount_is_what_was_traded(bench: Bench) -> None:
    bench.take("htx", received(trades(SPOT, symbol="btcusdt"), listed=(PAIR,)), whale_usd=16.0)
    assert bench.rows("prices", "symbol", "price", *TRADED) == [
        ("btcusdt", 16855.48, 0.001, "base", 16.85548, "sell", "102751627361")
    ]
    assert bench.rows("whales", "asset", "side") == [("BTC", "sell")]
    bench.take("htx", received(trades(SPOT, symbol="btcusdt")), whale_usd=16.0)
    assert bench.rows("prices", "quantity", "quantity_unit", "notional_usd") == [
        (0.001, "base", None)
    ]


def test_a_rate_is_that_of_the_next_settlement(bench: Bench) -> None:
    columns = (
        "symbol", "event_ns", "rate", "interval_hours", "predicted_rate", "next_funding_ns",
        "basis", "extra",
    )  # fmt: skip
    common = (
        *("BTC-USDT", T0 + 5 * MS, 0.000754108135233895),
        *(0.000429934303518805, T0 + 3_600_000 * MS, "expected"),
        json.dumps({"funding_time": RATE["funding_time"]}, separators=(",", ":")),
    )
    for listed, hours in (((), None), ((CONTRACT,), 4.0)):
        bench.take("htx", received(FUNDED, listed=listed))
        assert bench.rows("funding", *columns) == [(*common[:3], hours, *common[3:])]
    unknown = {**RATE, "estimated_rate": None, "settlement_time": None, "funding_time": None}
    bench.take("htx", received(notified("funding_rate", "BTC-USDT", unknown)))
    assert bench.rows("funding", *columns) == [(*common[:3], *[None] * 3, "expected", None)]


def test_a_candle_s_close_is_the_price_now(bench: Bench) -> None:
    bench.take("htx", received(candle("mark_price", "9800.12"), candle("index", 9801)))
    assert bench.rows("prices", "symbol", "event_ns", "kind", "price") == [
        ("BTC-USDT", T0, "mark", 9800.12),
        ("BTC-USDT", T0, "index", 9801.0),
    ]


def test_the_last_trade_is_sent_again_after_a_subscription(bench: Bench) -> None:
    past = {**TRADE, "ts": NOW - 14_000}
    bench.take("htx", received(trades(past), trades({**TRADE, "id": 2})))
    assert bench.rows("prices", "event_ns", "backfill") == [
        (T0 - 14_000 * MS, True), (T0, False)
    ]  # fmt: skip
    assert bench.rows("latency", "network_ns", "backfill")[1] == (-2 * MS, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (trades({**TRADE, "price": ""}, TRADE), "a trade without an instrument"),
        (notified("liquidation_orders", "X", {"price": 1}), "a liquidation without a contract"),
        (
            notified("funding_rate", "X", {**RATE, "funding_rate": None}),
            "a rate without a contract",
        ),
        (candle("mark_price", None), "a candle without a number"),
        ('{"ch":"market.X.trade.detail","tick":{}}', "trade without a list of events"),
        ('{"ch":"market.X.surprise"}', "no table for the topic market.X.surprise"),
        ("{}", "a message without a topic"),
        ("pong", "not JSON"),
    ],
)
def test_what_cannot_be_used_is_a_reject(bench: Bench, text: str, reason: str) -> None:
    bench.take("htx", received(text))
    [(found, payload)] = bench.rows("rejects", "reason", "payload")
    assert found.startswith(reason)
    assert gzip.decompress(payload) == text.encode()


def test_frames_that_are_not_gzip_are_read_and_broken_ones_are_rejected(bench: Bench) -> None:
    whole = gzip.compress(LIQUIDATED.encode())
    payloads = [LIQUIDATED.encode(), whole[:-9], whole[:20] + b"\xff" + whole[21:]]
    bench.take("htx", frames_of(payloads, kind="binary"))
    assert bench.rows("liquidations", "seq") == [(0,)]
    reasons = dict(bench.rows("rejects", "seq", "reason"))
    assert reasons[1] == "gzip: cut short" and reasons[2].startswith("gzip: ")


def test_the_venue_s_own_frames_are_all_understood(bench: Bench) -> None:
    """Of the coin-margined market, recorded in 2022: the same protocol, sizes in dollars."""
    name = "huobi_swap/cryptofeed_HUOBI_SWAP.ws.1.0"
    literals = [
        line.partition(b": ")[2].decode()
        for line in lines(name) if line[:1].isdigit() and b": b" in line
    ]  # fmt: skip
    payloads = [ast.literal_eval(literal) for literal in literals]
    for payload in payloads:
        assert decoded("gzip", payload) == gzip.decompress(payload)
    bench.take("htx", frames_of(payloads, kind="binary"))
    assert bench.rows("rejects", "reason") == []
    counts = bench.sql("SELECT count(*), count(DISTINCT seq) FROM prices")
    assert counts == [(8, 6)]
    # Each amount is even, as the sum of a buyer's and a seller's must be: 6 of 10 USD at 26.5841.
    amounts = [
        trade["amount"]
        for payload in payloads
        if b'.trade.detail","ts"' in (text := gzip.decompress(payload))
        for trade in json.loads(text).get("tick", {}).get("data", [])
    ]
    assert len(amounts) == 8 and not any(amount % 2 for amount in amounts)
    first = bench.sql("SELECT symbol, notional_usd FROM prices ORDER BY seq, item LIMIT 1")
    assert first == [("ATOM-USD", pytest.approx(30.0))]
