import asyncio
import time
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .clients import money, receive, say, subscribed, talk, until

pytestmark = pytest.mark.process

CHANNELS = {
    "whales:ANYCOIN": ("whale_update", {"wallet", "asset", "size_usd"}),
    "derivatives:funding": ("funding_rate", {"symbol", "rate", "exchange"}),
    "derivatives:liquidations": ("liquidation", {"symbol", "price", "size_usd"}),
    "derivatives:openinterest": ("open_interest", {"symbol", "exchange", "open_interest_usd"}),
    "onchain:flows": ("exchange_flow", {"asset", "exchange", "direction", "amount_usd"}),
    "signals:confirmation": ("signal", {"symbol", "signal_type"}),
    "market:alerts": ("alert", {"alert_type", "message"}),
    "system:status": ("status", {"status", "message"}),
}
QUICK: dict[str, Any] = {"rate": 1000, "heartbeat_seconds": 0.02}


async def test_only_the_documented_path_is_served() -> None:
    async with await money() as server:
        with pytest.raises(InvalidStatus, match="404"):
            async with connect(server.url + "/elsewhere", proxy=None):
                pass


async def test_a_good_key_is_acknowledged() -> None:
    async with await money(keys=frozenset({"good"})) as server, talk(server) as client:
        await say(client, type="auth", api_key="good")
        assert await receive(client) == {"type": "authenticated"}


@pytest.mark.parametrize("key", ["bad", "", None, 7, ["good"]])
async def test_a_refused_key_gets_an_error_and_close_code_4001(key: object) -> None:
    async with await money(keys=frozenset({"good"})) as server, talk(server) as client:
        await say(client, type="auth", api_key=key)
        error = await receive(client)
        assert (error["type"], error["code"]) == ("error", "invalid_api_key")
        with pytest.raises(ConnectionClosed):
            await receive(client)
        assert (client.close_code, client.close_reason) == (4001, "invalid api key")


async def test_a_subscription_before_authentication_is_an_error() -> None:
    async with await money() as server, talk(server) as client:
        await say(client, type="subscribe", channel="whales:BTC")
        assert (await receive(client))["code"] == "not_authenticated"


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_subscribed_channel_brings_its_events(channel: str) -> None:
    async with await money(**QUICK, shape="wrapped") as server, talk(server) as client:
        await subscribed(client, channel)
        type_, fields = CHANNELS[channel]
        frame = await receive(client)
        assert (frame["type"], frame["channel"]) == (type_, channel)
        assert fields < set(frame["payload"])


@pytest.mark.parametrize("channel", list(CHANNELS)[:3])
async def test_without_extension_events_have_exactly_the_documented_fields(channel: str) -> None:
    async with (
        await money(**QUICK, shape="flat", extended=False) as server,
        talk(server) as client,
    ):
        await subscribed(client, channel)
        type_, fields = CHANNELS[channel]
        frame = await receive(client)
        assert frame.pop("type") == type_
        assert set(frame) == fields


async def test_extended_events_carry_a_recent_time_in_milliseconds() -> None:
    async with await money(**QUICK, shape="flat") as server, talk(server) as client:
        await subscribed(client, "derivatives:liquidations")
        frame = await receive(client)
        assert 0 <= time.time() * 1000 - frame["timestamp"] < 30_000
        assert {"exchange", "side", "quantity"} < set(frame)


async def test_mixed_frames_are_flat_and_wrapped_in_turns() -> None:
    async with await money(**QUICK) as server, talk(server) as client:
        await subscribed(client, "derivatives:funding")
        shapes = ["payload" in await receive(client) for _ in range(6)]
        assert shapes in ([True, False] * 3, [False, True] * 3)


async def test_frames_are_text() -> None:
    async with await money(**QUICK) as server, talk(server) as client:
        await subscribed(client, "whales:BTC")
        assert isinstance(await client.recv(), str)


async def test_a_subscription_is_acknowledged_before_its_first_event() -> None:
    async with await money(**QUICK) as server, talk(server) as client:
        await say(client, type="auth", api_key="key")
        await say(client, type="subscribe", channel="whales:BTC")
        assert await receive(client) == {"type": "authenticated"}
        assert await receive(client) == {"type": "subscribed", "channel": "whales:BTC"}


async def test_an_unknown_channel_is_an_error_and_the_rest_goes_on() -> None:
    async with await money(**QUICK) as server, talk(server) as client:
        await subscribed(client, "signals:confirmation")
        for unknown in ("nonsense", "whales:", 7):
            await say(client, type="subscribe", channel=unknown)
            error = await until(client, "error")
            assert (error["code"], error["channel"]) == ("unknown_channel", unknown)
        await until(client, "signal")


async def test_after_unsubscribing_a_channel_is_silent_and_others_go_on() -> None:
    async with await money(**QUICK) as server, talk(server) as client:
        await subscribed(client, "derivatives:funding", "market:alerts")
        await say(client, type="unsubscribe", channel="derivatives:funding")
        assert (await until(client, "unsubscribed"))["channel"] == "derivatives:funding"
        assert {(await receive(client))["type"] for _ in range(20)} == {"alert"}


async def test_two_clients_get_only_their_own_channels() -> None:
    async with await money(**QUICK) as server, talk(server) as one, talk(server) as two:
        await subscribed(one, "derivatives:funding")
        await subscribed(two, "market:alerts")
        assert {(await receive(one))["type"] for _ in range(10)} == {"funding_rate"}
        assert {(await receive(two))["type"] for _ in range(10)} == {"alert"}


async def test_two_clients_of_one_channel_get_the_same_frames() -> None:
    async with await money(**QUICK) as server, talk(server) as one, talk(server) as two:
        await subscribed(one, "whales:ETH")
        await subscribed(two, "whales:ETH")
        frame = await receive(two)
        assert frame in [await receive(one) for _ in range(50)]


async def test_a_ping_message_gets_a_pong_message_even_before_authentication() -> None:
    async with await money() as server, talk(server) as client:
        await say(client, type="ping")
        assert await receive(client) == {"type": "pong"}


async def test_websocket_pings_are_answered() -> None:
    async with await money() as server, talk(server) as client:
        async with asyncio.timeout(5):
            assert await (await client.ping()) >= 0


@pytest.mark.parametrize("message", ["not json", "[]", b"\xff", '{"type": []}', "{}"])
async def test_what_is_no_command_is_an_error(message: str | bytes) -> None:
    async with await money() as server, talk(server) as client:
        await client.send(message)
        assert (await receive(client))["type"] == "error"
