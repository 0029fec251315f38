"""Real recordings, played by a real server as fast as it can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.captures import capturing, journals, marker, received, recorded
from kit.recordings import binance, upbit
from kit.servers import Message
from websockets.asyncio.server import ServerConnection, serve

pytestmark = pytest.mark.process


@pytest.mark.parametrize(("recording", "count"), [(binance, 74_655), (upbit, 449)])
async def test_every_real_frame_is_recorded_byte_for_byte_once_and_in_order(
    tmp_path: Path, recording: Callable[[], list[Message]], count: int
) -> None:
    sent = recording()
    played = asyncio.Event()

    async def play(peer: ServerConnection) -> None:
        for kind, payload in sent:
            await peer.send(payload, text=kind == "text")
        played.set()
        await peer.wait_closed()

    async with serve(play, "127.0.0.1", 0, compression=None) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with capturing(tmp_path / "data", {"mine": {"url": url}}, rotate_mb=4) as child:
            await asyncio.wait_for(played.wait(), 20)
            assert await child.stopped() == 0, child.said
    (connection,) = recorded(tmp_path / "data", "mine")
    assert len(sent) == count
    assert received(connection) == sent
    assert connection[0].kind == "open" and connection[-1].kind == "closed"
    assert marker(connection[-1])["frames"] == count
    assert not journals(tmp_path / "data")
