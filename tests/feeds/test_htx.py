"""HTX: a ping that has to be repeated, gzip, refusals, lists of two markets."""

from __future__ import annotations

import asyncio
import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kit.exchange import Exchange, Talk, capturing, until
from kit.instruments import names, sizes
from kit.plans import plans_of, said
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from recorder.coding import decoded
from recorder.errors import ConfigError
from recorder.feed import Instrument, Notice
from recorder.feeds import feed
from recorder.player.iterate import replay
from recorder.record.layout import Layout
from recorder.session.line import resubscribe
from recorder.stream.span import Span

FEED = feed("htx")
BTC, ETH = "market.BTC-USDT.trade.detail", "market.ETH-USDT.trade.detail"
NOPE = "market.NOPE-USDT.trade.detail"

plans = partial(plans_of, FEED)


# -- plans


def test_each_data_type_has_a_connection_on_its_route() -> None:
    found = plans(*FEED.channels, ETH)
    assert {group: (plan.channels, plan.urls) for group, plan in found.items()} == {
        "liquidations": (
            *(("liquidation_orders",), ("wss://api.hbdm.com/linear-swap-notification",)),
        ),
        "funding": (("funding_rate",), ("wss://api.hbdm.com/linear-swap-notification",)),
        "trades": ((BTC, ETH), ("wss://api.hbdm.com/linear-swap-ws",)),
        "index mark_price": (
            *(("market.BTC-USDT.mark_price.1min",), ("wss://api.hbdm.com/ws_index",)),
        ),
        "index index": (("market.BTC-USDT.index.1min",), ("wss://api.hbdm.com/ws_index",)),
    }
    assert said(found["trades"]) == [{"sub": BTC, "id": BTC}, {"sub": ETH, "id": ETH}]
    [asked] = said(found["liquidations"])
    assert asked == {
        "op": "sub", "cid": "liquidation_orders", "topic": "public.*.liquidation_orders",
    }  # fmt: skip


def test_one_contract_s_topics_are_asked_for_as_they_are_named() -> None:
    [asked] = said(plans("public.BTC-USDT.liquidation_orders")["liquidations"])
    assert asked["topic"] == asked["cid"] == "public.BTC-USDT.liquidation_orders"


def test_pairs_are_on_their_own_host() -> None:
    [plan] = plans("market.btcusdt.trade.detail", url="wss://api.huobi.pro").values()
    assert plan.urls == ("wss://api.huobi.pro/ws",)


@pytest.mark.parametrize("channel", ["", "trades", "market.BTC-USDT", "public.*.x", 'market."."'])
def test_nonsense_is_no_channel(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans(channel)
    assert "liquidation_orders" in caught.value.hint


def test_a_living_connection_is_told_what_changed() -> None:
    old, new = plans(BTC)["trades"], plans(ETH)["trades"]
    messages = resubscribe(FEED, old, new)
    assert messages is not None
    assert [json.loads(text) for text in messages] == [
        {"unsub": BTC, "id": BTC}, {"sub": ETH, "id": ETH}
    ]  # fmt: skip


# -- what the service says


@pytest.mark.parametrize(
    ("payload", "reply"),
    [
        (b'{"ping":1645289389619}', '{"pong":1645289389619}'),
        (b'{"op":"ping","ts":"1789676355591"}', '{"op":"pong","ts":"1789676355591"}'),
        (b'{"op":"ping","ts":1789676355591}', '{"op":"pong","ts":1789676355591}'),
        (b'{"ts": "1789676355591", "op": "ping"}', '{"op":"pong","ts":"1789676355591"}'),
        (b'{"ping":18446744073709551615}', '{"pong":18446744073709551615}'),
    ],
)
def test_a_ping_s_number_is_repeated_as_it_came(payload: bytes, reply: str) -> None:
    assert FEED.control is not None and FEED.control.search(payload)
    assert FEED.answer is not None and FEED.answer.search(payload)
    assert FEED.notice(payload) == Notice(reply=reply)


@pytest.mark.parametrize("payload", [b'{"ping":"x"}', b'{"op":"ping"}', b'{"op":"ping","ts":{}}'])
def test_nothing_else_is_repeated(payload: bytes) -> None:
    assert FEED.notice(payload) is None


def noticed(**fields: Any) -> Notice | None:
    return FEED.notice(json.dumps(fields).encode())


def test_a_refused_topic_is_named() -> None:
    wrong = {"err-code": "bad-request", "err-msg": f"invalid topic {NOPE}", "ts": 1}
    notice = noticed(status="error", id=NOPE, **wrong)
    assert notice is not None and notice.refused_channel == NOPE
    wrong = {"err-code": 2011, "err-msg": "Invalid contract", "ts": 1}
    notice = noticed(op="sub", cid="public.X.funding_rate", topic="public.X.funding_rate", **wrong)
    assert notice is not None and notice.refused_channel == "public.X.funding_rate"
    assert notice.text == "channel refused: public.X.funding_rate: 2011 Invalid contract"


def test_what_is_accepted_or_covered_already_is_no_notice() -> None:
    for code in (0, 2014):
        assert noticed(op="sub", cid="c", topic="t", ts=1, **{"err-code": code}) is None
    assert noticed(id=BTC, status="ok", subbed=BTC, ts=1) is None
    ended = noticed(op="close", ts=1)
    assert ended is not None and ended.verdict is not None and not ended.verdict.fatal


# -- the lists


def listed(body: Any) -> Any:
    assert FEED.catalogue is not None
    return FEED.catalogue.read(json.dumps(body).encode())


CONTRACT = {
    "symbol": "BTC", "contract_code": "BTC-USDT", "contract_size": 0.001, "price_tick": 0.1,
    "delivery_date": "", "create_date": "20201021", "contract_status": 1, "contract_type": "swap",
    "settlement_date": "1760000000000", "support_margin_mode": "all", "business_type": "swap",
    "pair": "BTC-USDT", "delivery_time": "", "trade_partition": "USDT", "settlement_period": 8,
}  # fmt: skip
PAIR = {
    "base-currency": "btc", "quote-currency": "usdt", "price-precision": 2, "amount-precision": 6,
    "symbol-partition": "main", "symbol": "btcusdt", "state": "online", "value-precision": 8,
}  # fmt: skip


def test_contracts_that_trade_are_listed() -> None:
    dated = {**CONTRACT, "contract_code": "BTC-USDT-261225", "contract_type": "quarter"}
    del dated["settlement_period"]
    gone = {**CONTRACT, "contract_code": "OLD-USDT", "contract_status": 8}
    settling = {**CONTRACT, "contract_code": "ETH-USDT", "symbol": "ETH", "contract_status": 5}
    found = listed({"status": "ok", "data": [CONTRACT, dated, gone, settling], "ts": 1})
    assert sizes(found)[0] == [
        Instrument("BTC-USDT", "BTC-USDT", 0.001, "base", 8.0),
        Instrument("BTC-USDT-261225", "BTC-USDT-261225", 0.001, "base", None),
        Instrument("ETH-USDT", "ETH-USDT", 0.001, "base", 8.0),
    ]
    same: Any = {"quote": "USDT", "settle": "USDT", "contract_type": "linear", "tick_size": 0.1}
    assert names(found)[:2] == [
        Instrument("BTC-USDT", "BTC-USDT", base="BTC", kind="perpetual", state="listed", **same),
        Instrument(
            *("BTC-USDT-261225", "BTC-USDT-261225"),
            **(same | {"base": "BTC", "kind": "future", "state": "listed"}),
        ),
    ]


def test_pairs_that_trade_are_listed() -> None:
    gone = {**PAIR, "symbol": "oldusdt", "state": "offline"}
    assert names(listed({"status": "ok", "data": [PAIR, gone]})) == [
        Instrument("btcusdt", "btcusdt", base="BTC", quote="USDT", kind="spot", tick_size=0.01,
                   lot_size=1e-6, state="online")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"status": "error", "err-code": 1}, {"status": "ok", "data": []},
     {"status": "ok", "data": [{"symbol": "x"}]}, {"status": "ok", "data": {}},
     {"status": "ok", "data": [{**CONTRACT, "contract_status": None}]}],
)  # fmt: skip
def test_anything_else_is_no_list(body: Any) -> None:
    with pytest.raises(ValueError):
        listed(body)


def test_the_list_is_that_of_the_market() -> None:
    assert FEED.catalogue is not None and FEED.catalogue.choose is not None
    assert FEED.catalogue.takes is not None
    [linear] = FEED.catalogue.choose((), ())
    [spot] = FEED.catalogue.choose(("wss://api.huobi.pro/ws",), ())
    assert (linear.url.split("/")[2], spot.url.split("/")[2]) == ("api.hbdm.com", "api.huobi.pro")
    assert FEED.catalogue.takes("public.*.funding_rate", "BTC-USDT")
    assert not FEED.catalogue.takes("public.*.funding_rate", "BTC-USDT-261225")


# -- a capture


class Htx(Exchange):
    """It packs whatever it says, and ends who does not repeat two pings running."""

    beat = 0.5  # seconds; the real one pings every five
    symbols = ("BTC-USDT", "ETH-USDT")

    async def hear(self, talk: Talk, message: str) -> None:
        match json.loads(message):
            case {"pong": int(number)}:
                talk.sent.append(f"pong {number}")
            case {"sub": str(topic), "id": str(name)} if topic.split(".")[1] in self.symbols:
                talk.subscribed.add(topic)
                await self.say(talk, {"id": name, "status": "ok", "subbed": topic, "ts": 1})
            case {"sub": str(topic), "id": str(name)}:
                wrong = {"err-code": "bad-request", "err-msg": f"invalid topic {topic}"}
                await self.say(talk, {"id": name, "status": "error", "ts": 1, **wrong})
            case _:
                await talk.end(f"unexpected: {message}")

    async def say(self, talk: Talk, fields: dict[str, Any]) -> None:
        text = json.dumps(fields, separators=(",", ":"))
        talk.sent.append(text)
        await talk.socket.send(gzip.compress(text.encode(), mtime=0))

    async def keep_up(self, talk: Talk) -> None:
        number = 1_645_289_389_619
        missed = 0
        while missed < 2:
            number += 5_000
            await self.say(talk, {"ping": number})
            await asyncio.sleep(self.beat)
            missed = 0 if f"pong {number}" in talk.sent else missed + 1
        await talk.end("no pong")


def pongs(talk: Talk) -> int:
    return sum(text.startswith("pong") for text in talk.sent)


@pytest.mark.process
async def test_a_capture_repeats_pings_and_comes_back(tmp_path: Path) -> None:
    exchange = Htx()
    broken = gzip.compress(b'{"ping":1}')[:-6]
    async with exchange.open("/linear-swap-ws"):
        channels = json.dumps([BTC, NOPE, ETH])
        settings = f'kind = "htx"\nurl = "{exchange.url}"\nchannels = {channels}\n'
        async with capturing(tmp_path, "htx", settings, silence=3.0, send_every=0.02) as run:
            await until(lambda: exchange.talks and exchange.talks[0].subscribed == {BTC, ETH})
            await until(lambda: pongs(exchange.talks[0]) >= 3)
            await exchange.talks[0].socket.send(broken)
            told = pongs(exchange.talks[0])
            await until(lambda: pongs(exchange.talks[0]) >= told + 3)
            assert exchange.complaints == [] and len(exchange.talks) == 1
            assert run.lines[0].tally.refused_channels == {NOPE}
            exchange.talks[0].reset()
            await until(lambda: len(exchange.talks) > 1 and pongs(exchange.talks[1]) >= 2)
            await until(lambda: exchange.talks[1].subscribed == {BTC, ETH})
    assert exchange.complaints == []
    kept = replay(Layout(tmp_path / "data"), ["htx"], None, Span(), "max")
    payloads = [frame.payload for frame in kept if frame.kind == "binary"]
    assert broken in payloads
    texts = [decoded("gzip", payload).decode() for payload in payloads if payload != broken]
    said_ = [text for talk in exchange.talks for text in talk.sent if not text.startswith("pong")]
    # The last ping may be lost with the connection; every other frame is there, as it was sent.
    assert texts == [text for text in said_ if text in texts]
    assert len(texts) >= len(said_) - 2


@pytest.mark.process
async def test_who_repeats_no_ping_is_ended(tmp_path: Path) -> None:
    """The scripted exchange does as the real one: the test above proves something."""
    exchange = Htx()
    async with exchange.open("/ws"), connect(exchange.url) as client:
        with pytest.raises(ConnectionClosed):
            while True:
                await client.recv()
    assert exchange.complaints == ["no pong"]
