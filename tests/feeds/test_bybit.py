"""Bybit: what is said to it, what it refuses, and a capture of an exchange by its rules."""

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
from recorder.feed import Ask, Instrument, Notice, Options, Refusal
from recorder.feeds import feed
from recorder.session.line import resubscribe

FEED = feed("bybit")
BTC, ETH, NOPE = "publicTrade.BTCUSDT", "publicTrade.ETHUSDT", "publicTrade.NOPEUSDT"


plans = partial(plans_of, FEED)


# -- plans


def test_each_data_type_has_a_connection_of_its_own() -> None:
    found = plans("tickers.BTCUSDT", BTC, "allLiquidation.BTCUSDT", ETH, "orderbook.50.BTCUSDT")
    assert {group: plan.channels for group, plan in found.items()} == {
        "prices": ("tickers.BTCUSDT",),
        "trades": (BTC, ETH),
        "liquidations": ("allLiquidation.BTCUSDT",),
        "orderbook": ("orderbook.50.BTCUSDT",),
    }
    assert {plan.urls for plan in found.values()} == {("wss://stream.bybit.com/v5/public/linear",)}
    assert said(found["trades"]) == [
        {"op": "subscribe", "args": [BTC, ETH], "req_id": f"{BTC},{ETH}"}
    ]


def test_many_topics_are_asked_for_ten_at_a_time_within_a_connection_s_limit() -> None:
    channels = [f"allLiquidation.{n:04d}{'X' * 45}" for n in range(650)]
    found = plans(*channels)
    assert list(found) == ["liquidations", "liquidations 2", "liquidations 3"]
    messages = [message for plan in found.values() for message in said(plan)]
    assert [topic for message in messages for topic in message["args"]] == channels
    assert max(len(message["args"]) for message in messages) == 10
    for plan in found.values():
        assert len(json.dumps(plan.channels)) <= 21_000


def test_it_is_pinged_every_20_seconds_and_given_time_to_answer() -> None:
    for plan in plans().values():
        assert plan.ping is not None
        assert (json.loads(plan.ping), plan.ping_every) == ({"op": "ping"}, 20)
        assert plan.silence > 3 * plan.ping_every


def test_only_contracts_prices_have_a_cadence() -> None:
    found = plans("tickers.BTCUSDT", BTC, "allLiquidation.BTCUSDT")
    cadences = {group: plan.cadence for group, plan in found.items()}
    assert cadences == {"prices": 60.0, "trades": None, "liquidations": None}
    spot = plans("tickers.BTCUSDT", url="wss://stream.bybit.com/v5/public/spot")["prices"]
    assert spot.cadence is None


@pytest.mark.parametrize(
    "channel",
    ["tickers", "tickers.", "tickers.*", ".BTCUSDT", "tickers.BTC USDT", 'a."b', "", "a.é",
     "a.b,c", "tickers." + "X" * 60],
)  # fmt: skip
def test_nonsense_is_no_channel(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans(channel)
    assert caught.value.where == "feeds.here.channels"
    assert "tickers.BTCUSDT" in caught.value.hint


def test_every_channel_that_is_offered_can_be_planned() -> None:
    assert plans(*FEED.channels)
    assert set(plans()) == {"liquidations", "prices", "trades"}
    assert FEED.key_help is None


def test_a_living_connection_is_told_what_changed() -> None:
    sol = "publicTrade.SOLUSDT"
    old, new = plans(BTC, ETH)["trades"], plans(ETH, sol)["trades"]
    told = resubscribe(FEED, old, new)
    assert told is not None
    assert [json.loads(text) for text in told] == [
        {"op": "unsubscribe", "args": [BTC], "req_id": BTC},
        {"op": "subscribe", "args": [sol], "req_id": sol},
    ]
    assert resubscribe(FEED, old, old) == ()
    assert resubscribe(FEED, old, plans(BTC, url="ws://127.0.0.1:1/")["trades"]) is None


# -- notices


def noticed(**told: Any) -> Notice | None:
    data = json.dumps(told).encode()
    assert FEED.control is not None
    return FEED.notice(data) if FEED.control.search(data, 0, 200) else None


def refusal(why: str, *asked: str, **changed: Any) -> dict[str, Any]:
    told = {"success": False, "ret_msg": why, "conn_id": "c-1", "req_id": ",".join(asked)}
    return {**told, "op": "subscribe", **changed}


NOT_FOUND = f"error:handler not found,topic:{NOPE}"


def test_a_refused_topic_is_named_and_the_others_are_asked_for_again() -> None:
    notice = noticed(**refusal(NOT_FOUND, BTC, NOPE, ETH))
    assert notice is not None
    assert (notice.refused_channel, notice.verdict) == (NOPE, None)
    assert NOPE in notice.text
    assert json.loads(notice.reply or "") == {
        "op": "subscribe", "args": [BTC, ETH], "req_id": f"{BTC},{ETH}",
    }  # fmt: skip


def test_a_topic_that_is_there_already_is_left_out_without_a_word() -> None:
    notice = noticed(**refusal(f"error:already subscribed,topic:{BTC}", BTC, ETH))
    assert notice is not None
    assert (notice.text, notice.refused_channel, notice.verdict) == ("", None, None)
    assert json.loads(notice.reply or "")["args"] == [ETH]
    assert noticed(**refusal(f"error:already subscribed,topic:{BTC}", BTC)) == Notice()


@pytest.mark.parametrize(
    ("told", "channel"),
    [
        (refusal(NOT_FOUND, NOPE), NOPE),
        (refusal("error:handler not found", NOPE), NOPE),
        (refusal(NOT_FOUND, BTC), NOPE),  # not of the request: nothing is asked for again
        (refusal("Invalid topic: invalid.topic.BTCUSDT"), "invalid.topic.BTCUSDT"),
        (refusal("args size >10", BTC, ETH), None),
        (refusal("", req_id=7), None),
        (refusal(NOT_FOUND, *[NOPE] * 11), NOPE),
        (refusal(NOT_FOUND, NOPE, "not ours"), NOPE),
        (refusal(NOT_FOUND, NOPE, BTC, op="unsubscribe"), None),
    ],
)
def test_nothing_is_asked_for_that_was_not_asked_for_before(
    told: dict[str, Any], channel: str | None
) -> None:
    notice = noticed(**told)
    assert notice is not None
    assert (notice.refused_channel, notice.reply, notice.verdict) == (channel, None, None)
    assert notice.text


def test_too_many_requests_wait_a_minute() -> None:
    notice = noticed(**refusal("Too many visits!", BTC))
    assert notice is not None
    assert notice.verdict is not None
    assert (notice.verdict.wait, notice.verdict.fatal) == (60.0, False)


@pytest.mark.parametrize(
    "told",
    [
        {"success": True, "ret_msg": "", "conn_id": "c", "req_id": BTC, "op": "subscribe"},
        {"success": True, "ret_msg": "pong", "conn_id": "c", "req_id": "", "op": "ping"},
        {"topic": "tickers.BTCUSDT", "type": "delta", "data": {"symbol": "BTCUSDT"}, "ts": 1},
    ],
)
def test_other_frames_are_no_notice(told: dict[str, Any]) -> None:
    assert noticed(**told) is None
    assert FEED.notice(json.dumps(told).encode()) is None


def test_a_forbidden_handshake_is_no_matter_of_a_key() -> None:
    fast = FEED.on_refused(Refusal(403, {}, "403, access too frequent"))
    assert (fast.fatal, fast.wait, fast.limited) == (False, 600.0, True)
    body = "The distribution is configured to block access from your country."
    country = FEED.on_refused(Refusal(403, {}, body))
    assert (country.fatal, country.patient) == (False, True)
    assert "country" in country.reason


# -- the list of instruments


@pytest.mark.parametrize(
    ("url", "channels", "queries"),
    [
        (None, ("tickers.BTCUSDT",), ["category=linear&limit=1000"]),
        ("wss://stream.bybit.com/v5/public/inverse", (), ["category=inverse&limit=1000"]),
        ("wss://stream.bybit.nl/v5/public/spot", (), ["category=spot"]),
        ("ws://127.0.0.1:4701/v5/public/inverse", (), ["category=inverse&limit=1000"]),
        ("ws://127.0.0.1:4701", (), ["category=linear&limit=1000"]),
        (
            "wss://stream.bybit.com/v5/public/option",
            ("publicTrade.BTC", "tickers.ETH-25DEC26-4000-C"),
            [f"category=option&limit=1000&baseCoin={coin}" for coin in ("BTC", "ETH")],
        ),
    ],
)
def test_the_list_is_that_of_the_market_which_is_subscribed_to(
    url: str | None, channels: tuple[str, ...], queries: list[str]
) -> None:
    assert FEED.catalogue is not None and FEED.catalogue.choose is not None
    asks = FEED.catalogue.choose(() if url is None else (url,), channels)
    assert [ask.url.partition("?")[2] for ask in asks] == queries


def test_the_next_page_is_of_the_same_market() -> None:
    _, following = listed(page(instrument("BTCUSD"), category="inverse", cursor="a%3Db"))
    assert following.url.endswith("category=inverse&limit=1000&cursor=a%3Db")
    option = instrument("BTC-25DEC26-1-C", baseCoin="BTC")
    _, following = listed(page(option, category="option", cursor="c"))
    assert following.url.endswith("category=option&limit=1000&baseCoin=BTC&cursor=c")


def test_a_host_alone_is_the_default_market() -> None:
    [plan] = FEED.plan(Options("here", channels=("tickers.X",), url="wss://stream.bybit.nl"))
    assert plan.urls == ("wss://stream.bybit.nl/v5/public/linear",)


def listed(body: Any) -> Any:
    assert FEED.catalogue is not None
    return FEED.catalogue.read(json.dumps(body).encode())


def instrument(symbol: str, **changed: Any) -> dict[str, Any]:
    told = {
        "symbol": symbol, "symbolId": 5, "contractType": "LinearPerpetual", "status": "Trading",
        "baseCoin": "BTC", "quoteCoin": "USDT", "launchTime": "1585526400000", "deliveryTime": "0",
        "priceFilter": {"tickSize": "0.10"}, "lotSizeFilter": {"qtyStep": "0.001"},
        "unifiedMarginTrade": True, "fundingInterval": 480, "settleCoin": "USDT",
        "isPreListing": False, "preListingInfo": None,
    }  # fmt: skip
    return {**told, **changed}


def page(*instruments: dict[str, Any], category: str = "linear", cursor: str = "") -> Any:
    result = {"category": category, "list": instruments, "nextPageCursor": cursor}
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1735809771618}


def test_what_trades_is_listed_with_its_unit_and_funding_interval() -> None:
    body = page(
        instrument("BTCUSDT"),
        instrument("BTC-25DEC26", fundingInterval=0, contractType="LinearFutures"),
        instrument("BIOUSDT", status="PreLaunch"),
        instrument("XEUR", quoteCoin="EUR", fundingInterval=60),
    )
    assert sizes(listed(body)) == (
        [
            Instrument("BTCUSDT", "BTCUSDT", 1.0, "base", 8.0),
            Instrument("BTC-25DEC26", "BTC-25DEC26", 1.0, "base", None),
            Instrument("XEUR", "XEUR", 1.0, "base", 1.0),
        ],
        None,
    )


def test_inverse_contracts_are_of_one_dollar() -> None:
    found, _ = sizes(listed(page(instrument("BTCUSD", quoteCoin="USD"), category="inverse")))
    assert found == [Instrument("BTCUSD", "BTCUSD", 1.0, "usd", 8.0)]


def test_the_list_names_coins_currencies_kinds_and_steps() -> None:
    linear = listed(page(instrument("BTCUSDT"), instrument("X-26", contractType="LinearFutures")))
    spot = {"symbol": "BTCEUR", "status": "Trading", "baseCoin": "BTC", "quoteCoin": "EUR"}
    same = {"base": "BTC", "quote": "USDT", "settle": "USDT", "contract_type": "linear",
            "tick_size": 0.1, "lot_size": 0.001, "state": "Trading"}  # fmt: skip
    assert names(linear) == [
        Instrument("BTCUSDT", "BTCUSDT", **same, kind="perpetual"),
        Instrument("X-26", "X-26", **same, kind="future"),
    ]
    assert names(listed(page(spot, category="spot"))) == [
        Instrument("BTCEUR", "BTCEUR", base="BTC", quote="EUR", kind="spot", state="Trading")
    ]


def test_the_next_page_is_asked_for_with_the_cursor_as_it_came() -> None:
    assert FEED.catalogue is not None
    [first] = FEED.catalogue.asks
    _, more = listed(page(instrument("BTCUSDT"), cursor="first%3DA%26last%3DB"))
    assert more == Ask(f"{first.url}&cursor=first%3DA%26last%3DB")
    _, more = listed(page(instrument("BTCUSDT"), cursor="next/page&x=1"))
    assert more == Ask(f"{first.url}&cursor=next%2Fpage%26x%3D1")
    assert listed(page(cursor="for ever")) == ([], None)


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, {"retCode": 0}, {**page(), "retCode": 10006}, page(category="spread"),
        page({"symbol": "BTCUSDT"}), page(instrument("X", fundingInterval="480")),
        {"retCode": 0, "result": {"category": "linear", "list": {}}},
    ],
)  # fmt: skip
def test_anything_else_is_no_list(body: Any) -> None:
    with pytest.raises(ValueError):
        listed(body)


# -- a capture


class Bybit(Exchange):
    """It refuses a whole request for one wrong topic, and ends who does not ping."""

    patience = 1.0  # the real one waits ten minutes
    symbols = ("BTCUSDT", "ETHUSDT")
    rounds = 0  # of patience that a client was heard in

    async def hear(self, talk: Talk, message: str) -> None:
        told = json.loads(message)
        match told:
            case {"op": "ping"}:
                talk.sent.append("pong")
                await talk.socket.send(_told(True, "pong", "", "ping"))
            case {"op": "subscribe", "args": [*args], "req_id": str(req_id)}:
                await self._subscribe(talk, args, req_id)
            case _:
                await talk.end(f"unexpected: {message}")

    async def _subscribe(self, talk: Talk, args: list[str], req_id: str) -> None:
        if len(json.dumps([*talk.subscribed, *args])) > 21_000 or len(args) > 10:
            await talk.end("too many topics")
            return
        for topic in args:
            why = ""
            if topic.rpartition(".")[2] not in self.symbols:
                why = f"error:handler not found,topic:{topic}"
            elif topic in talk.subscribed:
                why = f"error:already subscribed,topic:{topic}"
            if why:
                await talk.send(_told(False, why, req_id, "subscribe"))
                return
        talk.subscribed.update(args)
        await talk.send(_told(True, "", req_id, "subscribe"))

    async def keep_up(self, talk: Talk) -> None:
        while True:
            pings = sum('"ping"' in message for message in talk.heard)
            await asyncio.sleep(self.patience)
            if pings == sum('"ping"' in message for message in talk.heard):
                await talk.end("no ping")
            self.rounds += 1


def _told(success: bool, ret_msg: str, req_id: str, op: str) -> str:
    told = {"success": success, "ret_msg": ret_msg, "conn_id": "c-1", "req_id": req_id, "op": op}
    return json.dumps(told, separators=(",", ":"))


def pongs(talk: Talk) -> int:
    return talk.sent.count("pong")


@pytest.mark.process
async def test_a_capture_lives_by_the_rules_and_comes_back(tmp_path: Path) -> None:
    exchange = Bybit()
    channels = json.dumps([BTC, NOPE, ETH, "publicTrade.GONEUSDT"])
    async with exchange.open("/v5/public/linear"):
        settings = f'kind = "bybit"\nurl = "{exchange.url}"\nchannels = {channels}\n'
        hasty = {"ping_every": 0.3, "silence": 3.0, "send_every": 0.02}
        async with capturing(tmp_path, "bybit", settings, **hasty) as run:
            await until(lambda: exchange.talks and exchange.talks[0].subscribed == {BTC, ETH})
            await until(lambda: exchange.rounds >= 3)
            assert exchange.complaints == []
            assert len(exchange.talks) == 1
            assert run.lines[0].tally.refused_channels == {NOPE, "publicTrade.GONEUSDT"}
            exchange.talks[0].reset()
            await until(lambda: len(exchange.talks) > 1 and pongs(exchange.talks[1]) >= 2)
            await until(lambda: exchange.talks[1].subscribed == {BTC, ETH})
    assert exchange.complaints == []
