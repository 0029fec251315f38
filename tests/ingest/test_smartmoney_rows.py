"""What the Smart Money API sends ends as the right rows, flat or wrapped, column by column."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.frames import MS, T0, frames_of
from kit.rows import Bench

from recorder.schema.tables import TABLES

TIME_MS = T0 // MS - 250
NEXT_MS = T0 // MS + 3_600_000

#: type, channel, table, the fields sent, the columns they become (the others are NULL).
EVENTS: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "whale_update",
        "whales:BTC",
        "whales",
        {"wallet": "0xabc", "asset": "BTC", "size_usd": 2500000.5},
        {"symbol": "BTC", "kind": "position", "wallet": "0xabc", "asset": "BTC",
         "notional_usd": 2500000.5},
    ),
    (
        "whale_update",
        "whales:ETH",
        "whales",
        {"wallet": "0xdef", "asset": "ETH", "size_usd": "300000", "action": "open", "side": "LONG",
         "exchange": "Hyperliquid", "entry_price": 2500.25, "quantity": "120", "tx_hash": "0x1"},
        {"symbol": "ETH", "exchange": "hyperliquid", "kind": "position", "wallet": "0xdef",
         "asset": "ETH", "action": "open", "side": "long", "price": 2500.25, "quantity": 120.0,
         "notional_usd": 300000.0, "tx": "0x1", "extra": {"entry_price": 2500.25}},
    ),
    (
        "funding_rate",
        "derivatives:funding",
        "funding",
        {"symbol": "BTCUSDT", "rate": 0.0001, "exchange": "binance"},
        {"symbol": "BTCUSDT", "exchange": "binance", "rate": 0.0001},
    ),
    (
        "funding_rate",
        "derivatives:funding",
        "funding",
        {"symbol": "ETH-USD", "rate": "-0.00002", "exchange": "OKX", "interval_hours": 1,
         "predicted_rate": 0, "next_funding_time": NEXT_MS, "mark_price": 2500.5,
         "index_price": "2501"},
        {"symbol": "ETH-USD", "exchange": "okx", "rate": -0.00002, "interval_hours": 1.0,
         "predicted_rate": 0.0, "next_funding_ns": NEXT_MS * MS, "basis": "expected",
         "mark_price": 2500.5, "index_price": 2501.0},
    ),
    (
        "liquidation",
        "derivatives:liquidations",
        "liquidations",
        {"symbol": "BTC", "price": 85000.5, "size_usd": 12345.6},
        {"symbol": "BTC", "price": 85000.5, "notional_usd": 12345.6},
    ),
    (
        "liquidation",
        "derivatives:liquidations",
        "liquidations",
        {"symbol": "BTC", "price": 85000.5, "side": "Short", "quantity": 0.5, "leverage": 20},
        {"symbol": "BTC", "position_side": "short", "raw_side": "Short", "price": 85000.5,
         "quantity": 0.5, "extra": {"leverage": 20}},
    ),
    (
        "open_interest",
        "derivatives:openinterest",
        "open_interest",
        {"symbol": "BTC", "exchange": "bybit", "open_interest": 1000.5, "open_interest_usd": 85e6,
         "change_pct": -1.5, "price": 85000},
        {"symbol": "BTC", "exchange": "bybit", "open_interest": 1000.5, "open_interest_usd": 85e6,
         "change_pct": -1.5, "extra": {"price": 85000}},
    ),
    (
        "exchange_flow",
        "onchain:flows",
        "flows",
        {"asset": "ETH", "exchange": "Kraken", "direction": "Inflow", "amount": 500,
         "amount_usd": 1250000, "wallet": "0x9", "tx": "0x2"},
        {"symbol": "ETH", "exchange": "kraken", "asset": "ETH", "direction": "inflow",
         "amount": 500.0, "amount_usd": 1250000.0, "wallet": "0x9", "tx": "0x2"},
    ),
    (
        "signal",
        "signals:confirmation",
        "signals",
        {"symbol": "BTC", "signal_type": "accumulation"},
        {"symbol": "BTC", "signal_type": "accumulation"},
    ),
    (
        "signal",
        "signals:confirmation",
        "signals",
        {"symbol": "ETH", "signal_type": "confirmation", "direction": "bullish", "score": 0.87,
         "price": 2500, "wallet": "0x3"},
        {"symbol": "ETH", "signal_type": "confirmation", "direction": "bullish", "score": 0.87,
         "extra": {"price": 2500, "wallet": "0x3"}},
    ),
    (
        "alert",
        "market:alerts",
        "alerts",
        {"symbol": "BTC", "alert_type": "price_move", "severity": "info", "title": "BTC moves",
         "message": "BTC moved 2 %", "url": "https://example.org"},
        {"symbol": "BTC", "alert_type": "price_move", "severity": "info", "title": "BTC moves",
         "message": "BTC moved 2 %", "extra": {"url": "https://example.org"}},
    ),
    (
        "system_status",
        "system:status",
        "system_status",
        {"component": "feeds", "status": "degraded", "message": "slow", "exchange": "OKX"},
        {"component": "feeds", "status": "degraded", "message": "slow", "exchange": "okx"},
    ),
]  # fmt: skip


def flat(kind: str, fields: dict[str, Any]) -> str:
    return json.dumps({"type": kind, **fields})


def wrapped(kind: str, channel: str, fields: dict[str, Any]) -> str:
    return json.dumps({"type": kind, "channel": channel, "payload": fields})


#: One of each kind, to be changed at random.
FRAMES = [
    *(flat(kind, fields) for kind, _, _, fields, _ in EVENTS),
    *(wrapped(kind, channel, fields) for kind, channel, _, fields, _ in EVENTS),
    '{"type":"pong"}',
]


def row(bench: Bench, name: str, seq: int) -> dict[str, Any]:
    """A frame's only row, without NULLs and without its way back to raw."""
    columns = [c.name for c in TABLES[name].columns]
    found = bench.sql(f"SELECT {', '.join(columns)} FROM {name} WHERE seq = {seq}")
    assert len(found) == 1
    told = dict(zip(columns, found[0], strict=True))
    if told.get("extra"):
        told["extra"] = json.loads(told["extra"])
    place = {"feed", "recv_ns", "recv_time", "connection", "seq", "item"}
    return {name: v for name, v in told.items() if v is not None and name not in place}


def test_every_documented_event_becomes_its_row_flat_and_wrapped_alike(bench: Bench) -> None:
    payloads = []
    for kind, channel, _, fields, _ in EVENTS:
        payloads += [flat(kind, fields), wrapped(kind, channel, fields)]
    bench.take("smartmoney", frames_of(payloads))
    for index, (_, channel, name, _, columns) in enumerate(EVENTS):
        for seq in (2 * index, 2 * index + 1):
            assert row(bench, name, seq) == {"channel": channel, **columns}
    assert bench.places() == {
        2 * index + form: [name] for index, (_, _, name, *_) in enumerate(EVENTS) for form in (0, 1)
    }


@pytest.mark.parametrize("event", EVENTS[:1] + EVENTS[2:3], ids=["whale", "funding"])
def test_a_time_that_is_no_documented_field_gives_event_time_and_latency(
    bench: Bench, event: tuple[str, str, str, dict[str, Any], dict[str, Any]]
) -> None:
    kind, channel, name, fields, columns = event
    timed = {**fields, "timestamp": TIME_MS}
    enveloped = {"type": kind, "channel": channel, "payload": fields, "timestamp": TIME_MS}
    payloads = [flat(kind, timed), wrapped(kind, channel, timed), json.dumps(enveloped)]
    bench.take("smartmoney", frames_of(payloads, recv_ns=[T0, T0, T0]))
    for seq in range(3):
        expected = {"channel": channel, "event_ns": TIME_MS * MS, **columns}
        assert row(bench, name, seq) == expected
        assert row(bench, "latency", seq)["total_ns"] == 250 * MS


def test_a_time_in_another_form_is_no_event_time_but_is_kept(bench: Bench) -> None:
    fields = {"symbol": "BTC", "signal_type": "x"}
    times = [TIME_MS // 1000, TIME_MS * 1000, "2026-09-21T14:13:20Z", 0]
    payloads = [flat("signal", {**fields, "timestamp": time}) for time in times]
    bench.take("smartmoney", frames_of(payloads))
    for seq, time in enumerate(times):
        told = row(bench, "signals", seq)
        assert "event_ns" not in told
        assert told["extra"] == {"timestamp": time}
    assert bench.rows("latency", "seq") == []


def test_unknown_fields_are_kept_whatever_they_are_called(bench: Bench) -> None:
    odd = {
        "a.b": 1,
        'quote"d': [1, {"x": None}],
        "": "empty",
        "$.wallet": 2,
        "Wallet": "0x",
        "ü": 3,
    }
    payload = {"wallet": "0x1", "asset": "BTC", "size_usd": 1, **odd}
    bench.take("smartmoney", frames_of([flat("whale_update", payload)]))
    assert row(bench, "whales", 0)["extra"] == odd


def test_undocumented_types_and_events_without_their_subject_are_rejected(bench: Bench) -> None:
    told = {
        '{"type":"moon_phase","symbol":"BTC"}': "unknown message type moon_phase",
        '{"wallet":"0x1"}': "a message without a type",
        '{"type":"whale_update","asset":"BTC"}': "a whale update without a wallet",
        '{"type":"funding_rate","symbol":"BTC","rate":""}': "a funding rate without a symbol or a "
        "number as rate",
        '{"type":"liquidation","price":1}': "a liquidation without a symbol",
        '{"type":"exchange_flow","amount":1}': "a flow without an asset",
    }
    bench.take("smartmoney", frames_of(list(told)))
    assert bench.rows("rejects", "reason", "payload") == [
        (reason, payload.encode()) for payload, reason in told.items()
    ]


def test_answers_to_our_own_messages_are_no_events(bench: Bench) -> None:
    kinds = ["pong", "authenticated", "subscribed", "unsubscribed", "error", "heartbeat"]
    bench.take("smartmoney", frames_of([flat(kind, {"channel": "whales:BTC"}) for kind in kinds]))
    assert bench.places() == {}
