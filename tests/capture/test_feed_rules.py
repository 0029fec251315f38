"""What a feed may ask of its connections: signed URLs, answers to the service's questions."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.captures import capturing, eventually, marker, recorded
from kit.servers import Peer, serving
from plugged import install

pytestmark = pytest.mark.process

_KEY = "a-key-of-the-test"


def everything_in(place: Path) -> bytes:
    return b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())


async def test_each_attempt_has_a_signature_of_its_own_and_none_is_shown(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        target = peer.head.split(" ")[1].encode()
        if peer.number == 0:
            await peer.refuse(500, b"wrong: " + target)
        elif peer.number == 1:
            await peer.accept()
            await peer.close(4000, target.decode()[:100])
        else:
            await peer.accept()

    data, env = tmp_path / "data", install(tmp_path / "site") | {"RECORDER_MINE_KEY": _KEY}
    async with serving(script, connections=3) as server:
        feeds = {"mine": {"kind": "signing", "url": server.url}}
        async with capturing(data, feeds, env=env, rotate_seconds=1) as child:
            await server.done.wait()
            assert await child.stopped() == 0, child.said
        targets = [peer.head.split(" ")[1] for peer in server.peers]
    assert len(set(targets)) == 3
    assert all(f"signature=signed-{_KEY}-" in target for target in targets)
    markers = [marker(frames[0]) for frames in recorded(data, "mine")]
    assert {told["url"] for told in markers} == {server.url}
    assert _KEY not in child.said and "signed-" not in child.said
    kept = everything_in(data)
    assert _KEY.encode() not in kept and b"signed-" not in kept


async def test_the_service_s_questions_are_answered_on_the_same_connection(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await eventually(lambda: len(peer.heard) == 2)
        await peer.send(("text", b"ask 17"), ("text", b"ask name"))
        await eventually(lambda: len(peer.heard) == 4)
        if peer.number == 0:
            peer.reset()

    data, env = tmp_path / "data", install(tmp_path / "site")
    async with serving(script, connections=2) as server:
        feeds = {"mine": {"kind": "subscribing", "url": server.url, "channels": ["x:1", "x:2"]}}
        async with capturing(data, feeds, env=env) as child:
            await server.done.wait()
            assert await child.stopped() == 0, child.said
    said = [b"subscribe x:1", b"subscribe x:2", b"answer 17", b"answer name"]
    for peer, frames in zip(server.peers, recorded(data, "mine"), strict=True):
        assert peer.heard == said
        assert [frame.payload for frame in frames if frame.kind == "sent"] == said
    assert child.said.count("notice") == child.said.count("it asks name") == 2  # 17: no text
