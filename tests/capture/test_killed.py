"""`kill -9` anywhere: what had been received is there, once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest
from kit.captures import capturing, eventually, journals, litter, received, recorded
from kit.recordings import binance
from kit.servers import Peer, serving

from recorder.record.layout import Layout

pytestmark = pytest.mark.process

_PER_CONNECTION = 12_000
_AT_ONCE = 40


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_anywhere_and_started_again_nothing_received_is_lost_or_twice(
    tmp_path: Path, seed: int
) -> None:
    recording, data = binance(), tmp_path / "data"
    dice = random.Random(seed)
    kills = [(dice.randrange(_PER_CONNECTION), dice.random() < 0.4) for _ in range(3)]
    print(f"seed {seed}: killed at (frames sent, after a pause): {kills}")
    reached = asyncio.Event()

    async def play(peer: Peer) -> None:
        await peer.accept()
        await peer.send(("text", b"%d" % peer.number))
        stop_at, pause = (*kills, (_PER_CONNECTION - 1, True))[peer.number]
        part = recording[peer.number * _PER_CONNECTION :][:_PER_CONNECTION]
        for start in range(0, len(part), _AT_ONCE):
            if start <= stop_at < start + _AT_ONCE:
                if pause:
                    await peer.kept()
                    reached.set()
                    return
                reached.set()
            await peer.send(*part[start : start + _AT_ONCE])

    least: list[int] = []
    async with serving(play) as server:
        feeds = {"mine": {"url": server.url}}
        for _, pause in kills:
            reached.clear()
            async with capturing(data, feeds, rotate_mb=0.2) as child:
                await asyncio.wait_for(reached.wait(), 20)
                if not pause:
                    await asyncio.sleep(dice.random() * 0.1)
                await child.killed()
            least.append(len(server.peers[-1].sent) if pause else 0)
        reached.clear()
        async with capturing(data, feeds, rotate_mb=0.2) as child:
            await asyncio.wait_for(reached.wait(), 20)
            assert await child.stopped() == 0, child.said
        least.append(len(server.peers[-1].sent))
    assert not journals(data) and not litter(data)
    found = {}
    for connection in recorded(data, "mine"):
        if messages := received(connection):
            found[int(messages[0][1])] = messages
    for number, (peer, floor) in enumerate(zip(server.peers, least, strict=True)):
        messages = found.get(number, [])
        assert messages == peer.sent[: len(messages)]
        assert len(messages) >= floor


async def test_a_killed_sealing_child_loses_nothing_and_the_next_one_does_its_work(
    tmp_path: Path,
) -> None:
    recording, data = binance(), tmp_path / "data"
    dice = random.Random(4)
    killed: list[int] = []

    async def play(peer: Peer) -> None:
        await peer.accept()
        for start in range(0, 12_000, _AT_ONCE):
            await peer.send(*recording[start : start + _AT_ONCE])
            await asyncio.sleep(0.005)

    async with serving(play) as server:
        feeds = {"mine": {"url": server.url}}
        async with capturing(data, feeds, rotate_mb=0.2) as child:
            while not server.done.is_set():
                for pid in _children(child.pid):
                    await asyncio.sleep(dice.random() * 0.4)
                    if pid in _children(child.pid):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                await asyncio.sleep(0.01)
            assert await child.stopped() == 0, child.said
    assert killed and "sealing failed; the journals are kept" in child.said
    (connection,) = recorded(data, "mine")
    assert received(connection) == server.peers[0].sent
    assert not journals(data) and not litter(data)


def _children(pid: int) -> list[int]:
    try:
        told = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        pytest.skip("this system does not tell a process's children in /proc")
    return [int(word) for word in told.split()]


async def test_orphans_are_sealed_at_the_next_start_while_it_records_already(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"

    async def play(peer: Peer) -> None:
        await peer.accept()
        await peer.send(("text", b"here"))
        await peer.kept()

    async with serving(play) as server:
        feeds = {"mine": {"url": server.url}}
        async with capturing(data, feeds) as child:
            await server.done.wait()
            await child.killed()
        (orphan,) = journals(data)
        async with capturing(data, feeds) as child:
            await eventually(lambda: not orphan.exists())
            await eventually(lambda: len(server.peers) == 2)
            assert Layout(data).sealed("mine") == [orphan.stem]
            assert await child.stopped() == 0, child.said
