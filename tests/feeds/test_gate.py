"""Gate: requests that carry the time, refusals by contract, a list of contracts."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kit.exchange import Exchange, Talk, capturing, until
from kit.instruments import names, sizes
from kit.plans import plans_of, said

from recorder.clock import NS
from recorder.errors import ConfigError
from recorder.feed import Instrument, Notice, timed
from recorder.feeds import feed
from recorder.session.line import resubscribe

FEED = feed("gate")
ALL = "futures.public_liquidates:!all"
BTC, ETH, NOPE = (f"futures.trades:{name}_USDT" for name in ("BTC", "ETH", "NOPE"))

plans = partial(plans_of, FEED)


# -- plans


def test_each_data_type_has_a_connection_of_its_own() -> None:
    found = plans(*FEED.channels, ETH)
    assert {group: plan.channels for group, plan in found.items()} == {
        "liquidations": (ALL,), "prices": ("futures.tickers:BTC_USDT",), "trades": (BTC, ETH),
    }  # fmt: skip
    assert {plan.urls for plan in found.values()} == {("wss://fx-ws.gateio.ws/v4/ws/usdt",)}
    assert [plan.cadence for plan in found.values()] == [None, 60.0, None]
    [asked] = said(found["liquidations"])
    assert asked == {
        "time": "@now", "channel": "futures.public_liquidates", "event": "subscribe",
        "payload": ["!all"],
    }  # fmt: skip


def test_sizes_are_asked_for_with_all_their_digits() -> None:
    [plan] = plans(BTC, headers={"X-Mine": "1"}).values()
    assert dict(plan.headers) == {"X-Gate-Size-Decimal": "1", "X-Mine": "1"}


def test_a_request_carries_the_time_when_it_is_sent() -> None:
    [text] = plans(BTC)["trades"].hello
    assert json.loads(timed(text, 1_790_000_000 * NS + 999))["time"] == 1_790_000_000
    assert timed('{"a":"@now!"}', NS) == '{"a":"@now!"}'


@pytest.mark.parametrize(
    "channel", ["", "futures.trades", "trades:BTC_USDT", "futures.trades:*", 'futures.trades:"']
)
def test_nonsense_is_no_channel(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans(channel)
    assert ALL in caught.value.hint


def test_a_living_connection_is_told_what_changed() -> None:
    told = resubscribe(FEED, plans(BTC)["trades"], plans(ETH)["trades"])
    assert told is not None
    asked = [(fields["event"], fields["payload"]) for fields in map(json.loads, told)]
    assert asked == [("unsubscribe", ["BTC_USDT"]), ("subscribe", ["ETH_USDT"])]


# -- what the service says


def noticed(**fields: Any) -> Notice | None:
    payload = json.dumps({"time": 1, "time_ms": 1, **fields}).encode()
    assert FEED.control is not None and FEED.control.search(payload, 0, 200)
    return FEED.notice(payload)


def test_a_refusal_names_its_contract() -> None:
    error = {"code": 2, "message": "unknown contract NOPE_USDT"}
    asked = {"channel": "futures.trades", "event": "subscribe", "error": error}
    notice = noticed(**asked, payload=["NOPE_USDT"], result={"status": "fail"})
    assert notice is not None and notice.refused_channel == NOPE
    assert notice.text == f"channel refused: {NOPE}: 2 unknown contract NOPE_USDT"
    notice = noticed(**asked, result=None)
    assert notice is not None and notice.refused_channel == "futures.trades"
    other = noticed(channel="futures.ping", event="", error=error)
    assert other is not None and (other.refused_channel, other.verdict) == (None, None)


def test_what_is_accepted_is_no_notice() -> None:
    result = {"status": "success"}
    assert noticed(channel="futures.trades", event="subscribe", error=None, result=result) is None
    assert noticed(channel="futures.trades", event="subscribe", result=result) is None


# -- the list


def listed(body: Any) -> Any:
    assert FEED.catalogue is not None
    return FEED.catalogue.read(json.dumps(body).encode())


CONTRACT = {
    "name": "BTC_USDT", "type": "direct", "quanto_multiplier": "0.0001", "mark_price": "1",
    "funding_interval": 28800, "order_price_round": "0.1", "order_size_min": 1,
    "in_delisting": False, "status": "trading",
}  # fmt: skip


def test_contracts_are_listed_with_their_size_and_interval() -> None:
    gone = {**CONTRACT, "name": "OLD_USDT", "status": "delisted"}
    inverse = {**CONTRACT, "name": "BTC_USD", "type": "inverse", "quanto_multiplier": "0"}
    del inverse["funding_interval"]
    found = listed([CONTRACT, gone, inverse])
    assert sizes(found)[0] == [
        Instrument("BTC_USDT", "BTC_USDT", 0.0001, "base", 8.0),
        Instrument("BTC_USD", "BTC_USD", None, None, None),
    ]
    assert names(found)[0] == Instrument(
        "BTC_USDT", "BTC_USDT", base="BTC", quote="USDT", settle="USDT", kind="perpetual",
        contract_type="linear", tick_size=0.1, lot_size=1.0, state="trading",
    )  # fmt: skip


@pytest.mark.parametrize(
    "body", [None, [], {}, {"label": "X"}, [{"name": "BTC_USDT"}], [{**CONTRACT, "name": 1}]]
)
def test_anything_else_is_no_list(body: Any) -> None:
    with pytest.raises(ValueError):
        listed(body)


# -- a capture


class Gate(Exchange):
    """It wants a present time in each request, and ends who does not ping."""

    patience = 1.0
    contracts = ("BTC_USDT", "ETH_USDT")
    rounds = 0  # of patience that a client was heard in

    async def hear(self, talk: Talk, message: str) -> None:
        told = json.loads(message)
        if abs(told["time"] - time.time()) > 60:
            await talk.end(f"an old request: {message}")
        about = {"time": told["time"], "time_ms": told["time"] * 1000}
        match told:
            case {"channel": "futures.ping"}:
                await self.say(talk, about | {"channel": "futures.pong", "event": ""})
            case {"channel": str(name), "event": "subscribe", "payload": [str(contract)]}:
                about |= {"channel": name, "event": "subscribe", "payload": [contract]}
                if contract not in self.contracts:
                    error = {"code": 2, "message": f"unknown contract {contract}"}
                    await self.say(talk, about | {"error": error, "result": {"status": "fail"}})
                    return
                talk.subscribed.add(f"{name}:{contract}")
                await self.say(talk, about | {"result": {"status": "success"}})
            case _:
                await talk.end(f"unexpected: {message}")

    async def say(self, talk: Talk, fields: dict[str, Any]) -> None:
        await talk.send(json.dumps(fields, separators=(",", ":")))

    async def keep_up(self, talk: Talk) -> None:
        while True:
            pings = sum("futures.ping" in message for message in talk.heard)
            await asyncio.sleep(self.patience)
            if pings == sum("futures.ping" in message for message in talk.heard):
                await talk.end("no ping")
            self.rounds += 1


@pytest.mark.process
async def test_a_capture_lives_by_the_rules_and_comes_back(tmp_path: Path) -> None:
    exchange = Gate()
    async with exchange.open("/v4/ws/usdt"):
        channels = json.dumps([BTC, NOPE, ETH])
        settings = f'kind = "gate"\nurl = "{exchange.url}"\nchannels = {channels}\n'
        hasty = {"ping_every": 0.3, "silence": 3.0, "send_every": 0.02}
        async with capturing(tmp_path, "gate", settings, **hasty) as run:
            await until(lambda: exchange.talks and exchange.talks[0].subscribed == {BTC, ETH})
            await until(lambda: exchange.rounds >= 2)
            assert exchange.complaints == [] and len(exchange.talks) == 1
            assert run.lines[0].tally.refused_channels == {NOPE}
            exchange.talks[0].reset()
            await until(lambda: len(exchange.talks) > 1)
            await until(lambda: exchange.talks[1].subscribed == {BTC, ETH})
    assert exchange.complaints == []
