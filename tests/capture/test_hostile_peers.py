"""A peer that wants our memory, not a single frame of its: its connection ends, the others live."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from kit.captures import capturing, eventually, rows
from kit.servers import CONT, PING, TEXT, Peer, Script, encode, serving

from recorder.clock import NS
from recorder.session.bounds import Bounds, Intake, Usage

pytestmark = pytest.mark.process

#: Seconds that a busy machine may need for a hundred thousand empty fragments.
_PATIENCE = 240


async def _for_ever(peer: Peer, *data: bytes, pause: float = 0.0) -> None:
    with contextlib.suppress(ConnectionError):
        while not peer.gone.is_set():
            await peer.write(*data)
            await asyncio.sleep(pause)


async def _pings_and_reads_nothing(peer: Peer) -> None:
    await peer.accept()
    peer._reader._transport.pause_reading()  # type: ignore[attr-defined]  # the kernel's buffers fill
    await _for_ever(peer, encode(PING, b"p" * 125) * 500)


async def _pings_and_reads(peer: Peer) -> None:
    await peer.accept()
    await _for_ever(peer, encode(PING, b"") * 500)


async def _sends_empty_fragments(peer: Peer) -> None:
    await peer.accept()
    await peer.write(encode(TEXT, b"[", fin=False))
    await _for_ever(peer, encode(CONT, b"", fin=False) * 5000)


_HOSTILE: dict[str, tuple[Script, str]] = {
    "pings, and reads nothing": (_pings_and_reads_nothing, "control frames a second|does not read"),
    "pings at full speed": (_pings_and_reads, "more than 1000 control frames a second"),
    # On a slow machine the message's time ends before its fragments are too many.
    "fragments without an end": (
        _sends_empty_fragments,
        "a message of more than 131072 fragments|a message took longer",
    ),
}


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@pytest.mark.parametrize("kind", _HOSTILE)
async def test_a_hostile_peer_loses_its_connection_and_the_other_feed_nothing(
    kind: str, tmp_path: Path
) -> None:
    script, said = _HOSTILE[kind]

    async def good(peer: Peer) -> None:
        await peer.accept()
        for number in range(100):
            await peer.send(("text", b'{"n": %d}' % number))
            await asyncio.sleep(0.02)
        await peer.kept()

    async with serving(script, 99) as bad, serving(good) as fine:
        feeds = {"bad": {"url": bad.url}, "good": {"url": fine.url}}
        async with capturing(tmp_path / "data", feeds) as child:
            await asyncio.wait_for(fine.done.wait(), _PATIENCE)
            await eventually(lambda: any(part in child.said for part in said.split("|")), _PATIENCE)
            peak = _peak_mb(child.pid)
            assert await child.stopped() == 0
        expected = [payload for _, payload in fine.peers[0].sent]
    got = [f.payload for f in rows(tmp_path / "data", "good") if f.kind == "text"]
    assert got == expected
    assert peak < 110, f"{peak:.0f} MB"
    reasons = [f.payload.decode() for f in rows(tmp_path / "data", "bad") if f.kind == "closed"]
    assert any(part in reason for part in said.split("|") for reason in reasons), reasons


def test_a_message_has_a_time_to_complete() -> None:
    usage = Usage(Bounds(message_seconds=10), Intake())
    assert usage.read(0, 5, 0, in_message=False) == ""
    assert usage.read(10 * NS, 9, 0, in_message=False) == ""
    assert usage.read(11 * NS, 12, 0, in_message=False) == "a message took longer than 10 s"


def test_a_stream_whose_reads_end_within_messages_goes_through() -> None:
    usage = Usage(Bounds(message_seconds=10), Intake())
    for second in range(100):
        usage.completed()
        assert usage.read(second * NS, 5, 0, in_message=False) == ""


def test_empty_fragments_count_as_a_message_under_way() -> None:
    usage = Usage(Bounds(message_seconds=10), Intake())
    assert usage.read(0, 0, 0, in_message=True) == ""
    assert usage.read(11 * NS, 0, 0, in_message=True) == "a message took longer than 10 s"


def test_all_messages_under_way_share_one_bound_and_the_largest_ends() -> None:
    intake, bounds = Intake(), Bounds(partial_bytes=100)
    small, large = Usage(bounds, intake), Usage(bounds, intake)
    assert small.read(0, 40, 0, in_message=False) == ""
    assert large.read(0, 60, 0, in_message=False) == ""
    assert small.read(1, 41, 0, in_message=False) == ""  # not the one to end
    assert "101 bytes" in large.read(1, 60, 0, in_message=False)
    large.release()
    assert small.read(2, 90, 0, in_message=False) == ""


def test_answers_that_nobody_reads_are_bounded() -> None:
    usage = Usage(Bounds(unsent_bytes=1000), Intake())
    assert usage.read(0, 0, 1000, in_message=False) == ""
    assert "1001 bytes" in usage.read(0, 0, 1001, in_message=False)


def test_control_frames_are_counted_by_the_second() -> None:
    usage = Usage(Bounds(controls_per_second=3), Intake())
    assert [usage.control(5 * NS) for _ in range(3)] == ["", "", ""]
    assert usage.control(6 * NS - 1) == "more than 3 control frames a second"
    assert usage.control(6 * NS) == ""
