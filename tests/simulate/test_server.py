import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from recorder.simulate import SERVICES
from recorder.simulate.faults import Faults
from recorder.simulate.server import ServiceOptions

from .clients import drained, hear, listings, money, receive, subscribed, talk

pytestmark = pytest.mark.process

AUTH = '{"type":"auth","api_key":"key"}'
FUNDING = '{"type":"subscribe","channel":"derivatives:funding"}'
FLOWS = '{"type":"subscribe","channel":"onchain:flows"}'


async def test_each_service_starts_by_its_name() -> None:
    for name, service in SERVICES.items():
        assert issubclass(service.options, ServiceOptions)
        async with await service.serve(service.options(rate=0)) as server:
            assert server.url.startswith(f"ws://127.0.0.1:{server.port}"), name


async def test_the_log_holds_exactly_the_frames_that_were_sent() -> None:
    async with await money(rate=5000, limit=500, record=True) as server, talk(server) as client:
        for message in (AUTH, FUNDING, FLOWS):
            await client.send(message)
        async with asyncio.timeout(5):
            frames = [await client.recv() for _ in range(3 + 500)]
        log = server.logs[0]
        assert [one.payload.decode() for one in log.sent] == frames
        assert {one.kind for one in log.sent} == {"text"}
        times = [one.time_ns for one in log.sent]
        assert times == sorted(times)
        assert [one.payload.decode() for one in log.received] == [AUTH, FUNDING, FLOWS]


async def test_the_log_can_be_bounded() -> None:
    options: dict[str, Any] = {"rate": 2000, "limit": 20, "record": True, "record_limit": 5}
    async with await listings(**options) as server, hear(server) as client:
        for _ in range(21):
            await receive(client)
        assert len(server.logs[0].sent) == 5


async def test_a_limit_ends_the_events() -> None:
    async with (
        await listings(rate=2000, limit=7, heartbeat_seconds=0.05) as server,
        hear(server) as client,
    ):
        types = [(await receive(client))["type"] for _ in range(10)]
        assert sorted(types)[:7] == ["announcement"] * 7
        assert types.count("announcement") == 7


async def test_two_thousand_events_a_second_arrive_in_full() -> None:
    async with await money(rate=2000) as server, talk(server, compression=None) as client:
        await subscribed(client, "whales:BTC", "derivatives:liquidations")
        told = [json.loads(await client.recv()) for _ in range(1000)]
        kinds = {frame["type"] for frame in told}
        assert kinds == {"whale_update", "liquidation"}


async def test_equal_seeds_send_equal_announcements() -> None:
    told = []
    for _ in range(2):
        async with await listings(rate=1000, seed=5) as server, hear(server) as client:
            frames = [await receive(client) for _ in range(10)]
            told.append([(frame.get("title"), frame.get("ticker")) for frame in frames])
    assert told[0] == told[1]


async def test_the_service_can_drop_every_client_and_go_on() -> None:
    async with await listings(rate=0) as server, hear(server) as client:
        await receive(client)
        await server.drop(1000, "key_invalidated")
        with pytest.raises(ConnectionClosed, match="key_invalidated"):
            await receive(client)
        async with hear(server) as again:
            assert (await receive(again))["type"] == "welcome"


async def test_closing_the_service_closes_its_clients_with_1001() -> None:
    server = await listings(rate=0)
    async with hear(server) as client:
        await receive(client)
        await server.close()
        await server.close()
        await client.wait_closed()
        assert client.close_code == 1001


async def test_a_closed_service_can_come_back_on_its_port() -> None:
    server = await listings(rate=0)
    await server.close()
    async with await listings(rate=0, port=server.port) as again, hear(again) as client:
        await receive(client)
        assert again.url == server.url


async def test_a_service_that_is_cancelled_while_serving_closes() -> None:
    async with await listings(rate=0) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await server.serve_forever()


async def test_what_could_never_run_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        ServiceOptions(rate=-1)


async def test_a_fault_closes_after_so_many_frames_with_its_code() -> None:
    faults = Faults(close_after=(4, 1008, "too_slow"))
    async with await listings(rate=1000, faults=faults) as server, hear(server) as client:
        assert len(await drained(client)) == 4
        assert (client.close_code, client.close_reason) == (1008, "too_slow")


async def test_a_fault_resets_the_connection_without_a_close_frame() -> None:
    async with (
        await listings(rate=1000, faults=Faults(reset_after=4)) as server,
        hear(server) as client,
    ):
        with pytest.raises(ConnectionClosedError) as caught:
            for _ in range(5):
                await client.recv()
        assert caught.value.rcvd is None
        assert client.close_code == 1006


async def test_a_fault_closes_a_connection_before_its_first_frame() -> None:
    async with (
        await money(faults=Faults(accept_then_close=True)) as server,
        talk(server) as client,
    ):
        assert await drained(client) == []
        assert client.close_code == 1001


async def test_a_silent_service_stays_connected_and_answers_nothing() -> None:
    options: dict[str, Any] = {"rate": 1000, "heartbeat_seconds": 0.01, "ping_seconds": 0.02}
    faults = Faults(go_silent_after=3)
    async with (
        await listings(**options, pong_seconds=0.02, faults=faults) as server,
        hear(server) as client,
    ):
        for _ in range(3):
            await receive(client)
        pong = await client.ping()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.15):
                await client.recv()
        assert not pong.done()
        assert len(server.peers) == 1


async def test_every_nth_event_is_garbage_and_the_log_holds_it() -> None:
    options: dict[str, Any] = {"rate": 1000, "limit": 40, "record": True}
    async with (
        await listings(**options, faults=Faults(garbage_every=2)) as server,
        hear(server) as client,
    ):
        frames = [await client.recv() for _ in range(41)]
        assert frames == [one.payload for one in server.logs[0].sent]
        good = [frame for frame in frames if frame.startswith(b'{"type":"announcement","title":"')]
        assert len(good) < 30


async def test_a_refused_handshake_has_the_status_that_was_asked_for() -> None:
    faults = Faults(refuse=503, connections=1)
    async with await listings(rate=0, faults=faults) as server:
        with pytest.raises(InvalidStatus, match="503"):
            async with hear(server):
                pass
        async with hear(server) as client:
            await receive(client)


async def test_only_the_first_connections_are_faulty() -> None:
    faults = Faults(close_after=(1, 1011, "broken"), connections=1)
    async with await listings(rate=1000, faults=faults) as server:
        async with hear(server) as client:
            assert len(await drained(client)) == 1
        async with hear(server) as client:
            for _ in range(5):
                await receive(client)
