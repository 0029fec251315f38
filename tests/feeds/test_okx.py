"""OKX: what is said to it, what it refuses, and a capture of an exchange by its rules."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kit.exchange import Exchange, Talk, capturing, until
from kit.instruments import names, sizes
from kit.plans import plans_of, said

from recorder.errors import ConfigError
from recorder.feed import Instrument, Notice
from recorder.feeds import feed
from recorder.session.line import resubscribe

FEED = feed("okx")
BTC, ETH, NOPE = "trades:BTC-USDT-SWAP", "trades:ETH-USDT-SWAP", "trades:NOPE-USDT-SWAP"


plans = partial(plans_of, FEED)


# -- plans


def test_an_instrument_and_a_type_of_instruments_are_asked_for_differently() -> None:
    found = plans(BTC, "liquidation-orders:SWAP", ETH)
    assert said(found["trades"]) == [
        {
            "op": "subscribe",
            "args": [
                {"channel": "trades", "instId": "BTC-USDT-SWAP"},
                {"channel": "trades", "instId": "ETH-USDT-SWAP"},
            ],
        }
    ]
    assert said(found["liquidations"]) == [
        {"op": "subscribe", "args": [{"channel": "liquidation-orders", "instType": "SWAP"}]}
    ]
    assert {plan.urls for plan in found.values()} == {("wss://ws.okx.com/ws/v5/public",)}


@pytest.mark.parametrize(
    ("given", "public"),
    [
        (None, "wss://ws.okx.com/ws/v5/public"),
        ("wss://ws.okx.com:8443/ws/v5/public", "wss://ws.okx.com/ws/v5/public"),
        ("wss://wseea.okx.com:8443", "wss://wseea.okx.com/ws/v5/public"),
        ("wss://wseea.okx.com/ws/v5/business", "wss://wseea.okx.com/ws/v5/public"),
        ("ws://127.0.0.1:4701", "ws://127.0.0.1:4701/ws/v5/public"),
        ("ws://127.0.0.1:8443/", "ws://127.0.0.1:8443/ws/v5/public"),
        ("wss://relay.example/okx", "wss://relay.example/okx"),
    ],
)
def test_each_channel_is_asked_for_on_its_route(given: str | None, public: str) -> None:
    names = ("trades:X-SWAP", "trades-all:X-SWAP", "candle1m:X-SWAP", "mark-price:X-SWAP")
    found = plans(*names, **({} if given is None else {"url": given}))
    business = public.replace("/public", "/business")
    assert {group: plan.urls for group, plan in found.items()} == {
        "trades": (public,),
        "business trades": (business,),
        "business candle1m": (business,),
        "prices": (public,),
    }


def test_the_list_has_every_type_of_instruments_and_the_options_that_are_named() -> None:
    assert FEED.catalogue is not None and FEED.catalogue.choose is not None
    queries = [ask.url.partition("?")[2] for ask in FEED.catalogue.asks]
    assert queries == [f"instType={kind}" for kind in ("MARGIN", "SPOT", "FUTURES", "SWAP")]
    named = FEED.catalogue.choose((), ("trades:BTC-USD-261225-100000-C",))
    assert named[-1].url.endswith("instruments?instType=OPTION&instFamily=BTC-USD")


@pytest.mark.parametrize(
    ("channel", "takes"),
    [
        ("funding-rate:*", {"BTC-USDT-SWAP", "BTC-USD_UM_XPERP-310404"}),
        ("open-interest:*", {"BTC-USDT-SWAP", "BTC-USD_UM_XPERP-310404", "BTC-USD-261225"}),
        ("trades:*", {"BTC-USDT-SWAP", "BTC-USD_UM_XPERP-310404", "BTC-USD-261225", "BTC-USDT"}),
    ],
)
def test_a_pattern_stands_for_what_has_the_channel(channel: str, takes: set[str]) -> None:
    assert FEED.catalogue is not None and FEED.catalogue.takes is not None
    names = ("BTC-USDT-SWAP", "BTC-USD_UM_XPERP-310404", "BTC-USD-261225", "BTC-USDT")
    assert {name for name in names if FEED.catalogue.takes(channel, name)} == takes


def test_each_data_type_has_a_connection_of_its_own() -> None:
    mark, index, last = "mark-price:X-SWAP", "index-tickers:X", "tickers:X-SWAP"
    found = plans(mark, BTC, index, "funding-rate:X-SWAP", "open-interest:X-SWAP", last, "books5:X")
    assert {group: plan.channels for group, plan in found.items()} == {
        "prices": (mark, index, last),
        "trades": (BTC,),
        "funding": ("funding-rate:X-SWAP",),
        "open interest": ("open-interest:X-SWAP",),
        "books5": ("books5:X",),
    }
    assert {group: plan.cadence for group, plan in found.items()} == {
        "prices": 60.0,
        "trades": None,
        "funding": 300.0,
        "open interest": None,
        "books5": None,
    }
    assert plans(index)["prices"].cadence is None


def test_many_channels_are_asked_for_in_few_messages_within_64_kb() -> None:
    channels = [f"funding-rate:{n:04d}{'X' * 36}" for n in range(1_050)]
    found = plans(*channels)
    assert list(found) == ["funding", "funding 2", "funding 3"]
    asked = [arg for plan in found.values() for message in said(plan) for arg in message["args"]]
    assert [f"{arg['channel']}:{arg['instId']}" for arg in asked] == channels
    for plan in found.values():
        assert sum(map(len, plan.hello)) < 64_000
        assert len(plan.hello) <= 10
        assert 1 / plan.send_every < 3


def test_it_is_pinged_in_plain_text_before_30_s_of_silence() -> None:
    for plan in plans().values():
        assert plan.ping == "ping"
        assert plan.ping_every < 30
        assert plan.silence > 3 * plan.ping_every


@pytest.mark.parametrize(
    "channel",
    ["trades", "trades:", ":BTC-USDT", "trades:*", "trades:BTC USDT", "a:b:c", "", 'a":b',
     "liquidation-orders:BTC-USDT-SWAP", "trades:" + "X" * 41],
)  # fmt: skip
def test_nonsense_is_no_channel(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans(channel)
    assert caught.value.where == "feeds.here.channels"
    assert BTC in caught.value.hint


def test_every_channel_that_is_offered_can_be_planned() -> None:
    assert plans(*FEED.channels)
    assert set(plans()) == {"liquidations", "funding", "prices", "open interest", "trades"}
    assert FEED.key_help is None
    assert 1 / FEED.retry.spacing < 3


def test_a_living_connection_is_told_what_changed() -> None:
    sol = "trades:SOL-USDT-SWAP"
    old, new = plans(BTC, ETH)["trades"], plans(ETH, sol)["trades"]
    told = resubscribe(FEED, old, new)
    assert told is not None
    assert [json.loads(text) for text in told] == [
        {"op": "unsubscribe", "args": [{"channel": "trades", "instId": "BTC-USDT-SWAP"}]},
        {"op": "subscribe", "args": [{"channel": "trades", "instId": "SOL-USDT-SWAP"}]},
    ]
    assert resubscribe(FEED, old, old) == ()
    assert resubscribe(FEED, old, plans(BTC, url="ws://127.0.0.1:1/")["trades"]) is None


# -- notices


def noticed(**told: Any) -> Notice | None:
    data = json.dumps(told).encode()
    assert FEED.control is not None
    return FEED.notice(data) if FEED.control.search(data, 0, 200) else None


def error(code: str, msg: str) -> dict[str, str]:
    return {"event": "error", "msg": msg, "code": code, "connId": "e1f69f02"}


WRONG = "{} doesn't exist. Please use the correct URL, channel and parameters referring to API."


@pytest.mark.parametrize(
    ("named", "channel"),
    [
        ("Subscribe failed, wrong URL or channel:candle1m,instId:BTC-USDT", "candle1m:BTC-USDT"),
        ("Wrong URL or channel:index-tickers, instId:NEAR-SWAP", "index-tickers:NEAR-SWAP"),
        ("Wrong URL or channel:liquidation-orders,instType:SPOT", "liquidation-orders:SPOT"),
    ],
)
def test_a_refused_channel_is_named_as_the_user_spells_it(named: str, channel: str) -> None:
    notice = noticed(**error("60018", WRONG.format(named)))
    assert notice is not None
    assert (notice.refused_channel, notice.verdict, notice.reply) == (channel, None, None)
    assert channel in notice.text


@pytest.mark.parametrize(
    "told",
    [
        error("60012", 'Invalid request: {"op": "subscribe", "argss":[{ "channel" : "trades"}]}'),
        error("60018", WRONG.format("Wrong URL or channel:trades")),
        {"event": "error", "code": 60013, "msg": None},
        {"event": "channel-conn-count-error", "channel": "orders", "connCount": "30"},
        {"event": "notice", "code": "1", "msg": "channel:a,instId:b"},
    ],
)
def test_other_errors_are_told_and_end_nothing(told: dict[str, Any]) -> None:
    notice = noticed(**told)
    assert notice is not None
    assert notice.text.startswith("the service reports:")
    assert (notice.refused_channel, notice.verdict, notice.reply) == (None, None, None)


def test_an_announced_end_is_followed_at_once_and_a_rate_limit_after_a_minute() -> None:
    ending = noticed(event="notice", code="64008", msg="The connection will soon be closed.")
    assert ending is not None
    assert (ending.ending, ending.verdict) == (True, None)
    limited = noticed(**error("60014", "Requests too frequent"))
    assert limited is not None
    assert limited.verdict is not None
    assert (limited.verdict.wait, limited.verdict.fatal) == (60.0, False)


@pytest.mark.parametrize(
    "payload",
    [
        b"pong",
        b'{"event":"subscribe","arg":{"channel":"trades","instId":"X"},"connId":"b3367a44"}',
        b'{"arg":{"channel":"trades","instId":"X"},"data":[{"instId":"X","px":"1"}]}',
    ],
)
def test_other_frames_are_no_notice(payload: bytes) -> None:
    assert FEED.control is not None
    assert FEED.control.search(payload, 0, 200) is None
    assert FEED.notice(payload) is None


# -- the list of instruments


def listed(body: Any) -> Any:
    assert FEED.catalogue is not None
    return FEED.catalogue.read(json.dumps(body).encode())


def instrument(symbol: str, **changed: Any) -> dict[str, Any]:
    told = {
        "instType": "SWAP", "instId": symbol, "uly": symbol.removesuffix("-SWAP"), "baseCcy": "",
        "settleCcy": "USDT", "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC", "ctType": "linear",
        "state": "live", "lotSz": "0.01", "ruleType": "normal", "futureSettlement": False,
        "instIdCode": 10459, "upcChg": [],
    }  # fmt: skip
    return {**told, **changed}


def test_the_list_says_what_a_contract_is_worth() -> None:
    inverse = {"ctVal": "100", "ctValCcy": "USD", "ctType": "inverse", "settleCcy": "BTC"}
    body = {
        "code": "0",
        "msg": "",
        "data": [
            instrument("BTC-USDT-SWAP"),
            instrument("BTC-USD-SWAP", **inverse),
            instrument("DOGE-USDT-SWAP", ctVal="1000", ctMult="10", ctValCcy="DOGE"),
            instrument("ETH-BTC-SWAP", ctVal="0.1", ctValCcy="ETH"),
            instrument("X-USDT-SWAP", ctValCcy="Y"),
            instrument("Z-USDT-SWAP", ctVal="", ctValCcy="Z"),
            instrument("OLD-USDT-SWAP", state="suspend"),
            instrument("NEW-USDT-SWAP", state="preopen"),
        ],
    }
    assert sizes(listed(body)) == (
        [
            Instrument("BTC-USDT-SWAP", "BTC-USDT-SWAP", 0.01, "base"),
            Instrument("BTC-USD-SWAP", "BTC-USD-SWAP", 100.0, "usd"),
            Instrument("DOGE-USDT-SWAP", "DOGE-USDT-SWAP", 10_000.0, "base"),
            Instrument("ETH-BTC-SWAP", "ETH-BTC-SWAP", 0.1, "base"),
            Instrument("X-USDT-SWAP", "X-USDT-SWAP", 0.01, None),
            Instrument("Z-USDT-SWAP", "Z-USDT-SWAP", None, "base"),
        ],
        None,
    )


def test_the_list_names_coins_currencies_kinds_and_steps() -> None:
    pair = {"instType": "SPOT", "uly": "", "baseCcy": "BTC", "quoteCcy": "EUR", "settleCcy": "",
            "ctVal": "", "ctMult": "", "ctValCcy": "", "ctType": "", "tickSz": "0.1"}  # fmt: skip
    found = listed({"code": "0", "data": [
        instrument("BTC-USD_UM-SWAP", uly="BTC-USD_UM"), instrument("BTC-EUR", **pair)
    ]})  # fmt: skip
    assert sizes(found)[0][1] == Instrument("BTC-EUR", "BTC-EUR", 1.0, "base")
    assert names(found) == [
        Instrument("BTC-USD_UM-SWAP", "BTC-USD_UM-SWAP", base="BTC", quote="USD_UM", settle="USDT",
                   kind="perpetual", contract_type="linear", lot_size=0.01, state="live"),
        Instrument("BTC-EUR", "BTC-EUR", base="BTC", quote="EUR", kind="spot", tick_size=0.1,
                   lot_size=0.01, state="live"),
    ]  # fmt: skip


@pytest.mark.parametrize("size", ["nan", "inf", "-1", "0", "much", "1e300"])
def test_an_odd_size_is_unknown(size: str) -> None:
    [found], _ = listed({"code": "0", "data": [instrument("BTC-USDT-SWAP", ctVal=size)]})
    assert found.contract_size is None


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, {"code": "50011", "msg": "Too Many Requests", "data": []}, {"code": "0"},
        {"code": "0", "data": {}}, {"code": "0", "data": [7]}, {"code": 0, "data": []},
        {"code": "0", "data": [{"instId": "X"}]},
        {"code": "0", "data": [instrument("X", ctVal=0.01)]},
    ],
)  # fmt: skip
def test_anything_else_is_no_list(body: Any) -> None:
    with pytest.raises(ValueError):
        listed(body)


# -- a capture


class Okx(Exchange):
    """It refuses channels one by one, answers pings in text, and ends who is silent."""

    patience = 1.0  # the real one has 30 s
    instruments = ("BTC-USDT-SWAP", "ETH-USDT-SWAP")
    rounds = 0  # of patience that a client was heard in

    async def hear(self, talk: Talk, message: str) -> None:
        if message == "ping":
            await talk.send("pong")
            return
        told = json.loads(message)
        if len(message) > 64_000 or told.keys() != {"op", "args"} or told["op"] != "subscribe":
            await talk.end(f"unexpected: {message[:100]}")
            return
        for arg in told["args"]:
            await self._subscribe(talk, arg)

    async def _subscribe(self, talk: Talk, arg: dict[str, str]) -> None:
        named = ",".join(f"{key}:{value}" for key, value in arg.items())
        if arg.get("instId") not in self.instruments:
            await talk.send(json.dumps(error("60018", WRONG.format(f"Wrong URL or {named}"))))
            return
        talk.subscribed.add(f"{arg['channel']}:{arg['instId']}")
        await talk.send(json.dumps({"event": "subscribe", "arg": arg, "connId": "b3367a44"}))

    async def keep_up(self, talk: Talk) -> None:
        while True:
            heard = len(talk.heard)
            await asyncio.sleep(self.patience)
            if len(talk.heard) == heard:
                await talk.end("No data received in 30s.", 4004)
            self.rounds += 1


def pongs(talk: Talk) -> int:
    return talk.sent.count("pong")


@pytest.mark.process
async def test_a_capture_lives_by_the_rules_and_comes_back(tmp_path: Path) -> None:
    exchange = Okx()
    channels = json.dumps([BTC, NOPE, ETH])
    async with exchange.open("/ws/v5/public"):
        settings = f'kind = "okx"\nurl = "{exchange.url}"\nchannels = {channels}\n'
        async with capturing(tmp_path, "okx", settings, ping_every=0.3, silence=3.0) as run:
            await until(lambda: exchange.talks and exchange.talks[0].subscribed == {BTC, ETH})
            await until(lambda: exchange.rounds >= 3)
            assert exchange.complaints == []
            assert len(exchange.talks) == 1
            assert run.lines[0].tally.refused_channels == {NOPE}
            exchange.talks[0].reset()
            await until(lambda: len(exchange.talks) > 1 and pongs(exchange.talks[1]) >= 2)
            await until(lambda: exchange.talks[1].subscribed == {BTC, ETH})
    assert exchange.complaints == []
