"""The order in which ingest takes a feed's segments: whole or frame by frame, and which wait.

A run is one feed in one capture; several hosts are several runs at the same time. Ingest finds
copies of a frame only if it takes frames in the order in which they arrived. So it takes a run's
segments by number, and merges runs that overlap, in order of time. Where no runs overlap, it takes
whole sealed files, run after run, which is faster. Recent frames of several hosts wait until the
other hosts' files have had time to arrive.

This module only decides: it reads no file and no database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from recorder.clock import LAST, NS
from recorder.record.layout import began_ns, order, run_of

#: The time from which frames wait moves in steps of a minute: at each step, ingest reads a part of
#: the same files again.
_STEP_NS = 60 * NS


class SegmentSpan(NamedTuple):
    """A segment and the times (ns) of its first and last frame; `LAST` while it may grow."""

    stem: str
    first_ns: int
    last_ns: int


class NewSegment(NamedTuple):
    """A segment that may hold frames which the ledger does not know.

    `sealed`: it was listed as a sealed file. `begun`: the ledger knows some of its frames.
    """

    stem: str
    sealed: bool = False
    begun: bool = False


class Step(NamedTuple):
    """Segments to ingest together.

    `whole`: sealed files of one run, in their order, of which no frame was ingested. Otherwise
    the frames received before `until_ns` are read, in the order in which they arrived.
    """

    stems: tuple[str, ...]
    whole: bool = False
    until_ns: int = LAST


@dataclass(frozen=True, slots=True)
class WaitingSegments:
    """Segments whose frames from `until_ns` on wait for files of other hosts."""

    until_ns: int
    stems: tuple[str, ...]


def plan(
    segments: Sequence[NewSegment],
    spans: Sequence[SegmentSpan] = (),
    until_ns: int = LAST,
    waiting: WaitingSegments | None = None,
) -> list[Step]:
    """Return the steps in which to ingest a feed's segments; an empty list if nothing is new.

    `spans` are the times of the segments; they are needed if the segments are of several runs.
    Frames from `until_ns` on have to wait; `waiting` is what waited after the last pass.
    """
    stems = tuple(segment.stem for segment in segments)
    if not stems or (waiting is not None and waiting == WaitingSegments(until_ns, stems)):
        return []
    if until_ns < LAST:
        return [Step(stems, until_ns=until_ns)]
    if not several_runs(stems):
        return _of_run(segments)
    by_stem = {segment.stem: segment for segment in segments}
    steps: list[Step] = []
    for turn in turns(spans):
        if turn.merged:
            steps.append(Step(turn.stems))
        else:
            steps += _of_run([by_stem[stem] for stem in turn.stems])
    return steps


def _of_run(segments: Iterable[NewSegment]) -> list[Step]:
    """Return the steps of one run's segments: new sealed files together, each other one alone."""
    steps: list[Step] = []
    for segment in sorted(segments, key=lambda segment: order(segment.stem)):
        whole = segment.sealed and not segment.begun
        if whole and steps and steps[-1].whole:
            steps[-1] = Step((*steps[-1].stems, segment.stem), whole=True)
        else:
            steps.append(Step((segment.stem,), whole=whole))
    return steps


def several_runs(stems: Iterable[str]) -> bool:
    """Return True if the segments are of more than one run."""
    return len({run_of(stem) for stem in stems}) > 1


# -- whole files


class File(NamedTuple):
    """A whole sealed file; `bytes` is its size before compression."""

    path: Path
    rows: int
    bytes: int


def groups(files: Iterable[tuple[str, File | None]], most_rows: int) -> Iterator[list[File] | str]:
    """Yield lists of files to commit together, in order, of at most `most_rows` frames.

    A stem without a file is yielded alone: it has to be read frame by frame.
    """
    group: list[File] = []
    for stem, file in files:
        rows = sum(one.rows for one in group) + (file.rows if file else 0)
        if group and (file is None or rows > most_rows):
            yield group
            group = []
        if file is None:
            yield stem
        else:
            group.append(file)
    if group:
        yield group


def parts(files: Iterable[File], most_rows: int, most_bytes: int) -> Iterator[list[Path]]:
    """Yield lists of files to normalise together, in order, within both limits.

    A file that is larger than a limit makes a part alone.
    """
    part: list[File] = []
    for file in files:
        rows = sum(one.rows for one in part) + file.rows
        size = sum(one.bytes for one in part) + file.bytes
        if part and (rows > most_rows or size > most_bytes):
            yield [one.path for one in part]
            part = []
        part.append(file)
    if part:
        yield [one.path for one in part]


# -- order


@dataclass(frozen=True, slots=True)
class IngestTurn:
    """Segments to ingest together: of one run, in order, or of several runs that overlap."""

    stems: tuple[str, ...]
    merged: bool = False


def runs(stems: Iterable[str]) -> list[list[str]]:
    """Return the segments of each run, in the order in which they were written.

    That is the order of their numbers: the time in a stem is wrong if the wall clock was set back.
    """
    by_run: dict[str, list[str]] = {}
    for stem in sorted(stems, key=order):
        by_run.setdefault(run_of(stem), []).append(stem)
    return list(by_run.values())


def turns(spans: Sequence[SegmentSpan]) -> list[IngestTurn]:
    """Return all segments as turns: each frame of a turn is later than those of the turns before.

    Within a run a frame counts as at least as late as the frames before it, so that segments keep
    their order when the wall clock is set back.
    """
    result: list[IngestTurn] = []
    waiting: list[SegmentSpan] = []  # they overlap, or are of one run
    for span in sorted(_rising(spans), key=lambda span: (span.first_ns, order(span.stem))):
        met = [one for one in waiting if one.last_ns >= span.first_ns]
        alone = len({run_of(one.stem) for one in waiting}) == 1
        if alone and all(run_of(one.stem) == run_of(span.stem) for one in waiting):
            waiting.append(span)
        elif alone and met:
            before = waiting[: len(waiting) - len(met)]
            result += _turn(before)
            waiting = [*met, span]
        elif met:
            waiting.append(span)
        else:
            result += _turn(waiting)
            waiting = [span]
    return result + _turn(waiting)


def _rising(spans: Iterable[SegmentSpan]) -> list[SegmentSpan]:
    """Return the spans with times that never decrease within a run."""
    by_stem = {span.stem: span for span in spans}
    rising = []
    for run in runs(by_stem):
        latest = -LAST
        for stem in run:
            span = by_stem[stem]
            first = max(span.first_ns, latest)
            latest = max(span.last_ns, first)
            rising.append(SegmentSpan(stem, first, latest))
    return rising


def _turn(spans: Sequence[SegmentSpan]) -> list[IngestTurn]:
    if not spans:
        return []
    stems = tuple(span.stem for span in spans)
    return [IngestTurn(stems, several_runs(stems))]


# -- frames that wait, and files that may have come too late


def wait_from(
    recent: Sequence[SegmentSpan], now_ns: int, settle_ns: int, ended: Callable[[str], bool]
) -> int:
    """Return from which receive time (ns) on frames have to wait for other hosts; `LAST`: none.

    `recent` are the feed's newest segments, ingested or not. A file may take `settle_ns` to arrive.
    `ended(run)` returns True if a run has no more frames to bring.
    """
    shared = any(
        run_of(a.stem) != run_of(b.stem) and a.first_ns <= b.last_ns and b.first_ns <= a.last_ns
        for a, b in combinations(recent, 2)
    )
    if not shared:
        return LAST
    live = {run_of(span.stem) for span in recent if span.last_ns >= now_ns - settle_ns}
    if all(ended(run) for run in live):
        return LAST
    return (now_ns - settle_ns) // _STEP_NS * _STEP_NS


def perhaps_late(stems: Iterable[str], latest: Mapping[str, int]) -> dict[str, int]:
    """Return the segments that began before an ingested frame of another run.

    `latest` is the latest receive time (ns) ingested of each run. The value of each segment is the
    latest time ingested of the other runs.
    """
    late = {}
    for stem in sorted(stems):
        others = max((at for run, at in latest.items() if run != run_of(stem)), default=-LAST)
        if others > began_ns(stem):
            late[stem] = others
    return late
