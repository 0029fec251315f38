"""Deribit: what is said to it, what it refuses, and a capture of an exchange by its rules."""

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

FEED = feed("deribit")
BTC, ETH = "trades.BTC-PERPETUAL.100ms", "trades.ETH-PERPETUAL.100ms"
TEST_REQUEST = {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}


plans = partial(plans_of, FEED)


# -- plans


def test_a_heartbeat_is_asked_for_and_then_all_channels_at_once() -> None:
    heartbeat, subscription = said(plans(BTC, ETH)["trades"])
    assert heartbeat == {
        "jsonrpc": "2.0",
        "id": "heartbeat",
        "method": "public/set_heartbeat",
        "params": {"interval": 30},
    }
    assert subscription == {
        "jsonrpc": "2.0",
        "id": f"subscribe {BTC} {ETH}",
        "method": "public/subscribe",
        "params": {"channels": [BTC, ETH]},
    }


def test_each_data_type_has_a_connection_of_its_own() -> None:
    quote, book = "quote.BTC-PERPETUAL", "book.BTC-PERPETUAL.none.20.100ms"
    ticker, perpetual = "ticker.BTC-PERPETUAL.100ms", "perpetual.BTC-PERPETUAL.agg2"
    found = plans(ticker, BTC, perpetual, quote, book, "trades.future.any.100ms")
    assert {group: plan.channels for group, plan in found.items()} == {
        "prices": (ticker, perpetual),
        "trades": (BTC, "trades.future.any.100ms"),
        "books": (quote, book),
    }
    assert {plan.urls for plan in found.values()} == {("wss://www.deribit.com/ws/api/v2",)}
    assert {group: plan.cadence for group, plan in found.items()} == {
        "prices": 60.0,
        "trades": None,
        "books": None,
    }


def test_requests_stay_below_the_limit_and_their_ids_short_and_unlike() -> None:
    channels = [f"trades.C{n}_USDC-PERPETUAL.100ms" for n in range(450)]
    found = plans(*channels)
    assert list(found) == ["trades", "trades 2", "trades 3"]
    asked = [message for plan in found.values() for message in said(plan)[1:]]
    assert [c for message in asked for c in message["params"]["channels"]] == channels
    assert len({message["id"] for message in asked}) == len(asked)
    assert max(len(message["id"]) for message in asked) < 1_000
    assert all(1 / plan.send_every < 3.3 for plan in found.values())


def test_silence_waits_for_two_heartbeats() -> None:
    assert all(plan.silence > 60 and plan.ping is None for plan in plans().values())


@pytest.mark.parametrize(
    "channel",
    ["trades", "ticker.BTC-PERPETUAL.raw", "ticker.*.100ms", "user.orders.BTC-PERPETUAL.100ms",
     "trades..100ms", "quote.BTC PERPETUAL", "no such channel", ""],
)  # fmt: skip
def test_nonsense_is_no_channel(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans(channel)
    assert caught.value.where == "feeds.here.channels"
    assert BTC in caught.value.hint


def test_every_channel_that_is_offered_can_be_planned() -> None:
    assert plans(*FEED.channels)
    assert set(plans()) == {"prices", "trades"}
    assert FEED.key_help is None


def test_what_means_nothing_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        plans(subscribe=("{}",))
    assert caught.value.where == "feeds.here.subscribe"


def test_a_living_connection_is_told_what_changed() -> None:
    sol = "trades.SOL_USDC-PERPETUAL.100ms"
    old, new = plans(BTC, ETH)["trades"], plans(ETH, sol)["trades"]
    told = resubscribe(FEED, old, new)
    assert told is not None
    methods = [(m["method"], m["params"]["channels"]) for m in map(json.loads, told)]
    assert methods == [("public/unsubscribe", [BTC]), ("public/subscribe", [sol])]
    assert resubscribe(FEED, old, plans(BTC, url="ws://127.0.0.1:1/")["trades"]) is None


# -- notices


def noticed(payload: dict[str, Any]) -> Notice | None:
    data = json.dumps(payload).encode()
    assert FEED.control is not None
    return FEED.notice(data) if FEED.control.search(data, 0, 200) else None


def answer(asked: object, **more: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": asked, **more, "usIn": 1, "usOut": 2, "testnet": False}


def test_a_question_whether_we_live_is_answered_without_a_word() -> None:
    notice = noticed(TEST_REQUEST)
    assert notice is not None
    assert (notice.text, notice.verdict, notice.refused_channel) == ("", None, None)
    assert json.loads(notice.reply or "")["method"] == "public/test"


@pytest.mark.parametrize(
    "frame",
    [
        {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "heartbeat"}},
        {"jsonrpc": "2.0", "method": "heartbeat"},
        answer(f"subscribe {BTC} {ETH}", result=[ETH, BTC]),
        answer(f"unsubscribe {BTC}", result=[]),
        answer("heartbeat", result="ok"),
        answer("test", result={"version": "1.2.26"}),
        answer(3, result=[]),
        {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": BTC, "data": []}},
    ],
)
def test_other_frames_are_no_notice(frame: dict[str, Any]) -> None:
    assert noticed(frame) is None


def test_a_channel_that_the_answer_leaves_out_was_refused() -> None:
    notice = noticed(answer(f"subscribe {BTC} {ETH}", result=[ETH]))
    text = f"channel refused: {BTC}: not among those accepted"
    assert notice == Notice(text, refused_channel=BTC)


def test_of_several_refused_channels_the_text_names_all() -> None:
    notice = noticed(answer(f"subscribe {BTC} {ETH} quote.X", result=[]))
    assert notice is not None
    assert notice.refused_channel == BTC
    assert all(name in notice.text for name in (BTC, ETH, "quote.X"))


def test_a_long_id_is_still_noticed() -> None:
    channels = [f"trades.C{n}_USDC-PERPETUAL.100ms" for n in range(20)]
    [_, request] = plans(*channels)["trades"].hello
    notice = noticed(answer(json.loads(request)["id"], result=channels[:-1]))
    assert notice is not None
    assert notice.refused_channel == channels[-1]


def test_a_refused_request_names_its_first_channel() -> None:
    failed = {"code": 13778, "message": "raw_subscriptions_not_available_for_unauthorized"}
    notice = noticed(answer(f"subscribe {BTC}", error=failed))
    assert notice is not None
    assert notice.refused_channel == BTC
    assert "13778 raw_subscriptions" in notice.text


def test_too_many_requests_end_the_connection_for_a_while() -> None:
    failed = {"code": 10028, "message": "too_many_requests", "data": None}
    for asked in (1, f"subscribe {BTC}"):
        notice = noticed(answer(asked, error=failed))
        assert notice is not None
        assert notice.verdict is not None
        assert (notice.verdict.fatal, notice.verdict.wait) == (False, 30.0)
        assert notice.refused_channel is None


@pytest.mark.parametrize("failed", [{"code": -32602, "message": "Invalid params"}, "no", 7, {}])
def test_other_errors_are_told_and_end_nothing(failed: Any) -> None:
    notice = noticed(answer("heartbeat", error=failed))
    assert notice is not None
    assert notice.text.startswith("the service reports:")
    assert (notice.refused_channel, notice.verdict, notice.reply) == (None, None, None)


# -- the list of instruments


def listed(body: Any) -> Any:
    assert FEED.catalogue is not None
    return FEED.catalogue.read(json.dumps(body).encode())


def instrument(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "tick_size": 0.5, "settlement_period": "perpetual", "settlement_currency": "BTC",
        "quote_currency": "USD", "min_trade_amount": 10, "kind": "future", "is_active": True,
        "instrument_name": name, "instrument_id": 124972, "instrument_type": "reversed",
        "counter_currency": "USD", "contract_size": 10, "base_currency": "BTC", "state": "open",
        **changed,
    }  # fmt: skip


def test_the_list_says_whether_a_size_is_dollars_or_coins() -> None:
    linear = {"instrument_type": "linear", "quote_currency": "USDC", "counter_currency": "USDC"}
    body = {
        "jsonrpc": "2.0",
        "result": [
            instrument("BTC-PERPETUAL"),
            instrument("BTC-29SEP23", settlement_period="month"),
            instrument("SOL_USDC-PERPETUAL", **linear),
            instrument("ETH_BTC-PERPETUAL", **{**linear, "counter_currency": "BTC"}),
            instrument("X-PERPETUAL", instrument_type="of tomorrow"),
            instrument("GONE-PERPETUAL", is_active=False),
        ],
    }
    assert sizes(listed(body)) == (
        [
            Instrument("BTC-PERPETUAL", "BTC-PERPETUAL", 1.0, "usd", 8.0),
            Instrument("BTC-29SEP23", "BTC-29SEP23", 1.0, "usd", None),
            Instrument("SOL_USDC-PERPETUAL", "SOL_USDC-PERPETUAL", 1.0, "base", 8.0),
            Instrument("ETH_BTC-PERPETUAL", "ETH_BTC-PERPETUAL", 1.0, "base", 8.0),
            Instrument("X-PERPETUAL", "X-PERPETUAL", None, None, 8.0),
        ],
        None,
    )


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, {"error": {"code": 10028}}, {"result": {}}, {"result": []}, {"result": [7]},
        {"result": [{"instrument_name": "BTC-PERPETUAL"}]},
        {"result": [instrument("a b")]}, {"result": [instrument("X", is_active="yes")]},
    ],
)  # fmt: skip
def test_anything_else_is_no_list(body: Any) -> None:
    with pytest.raises(ValueError, match=r"list|instrument"):
        listed(body)


@pytest.mark.parametrize("kind", ["linear", "reversed", None, {}])
@pytest.mark.parametrize("unit", [[1], {"a": 1}, 7, None])
def test_an_odd_contract_is_an_unknown_one(kind: Any, unit: Any) -> None:
    odd = instrument("X", instrument_type=kind, counter_currency=unit, quote_currency=unit)
    size, known = (1.0, "base") if kind == "linear" else (None, None)
    found = listed({"result": [odd]})
    assert sizes(found)[0] == [Instrument("X", "X", size, known, 8.0)]
    assert found[0][0].quote is None


def test_the_list_names_coins_currencies_and_kinds() -> None:
    option = {"kind": "option", "instrument_type": "reversed", "quote_currency": "BTC"}
    spot = {"kind": "spot", "instrument_type": "linear", "quote_currency": "USDC"}
    found = listed({"result": [
        instrument("BTC-PERPETUAL"), instrument("BTC-25DEC26-90000-C", **option),
        instrument("BTC_USDC", **spot),
    ]})  # fmt: skip
    same = {"base": "BTC", "settle": "BTC", "tick_size": 0.5, "lot_size": 10.0, "state": "open"}
    assert names(found) == [
        Instrument("BTC-PERPETUAL", "BTC-PERPETUAL", **same, quote="USD", kind="perpetual",
                   contract_type="inverse"),
        Instrument("BTC-25DEC26-90000-C", "BTC-25DEC26-90000-C", **same, quote="BTC",
                   kind="option", contract_type="inverse"),
        Instrument("BTC_USDC", "BTC_USDC", **same, quote="USDC", kind="spot"),
    ]  # fmt: skip
    assert [one.contract_unit for one in found[0]] == ["usd", "base", "base"]


# -- a capture


class Deribit(Exchange):
    """It lists what it accepts, asks whether the client lives, and ends those that do not say."""

    beat = 0.3  # the real one has 30 s
    channels = (BTC, ETH)

    async def hear(self, talk: Talk, message: str) -> None:
        told = json.loads(message)
        match told["method"]:
            case "public/set_heartbeat":
                result: object = "ok"
            case "public/test":
                result = {"version": "1.2.26"}
            case "public/subscribe":
                accepted = [c for c in told["params"]["channels"] if c in self.channels]
                talk.subscribed.update(accepted)
                result = accepted
            case _:
                await talk.end(f"unexpected: {message}")
                return
        await talk.send(json.dumps(answer(told["id"], result=result)))

    async def keep_up(self, talk: Talk) -> None:
        while True:
            before = answers(talk)
            await asyncio.sleep(self.beat)
            await talk.send(json.dumps(TEST_REQUEST))
            await asyncio.sleep(self.beat)
            if answers(talk) == before:
                await talk.end("a test request was not answered")


def answers(talk: Talk) -> int:
    """How often the client said that it lives."""
    return sum('"public/test"' in message for message in talk.heard)


@pytest.mark.process
async def test_a_capture_lives_by_the_rules_and_comes_back(tmp_path: Path) -> None:
    exchange = Deribit()
    nope = "trades.NOPE-PERPETUAL.100ms"
    channels = json.dumps([BTC, nope, ETH])
    async with exchange.open():
        settings = f'kind = "deribit"\nurl = "{exchange.url}"\nchannels = {channels}\n'
        async with capturing(tmp_path, "deribit", settings, silence=3.0, send_every=0.05) as run:
            await until(lambda: exchange.talks and answers(exchange.talks[0]) >= 3)
            assert exchange.complaints == []
            assert len(exchange.talks) == 1
            assert exchange.talks[0].subscribed == {BTC, ETH}
            assert run.lines[0].tally.refused_channels == {nope}
            exchange.talks[0].reset()
            await until(lambda: len(exchange.talks) > 1 and answers(exchange.talks[1]) >= 2)
            assert exchange.talks[1].subscribed == {BTC, ETH}
    assert exchange.complaints == []
