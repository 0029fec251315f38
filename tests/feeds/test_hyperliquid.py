"""Hyperliquid: what is said to it, what it refuses, and a capture of an exchange by its rules."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kit.exchange import Exchange, Talk, capturing, until
from kit.instruments import names, sizes
from kit.plans import plans_of

from recorder.errors import ConfigError
from recorder.feed import Instrument, Notice
from recorder.feeds import feed
from recorder.feeds.hyperliquid import read, requests
from recorder.session.line import resubscribe

FEED = feed("hyperliquid")


plans = partial(plans_of, FEED)


def asking(kind: str, coin: str, method: str = "subscribe") -> dict[str, Any]:
    return {"method": method, "subscription": {"type": kind, "coin": coin}}


# -- plans


def test_each_channel_is_asked_for_by_a_message_of_its_own() -> None:
    found = plans("trades:BTC", "activeAssetCtx:xyz:GOLD", "trades:@107", "l2Book:BTC")
    assert {group: plan.channels for group, plan in found.items()} == {
        "trades": ("trades:BTC", "trades:@107"),
        "prices": ("activeAssetCtx:xyz:GOLD",),
        "books": ("l2Book:BTC",),
    }
    assert [json.loads(text) for text in found["trades"].hello] == [
        asking("trades", "BTC"),
        asking("trades", "@107"),
    ]
    assert [json.loads(text) for text in found["prices"].hello] == [
        asking("activeAssetCtx", "xyz:GOLD")
    ]
    assert {plan.urls for plan in found.values()} == {("wss://api.hyperliquid.xyz/ws",)}


def test_the_defaults_need_no_key() -> None:
    found = plans()
    assert set(found) == {"trades", "prices"}
    assert FEED.key_help is None
    assert found["prices"].cadence == 60
    assert found["trades"].cadence is None


def test_a_ping_of_the_service_s_own_keeps_the_connection() -> None:
    for plan in plans().values():
        assert json.loads(plan.ping or "") == {"method": "ping"}
        assert plan.ping_every < 60 <= plan.silence  # it ends what it sent nothing on for 60 s


def test_many_channels_stay_below_the_limits() -> None:
    coins = [f"C{n}" for n in range(500)]
    found = plans(*(f"{kind}:{coin}" for coin in coins for kind in ("trades", "activeAssetCtx")))
    assert sum(len(plan.channels) for plan in found.values()) == 1_000
    assert len(found) <= 3
    assert len(found) * 60 / min(plan.send_every for plan in found.values()) < 2_000


def test_more_than_the_service_takes_is_refused() -> None:
    with pytest.raises(ConfigError, match="1001 channels") as caught:
        plans(*(f"trades:C{n}" for n in range(1_001)))
    assert caught.value.where == "feeds.here.channels"
    assert caught.value.hint


@pytest.mark.parametrize(
    "channel",
    ["trades", "trades:", ":BTC", "candle:BTC", "allDexsAssetCtxs", "trades:*", "trades:B C", ""],
)
def test_nonsense_is_no_channel(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans(channel)
    assert caught.value.where == "feeds.here.channels"
    assert "trades:BTC" in caught.value.hint


def test_what_means_nothing_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        plans(subscribe=("{}",))
    assert caught.value.where == "feeds.here.subscribe"


def test_a_living_connection_is_told_what_changed() -> None:
    old, new = plans("trades:BTC", "trades:ETH")["trades"], plans("trades:ETH", "trades:SOL")
    told = resubscribe(FEED, old, new["trades"])
    assert told is not None
    assert [json.loads(text) for text in told] == [
        asking("trades", "BTC", "unsubscribe"),
        asking("trades", "SOL"),
    ]
    elsewhere = plans("trades:BTC", url="ws://127.0.0.1:1/")["trades"]
    assert resubscribe(FEED, old, elsewhere) is None


# -- notices


def noticed(payload: dict[str, Any]) -> Notice | None:
    data = json.dumps(payload).encode()
    assert FEED.control is not None
    return FEED.notice(data) if FEED.control.search(data, 0, 200) else None


def error(text: object) -> dict[str, object]:
    return {"channel": "error", "data": text}


@pytest.mark.parametrize(
    "text",
    [
        'Invalid subscription {"type":"trades","coin":"NOPE"}',
        'Error parsing JSON: {"method":"subscribe","subscription":{"type":"trades","coin":"NOPE"}}',
    ],
)
def test_a_refused_channel_is_named_from_the_request_that_the_error_quotes(text: str) -> None:
    notice = noticed(error(text))
    assert notice is not None
    assert notice.refused_channel == "trades:NOPE"
    assert notice.verdict is None
    assert text[:20] in notice.text


@pytest.mark.parametrize(
    "text",
    [
        'Already subscribed: {"type":"trades","coin":"BTC"}',
        "Cannot subscribe to more than 1000 channels.",
        "Invalid subscription {",
        "Invalid subscription [1]",
        "",
        None,
        {"a": 1},
    ],
)
def test_other_errors_are_told_and_end_nothing(text: object) -> None:
    notice = noticed(error(text))
    assert notice is not None
    assert notice.text.startswith("the service reports: ")
    assert (notice.refused_channel, notice.verdict) == (None, None)


def test_too_many_messages_end_the_connection_for_a_minute() -> None:
    notice = noticed(error("Cannot send more than 2000 messages per minute."))
    assert notice is not None
    assert notice.verdict is not None
    assert (notice.verdict.fatal, notice.verdict.wait) == (False, 60.0)


@pytest.mark.parametrize(
    "frame",
    [
        {"channel": "pong"},
        {"channel": "subscriptionResponse", "data": asking("trades", "BTC")},
        {"channel": "trades", "data": []},
    ],
)
def test_other_frames_are_no_notice(frame: dict[str, Any]) -> None:
    assert noticed(frame) is None
    assert FEED.notice(json.dumps(frame).encode()) is None


# -- the list of instruments


def listed(body: Any) -> Any:
    assert FEED.catalogue is not None
    return FEED.catalogue.read(json.dumps(body).encode())


def test_the_list_gives_what_trades_in_coins_with_hourly_funding() -> None:
    body = {
        "universe": [
            {"szDecimals": 5, "name": "BTC", "maxLeverage": 40, "marginTableId": 56},
            {"szDecimals": 1, "name": "MATIC", "maxLeverage": 20, "isDelisted": True},
            {"szDecimals": 0, "name": "kPEPE", "maxLeverage": 10, "onlyIsolated": True},
        ],
        "marginTables": [],
        "collateralToken": 0,
    }
    assert sizes(listed(body)) == (
        [
            Instrument("BTC", "BTC", 1.0, "base", 1.0),
            Instrument("kPEPE", "kPEPE", 1.0, "base", 1.0),
        ],
        None,
    )


def test_the_list_names_coins_and_the_builder_s_exchange() -> None:
    body = {"universe": [{"szDecimals": 3, "name": "xyz:GOLD", "maxLeverage": 10}]}
    assert names(listed(body)) == [
        Instrument("xyz:GOLD", "xyz:GOLD", base="GOLD", quote="USD", kind="perpetual",
                   contract_type="linear", lot_size=0.001, state="open", dex="xyz")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, "error", {"universe": {}}, {"universe": []}, {"universe": [7]},
        {"universe": [{"name": 7}]}, {"universe": [{"name": "a b"}]},
        {"universe": [{"name": "BTC", "isDelisted": "no"}]},
    ],
)  # fmt: skip
def test_anything_else_is_no_list(body: Any) -> None:
    with pytest.raises(ValueError, match=r"list|instrument"):
        listed(body)


def test_the_list_is_asked_for_by_a_post() -> None:
    assert FEED.catalogue is not None
    assert [(ask.url, ask.body) for ask in FEED.catalogue.asks] == [
        ("https://api.hyperliquid.xyz/info", '{"type":"meta"}'),
        ("https://api.hyperliquid.xyz/info", '{"type":"perpDexs"}'),
    ]


def test_every_builder_s_market_is_asked_for() -> None:
    names, asks = read(b'[null,{"name":"xyz","fullName":"XYZ"},{"name":"flx"},{"name":"a b"}]')
    assert names == []
    assert [ask.body for ask in asks or ()] == [
        '{"type":"meta","dex":"xyz"}',
        '{"type":"meta","dex":"flx"}',
    ]


def test_a_fast_book_is_asked_for_and_refused_by_its_name() -> None:
    [text] = requests("subscribe", ["l2Book.fast:xyz:TSLA"])
    assert json.loads(text) == {
        "method": "subscribe",
        "subscription": {"type": "l2Book", "coin": "xyz:TSLA", "fast": True},
    }
    quoted = 'Invalid subscription {"type":"l2Book","coin":"NO","fast":true}'
    found = FEED.notice(json.dumps({"channel": "error", "data": quoted}).encode())
    assert found is not None and found.refused_channel == "l2Book.fast:NO"


# -- a capture


class Hyperliquid(Exchange):
    """It acknowledges, refuses unknown coins, answers pings, and ends what it sent nothing on."""

    patience = 0.6  # the real one has 60 s
    coins = ("BTC", "ETH")

    async def hear(self, talk: Talk, message: str) -> None:
        told = json.loads(message)
        if told == {"method": "ping"}:
            await talk.send('{"channel":"pong"}')
            return
        subscription = told["subscription"]
        quoted = json.dumps(subscription, separators=(",", ":"))
        if told["method"] != "subscribe" or quoted in talk.subscribed:
            await talk.end(f"unexpected: {message}")
        elif subscription["coin"] not in self.coins:
            await talk.send(json.dumps(error(f"Invalid subscription {quoted}")))
        else:
            talk.subscribed.add(quoted)
            await talk.send(json.dumps({"channel": "subscriptionResponse", "data": told}))

    async def keep_up(self, talk: Talk) -> None:
        while True:
            before = len(talk.sent)
            await asyncio.sleep(self.patience)
            if len(talk.sent) == before:
                await talk.end("nothing was sent")


def pongs(talk: Talk) -> int:
    return talk.sent.count('{"channel":"pong"}')


@pytest.mark.process
async def test_a_capture_lives_by_the_rules_and_comes_back(tmp_path: Path) -> None:
    exchange = Hyperliquid()
    channels = '["trades:BTC", "trades:NOPE", "trades:ETH"]'
    async with exchange.open():
        settings = f'kind = "hyperliquid"\nurl = "{exchange.url}"\nchannels = {channels}\n'
        async with capturing(tmp_path, "hyperliquid", settings, ping_every=0.2) as run:
            await until(lambda: exchange.talks and pongs(exchange.talks[0]) >= 7)
            assert exchange.complaints == []
            assert len(exchange.talks) == 1
            assert len(exchange.talks[0].subscribed) == 2
            assert run.lines[0].tally.refused_channels == {"trades:NOPE"}
            exchange.talks[0].reset()
            await until(lambda: len(exchange.talks) > 1 and pongs(exchange.talks[1]) >= 2)
            assert exchange.talks[1].subscribed == exchange.talks[0].subscribed
    assert exchange.complaints == []
