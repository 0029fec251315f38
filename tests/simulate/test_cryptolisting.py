import asyncio
import json
import socket
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from recorder.simulate.admission import ConnectionLimits

from .clients import KEY, PATIENCE, drained, eventually, hear, listings, receive, say, until

pytestmark = pytest.mark.process

OTHER_KEY = "dsk_" + "f" * 64


async def refused(server: Any, **options: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as caught:
        async with hear(server, **options):
            pass
    response = caught.value.response
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, json.loads(response.body or b"")


async def closed(client: Any) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            await receive(client)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


async def test_the_first_frame_is_a_welcome_as_the_documentation_shows_it() -> None:
    async with await listings(rate=0) as server, hear(server) as client:
        assert await receive(client) == {
            "type": "welcome",
            "tier": "premium",
            "maxDistinctIps": 2,
            "maxConnectionsPerIp": 5,
            "absoluteMaxConnections": 20,
            "allowedCex": "*",
            "expiresInSecs": 2592000,
        }


async def test_every_frame_is_binary() -> None:
    async with await listings(rate=200, heartbeat_seconds=0.01) as server, hear(server) as client:
        await say(client, type="test")
        for _ in range(10):
            assert isinstance(await client.recv(), bytes)


async def test_new_announcements_carry_detection_and_dispatch_times_in_order() -> None:
    async with await listings(rate=200) as server, hear(server) as client:
        frame = await until(client, "announcement")
        assert set(frame) == {
            *("type", "title", "ticker", "publisher", "listingType", "detectedTimestampUs"),
            *("dispatchTimestampUs", "abnormalDetectionLatency"),
        }
        assert frame["detectedTimestampUs"] <= frame["dispatchTimestampUs"]
        assert 0 <= time.time_ns() // 1000 - frame["dispatchTimestampUs"] < 30_000_000


async def test_the_old_schema_has_the_publication_time_and_other_limits() -> None:
    async with await listings(rate=200, schema="old") as server, hear(server) as client:
        welcome = await receive(client)
        assert welcome["maxConnections"] == 5
        assert "maxDistinctIps" not in welcome
        frame = await until(client, "announcement")
        assert "abnormalDetectionLatency" not in frame
        assert frame["publishTimestampUs"] < frame["detectedTimestampUs"]


async def test_two_clients_get_the_same_announcements() -> None:
    async with await listings(rate=500) as server, hear(server) as first, hear(server) as second:
        frame = await until(second, "announcement")
        assert frame in [await until(first, "announcement") for _ in range(100)]


async def test_the_heartbeat_tells_one_time_in_two_forms() -> None:
    options = {"rate": 0, "heartbeat_seconds": 0.01, "clock": lambda: 1_710_345_030_123_456_789}
    async with await listings(**options) as server, hear(server) as client:
        assert await until(client, "heartbeat") == {
            "type": "heartbeat",
            "timestampNs": 1_710_345_030_123_456_789,
            "timeUtc": "2024-03-13T15:50:30.123456Z",
        }


async def test_cex_lets_only_the_named_publishers_through() -> None:
    async with (
        await listings(rate=1000) as server,
        hear(server, query="?cex=upbit,Bithumb") as client,
    ):
        seen = {(await until(client, "announcement"))["publisher"] for _ in range(30)}
        assert seen == {"upbit", "bithumb"}


async def test_without_overlap_of_key_and_cex_there_are_only_heartbeats() -> None:
    options = {"rate": 2000, "allowed_cex": frozenset({"upbit"}), "heartbeat_seconds": 0.02}
    async with await listings(**options) as server, hear(server, query="?cex=binance") as client:
        assert (await receive(client))["allowedCex"] == "upbit"
        assert {(await receive(client))["type"] for _ in range(4)} == {"heartbeat"}


async def test_the_free_tier_hides_tickers_and_titles_of_listings() -> None:
    async with await listings(rate=1000, tier="free") as server, hear(server) as client:
        assert (await receive(client))["tier"] == "free"
        for _ in range(30):
            frame = await until(client, "announcement")
            assert frame["ticker"] == ""
            upgrade = frame["title"].startswith("Upgrade")
            assert upgrade == (frame["listingType"] != "not_listing")


async def test_handshakes_without_a_good_key_are_refused() -> None:
    async with await listings(keys=frozenset({KEY})) as server:
        assert await refused(server, key=None) == (401, {"error": "missing_api_key"})
        for bad in ("dsk_short", KEY.upper(), OTHER_KEY):
            assert await refused(server, key=bad) == (403, {"error": "invalid_api_key"})
        assert server.refused == 4


async def test_a_request_that_is_no_upgrade_is_answered_with_426() -> None:
    async with await listings() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).split()[1] == b"426"
        writer.close()
        await writer.wait_closed()


async def test_a_second_connection_within_the_cooldown_is_refused() -> None:
    async with await listings(limits=ConnectionLimits()) as server, hear(server):
        body = {"error": "connection_cooldown", "retry_after_s": 5}
        assert await refused(server) == (429, body)


async def test_a_key_has_a_limited_number_of_connections_per_address() -> None:
    limits = ConnectionLimits(cooldown_seconds=0, per_key_and_address=1)
    async with (
        await listings(limits=limits) as server,
        hear(server) as client,
    ):
        await receive(client)
        assert await refused(server) == (429, {"error": "per_ip_connection_limit_reached"})
        async with hear(server, key=OTHER_KEY):
            pass


async def test_an_expired_key_is_closed_with_1000_key_expired() -> None:
    async with await listings(expired_keys=frozenset({KEY})) as server, hear(server) as client:
        assert await closed(client) == (1000, "key_expired")


async def test_a_test_is_answered_once_a_minute_per_key() -> None:
    async with await listings(rate=0) as server, hear(server) as client:
        await say(client, type="test")
        assert (await until(client, "test_announcement"))["ticker"] == "DUMMYTOKEN"
        await say(client, type="test")
        limited = {"type": "error", "code": "test_rate_limited", "retryAfterSecs": 60}
        assert await receive(client) == limited
        async with hear(server, key=OTHER_KEY) as other:
            await say(other, type="test")
            await until(other, "test_announcement")


async def test_a_fourth_message_in_a_minute_closes_with_1008() -> None:
    async with await listings(rate=0) as server, hear(server) as client:
        for _ in range(4):
            await client.send("hello")
        assert await closed(client) == (1008, "rate_limit_exceeded")


async def test_pings_are_no_messages() -> None:
    async with await listings(rate=0) as server, hear(server) as client:
        for _ in range(6):
            await (await client.ping())
        assert client.close_code is None


async def test_a_message_over_one_kilobyte_closes_with_1009() -> None:
    async with await listings(rate=0) as server, hear(server) as client:
        await client.send("x" * 1025)
        assert await closed(client) == (1009, "frame_too_large")


async def test_a_client_that_falls_behind_is_closed_with_1008_too_slow() -> None:
    async with await listings(rate=3000, record=True) as server:
        server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", server.port))
        async with hear(server, sock=raw, max_queue=1) as client:
            await eventually(lambda: server.logs and not any(peer.open for peer in server.peers))
            frames = await drained(client)
            assert (client.close_code, client.close_reason) == (1008, "too_slow")
            assert frames == [one.payload for one in server.logs[0].sent]


async def test_a_client_that_answers_no_ping_is_disconnected() -> None:
    async with (
        await listings(rate=0, ping_seconds=0.02, pong_seconds=0.05) as server,
        hear(server) as client,
    ):
        await receive(client)
        client.transport.pause_reading()
        await eventually(lambda: not any(peer.open for peer in server.peers))
        client.transport.resume_reading()
        await drained(client)
        assert client.close_code == 1011
