"""One connection takes over from another before the service ends it: nothing is missed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import pytest
from kit.captures import PATIENCE, capturing, eventually, marker, received, recorded
from kit.servers import Message, Peer, serving
from plugged import install

from recorder.record.layout import Layout
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

pytestmark = pytest.mark.process


def trade(number: int) -> Message:
    data = {"e": "aggTrade", "E": 1_790_000_000_000 + number, "s": "BTCUSDT", "a": number}
    data |= {"p": "60000.5", "q": "2", "T": data["E"], "m": True}
    return "text", json.dumps({"stream": "btcusdt@aggTrade", "data": data}).encode()


class Venue:
    """Sends the same numbered trades on every connection that is open and has subscribed."""

    def __init__(self, subscriptions: int = 0) -> None:
        self.peers: list[Peer] = []
        self.sent = 0
        self._subscriptions = subscriptions

    async def script(self, peer: Peer) -> None:
        await peer.accept()
        await eventually(lambda: len(peer.heard) >= self._subscriptions)
        self.peers.append(peer)
        await peer.gone.wait()
        self.peers.remove(peer)

    @contextlib.asynccontextmanager
    async def speaking(self) -> AsyncIterator[None]:
        async def speak() -> None:
            while True:
                for peer in [peer for peer in self.peers if peer.closed is None]:
                    with contextlib.suppress(ConnectionError):
                        await peer.send(trade(self.sent))
                self.sent += bool(self.peers)
                await asyncio.sleep(0.005)

        task = asyncio.create_task(speak())
        yield
        task.cancel()


def numbers(messages: list[Message]) -> list[int]:
    return [json.loads(payload)["data"]["a"] for _, payload in messages]


def tables(data: Path) -> duckdb.DuckDBPyConnection:
    work = Ingest(Layout(data), lambda feed: Rules("binance", 1.0))
    work.run()
    work.publish()
    work.close()
    return duckdb.connect(str(Layout(data).database), read_only=True)


async def handed_over(tmp_path: Path, venue: Venue, times: int, **settings: object) -> Path:
    """Record until so many connections have come after the first."""
    data, env = tmp_path / "data", install(tmp_path / "site")
    async with serving(venue.script) as server, venue.speaking():
        feed = {"kind": "ageing", "url": server.url, **settings}
        async with capturing(data, {"mine": feed}, env=env) as child:
            await eventually(lambda: len(server.peers) > times, PATIENCE + 5 * times)
            assert await child.stopped() == 0, child.said
    return data


async def test_every_frame_is_recorded_and_every_event_is_one_row(tmp_path: Path) -> None:
    venue = Venue()
    data = await handed_over(tmp_path, venue, times=4)

    connections = recorded(data, "mine")
    assert len(connections) >= 4
    reasons = [marker(frames[-1])["reason"] for frames in connections]
    assert reasons[:3] == ["planned reconnect"] * 3
    arrived = [number for frames in connections for number in numbers(received(frames))]
    first, last = min(arrived), max(arrived)
    assert sorted(set(arrived)) == list(range(first, last + 1))
    assert len(arrived) > last - first + 1  # the overlap brought some twice
    with tables(data) as found:
        assert found.execute("FROM gaps WHERE cause <> 'the recorder was stopped'").fetchall() == []
        rows = found.execute("SELECT tx::BIGINT FROM whales ORDER BY 1").fetchall()
    assert [number for (number,) in rows] == list(range(first, last + 1))


async def test_the_old_connection_stays_until_the_new_subscriptions_bring_data(
    tmp_path: Path,
) -> None:
    venue = Venue(subscriptions=2)
    data = await handed_over(tmp_path, venue, times=2, channels=["a", "b"])
    arrived = {n for frames in recorded(data, "mine") for n in numbers(received(frames))}
    assert sorted(arrived) == list(range(min(arrived), max(arrived) + 1))


async def test_a_service_that_refuses_the_successor_keeps_the_old_connection(
    tmp_path: Path,
) -> None:
    venue = Venue()

    async def script(peer: Peer) -> None:
        if 1 <= peer.number <= 3:
            await peer.refuse(503)
        else:
            await venue.script(peer)

    data, env = tmp_path / "data", install(tmp_path / "site")
    async with serving(script) as server, venue.speaking():
        feeds = {"mine": {"kind": "ageing", "url": server.url}}
        async with capturing(data, feeds, env=env) as child:
            await eventually(lambda: server.peers and server.peers[0].closed, 40)
            assert len(server.peers) >= 5
            assert await child.stopped() == 0, child.said
    arrived = {n for frames in recorded(data, "mine") for n in numbers(received(frames))}
    assert sorted(arrived) == list(range(min(arrived), max(arrived) + 1))


async def test_a_refused_key_ends_the_feed_only_with_the_old_connection(tmp_path: Path) -> None:
    venue = Venue()

    async def script(peer: Peer) -> None:
        await (peer.refuse(401) if peer.number else venue.script(peer))

    data, env = tmp_path / "data", install(tmp_path / "site")
    async with serving(script) as server, venue.speaking():
        feeds = {"mine": {"kind": "ageing", "url": server.url, "headers": {"X-Key": "mine"}}}
        async with capturing(data, feeds, env=env) as child:
            await eventually(lambda: "none may follow" in child.said)
            spoken = venue.sent
            await eventually(lambda: venue.sent > spoken + 50)
            await server.peers[0].close(1001)
            assert await child.ended() == 4
            assert len(server.peers) == 2
    assert max(numbers(received(recorded(data, "mine")[0]))) > spoken + 40
