"""Several runs in order of time: nothing lost, doubled or out of order, wherever reading stops."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples

from recorder.clock import LAST, NS
from recorder.player.merge import merged
from recorder.player.run import runs
from recorder.record.layout import Layout, run_of
from recorder.record.merge import Run, RunLeft, Window, in_order, windows
from recorder.record.read import Position, Reader, stems
from recorder.stream.span import Span

from .restless import EVENTS, FEED, T0, Happened, Place, World, places, restless
from .test_read import HAPPENED

#: Without failed syncs: what was read of a journal before capture doubted it is told by the tables.
SAFE = tuple(event for event in EVENTS if event not in {"fail", "pack"})
WRITTEN = st.lists(st.tuples(st.sampled_from(SAFE), st.integers(0, 23)), max_size=15)


class Known:
    """What a ledger holds: positions, and each run's latest place."""

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.latest: dict[str, int] = {}

    def left(self, record: Layout) -> list[RunLeft]:
        """What is left of each run."""
        there = [s for s in stems(record, FEED) if not self.positions.get(s, Position()).whole]
        reader = Reader(record, FEED, {s: replace(at) for s, at in self.positions.items()})
        return [
            RunLeft(reader, list(some), self.latest.get(run, -LAST))
            for run, some in groupby(there, key=run_of)
        ]

    def note(self, window: Window) -> None:
        """Take over what a window says."""
        for piece in window.slices:
            run = run_of(piece.stem)
            self.positions[piece.stem] = piece.end
            self.latest[run] = max(self.latest.get(run, -LAST), piece.places[-1])
        self.positions |= window.ended


@given(
    st.lists(st.tuples(WRITTEN, WRITTEN, WRITTEN, st.integers(0, 4)), min_size=1, max_size=4),
    st.integers(0, 3),
    st.integers(1, 9),
)
@settings(max_examples=examples(80))
def test_windows_hold_each_frame_once_in_order_of_time(
    passes: list[tuple[Happened, Happened, Happened, int]], apart: int, full: int
) -> None:
    """Each pass may be given up after some windows; the next begins where they ended."""
    with TemporaryDirectory() as root:
        worlds = [World(Path(root), run, T0 + run * apart * NS) for run in range(2)]
        known, found = Known(), {world.run: list[Place]() for world in worlds}

        def go(record: Layout, most: int | None) -> None:
            latest = -LAST
            for window in islice(windows(known.left(record), lambda w: w.rows >= full), most):
                assert not window.failed
                assert window.rows == sum(len(piece.table) for piece in window.slices)
                known.note(window)
                for piece in window.slices:
                    found[run_of(piece.stem)] += places(iter([piece.table]))
                first = min((piece.places[0] for piece in window.slices), default=latest)
                assert first >= latest
                latest = max([latest, *(piece.places[-1] for piece in window.slices)])

        for one, other, meanwhile, most in passes:
            worlds[0].let(one)
            worlds[1].let(other)
            go(restless(worlds[0], deque(meanwhile)), most or None)
        for world in worlds:
            world.settle()
        go(restless(worlds[0], deque()), None)
        assert found == {world.run: world.appended for world in worlds}
        assert all(at.whole for at in known.positions.values())


@given(WRITTEN, WRITTEN, st.integers(0, 3), st.integers(0, 30))
@settings(max_examples=examples(60))
def test_frames_from_a_moment_on_wait(
    one: Happened, other: Happened, apart: int, moment: int
) -> None:
    with TemporaryDirectory() as root:
        worlds = [World(Path(root), run, T0 + run * apart * 1_000_000) for run in range(2)]
        for world, events in zip(worlds, (one, other), strict=True):
            world.let([*events, ("beat", 0)])
        until_ns, known = T0 + moment * 1_000_000, Known()
        for window in windows(known.left(restless(worlds[0], deque())), lambda w: True, until_ns):
            known.note(window)
        for world in worlds:
            places_of, latest = [], -LAST
            for at in world.times:
                latest = max(latest, at)
                places_of.append(latest)
            taken = sum(at.rows for s, at in known.positions.items() if run_of(s) == world.run)
            assert taken == sum(place < until_ns for place in places_of)


@given(HAPPENED, HAPPENED, HAPPENED, st.integers(0, 3))
@settings(max_examples=examples(80))
def test_a_replay_gives_at_least_what_was_there_in_order(
    one: Happened, other: Happened, during: Happened, apart: int
) -> None:
    with TemporaryDirectory() as root:
        worlds = [World(Path(root), run, T0 + run * apart * NS) for run in range(2)]
        for world, events in zip(worlds, (one, other), strict=True):
            world.let([*events, ("beat", 0), ("beat", 0)])
        there = {world.run: len(world.appended) for world in worlds}
        record, found = restless(worlds[0], deque(during)), list[dict[str, object]]()
        written = runs(record, [FEED], Span())
        for batch in merged(written, Span()):
            found += batch.to_pylist()
        order = [(row["at"], row["connection"], row["seq"]) for row in found]
        assert order == sorted(order)
        for number, run in enumerate(written):
            world = next(w for w in worlds if w.run == run_of(run.stems[0]))
            frames = {
                (row["connection"], row["seq"], row["payload"])
                for row in found
                if row["run"] == number
            }
            assert len(frames) == sum(row["run"] == number for row in found)
            assert set(world.appended[: there[world.run]]) <= frames <= set(world.appended)


class Numbers(NamedTuple):
    """A piece of a run that is numbers alone."""

    places: memoryview

    def divide(self, count: int) -> tuple[Numbers, Numbers]:
        return Numbers(self.places[:count]), Numbers(self.places[count:])


RUNS = st.lists(
    st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=4), max_size=5), max_size=4
)


@given(RUNS, st.integers(0, 45))
def test_steps_hold_every_place_before_the_end_in_order(
    drawn: list[list[list[int]]], until: int
) -> None:
    def run(parts: list[list[int]]) -> Run[Numbers]:
        rising = iter(sorted(place for part in parts for place in part))
        pieces = [array("q", islice(rising, len(part))) for part in parts]
        begins = pieces[0][0] if pieces else 0
        return Run(begins, (Numbers(memoryview(piece)) for piece in pieces))

    steps = list(in_order([run(parts) for parts in drawn], until))
    latest = -1
    for step in steps:
        assert step and min(piece.places[0] for piece in step) >= latest
        latest = max(piece.places[-1] for piece in step)
    every = sorted(place for parts in drawn for part in parts for place in part)
    found = [place for step in steps for piece in step for place in piece.places]
    assert sorted(found) == [place for place in every if place < until]
