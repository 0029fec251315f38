"""What each feed opens and says, as its service documents it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.plans import plans_of, said

from recorder.errors import ConfigError
from recorder.feed import Options, Plan
from recorder.feeds import KINDS, feed, kinds

KEY = "dsk_" + "0123456789abcdef" * 4


def plans(kind: str, *channels: str, **options: Any) -> dict[str, Plan]:
    """The plans of a feed, by group."""
    return plans_of(feed(kind), *options.pop("channels", channels), **options)


# -- all of them


def test_every_kind_can_be_found() -> None:
    assert set(KINDS) <= set(kinds())
    assert [feed(kind).kind for kind in KINDS] == list(KINDS)


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no feed of kind 'smartmony'") as caught:
        feed("smartmony", where="feeds.mine")
    assert caught.value.where == "feeds.mine"
    assert "'smartmoney'" in caught.value.hint
    assert "generic" in caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
def test_a_feed_s_endpoints_are_encrypted(kind: str) -> None:
    assert all(url.startswith(("wss://", "https://")) for url in feed(kind).endpoints)


@pytest.mark.parametrize("kind", ["cryptolisting", "smartmoney", "binance"])
def test_a_feed_can_be_pointed_elsewhere(kind: str) -> None:
    for plan in plans(kind, url="ws://127.0.0.1:1/x", key="k").values():
        assert all(url.startswith("ws://127.0.0.1:1/x") for url in plan.urls)


@pytest.mark.parametrize("kind", ["cryptolisting", "smartmoney", "binance"])
@pytest.mark.parametrize(
    ("setting", "value"), [("channels", ("no such channel",)), ("subscribe", ("{}",))]
)
def test_what_means_nothing_to_a_feed_is_refused(kind: str, setting: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        plans(kind, **{setting: value})
    assert caught.value.where == f"feeds.here.{setting}"
    assert caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_shows_no_secret(kind: str) -> None:
    secret = "very secret"
    keys = f"{secret}:{secret}"  # some services give two
    options = Options("here", "wss://h/?token=very secret", key=keys, headers={"X": secret})
    assert secret not in repr(options)
    assert secret not in repr(feed(kind).plan(options))


# -- cryptolisting


def test_cryptolisting_sends_its_key_in_a_header_and_says_nothing() -> None:
    [plan] = plans("cryptolisting", key=KEY).values()
    assert plan.urls == ("wss://cryptolisting.ws", "wss://kr.cryptolisting.ws")
    assert plan.headers == {"X-API-Key": KEY}
    assert plan.hello == ()
    assert plan.ping is None
    assert plan.control_ping_every is None  # a client's pings may count as messages


def test_cryptolisting_is_given_the_patience_that_it_asks_for() -> None:
    [plan] = plans("cryptolisting", key=KEY).values()
    assert plan.silence > 60
    assert plan.cadence is None  # announcements are rare
    assert feed("cryptolisting").retry.spacing > 5  # its cooldown per key and address
    assert feed("cryptolisting").retry.longest == 300


def test_cryptolisting_has_one_channel() -> None:
    assert plans("cryptolisting", "announcements")


# -- smartmoney


def test_smartmoney_authenticates_and_then_subscribes() -> None:
    plan = plans("smartmoney", key="k-1")["derivatives"]
    assert plan.urls == ("wss://api.smartmoneyapi.com/ws",)
    assert said(plan) == [
        {"type": "auth", "api_key": "k-1"},
        {"type": "subscribe", "channel": "derivatives:funding"},
        {"type": "subscribe", "channel": "derivatives:liquidations"},
        {"type": "subscribe", "channel": "derivatives:openinterest"},
    ]


def test_smartmoney_pings_every_30_seconds() -> None:
    for plan in plans("smartmoney", key="k").values():
        assert plan.ping is not None
        assert json.loads(plan.ping) == {"type": "ping"}
        assert plan.ping_every == 30
        assert plan.silence > 2 * plan.ping_every


def test_smartmoney_records_every_documented_channel_by_default() -> None:
    every = {channel for plan in plans("smartmoney", key="k").values() for channel in plan.channels}
    assert every == {
        "whales:BTC",
        "whales:ETH",
        "derivatives:funding",
        "derivatives:liquidations",
        "derivatives:openinterest",
        "onchain:flows",
        "signals:confirmation",
        "market:alerts",
        "system:status",
    }


def test_smartmoney_gives_each_data_type_a_connection_of_its_own() -> None:
    groups = plans("smartmoney", "whales:BTC", "market:alerts", "whales:SOL")
    assert {name: plan.channels for name, plan in groups.items()} == {
        "whales": ("whales:BTC", "whales:SOL"),
        "market": ("market:alerts",),
    }


@pytest.mark.parametrize("channel", ["whales", "whales:", ":BTC", ":", ""])
def test_smartmoney_channels_have_two_parts(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans("smartmoney", channel)
    assert caught.value.where == "feeds.here.channels"
    assert "whales:BTC" in caught.value.hint


# -- binance


def test_binance_asks_for_its_streams_in_the_url_of_the_market_route() -> None:
    base = "wss://fstream.binance.com/market/stream?streams="
    assert {name: plan.urls for name, plan in plans("binance").items()} == {
        "liquidations": (base + "!forceOrder@arr",),
        "prices": (base + "!markPrice@arr",),
        "trades": (base + "btcusdt@aggTrade/ethusdt@aggTrade",),
    }


def test_binance_needs_no_key_and_says_nothing() -> None:
    assert feed("binance").key_help is None
    assert all(plan.hello == () and plan.headers == {} for plan in plans("binance").values())


def test_binance_connections_are_renewed_before_they_are_ended() -> None:
    assert {plan.max_age for plan in plans("binance").values()} == {23.5 * 3600}


def test_binance_prices_have_a_cadence_and_liquidations_have_none() -> None:
    cadences = {name: plan.cadence for name, plan in plans("binance").items()}
    assert cadences == {"liquidations": None, "prices": 30.0, "trades": None}


@pytest.mark.parametrize("channel", ["btcusdt", "a/b@c", "x@y&z", "@arr", "btc usdt@trade"])
def test_binance_streams_cannot_smuggle_anything_into_the_url(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plans("binance", channel)
    assert caught.value.where == "feeds.here.channels"


@pytest.mark.parametrize("kind", ["smartmoney", "binance"])
def test_a_channel_named_twice_is_asked_for_once(kind: str) -> None:
    channel = next(iter(feed(kind).channels))
    [plan] = plans(kind, channel, channel).values()
    assert plan.channels == (channel,)


# -- generic


def test_generic_uses_what_the_user_says_and_fills_in_the_key() -> None:
    [plan] = plans(
        "generic",
        url="wss://example.org/ws",
        key="s3",
        headers={"Authorization": "Bearer {key}", "X": "1"},
        subscribe=('{"op":"auth","key":"{key}"}', '{"op":"subscribe"}'),
    ).values()
    assert plan.urls == ("wss://example.org/ws",)
    assert plan.headers == {"Authorization": "Bearer s3", "X": "1"}
    assert plan.hello == ('{"op":"auth","key":"s3"}', '{"op":"subscribe"}')


def test_generic_needs_a_url() -> None:
    with pytest.raises(ConfigError) as caught:
        plans("generic")
    assert caught.value.where == "feeds.here.url"
    assert "wss://" in caught.value.hint


def test_generic_has_no_channels() -> None:
    with pytest.raises(ConfigError) as caught:
        plans("generic", "trades", url="wss://example.org")
    assert caught.value.where == "feeds.here.channels"
    assert "subscribe" in caught.value.hint
