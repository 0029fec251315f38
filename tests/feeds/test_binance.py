"""Binance: routes, limits, instruments, and a capture of a scripted one."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from kit.exchange import Exchange, Talk, capturing, until
from kit.instruments import names, sizes
from kit.plans import plans_of

from recorder.errors import ConfigError
from recorder.feed import Instrument, Notice
from recorder.feeds.binance import FEED, read
from recorder.session.line import resubscribe

MARKET, PUBLIC = (
    "wss://fstream.binance.com/market/stream",
    "wss://fstream.binance.com/public/stream",
)
SPOT = "wss://stream.binance.com:9443/stream?timeUnit=MICROSECOND"
MANY = tuple(f"coin{number}usdt@aggTrade" for number in range(1500))


plans = partial(plans_of, FEED)


def asked(*messages: str) -> list[tuple[str, list[str]]]:
    told = [json.loads(message) for message in messages]
    return [(message["method"], message["params"]) for message in told]


@pytest.mark.parametrize(
    ("channel", "group", "route"),
    [
        ("!forceOrder@arr", "liquidations", MARKET),
        ("btcusdt@forceOrder", "liquidations", MARKET),
        ("!markPrice@arr@1s", "prices", MARKET),
        ("btcusd_perp@markPrice", "coin-m prices", MARKET.replace("fstream", "dstream")),
        ("btcusd_261225@aggTrade", "coin-m trades", MARKET.replace("fstream", "dstream")),
        ("btcusd_perp@trade", "coin-m single trades", PUBLIC.replace("fstream", "dstream")),
        ("btcusdt_261225@aggTrade", "trades", MARKET),
        ("!contractInfo", "contracts", MARKET),
        ("btcusdt@aggTrade", "trades", MARKET),
        ("btcusdt@trade", "single trades", PUBLIC),
        ("btcusdt@bookTicker", "books", PUBLIC),
        ("!bookTicker", "books", PUBLIC),
        ("btcusdt@depth20@100ms", "books", PUBLIC),
        ("btcusdt@kline_1m", "others", MARKET),
        ("!miniTicker@arr", "others", MARKET),
    ],
)
def test_a_stream_is_asked_for_on_its_route(channel: str, group: str, route: str) -> None:
    assert {name: plan.urls for name, plan in plans(channel).items()} == {
        group: (f"{route}?streams={channel}",)
    }


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("wss://stream.binance.com:9443", f"{SPOT}&streams=a@trade"),
        ("wss://stream.binance.com:9443/", f"{SPOT}&streams=a@trade"),
        (
            "wss://data-stream.binance.vision",
            f"{SPOT}&streams=a@trade".replace(
                "stream.binance.com:9443", "data-stream.binance.vision"
            ),
        ),
        (
            "wss://stream.binance.com:9443/stream?timeUnit=MILLISECOND",
            "wss://stream.binance.com:9443/stream?timeUnit=MILLISECOND&streams=a@trade",
        ),
        ("wss://stream.binance.us:9443", "wss://stream.binance.us:9443/stream?streams=a@trade"),
        ("wss://fstream.asterdex.com", "wss://fstream.asterdex.com/stream?streams=a@trade"),
        ("wss://h/stream", "wss://h/stream?streams=a@trade"),
        ("wss://h/stream?x=1", "wss://h/stream?x=1&streams=a@trade"),
    ],
)
def test_the_user_s_endpoint_serves_every_group(url: str, expected: str) -> None:
    assert {plan.urls for plan in plans("a@trade", url=url).values()} == {(expected,)}


@pytest.mark.parametrize(
    "host",
    [
        "wss://fstream.binance.com",
        "wss://dstream.binance.com",
        "wss://fstream-mm.binance.com",
        "ws://127.0.0.1:4701",
    ],
)
@pytest.mark.parametrize("path", ["", "/", "/market/stream", "/public/stream", "/public/ws"])
def test_the_routes_hold_at_the_user_s_host(host: str, path: str) -> None:
    form = "ws" if path.endswith("ws") else "stream"
    found = plans("!forceOrder@arr", "a@trade", "a@depth", url=host + path)
    assert {group: plan.urls[0].partition("?")[0] for group, plan in found.items()} == {
        "liquidations": f"{host}/market/{form}",
        "single trades": f"{host}/public/{form}",
        "books": f"{host}/public/{form}",
    }


@pytest.mark.parametrize("old", ["/stream", "/ws"])
def test_a_retired_path_is_replaced_where_it_is_silent(old: str) -> None:
    """On the venue's own futures host the old paths connect and say nothing."""
    [plan] = plans("!forceOrder@arr", url=f"wss://fstream.binance.com{old}").values()
    assert plan.urls[0].startswith(f"wss://fstream.binance.com/market{old}")
    [kept] = plans("!forceOrder@arr", url=f"wss://dstream.binance.com{old}").values()
    assert kept.urls[0].startswith(f"wss://dstream.binance.com{old}")


def test_the_lists_are_those_of_the_market() -> None:
    assert FEED.catalogue is not None and FEED.catalogue.choose is not None
    futures = FEED.catalogue.choose((), ())
    assert [(urlsplit(ask.url).path, ask.completes) for ask in futures] == [
        ("/fapi/v1/exchangeInfo", False),
        ("/dapi/v1/exchangeInfo", False),
        ("/fapi/v1/fundingInfo", True),
        ("/dapi/v1/fundingInfo", True),
    ]
    [spot] = FEED.catalogue.choose(("wss://stream.binance.com:9443",), ())
    assert urlsplit(spot.url).path == "/api/v3/exchangeInfo"


def test_a_raw_endpoint_is_asked_by_message() -> None:
    plan = plans("a@trade", url="wss://h/ws")["single trades"]
    assert plan.urls == ("wss://h/ws",)
    assert asked(*plan.hello) == [("SUBSCRIBE", ["a@trade"])]


def test_many_streams_are_asked_for_by_message_and_on_several_connections() -> None:
    found = plans(*MANY)
    assert {group: len(plan.channels) for group, plan in found.items()} == {
        "trades": 1024,
        "trades 2": 476,
    }
    for plan in found.values():
        assert plan.urls == (MARKET,)
        assert [name for _, names in asked(*plan.hello) for name in names] == list(plan.channels)
        assert plan.send_every >= 0.2  # 5 messages a second on the spot market


def test_a_symbol_may_be_chinese() -> None:
    [plan] = plans("币安人生usdt@aggTrade").values()
    assert unquote(plan.urls[0]) == f"{MARKET}?streams=币安人生usdt@aggTrade"
    assert plan.urls[0].isascii()


@pytest.mark.parametrize("channel", ["*usdt@aggTrade", "!*@arr", "!", "a@", "@trade", "a/b@c"])
def test_what_is_no_stream_is_refused(channel: str) -> None:
    with pytest.raises(ConfigError):
        plans(channel)


def test_streams_asked_for_by_message_can_change_on_a_living_connection() -> None:
    old, new = plans(*MANY[:300])["trades"], plans(*MANY[1:301])["trades"]
    changes = resubscribe(FEED, old, new)
    assert changes is not None
    assert asked(*changes) == [("UNSUBSCRIBE", [MANY[0]]), ("SUBSCRIBE", [MANY[300]])]
    assert (
        resubscribe(FEED, plans("a@trade")["single trades"], plans("b@trade")["single trades"])
        is None
    )


# -- notices


@pytest.mark.parametrize(
    "frame",
    [
        {"e": "serverShutdown", "E": 1770123456789},
        {"event": {"e": "serverShutdown", "E": 1770123456789}},
        {"stream": "", "data": {"e": "serverShutdown", "E": 1770123456789}},
    ],
)
def test_at_an_announced_shutdown_another_connection_takes_over(frame: dict[str, Any]) -> None:
    payload = json.dumps(frame).encode()
    assert FEED.control is not None
    assert FEED.control.search(payload, 0, 200)
    notice = FEED.notice(payload)
    assert notice is not None
    assert (notice.ending, notice.verdict) == (True, None)


def test_data_are_no_notice() -> None:
    data = b'{"stream":"a@trade","data":{"e":"trade","E":1,"s":"A"}}'
    assert FEED.control is not None
    assert not FEED.control.search(data, 0, 200)
    assert FEED.notice(data) is None
    assert FEED.notice(b'{"error":{"code":2,"msg":"no"}}') == Notice(
        'the service reports: {"error":{"code":2,"msg":"no"}}'
    )


def test_who_is_ended_for_too_many_messages_waits() -> None:
    verdict = FEED.on_close(1008, "Too many requests")
    assert verdict is not None
    assert verdict.wait == 60.0
    assert FEED.on_close(1008, "Pong timeout") is None


# -- instruments

USD_M = {
    "timezone": "UTC", "rateLimits": [], "assets": [],
    "symbols": [
        {"symbol": "BTCUSDT", "pair": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING",
         "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT", "filters": []},
        {"symbol": "OLDUSDT", "contractType": "PERPETUAL", "status": "SETTLING"},
    ],
}  # fmt: skip
COIN_M = {
    "symbols": [
        {"symbol": "BTCUSD_PERP", "contractType": "PERPETUAL", "contractStatus": "TRADING",
         "contractSize": 100, "marginAsset": "BTC"},
        {"symbol": "ADAUSD_260925", "contractStatus": "TRADING", "contractSize": 10},
        {"symbol": "ETHUSD_240628", "contractStatus": "DELIVERED", "contractSize": 10},
        {"symbol": "ODDUSD_PERP", "contractStatus": "TRADING"},
    ],
}  # fmt: skip


def test_the_lists_say_what_trades_and_what_a_contract_is() -> None:
    assert sizes(read(json.dumps(USD_M).encode())) == (
        [Instrument("BTCUSDT", "btcusdt", 1.0, "base")],
        None,
    )
    assert sizes(read(json.dumps(COIN_M).encode())) == (
        [
            Instrument("BTCUSD_PERP", "btcusd_perp", 100.0, "usd"),
            Instrument("ADAUSD_260925", "adausd_260925", 10.0, "usd"),
            Instrument("ODDUSD_PERP", "oddusd_perp", None, "usd"),
        ],
        None,
    )


def test_the_lists_name_coins_currencies_kinds_and_steps() -> None:
    steps = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.0000001"},
        {"filterType": "LOT_SIZE", "stepSize": "1"},
    ]
    more = {"baseAsset": "1000PEPE", "quoteAsset": "USDT", "filters": steps}
    pepe = {"symbol": "1000PEPEUSDT", "status": "TRADING", **more}
    coin_m = {
        "symbol": "BTCUSD_260925", "contractStatus": "TRADING", "contractSize": 100,
        "contractType": "CURRENT_QUARTER", "baseAsset": "BTC", "quoteAsset": "USD",
        "marginAsset": "BTC",
    }  # fmt: skip
    perpetual = {**pepe, "contractType": "PERPETUAL", "marginAsset": "USDT"}
    listed = [read(json.dumps({"symbols": [one]}).encode()) for one in (perpetual, pepe, coin_m)]
    same = {"base": "1000PEPE", "quote": "USDT", "tick_size": 1e-7, "lot_size": 1.0}
    assert [names(found) for found in listed] == [
        [
            Instrument("1000PEPEUSDT", "1000pepeusdt", **same, settle="USDT", kind="perpetual",
                       contract_type="linear", state="TRADING")
        ],
        [Instrument("1000PEPEUSDT", "1000pepeusdt", **same, kind="spot", state="TRADING")],
        [
            Instrument("BTCUSD_260925", "btcusd_260925", base="BTC", quote="USD", settle="BTC",
                       kind="future", contract_type="inverse", state="TRADING")
        ],
    ]  # fmt: skip


def test_the_funding_intervals_complete_the_list() -> None:
    body = b'[{"symbol":"X","fundingIntervalHours":4,"adjustedFundingRateCap":"0.02"},'
    body += b'{"symbol":"Y","fundingIntervalHours":0}]'
    assert FEED.catalogue is not None
    assert FEED.catalogue.read(body) == ([Instrument("X", "x", None, None, 4.0)], None)


@pytest.mark.parametrize(
    "body", [b"", b"[5]", b"{}", b'{"symbols":{}}', b'{"symbols":[{"symbol":1}]}']
)
def test_anything_else_is_no_list(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(body)


# -- a scripted exchange


class Binance(Exchange):
    """Streams what the URL or a SUBSCRIBE names; ends who says more than it may."""

    async def hear(self, talk: Talk, message: str) -> None:
        now = asyncio.get_running_loop().time()
        self.times = [at for at in (*getattr(self, "times", ()), now) if at > now - 1]
        if len(self.times) > 10:
            await talk.end("too many messages", 1008)
        told = json.loads(message)
        if any(not name.isprintable() or "@" not in name for name in told["params"]):
            error = {"error": {"code": 2, "msg": "Invalid request"}, "id": told["id"]}
            await talk.send(json.dumps(error))
            return
        talk.subscribed |= set(told["params"])
        if len(talk.subscribed) > 1024:
            await talk.end("too many streams")
        await talk.send(json.dumps({"result": None, "id": told["id"]}))

    async def keep_up(self, talk: Talk) -> None:
        query = parse_qs(urlsplit(talk.path).query)
        if len(talk.path) > 4096:
            await talk.end("a URL that is too long")
        talk.subscribed |= set(query.get("streams", [""])[0].split("/")) - {""}
        while True:
            for name in sorted(talk.subscribed)[:3]:
                event = {"e": "x", "E": 1790000000000}
                await talk.send(json.dumps({"stream": name, "data": event}))
            await asyncio.sleep(0.1)


@pytest.mark.process
async def test_1500_streams_are_recorded_within_the_limits(tmp_path: Path) -> None:
    binance = Binance()
    async with binance.open():
        settings = f'url = "{binance.url}"\nchannels = {json.dumps(MANY)}'
        async with capturing(tmp_path, "binance", settings):
            await until(lambda: sum(len(talk.subscribed) for talk in binance.talks) == 1500)
    assert binance.complaints == []
    assert {talk.path for talk in binance.talks} == {"/market/stream"}
    assert [len(talk.subscribed) for talk in binance.talks] in ([1024, 476], [476, 1024])


@pytest.mark.process
async def test_after_a_reset_and_an_announced_shutdown_the_streams_come_back(
    tmp_path: Path,
) -> None:
    binance = Binance()
    async with binance.open():
        settings = f'url = "{binance.url}"\nchannels = ["btcusdt@trade", "ethusdt@trade"]'
        async with capturing(tmp_path, "binance", settings):
            await until(lambda: binance.talks and binance.talks[0].sent)
            binance.talks[0].reset()
            await until(lambda: len(binance.talks) == 2 and binance.talks[1].sent)
            await binance.talks[1].send('{"e":"serverShutdown","E":1790000000000}')
            await until(lambda: len(binance.talks) == 3 and binance.talks[2].sent)
    assert binance.complaints == []
    assert {frozenset(talk.subscribed) for talk in binance.talks} == {
        frozenset({"btcusdt@trade", "ethusdt@trade"})
    }


@pytest.mark.process
async def test_a_refused_request_is_told_and_recording_goes_on(tmp_path: Path) -> None:
    """Binance names no stream in a refusal, and is silent about one that does not exist."""
    binance = Binance()
    async with binance.open("/ws"):
        settings = f'url = "{binance.url}"\nchannels = ["!bookTicker", "btcusdt@trade"]'
        async with capturing(tmp_path, "binance", settings, cadence=30.0) as run:
            await until(lambda: len(binance.talks) == 2)
            await until(lambda: all(talk.sent for talk in binance.talks))
            assert all(line.live for line in run.lines)
    assert binance.complaints == []
    assert {name for talk in binance.talks for name in talk.subscribed} == {"btcusdt@trade"}
