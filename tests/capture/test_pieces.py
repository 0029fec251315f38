"""Messages in pieces of every size and shape, one feed each, in one capture."""

from __future__ import annotations

import asyncio
import time
import zlib
from pathlib import Path

import pytest
from kit.captures import Outcome, Story, Told, marker, received, tell
from kit.servers import BINARY, CONT, OPCODES, PING, TEXT, Message, Peer, encode

pytestmark = pytest.mark.process

_BIG = bytes(range(256)) * 78_125  # 20 MB
_BEFORE_THE_LAST_PIECE: list[int] = []  # when the first pieces had been read, by this clock


async def _fragments(peer: Peer) -> None:
    await peer.accept()
    peer.sent += [("text", "één bericht".encode()), ("binary", b"\x00\xff\x00"), ("text", b"")]
    await peer.write(encode(TEXT, "één".encode()[:1], fin=False))  # cut within a character
    await peer.write(encode(PING, b"between"), encode(CONT, "één".encode()[1:], fin=False))
    await peer.pong()
    _BEFORE_THE_LAST_PIECE.append(time.monotonic_ns())
    await peer.write(encode(PING, b""), encode(CONT, b"", fin=False), encode(CONT, b" bericht"))
    await peer.write(encode(BINARY, b"", fin=False), encode(CONT, b"\x00", fin=False))
    await peer.write(encode(PING, b"x"), encode(CONT, b"\xff\x00"))
    await peer.write(encode(TEXT, b"", fin=False), encode(CONT, b""))


async def _bytewise(peer: Peer) -> None:
    await peer.accept()
    messages: list[Message] = [("text", b'{"n":1}'), ("binary", b"\x01\x02"), ("text", b"z" * 130)]
    peer.sent += messages
    for kind, payload in messages:
        async with peer.in_a_frame:
            for byte in encode(OPCODES[kind], payload):
                await peer.write(bytes([byte]))
                await asyncio.sleep(0)


async def _many(peer: Peer) -> None:
    await peer.accept()
    await asyncio.sleep(0.05)
    await peer.send(*(("text" if n % 3 else "binary", b"%d" % n) for n in range(2_000)))


async def _nothing_in_it(peer: Peer) -> None:
    await peer.accept()
    await peer.send(("text", b""), ("binary", b""), ("text", b""))


async def _big(peer: Peer) -> None:
    await peer.accept()
    await peer.send(("binary", _BIG), ("text", b"after"))


async def _compressed(peer: Peer) -> None:
    assert "permessage-deflate" in peer.head
    await peer.accept(extension="permessage-deflate")
    squeeze = zlib.compressobj(wbits=-15)
    for kind, payload in [("text", b"again " * 1_000), ("text", b"again"), ("binary", b"\x00" * 9)]:
        peer.sent.append((kind, payload))
        packed = squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH)
        await peer.write(encode(OPCODES[kind], packed[:-4], compressed=True))
    await peer.send(("text", b"not compressed"))


_STORIES = {
    "fragments": Story(_fragments),
    "bytewise": Story(_bytewise),
    "many": Story(_many),
    "nothing": Story(_nothing_in_it),
    "big": Story(_big),
    "compressed": Story(_compressed, settings={"compression": True}),
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    data: Path = tmp_path_factory.mktemp("pieces") / "data"
    return asyncio.run(tell(data, _STORIES, stats_seconds=0.3))


@pytest.mark.parametrize("name", _STORIES)
def test_messages_come_out_whole_and_in_order_however_they_were_cut(
    outcome: Outcome, name: str
) -> None:
    told = outcome.stories[name]
    (connection,) = told.connections
    assert received(connection) == told.server.peers[0].sent


def test_the_capture_ended_well(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome.said


@pytest.mark.parametrize("name", _STORIES)
def test_open_is_the_first_frame_of_a_connection_and_closed_the_last(
    outcome: Outcome, name: str
) -> None:
    (connection,) = outcome.stories[name].connections
    assert (connection[0].seq, connection[0].kind) == (0, "open")
    assert connection[-1].kind == "closed"
    last = marker(connection[-1])
    assert (last["opened"], last["code"], last["reason"]) == (True, 1000, "stopping")
    assert last["frames"] == len(received(connection))


def _stamps(told: Told) -> list[int]:
    return [f.mono_ns for f in told.connections[0] if f.kind in {"text", "binary"}]


def test_frames_of_one_read_share_its_stamp(outcome: Outcome) -> None:
    assert len(set(_stamps(outcome.stories["many"]))) == 1
    assert len(set(_stamps(outcome.stories["nothing"]))) == 1


def test_a_message_has_the_stamp_of_its_last_bytes(outcome: Outcome) -> None:
    first, second, third = _stamps(outcome.stories["fragments"])
    assert _BEFORE_THE_LAST_PIECE[0] <= first <= second <= third
