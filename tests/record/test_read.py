"""A reader gets each frame once, in order, whatever becomes of the record's files meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples

from recorder.record import read, rows
from recorder.record.follow import Follow
from recorder.record.read import Reader, stems

from .restless import EVENTS, FEED, Happened, Place, World, places, restless

HAPPENED = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 23)), max_size=15)


@pytest.fixture(autouse=True, scope="module")
def _small_parts() -> Iterator[None]:
    """A part is a few frames, so that readers stop anywhere."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (rows, read):
            patch.setattr(module, "PART_ROWS", 3)
        yield


@given(st.lists(st.tuples(HAPPENED, HAPPENED, st.integers(0, 9)), min_size=1, max_size=6))
@settings(max_examples=examples(100))
def test_a_follower_gets_each_frame_once_in_order(
    looks: list[tuple[Happened, Happened, int]],
) -> None:
    """Anything happens between two looks and during one; a look may be given up half-way."""
    with TemporaryDirectory() as root:
        world, found = World(Path(root)), list[Place]()
        warned: list[str] = []
        meanwhile: deque[tuple[str, int]] = deque()
        follow = Follow(restless(world, meanwhile), warned.append)
        for before, during, parts in looks:
            world.let(before)
            meanwhile += during
            found += places(islice(follow.new(FEED), parts or None))
            meanwhile.clear()
            assert found == world.appended[: len(found)]
        world.settle()
        known = follow._feeds[FEED]
        known.listing = known.listing and replace(known.listing, at=-1e9)  # ten seconds later
        found += places(follow.new(FEED))
        assert found == world.appended
        assert warned == []


@given(HAPPENED, HAPPENED)
@settings(max_examples=examples(100))
def test_a_reader_of_the_whole_record_gets_at_least_what_was_there(
    before: Happened, during: Happened
) -> None:
    with TemporaryDirectory() as root:
        world, found = World(Path(root)), list[Place]()
        world.let([*before, ("beat", 0), ("beat", 0)])
        there = len(world.appended)
        record = restless(world, deque(during))
        reader = Reader(record, FEED)
        for stem in stems(record, FEED):
            with suppress(FileNotFoundError):
                found += places(reader.parts(stem))
        assert found == world.appended[: len(found)]
        assert len(found) >= there
