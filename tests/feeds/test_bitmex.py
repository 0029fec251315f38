"""BitMEX: what is opened and said, what its answers mean, and a capture of a scripted one."""

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
from recorder.feeds.bitmex import FEED, hours, read
from recorder.session.line import resubscribe

plans = partial(plans_of, FEED)


def asked(*messages: str) -> list[tuple[str, list[str]]]:
    told = [json.loads(message) for message in messages]
    return [(message["op"], message["args"]) for message in told]


# -- plans


def test_each_data_type_has_a_connection_of_its_own() -> None:
    found = plans("liquidation", "trade:XBTUSD", "funding", "instrument:XBTUSD", "trade:ETHUSD")
    assert {group: plan.channels for group, plan in found.items()} == {
        "liquidations": ("liquidation",),
        "trades": ("trade:XBTUSD", "trade:ETHUSD"),
        "funding": ("funding",),
        "prices": ("instrument:XBTUSD",),
    }
    assert {plan.urls for plan in found.values()} == {("wss://ws.bitmex.com/realtime",)}
    assert asked(*found["trades"].hello) == [("subscribe", ["trade:XBTUSD", "trade:ETHUSD"])]
    assert {group: plan.cadence for group, plan in found.items() if plan.cadence} == {
        "prices": 60.0
    }


def test_text_pings_prove_life() -> None:
    for plan in plans().values():
        assert (plan.ping, plan.control_ping_every) == ("ping", None)
        assert plan.silence > 2 * plan.ping_every


def test_many_channels_are_asked_for_in_few_messages_on_several_connections() -> None:
    found = plans(*(f"trade:X{number}" for number in range(450)))
    assert [(group, len(plan.channels)) for group, plan in found.items()] == [
        ("trades", 400),
        ("trades 2", 50),
    ]
    assert [len(args) for _, args in asked(*found["trades 2"].hello)] == [20, 20, 10]
    assert len(found["trades"].hello) * found["trades"].send_every < 15


@pytest.mark.parametrize("channel", ["", "trade:", "trade:*", "trade:XBT USD", ":XBTUSD", "a:b:c"])
def test_what_is_no_channel_is_refused(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans(channel)
    assert caught.value.where == "feeds.here.channels"


def test_a_subscription_changes_by_what_went_and_what_came() -> None:
    old, new = plans("trade:A", "trade:B")["trades"], plans("trade:B", "trade:C")["trades"]
    changes = resubscribe(FEED, old, new)
    assert changes is not None
    assert asked(*changes) == [("unsubscribe", ["trade:A"]), ("subscribe", ["trade:C"])]
    assert resubscribe(FEED, old, old) == ()
    assert resubscribe(FEED, old, plans("trade:A", url="ws://x/")["trades"]) is None


# -- notices


def refusal(error: str, *args: str, status: int = 400, **meta: object) -> Notice | None:
    request = {"op": "subscribe", "args": list(args)}
    told = {"status": status, "error": error, "meta": meta, "request": request}
    payload = json.dumps(told).encode()
    assert FEED.control is not None
    assert FEED.control.search(payload, 0, 200)
    return FEED.notice(payload)


@pytest.mark.parametrize(
    ("error", "args", "channel"),
    [
        ("Unknown table: nonsense", ["nonsense"], "nonsense"),
        ("Unknown table: nonsense", ["trade:XBTUSD", "nonsense:A"], "nonsense:A"),
        ("Unknown or expired symbol.", ["trade:NOPE"], "trade:NOPE"),
        ("'NOPE' is no symbol", ["trade:XBTUSD", "trade:NOPE"], "trade:NOPE"),
        ("Something is wrong", ["trade:XBTUSD", "trade:NOPE"], None),
        ("No more trade for you", ["trade:XBTUSD", "trade:NOPE"], None),
        ("Something is wrong", [], None),
        ("You are already subscribed to this topic: trade", ["trade"], None),
    ],
)
def test_a_refused_channel_is_named_where_only_one_can_be_meant(
    error: str, args: list[str], channel: str | None
) -> None:
    notice = refusal(error, *args)
    assert notice is not None
    assert notice.refused_channel == channel
    assert error in notice.text
    assert notice.verdict is None


def test_a_rate_limit_waits_as_told() -> None:
    notice = refusal("Rate limit exceeded, retry in 29 seconds.", "a", status=429, retryAfter=29)
    assert notice is not None
    assert notice.verdict is not None
    assert (notice.verdict.wait, notice.verdict.fatal) == (29.0, False)
    notice = refusal("Rate limit exceeded", "a", status=429)
    assert notice is not None
    assert notice.verdict is not None
    assert notice.verdict.wait == 60.0


@pytest.mark.parametrize(
    "payload",
    [
        b'{"info":"Welcome to the BitMEX Realtime API.","limit":{"remaining":719}}',
        b'{"success":true,"subscribe":"trade","request":{"op":"subscribe","args":["trade"]}}',
        b'{"table":"chat","action":"insert","data":[{"message":"{\\"status\\":1}"}]}',
        b"pong",
    ],
)
def test_anything_else_is_no_notice(payload: bytes) -> None:
    assert FEED.control is not None
    assert not FEED.control.search(payload, 0, 200)


# -- instruments

LISTED: list[dict[str, Any]] = [
    {
        "symbol": "XBTUSD", "state": "Open", "quoteCurrency": "USD", "isInverse": True,
        "isQuanto": False, "multiplier": -100000000, "underlyingToPositionMultiplier": None,
        "underlyingToSettleMultiplier": -100000000, "quoteToSettleMultiplier": None,
        "fundingInterval": "2000-01-01T08:00:00.000Z", "tickSize": 0.5,
    },
    {
        "symbol": "XBTUSDT", "state": "Open", "quoteCurrency": "USDT", "isInverse": False,
        "isQuanto": False, "multiplier": 1, "underlyingToPositionMultiplier": 1000000,
        "underlyingToSettleMultiplier": None, "quoteToSettleMultiplier": 1000000,
        "fundingInterval": "2000-01-01T08:00:00.000Z",
    },
    {
        "symbol": "ETHUSD", "state": "Open", "quoteCurrency": "USD", "isInverse": False,
        "isQuanto": True, "multiplier": 100, "fundingInterval": "2000-01-01T08:00:00.000Z",
    },
    {
        "symbol": "XBT_USDT", "state": "Open", "quoteCurrency": "USDT", "isInverse": False,
        "isQuanto": False, "underlyingToPositionMultiplier": 100000000, "fundingInterval": None,
    },
    {"symbol": "XBTEUR", "state": "Open", "quoteCurrency": "EUR", "isInverse": True,
     "multiplier": -100000000, "underlyingToSettleMultiplier": -100000000},
    {"symbol": "ODDUSDT", "state": "Open", "quoteCurrency": "USDT", "multiplier": 5,
     "underlyingToPositionMultiplier": 1000000, "quoteToSettleMultiplier": 1000000},
    {"symbol": "XBTM21", "state": "Settled", "quoteCurrency": "USD", "isInverse": True},
]  # fmt: skip


def test_the_list_says_what_a_contract_is() -> None:
    assert sizes(read(json.dumps(LISTED).encode())) == (
        [
            Instrument("XBTUSD", "XBTUSD", 1.0, "usd", 8.0),
            Instrument("XBTUSDT", "XBTUSDT", 1e-6, "base", 8.0),
            Instrument("ETHUSD", "ETHUSD", None, None, 8.0),  # worth a third coin
            Instrument("XBT_USDT", "XBT_USDT", 1e-8, "base", None),
            Instrument("XBTEUR", "XBTEUR", None, None, None),
            Instrument("ODDUSDT", "ODDUSDT", None, None, None),  # it contradicts itself
        ],
        None,
    )


def test_the_list_names_coins_currencies_kinds_and_steps() -> None:
    told = {
        "symbol": "ETHUSD", "state": "Open", "typ": "FFWCSX", "underlying": "ETH",
        "quoteCurrency": "USD", "settlCurrency": "XBt", "isInverse": False, "isQuanto": True,
        "tickSize": 0.05, "lotSize": 1,
    }  # fmt: skip
    assert names(read(json.dumps([told]).encode())) == [
        Instrument("ETHUSD", "ETHUSD", base="ETH", quote="USD", settle="XBt", kind="perpetual",
                   contract_type="quanto", tick_size=0.05, lot_size=1.0, state="Open")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[1]", b'[{"state":"Open"}]', b'[{"symbol":1,"state":"Open"}]', b"[" * 9_999],
)
def test_anything_else_is_no_list(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        read(body)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ("2000-01-01T08:00:00.000Z", 8.0),
        ("2000-01-02T00:00:00.000Z", 24.0),
        ("2000-01-01T00:00:00.000Z", None),
        ("8", None),
        ("", None),
        (None, None),
    ],
)
def test_an_interval_is_a_moment_after_the_beginning_of_2000(
    interval: str | None, expected: float | None
) -> None:
    assert hours(interval) == expected


# -- a scripted exchange


class BitMEX(Exchange):
    """Welcomes, acknowledges, refuses what it does not have, answers pings, ends the silent."""

    tables = frozenset({"trade", "liquidation", "funding", "instrument"})
    patience = 1.0

    async def hear(self, talk: Talk, message: str) -> None:
        if message == "ping":
            await talk.send("pong")
            return
        told = json.loads(message)
        if len(told["args"]) > 20 or not talk.sent:
            await talk.end("a request out of order")
        for channel in told["args"]:
            if channel.partition(":")[0] not in self.tables:
                error = {"status": 400, "error": f"Unknown table: {channel}", "meta": {},
                         "request": told}  # fmt: skip
                await talk.send(json.dumps(error))
                continue
            talk.subscribed.add(channel)
            await talk.send(json.dumps({"success": True, "subscribe": channel, "request": told}))
            partial = {"table": channel.partition(":")[0], "action": "partial", "data": []}
            await talk.send(json.dumps(partial))

    async def keep_up(self, talk: Talk) -> None:
        await talk.send(json.dumps({"info": "Welcome to the BitMEX Realtime API."}))
        heard = 0
        while True:
            await asyncio.sleep(self.patience)
            if len(talk.heard) == heard:
                await talk.end("not a word for too long")
            heard = len(talk.heard)


HASTY = {"ping_every": 0.3, "silence": 1.5, "send_every": 0.05}


@pytest.mark.process
async def test_a_refused_channel_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    bitmex = BitMEX()
    async with bitmex.open("/realtime"):
        settings = f'url = "{bitmex.url}"\nchannels = ["funding", "nonsense", "trade:XBTUSD"]'
        async with capturing(tmp_path, "bitmex", settings, **HASTY) as run:
            await until(lambda: len(bitmex.talks) == 3)
            await until(lambda: all(talk.heard.count("ping") > 7 for talk in bitmex.talks))
            refused = [
                line.tally.refused_channels for line in run.lines if line.tally.refused_channels
            ]
    assert refused == [{"nonsense"}]
    assert bitmex.complaints == []
    assert len(bitmex.talks) == 3
    everything = set[str]().union(*(talk.subscribed for talk in bitmex.talks))
    assert everything == {"funding", "trade:XBTUSD"}


@pytest.mark.process
async def test_after_a_reset_it_subscribes_again(tmp_path: Path) -> None:
    bitmex = BitMEX()
    async with bitmex.open():
        settings = f'url = "{bitmex.url}"\nchannels = ["liquidation"]'
        async with capturing(tmp_path, "bitmex", settings, **HASTY):
            await until(lambda: bitmex.talks and bitmex.talks[0].subscribed)
            bitmex.talks[0].reset()
            await until(lambda: len(bitmex.talks) == 2 and bitmex.talks[1].subscribed)
    assert bitmex.talks[1].subscribed == {"liquidation"}
    assert bitmex.complaints == []
