"""The replay server and its clients: what they get, when, and how they are treated."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

import recorder
from recorder.errors import BusyError, DataError
from recorder.player.server import Address, listening

from .records import MS, T0, frames_of, marker, write
from .serving import closing, eventually, everything, serving

pytestmark = pytest.mark.process

AUTH = json.dumps({"type": "auth", "api_key": "any"})


def subscribe(*channels: str) -> list[str]:
    return [json.dumps({"type": "subscribe", "channel": channel}) for channel in channels]


def received(root: Path, feed: str) -> list[str | bytes]:
    """What the record holds of a feed, as a client would get it."""
    return [
        frame.payload.decode() if frame.kind == "text" else frame.payload
        for frame in recorder.replay(feed, data_dir=root)
        if frame.kind in {"text", "binary"}
    ]


async def test_a_client_gets_every_frame_with_its_opcode_and_bytes(tmp_path: Path) -> None:
    texts = [b'{"n":%d}' % i for i in range(500)] + [b"", b"x" * 125, b"x" * 126, b"x" * 70_000]
    frames = [
        frame._replace(kind="binary" if i % 3 == 0 else "text")
        for i, frame in enumerate(frames_of(texts))
    ]
    write(tmp_path, "mine", frames, group=100)
    expected = received(tmp_path, "mine")
    async with serving(tmp_path) as served, served.client(max_size=None) as client:
        assert await everything(client, len(expected)) == expected
        await served.ended()


async def test_a_client_gets_what_it_subscribed_to_until_it_leaves_it(sample: Path) -> None:
    async with serving(sample, ["smartmoney"], stay=True) as served, served.client("/ws") as client:
        for message in (AUTH, *subscribe("derivatives:funding", "whales:BTC")):
            await client.send(message)
        await eventually(lambda: served.stage.state == "ended")
        await client.send('{"type":"ping"}')
        found = []
        while (message := (await everything(client, 1))[0]) != '{"type":"pong"}':
            found.append(json.loads(message))
    assert [m["type"] for m in found[:3]] == ["authenticated", "subscribed", "subscribed"]
    kinds = {m["type"] for m in found[3:]}
    assert kinds == {"funding_rate", "whale_update"}
    every = [json.loads(text) for text in received(sample, "smartmoney")]
    whales = [m for m in every if m["type"] == "whale_update"]
    of_btc = [m for m in whales if m.get("payload", m)["asset"] == "BTC"]
    assert [m for m in found if m["type"] == "whale_update"] == of_btc
    assert 0 < len(of_btc) < len(whales)


async def test_a_client_that_asks_for_nothing_gets_everything(sample: Path) -> None:
    async with serving(sample, ["smartmoney"]) as served, served.client() as client:
        await client.send(AUTH)
        await served.ended()
        [first, *rest] = await everything(client, 1 + served.stage.sent)
    assert json.loads(first) == {"type": "authenticated"}
    assert {json.loads(m)["type"] for m in rest} >= {"whale_update", "liquidation", "alert"}


async def test_a_service_with_a_key_in_the_header_and_a_filter_in_the_url(sample: Path) -> None:
    async with serving(sample, ["cryptolisting"]) as served:
        with pytest.raises(InvalidStatus) as refused:
            await served.client("/?cex=upbit")
        assert refused.value.response.status_code == 401
        headers = {"X-API-Key": "dsk_any"}
        async with served.client("/?cex=upbit", additional_headers=headers) as client:
            await served.ended()
            [welcome] = await everything(client, 1)
            told = json.loads(welcome)
            assert (told["type"], told["allowedCex"]) == ("welcome", "upbit")
            expected = [m for m in received(sample, "cryptolisting") if b'"publisher":"upbit"' in m]
            assert expected
            found = await everything(client, len(expected))
            assert found == expected
            assert all(isinstance(message, bytes) for message in found)


async def test_a_heartbeat_comes_in_time(sample: Path) -> None:
    from recorder.services.cryptolisting import SERVICE

    quick = {"cryptolisting": replace(SERVICE, beat_seconds=0.05)}
    headers = {"X-API-Key": "k"}
    async with (
        serving(sample, ["cryptolisting"], clients=2, services_of=quick) as served,
        served.client(additional_headers=headers) as client,
    ):
        [_, one, two] = map(json.loads, await everything(client, 3))
    assert one["type"] == two["type"] == "heartbeat"
    assert two["timestampNs"] > one["timestampNs"]


async def test_several_feeds_at_their_paths_play_on_one_clock(tmp_path: Path) -> None:
    write(tmp_path, "a", frames_of([b"a%d" % i for i in range(50)], step=2 * MS))
    late = frames_of([b"b%d" % i for i in range(50)], at=T0 + MS, step=2 * MS, connection=2)
    write(tmp_path, "b", late, run=2)
    async with (
        serving(tmp_path, speed=1, clients=2) as served,
        served.client("/a") as first,
        served.client("/b/whatever?x=1") as second,
    ):
        with pytest.raises(InvalidStatus) as refused:
            await served.client("/nonsense")
        assert refused.value.response.status_code == 404
        found: list[str | bytes] = []

        await served.ended()
        for client in (first, second):
            found += await everything(client, 50)
    assert [m for m in found if m[0] == "a"] == [f"a{i}" for i in range(50)]
    assert [m for m in found if m[0] == "b"] == [f"b{i}" for i in range(50)]
    assert served.stage.sent == 100


async def test_clients_at_once_get_the_same(tmp_path: Path) -> None:
    write(tmp_path, "a", frames_of([b"%d" % i for i in range(3000)]))
    async with serving(tmp_path, clients=3) as served:
        clients = [await served.client() for _ in range(3)]
        found = await asyncio.gather(*(everything(client, 3000) for client in clients))
        assert found == [[str(i) for i in range(3000)]] * 3
        for client in clients:
            await client.close()


# -- keys and origins


async def test_only_the_key_that_was_set_is_accepted(sample: Path, tmp_path: Path) -> None:
    write(tmp_path, "mine", frames_of([b"1"]))
    async with serving(tmp_path, key="s3cret") as served:
        for path in ("/", "/?key=wrong", "/control"):
            with pytest.raises(InvalidStatus) as refused:
                await served.client(path)
            assert refused.value.response.status_code == 403
        async with served.client("/?key=s3cret") as client:
            assert await everything(client, 1) == ["1"]
    async with serving(sample, ["smartmoney"], key="s3cret") as served:
        async with served.client() as client:
            await client.send(AUTH)
            code, _, found = await closing(client)
            assert code == 4001
            assert all("error" in str(message) for message in found)
        assert served.stage.sent == 0


async def test_a_page_of_another_origin_may_not_connect(tmp_path: Path) -> None:
    write(tmp_path, "mine", frames_of([b"1"]))
    async with serving(tmp_path) as served:
        for path in ("/", "/control"):
            with pytest.raises(InvalidStatus) as refused:
                await served.client(path, origin="https://evil.example")
            assert refused.value.response.status_code == 403
        async with served.client(origin="http://localhost:8000") as client:
            assert await everything(client, 1) == ["1"]


# -- control


async def test_the_control_channel_pauses_seeks_and_tells(tmp_path: Path) -> None:
    write(tmp_path, "mine", frames_of([b"%d" % i for i in range(100)], step=1000 * MS))
    async with (
        serving(tmp_path, speed=1, stay=True) as served,
        served.client("/control") as control,
        served.client() as client,
    ):

        async def ask(**command: object) -> dict[str, object]:
            await control.send(json.dumps(command))
            [answer] = await everything(control, 1)
            told = json.loads(answer)
            assert isinstance(told, dict)
            return told

        assert await everything(client, 1) == ["0"]
        told = await ask(do="pause")
        assert told["state"] == "paused"
        assert told["clients"] == {"mine": 1}
        assert told["speed"] == 1.0
        await ask(do="seek", to=T0 + 90_000 * MS)
        assert (await ask(do="speed", speed="max"))["speed"] == "max"
        assert (await ask(do="resume"))["state"] != "paused"
        assert await everything(client, 10) == [str(i) for i in range(90, 100)]
        await eventually(lambda: served.stage.state == "ended")
        assert (await ask(do="status"))["state"] == "ended"
        await ask(do="seek", to="2026-09-21T14:14:58Z")
        assert await everything(client, 2) == ["98", "99"]
        for wrong in ({"do": "jump"}, {"do": "seek"}, {"do": "seek", "to": "x"}, {"do": "speed"}):
            assert "error" in await ask(**wrong)
        await control.send("garbage")
        assert "error" in json.loads((await everything(control, 1))[0])


async def test_a_loop_begins_again(tmp_path: Path) -> None:
    write(tmp_path, "mine", frames_of([b"1", b"2", b"3"]))
    async with serving(tmp_path, loop=True) as served, served.client() as client:
        assert await everything(client, 9) == ["1", "2", "3"] * 3


async def test_from_now_moves_the_times_that_frames_carry(sample: Path) -> None:
    headers = {"X-API-Key": "k"}
    async with (
        serving(sample, ["cryptolisting"], from_now=True) as served,
        served.client(additional_headers=headers) as client,
    ):
        await served.ended()
        [_, first] = await everything(client, 2)
    original = json.loads(
        next(m for m in received(sample, "cryptolisting") if b'"announcement"' in m)
    )
    moved = json.loads(first)
    by = served.stage.shift_ns // 1000
    assert by > 0
    for name in ("publishTimestampUs", "dispatchTimestampUs"):
        assert moved.pop(name) == original.pop(name) + by
    moved.pop("detectedTimestampUs"), original.pop("detectedTimestampUs")
    assert moved == original


# -- disconnects, gaps, lines


async def test_recorded_disconnects_are_repeated_where_asked_for(tmp_path: Path) -> None:
    frames = [
        marker("open", T0),
        *frames_of([b"1"], at=T0 + MS, seq=1),
        marker("closed", T0 + 2 * MS, 2, opened=True, code=1001, reason="going away"),
        marker("open", T0 + 3 * MS, 0, 2),
        *frames_of([b"2"], at=T0 + 4000 * MS, seq=1, connection=2),
    ]
    write(tmp_path, "mine", frames)
    async with serving(tmp_path, speed=1, drops=True) as served:
        async with served.client() as client:
            assert await closing(client) == (1001, "going away", ["1"])
        async with served.client() as client:
            assert await everything(client, 1) == ["2"]
    said = dict(served.said)
    assert "going away" in str(said["gap"]["what"])


async def test_frames_that_came_on_two_lines_are_sent_once(tmp_path: Path) -> None:
    one = frames_of([b"x", b"same", b"same", b"only A"], at=T0 + 10 * MS, seq=1)
    two = frames_of([b"x", b"same", b"same", b"only B"], at=T0 + 10 * MS + 5, seq=1, connection=2)
    frames = [marker("open", T0), marker("open", T0 + 1, connection=2, line="B"), *one, *two]
    write(tmp_path, "mine", sorted(frames, key=lambda f: f.recv_ns))
    async with serving(tmp_path) as served, served.client() as client:
        await served.ended()
        assert await everything(client, 5) == ["x", "same", "same", "only A", "only B"]
    assert served.stage.sent == 5


# -- bad clients


async def test_garbage_and_floods_end_only_the_client_that_sends_them(tmp_path: Path) -> None:
    write(tmp_path, "mine", frames_of([b"%d" % i for i in range(5)]))
    async with serving(tmp_path, clients=2) as served, served.client() as good:
        for garbage in (b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(garbage)
            writer.write_eof()
            async with asyncio.timeout(20):
                await reader.read()
            writer.close()
        async with served.client() as flooding:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(3000):
                    await flooding.send("spam")
            assert (await closing(flooding))[0] == 1008
        async with served.client() as huge:
            with contextlib.suppress(ConnectionClosed):
                await huge.send("x" * (3 << 20))
            assert (await closing(huge))[0] == 1009
        async with served.client() as other:
            assert await everything(good, 5) == await everything(other, 5)


@pytest.mark.parametrize("close_slow", [False, True])
async def test_a_client_that_never_reads(tmp_path: Path, close_slow: bool) -> None:
    big = [b"x" * 50_000] * 1000
    write(tmp_path, "mine", frames_of(big), group=100)
    async with serving(tmp_path, close_slow=close_slow) as served:
        deaf = await asyncio.to_thread(shaken, served.port)
        with deaf:
            if close_slow:
                await eventually(lambda: any("too slow" in event for event, _ in served.said))
                await served.ended()
            else:
                await eventually(lambda: any(c.connection.paused for c in served.stage.clients))
                before = served.stage.sent
                await asyncio.sleep(0.2)
                assert served.stage.sent == before < 1000  # nothing piles up


def shaken(port: int) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", port))
    raw.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return raw


# -- what cannot be served


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    write(tmp_path, "mine", frames_of([b"1"]))
    async with serving(tmp_path) as served:
        with pytest.raises(BusyError, match="in use") as found:
            async with listening(served.stage, [Address("127.0.0.1", served.port, ("mine",))]):
                pass
        assert str(served.port) in str(found.value)


async def test_an_empty_range_is_refused_before_anybody_connects(tmp_path: Path) -> None:
    write(tmp_path, "mine", frames_of([b"1"]))
    with pytest.raises(DataError, match="nothing was recorded"):
        async with serving(tmp_path, start=T0 + 3600_000 * MS, end=T0 + 7200_000 * MS):
            pass
