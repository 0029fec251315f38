"""Bitget v3: text pings, refusals that name their argument, two lists of contracts."""

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

FEED = feed("bitget")
ALL = "liquidation.usdt-futures"
BTC, ETH, NOPE = (f"publicTrade.usdt-futures.{name}USDT" for name in ("BTC", "ETH", "NOPE"))

plans = partial(plans_of, FEED)


# -- plans


def test_each_data_type_has_a_connection_of_its_own() -> None:
    found = plans(*FEED.channels, ETH)
    assert {group: plan.channels for group, plan in found.items()} == {
        "liquidations": (ALL,),
        "prices": ("ticker.usdt-futures.BTCUSDT",),
        "trades": (BTC, ETH),
    }
    assert {plan.urls for plan in found.values()} == {("wss://ws.bitget.com/v3/ws/public",)}
    trade = {"instType": "usdt-futures", "topic": "publicTrade"}
    assert said(found["trades"]) == [
        {"op": "subscribe", "args": [trade | {"symbol": f"{name}USDT"} for name in ("BTC", "ETH")]}
    ]
    [asked] = said(found["liquidations"])
    assert asked["args"] == [{"instType": "usdt-futures", "topic": "liquidation"}]


def test_many_channels_are_asked_for_within_the_limits() -> None:
    channels = [f"ticker.usdt-futures.C{number}USDT" for number in range(120)]
    found = plans(*channels)
    assert [len(plan.channels) for plan in found.values()] == [50, 50, 20]
    assert max(len(asked["args"]) for plan in found.values() for asked in said(plan)) == 20
    assert all(len(text) < 4096 for plan in found.values() for text in plan.hello)


@pytest.mark.parametrize(
    "channel",
    ["", "ticker", "ticker.usdt-futures", "liquidation.usdt-futures.BTCUSDT", "ticker.spot.BTCUSDT",
     "publicTrade.coin-futures.BTCUSD", "liquidation.coin-futures", "ticker.usdt-futures.*"],
)  # fmt: skip
def test_what_has_no_known_unit_is_no_channel(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans(channel)
    assert ALL in caught.value.hint


def test_a_living_connection_is_told_what_changed() -> None:
    told = resubscribe(FEED, plans(BTC)["trades"], plans(ETH)["trades"])
    assert told is not None
    asked = [(fields["op"], fields["args"][0]["symbol"]) for fields in map(json.loads, told)]
    assert asked == [("unsubscribe", "BTCUSDT"), ("subscribe", "ETHUSDT")]


# -- what the service says


def noticed(**fields: Any) -> Notice | None:
    payload = json.dumps(fields).encode()
    assert FEED.control is not None
    return FEED.notice(payload) if FEED.control.search(payload, 0, 200) else None


def test_a_refusal_names_its_channel() -> None:
    error = {"event": "error", "code": "30001", "msg": "doesn't exist"}
    arg = {"instType": "usdt-futures", "topic": "publicTrade", "symbol": "NOPEUSDT"}
    notice = noticed(**error, arg=arg)
    assert notice is not None and notice.refused_channel == NOPE
    assert notice.text == f"channel refused: {NOPE}: 30001 doesn't exist"
    other = noticed(**error)
    assert other is not None and (other.refused_channel, other.verdict) == (None, None)
    assert noticed(event="subscribe", arg=arg, connId="c") is None
    assert FEED.answer is not None and FEED.answer.search(b"pong")


# -- the lists


def listed(body: Any) -> Any:
    assert FEED.catalogue is not None
    return FEED.catalogue.read(json.dumps(body).encode())


CONTRACT = {
    "symbol": "BTCUSDT", "category": "USDT-FUTURES", "baseCoin": "BTC", "quoteCoin": "USDT",
    "status": "online", "type": "perpetual", "fundInterval": "8", "priceMultiplier": "0.1",
    "quantityMultiplier": "0.0001", "minOrderQty": "0.0001", "pricePrecision": "1",
}  # fmt: skip


def test_contracts_that_trade_are_listed_in_coins() -> None:
    gone = {**CONTRACT, "symbol": "OLDUSDT", "status": "off"}
    dated = {**CONTRACT, "symbol": "BTCUSDT_261225", "type": "delivery", "fundInterval": ""}
    found = listed({"code": "00000", "msg": "success", "data": [CONTRACT, gone, dated]})
    assert sizes(found)[0] == [
        Instrument("BTCUSDT", "BTCUSDT", 1.0, "base", 8.0),
        Instrument("BTCUSDT_261225", "BTCUSDT_261225", 1.0, "base", None),
    ]
    assert names(found)[0] == Instrument(
        "BTCUSDT", "BTCUSDT", base="BTC", quote="USDT", settle="USDT", kind="perpetual",
        contract_type="linear", tick_size=0.1, lot_size=0.0001, state="online",
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"code": "00000", "data": []}, {"code": "40034", "data": None},
     {"code": "1", "data": [CONTRACT]}, {"code": "00000", "data": [{"symbol": "X"}]}],
)  # fmt: skip
def test_anything_else_is_no_list(body: Any) -> None:
    with pytest.raises(ValueError):
        listed(body)


# -- a capture


class Bitget(Exchange):
    """It ends who does not ping."""

    patience = 1.0
    symbols = ("BTCUSDT", "ETHUSDT")
    rounds = 0  # of patience that a client was heard in

    async def hear(self, talk: Talk, message: str) -> None:
        if message == "ping":
            await talk.send("pong")
            return
        told = json.loads(message)
        for arg in told["args"]:
            if told["op"] != "subscribe":
                await talk.end(f"unexpected: {message}")
            elif arg["symbol"] in self.symbols:
                talk.subscribed.add(f"{arg['topic']}.{arg['instType']}.{arg['symbol']}")
                await talk.send(json.dumps({"event": "subscribe", "arg": arg, "connId": "c"}))
            else:
                error = {"event": "error", "code": "30001", "msg": "doesn't exist", "arg": arg}
                await talk.send(json.dumps(error))

    async def keep_up(self, talk: Talk) -> None:
        while True:
            pings = talk.heard.count("ping")
            await asyncio.sleep(self.patience)
            if pings == talk.heard.count("ping"):
                await talk.end("no ping")
            self.rounds += 1


@pytest.mark.process
async def test_a_capture_lives_by_the_rules_and_comes_back(tmp_path: Path) -> None:
    exchange = Bitget()
    async with exchange.open("/v3/ws/public"):
        channels = json.dumps([BTC, NOPE, ETH])
        settings = f'kind = "bitget"\nurl = "{exchange.url}"\nchannels = {channels}\n'
        hasty = {"ping_every": 0.3, "silence": 3.0, "send_every": 0.02}
        async with capturing(tmp_path, "bitget", settings, **hasty) as run:
            await until(lambda: exchange.talks and exchange.talks[0].subscribed == {BTC, ETH})
            await until(lambda: exchange.rounds >= 2)
            assert exchange.complaints == [] and len(exchange.talks) == 1
            assert run.lines[0].tally.refused_channels == {NOPE}
            exchange.talks[0].reset()
            await until(lambda: len(exchange.talks) > 1)
            await until(lambda: exchange.talks[1].subscribed == {BTC, ETH})
    assert exchange.complaints == []
