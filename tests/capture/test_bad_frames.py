"""What no service should send: recorded as far as it was received, and never the end of capture."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from kit.captures import Outcome, Story, marker, received, tell
from kit.servers import BINARY, CLOSE, CONT, TEXT, Message, Peer, Script, encode

pytestmark = pytest.mark.process

_MB = 1 << 20
_WELL: Message = ("text", b'{"well":true}')
_DEEP = b"[" * 100_000
_GARBAGE: list[Message] = [
    ("text", b"\x00" * 70_000),
    ("text", _DEEP),
    ("text", b'{"type":"error","code":' + _DEEP + b"]" * 100_000 + b"}"),
    ("text", rb'{"a":"\ud800","a":NaN,"E":1e999,"n":123456789012345678901234567890}'),
    ("text", '{"\u2028":"\U0001f4a5\x7f"}'.encode()),
    ("text", b"nil\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ("binary", b"\xff\xfe\xf5JB1" * 1_000),
    ("binary", random.Random(5).randbytes(300_000)),
]


def _once(*data: bytes, sent: tuple[Message, ...] = ()) -> Script:
    """The first connection brings `data`, of which `sent` counts; the next ones are well."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        if peer.number == 0:
            peer.sent += sent
            await peer.write(*data)
            await peer.gone.wait()
        else:
            await peer.send(_WELL)

    return script


async def _cut_off(peer: Peer) -> None:
    await peer.accept(encode(TEXT, b"whole"), encode(TEXT, b"part", fin=False))
    if peer.number == 0:
        peer.reset()


async def _with_the_handshake(peer: Peer) -> None:
    peer.sent += [("text", b"early"), ("binary", b"bird")]
    await peer.accept(encode(TEXT, b"early"), encode(BINARY, b"bird"))


async def _closed_with_the_handshake(peer: Peer) -> None:
    peer.sent.append(("text", b"hail"))
    await peer.accept(encode(TEXT, b"hail"), encode(CLOSE, b"\x03\xe9and farewell"))
    await peer.gone.wait()


async def _garbage(peer: Peer) -> None:
    await peer.accept()
    await peer.send(*_GARBAGE)


_BAD_TEXT = b'{"a":"\xff\xfe"}'
_FAILURES = {
    "not_utf8": (
        1007,
        "not UTF-8",
        _once(
            encode(TEXT, _BAD_TEXT),
            encode(TEXT, b"next"),
            sent=(("text", _BAD_TEXT), ("text", b"next")),
        ),
    ),
    "not_utf8_in_pieces": (
        1007,
        "not UTF-8",
        _once(
            encode(TEXT, b"\xe2\x82", fin=False), encode(CONT, b"("), sent=(("text", b"\xe2\x82("),)
        ),
    ),
    "too_big": (
        1009,
        "1048577 bytes",
        _once(encode(TEXT, b"before"), encode(TEXT, b" " * (_MB + 1)), sent=(("text", b"before"),)),
    ),
    "too_big_in_pieces": (
        1009,
        "bytes",
        _once(*(encode(TEXT if n == 0 else CONT, b" " * 600_000, fin=False) for n in range(3))),
    ),
    "unknown_opcode": (
        1002,
        "opcode",
        _once(encode(TEXT, b"ok"), b"\x83\x00", sent=(("text", b"ok"),)),
    ),
    "masked": (1002, "masking", _once(b"\x81\x81abcd\x00")),
    "continues_nothing": (1002, "continuation", _once(encode(CONT, b"of what?"))),
}
_STORIES = {
    **{name: Story(script, connections=2) for name, (_, _, script) in _FAILURES.items()},
    "garbage": Story(_garbage),
    "with_handshake": Story(_with_the_handshake),
    "closed_with_handshake": Story(_closed_with_the_handshake),
    "cut_off": Story(_cut_off, connections=2),
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    data: Path = tmp_path_factory.mktemp("bad") / "data"
    return asyncio.run(tell(data, _STORIES, max_frame_mb=1))


def test_capture_goes_on_to_its_clean_end(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome.said
    assert "Traceback" not in outcome.said


@pytest.mark.parametrize("name", _FAILURES)
def test_a_peer_that_breaks_the_protocol_is_failed_and_the_marker_says_why(
    outcome: Outcome, name: str
) -> None:
    code, reason, _ = _FAILURES[name]
    told = outcome.stories[name]
    peer, first = told.server.peers[0], told.connections[0]
    assert peer.closed is not None and peer.closed[0] == code
    last = marker(first[-1])
    assert last["code"] == code and reason in last["reason"]
    assert received(first) == peer.sent


@pytest.mark.parametrize("name", _FAILURES)
def test_the_line_comes_back_after_failing_its_peer(outcome: Outcome, name: str) -> None:
    assert received(outcome.stories[name].connections[1]) == [_WELL]


def test_garbage_is_recorded_as_it_came(outcome: Outcome) -> None:
    assert received(outcome.stories["garbage"].connections[0]) == _GARBAGE


def test_frames_that_came_with_the_handshake_follow_the_open_marker(outcome: Outcome) -> None:
    told = outcome.stories["with_handshake"]
    (connection,) = told.connections
    assert [frame.kind for frame in connection[:3]] == ["open", "text", "binary"]
    assert received(connection) == told.server.peers[0].sent


def test_a_close_that_came_with_the_handshake_is_recorded_after_its_frames(
    outcome: Outcome,
) -> None:
    told = outcome.stories["closed_with_handshake"]
    assert [frame.kind for frame in told.connections[0]] == ["open", "text", "closed"]
    last = marker(told.connections[0][-1])
    assert (last["code"], last["reason"]) == (1001, "closed 1001 and farewell")


def test_a_connection_cut_within_a_message_keeps_the_whole_ones_and_says_1006(
    outcome: Outcome,
) -> None:
    told = outcome.stories["cut_off"]
    assert [received(connection) for connection in told.connections] == [[("text", b"whole")]] * 2
    assert marker(told.connections[0][-1])["code"] == 1006
