"""A replay of packed frames: the bytes as received, chosen by what their text says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from recorder.coding import decoded
from recorder.service import Service, Turn, field_of, texts, value_in

from .records import T0, frames_of, marker, write
from .serving import everything, serving

pytestmark = pytest.mark.process

CHANNEL = field_of("ch")


def turn(payload: bytes) -> Turn:
    """Subscribe to what is asked for, with an answer."""
    asked = json.loads(payload)["sub"]
    return Turn((json.dumps({"subbed": asked}),), texts(asked))


SERVICE = Service(
    text=False,
    by_message=True,
    turn=turn,
    channels=lambda payload: (value_in(CHANNEL, payload),),
    own='"ping"',
    coding="gzip",
    times=("ts",),
)


def told(channel: str, number: int) -> bytes:
    return b'{"ch":"%s","n":%d,"ts":1790000000000}' % (channel.encode(), number)


async def test_a_client_gets_the_frames_of_its_channel_as_received(tmp_path: Path) -> None:
    wanted = [gzip.compress(told("a", number), 1, mtime=number) for number in range(3)]
    others = [gzip.compress(told("b", 1)), gzip.compress(b'{"ping":1}'), b"\x1f\x8b broken"]
    both = [frame for pair in zip(wanted, others, strict=True) for frame in pair]
    write(tmp_path, "mine", frames_of(both, kind="binary"))
    async with (
        serving(tmp_path, services_of={"mine": SERVICE}) as served,
        served.client() as client,
    ):
        await client.send('{"sub":"a"}')
        answer, *frames = await everything(client, 4)
    assert isinstance(answer, bytes)
    assert json.loads(gzip.decompress(answer)) == {"subbed": "a"}
    assert frames == wanted


async def test_times_move_within_what_is_packed(tmp_path: Path) -> None:
    write(tmp_path, "mine", frames_of([gzip.compress(told("a", 1)), b"\x1f\x8b"], kind="binary"))
    async with (
        serving(tmp_path, services_of={"mine": SERVICE}, from_now=True) as served,
        served.client() as client,
    ):
        moved, broken = await everything(client, 2)
    assert isinstance(moved, bytes) and broken == b"\x1f\x8b"
    by = served.stage.shift_ns // 1_000_000
    assert by > 0
    assert json.loads(decoded("gzip", moved)) == {"ch": "a", "n": 1, "ts": 1790000000000 + by}


async def test_two_lines_copies_are_one_frame_whatever_packed_them(tmp_path: Path) -> None:
    one = [gzip.compress(told("a", number), 9, mtime=0) for number in range(3)]
    two = [gzip.compress(told("a", number), 1, mtime=9) for number in range(3)]
    frames = [
        marker("open", T0),
        marker("open", T0, connection=2, line="B"),
        *frames_of(one, at=T0 + 1000, seq=1, kind="binary"),
        *frames_of(two, at=T0 + 2000, seq=1, connection=2, kind="binary"),
    ]
    write(tmp_path, "mine", sorted(frames))
    async with (
        serving(tmp_path, services_of={"mine": SERVICE}) as served,
        served.client() as client,
    ):
        assert await everything(client, 3) == one
        await served.ended()
        assert next(iter(served.stage.clients)).frames == 3
