"""A replay treats each client as the service would, whatever was recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from recorder.service import Service
from recorder.services import service

from .records import frames_of, marker, write
from .serving import eventually, everything, serving

BINANCE, BITMEX = service("binance"), service("bitmex")


def event(symbol: str, kind: str = "markPriceUpdate", **more: Any) -> dict[str, Any]:
    return {"e": kind, "E": 1, "s": symbol, "p": "1.0", **more}


def liquidated(symbol: str) -> dict[str, Any]:
    return {"e": "forceOrder", "E": 1, "o": {"s": symbol, "S": "SELL", "q": "1"}}


def gets(known: Service, frame: Any, *asked: str, path: str = "/") -> list[Any]:
    """What a client at this path, which asked for these channels, gets for a frame."""
    payload = json.dumps(frame, separators=(",", ":")).encode()
    assert known.channels is not None and known.shape is not None
    wanted = set(asked) or None
    if wanted is not None and wanted.isdisjoint(known.channels(payload)):
        return []
    shaped = known.shape(payload, known.form(path), wanted)
    return [json.loads(one) for one in (shaped if shaped is not None else [payload])]


BTC, ETH = event("BTCUSDT"), event("ETHUSDT")
ALL = [BTC, ETH]


def wrapped(stream: str, data: Any) -> dict[str, Any]:
    return {"stream": stream, "data": data}


RECORDED = [ALL, wrapped("!markPrice@arr", ALL), wrapped("!markPrice@arr@1s", ALL)]


@pytest.mark.parametrize("frame", RECORDED, ids=["bare", "wrapped", "wrapped 1s"])
@pytest.mark.parametrize("name", ["!markPrice@arr", "!markPrice@arr@1s"])
def test_the_path_decides_the_form_whatever_was_recorded(frame: Any, name: str) -> None:
    assert gets(BINANCE, frame, name, path="/market/ws") == [ALL]
    assert gets(BINANCE, frame, name, path="/ws/btcusdt@trade") == [ALL]
    assert gets(BINANCE, frame, name, path="/market/stream") == [wrapped(name, ALL)]


@pytest.mark.parametrize("frame", RECORDED, ids=["bare", "wrapped", "wrapped 1s"])
@pytest.mark.parametrize("name", ["ethusdt@markPrice", "ethusdt@markPrice@1s"])
def test_an_array_answers_who_asks_for_one_symbol_with_an_object(frame: Any, name: str) -> None:
    assert gets(BINANCE, frame, name, path="/ws") == [ETH]
    assert gets(BINANCE, frame, name, path="/stream") == [wrapped(name, ETH)]
    assert gets(BINANCE, frame, "solusdt@markPrice", path="/ws") == []


def test_each_stream_of_a_client_has_its_own_message() -> None:
    frame = wrapped("!markPrice@arr", ALL)
    found = gets(BINANCE, frame, "btcusdt@markPrice", "ethusdt@markPrice@1s", path="/stream")
    assert found == [wrapped("btcusdt@markPrice", BTC), wrapped("ethusdt@markPrice@1s", ETH)]


def test_liquidations_of_all_symbols_are_objects() -> None:
    order = liquidated("BTCUSDT")
    for frame in (order, wrapped("!forceOrder@arr", order)):
        assert gets(BINANCE, frame, "!forceOrder@arr", path="/ws") == [order]
        assert gets(BINANCE, frame, "btcusdt@forceOrder", path="/stream") == [
            wrapped("btcusdt@forceOrder", order)
        ]
        assert gets(BINANCE, frame, "ethusdt@forceOrder", path="/stream") == []


def test_a_lone_mark_price_answers_who_asks_for_all_with_an_array() -> None:
    assert gets(BINANCE, BTC, "!markPrice@arr", path="/ws") == [[BTC]]


def test_a_name_in_the_path_that_is_no_stream_is_not_one() -> None:
    assert BINANCE.asked({}, "/ws/0") == ()
    assert BINANCE.asked({"streams": "!bookTicker/btcusdt@trade"}, "/stream") == (
        "!bookTicker",
        "btcusdt@trade",
    )


def test_a_stream_is_sent_once() -> None:
    trade = wrapped("btcusdt@aggTrade", event("BTCUSDT", "aggTrade"))
    assert gets(BINANCE, trade, "btcusdt@aggTrade", path="/stream") == [trade]
    assert gets(BINANCE, trade, "btcusdt@aggTrade", path="/ws") == [trade["data"]]
    frame = wrapped("!markPrice@arr", [BTC, ETH, BTC])
    assert gets(BINANCE, frame, "ethusdt@markPrice", path="/ws") == [ETH]


def test_a_stream_of_another_kind_or_depth_is_another_stream() -> None:
    trade = wrapped("btcusdt@aggTrade", event("BTCUSDT", "aggTrade"))
    assert gets(BINANCE, trade, "btcusdt@trade", path="/stream") == []
    book = wrapped("btcusdt@depth20@100ms", event("BTCUSDT", "depthUpdate"))
    assert gets(BINANCE, book, "btcusdt@depth20", path="/stream")[0]["stream"] == "btcusdt@depth20"
    assert gets(BINANCE, book, "btcusdt@depth", path="/stream") == []


def test_who_asks_for_nothing_gets_the_form_of_the_path() -> None:
    trade = event("BTCUSDT", "aggTrade")
    combined = wrapped("btcusdt@aggTrade", trade)
    assert gets(BINANCE, combined, path="/ws") == [trade]
    assert gets(BINANCE, trade, path="/stream") == [combined]
    assert gets(BINANCE, combined, path="/stream") == [combined]
    assert gets(BINANCE, combined) == [combined]  # another path: as recorded
    assert gets(BINANCE, trade) == [trade]


def test_a_frame_without_a_channel_is_nobody_s_who_asked_for_some() -> None:
    snapshot = {"lastUpdateId": 1, "bids": [], "asks": []}
    assert gets(BINANCE, snapshot, "btcusdt@depth", path="/ws") == []
    assert gets(BINANCE, snapshot, path="/ws") == [snapshot]


def test_bitmex_sends_each_client_the_rows_of_its_symbols() -> None:
    rows = [{"symbol": "XBTUSD", "price": 1.50}, {"symbol": "ETHUSD", "price": 2}]
    frame = {"table": "liquidation", "action": "insert", "data": rows}
    assert gets(BITMEX, frame, "liquidation") == [frame]
    assert gets(BITMEX, frame, "liquidation:XBTUSD", "liquidation:ETHUSD") == [frame]
    assert gets(BITMEX, frame, "liquidation:ETHUSD") == [frame | {"data": rows[1:]}]
    assert gets(BITMEX, frame, "trade:ETHUSD") == []


@pytest.mark.parametrize(
    ("kind", "recorded", "asked", "serves"),
    [
        ("binance", "!forceOrder@arr", "btcusdt@forceOrder", True),
        ("binance", "!markPrice@arr", "btcusdt@markPrice@1s", True),
        ("binance", "btcusdt@aggTrade", "btcusdt@trade", False),
        ("binance", "btcusdt@aggTrade", "ethusdt@aggTrade", False),
        ("bitmex", "liquidation", "liquidation:XBTUSD", True),
        ("bitmex", "trade:XBTUSD", "trade:ETHUSD", False),
        ("hyperliquid", "l2Book:BTC", "l2Book.fast:BTC", True),
        ("okx", "trades:BTC-USDT-SWAP", "trades:BTC-USDT", False),
        ("deribit", "trades.BTC-PERPETUAL.100ms", "trades.BTC-PERPETUAL.raw", False),
    ],
)
def test_what_a_recorded_channel_has(kind: str, recorded: str, asked: str, serves: bool) -> None:
    assert service(kind).serves(recorded, asked) is serves


REQUESTS: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "okx": (
        ["trades:BTC-USDT-SWAP"],
        {"op": "subscribe", "args": [{"channel": "trades", "instId": "ETH-USDT-SWAP"}]},
        '"code":"60018"',
    ),
    "bybit": (["publicTrade.BTCUSDT"], {"op": "subscribe", "args": ["publicTrade.X"]}, "not found"),
    "bitmex": (["trade:XBTUSD"], {"op": "subscribe", "args": ["funding"]}, "Unknown table"),
    "deribit": (
        ["trades.BTC-PERPETUAL.100ms"],
        {"id": 5, "method": "public/subscribe", "params": {"channels": ["trades.X.100ms"]}},
        '"result":[]',
    ),
    "hyperliquid": (
        ["trades:BTC"],
        {"method": "subscribe", "subscription": {"type": "trades", "coin": "ETH"}},
        "Invalid subscription",
    ),
    "binance": (
        ["btcusdt@aggTrade"],
        {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1},
        '"result":null',  # the service is silent about a stream that it does not have
    ),
}


def record(root: Path, kind: str, channels: Sequence[str], *payloads: bytes) -> None:
    """A record with the marker of its connection."""
    opened = marker("open", frames_of([b""])[0].recv_ns, channels=list(channels))
    write(root, kind, [opened, *frames_of(payloads, seq=1)], kind=kind)


@pytest.mark.process
@pytest.mark.parametrize("kind", REQUESTS)
async def test_who_asks_for_what_was_not_recorded_is_told_so(tmp_path: Path, kind: str) -> None:
    channels, request, answer = REQUESTS[kind]
    record(tmp_path, kind, channels, b'{"a":1}', b'{"b":2}')
    async with serving(tmp_path, stay=True) as served, served.client("/ws") as client:
        await client.send(json.dumps(request))
        messages = await everything(client, 2 if kind == "bitmex" else 1)  # after the welcome
        assert answer in str(messages[-1])
        await eventually(lambda: served.stage.state == "ended")
    told = [fields for event, fields in served.said if "does not have" in event]
    assert len(told) == 1 and told[0]["recorded"] == channels[0]
    assert sum(int(str(f["frames"])) for event, f in served.said if event == "client gone") == 0


@pytest.mark.process
async def test_a_client_s_form_comes_over_the_socket(tmp_path: Path) -> None:
    frames = [json.dumps(wrapped("!markPrice@arr", ALL)).encode(), json.dumps(ALL).encode()]
    record(tmp_path, "binance", ["!markPrice@arr"], *frames)
    async with (
        serving(tmp_path, clients=2, stay=True) as served,
        served.client("/market/ws/ethusdt@markPrice") as bare,
        served.client("/market/stream?streams=btcusdt@markPrice") as combined,
    ):
        assert [json.loads(text) for text in await everything(bare, 2)] == [ETH, ETH]
        found = [json.loads(text) for text in await everything(combined, 2)]
        assert found == [wrapped("btcusdt@markPrice", BTC)] * 2
    assert not [event for event, _ in served.said if "does not have" in event]
