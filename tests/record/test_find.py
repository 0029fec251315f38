"""One frame is found by its place, whatever becomes of the file that it is in meanwhile."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples

from recorder.clock import DAY_NS
from recorder.record.find import FramePlace, find

from .restless import FEED, Happened, World, restless
from .test_read import HAPPENED


@given(HAPPENED, HAPPENED, st.data())
@settings(max_examples=examples(100))
def test_every_frame_that_is_on_disk_is_found(
    before: Happened, during: Happened, data: st.DataObject
) -> None:
    with TemporaryDirectory() as root:
        world = World(Path(root))
        world.let([*before, ("put", 0), ("beat", 0), ("beat", 0)])
        chosen = data.draw(st.integers(0, len(world.appended) - 1))
        connection, seq, payload = world.appended[chosen]
        place = FramePlace(FEED, connection, seq, world.times[chosen])
        frame = find(restless(world, deque(during)), place)
        assert frame is not None
        assert (frame.connection, frame.seq, frame.payload) == (connection, seq, payload)
        assert frame.recv_ns == place.recv_ns


def test_another_place_is_not_found(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.let([("put", 2), ("put", 2)])
    [(connection, seq, _), *_] = world.appended
    at = world.times[0]
    for wrong in (
        FramePlace(FEED, connection, 99, at),
        FramePlace(FEED, connection, seq, at + 1),
        FramePlace(FEED, connection, seq, at + DAY_NS),
        FramePlace(FEED, connection[:-1] + "X", seq, at),
        FramePlace("other", connection, seq, at),
    ):
        assert find(world.layout, wrong) is None
    world.settle()
    assert find(world.layout, FramePlace(FEED, connection, 99, at)) is None
    assert find(world.layout, FramePlace(FEED, connection, seq, at)) is not None


def test_a_damaged_file_hides_its_own_frames_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.let([("put", 0), ("close", 0), ("put", 0), ("close", 0)])
    first, second = (
        FramePlace(FEED, connection, seq, at)
        for (connection, seq, _), at in zip(world.appended, world.times, strict=True)
    )
    path = world.layout.parquet(FEED, world.layout.sealed(FEED)[1])
    path.write_bytes(path.read_bytes()[:-9])
    assert find(world.layout, first) is not None
    assert find(world.layout, second) is None
