"""How ingest takes a feed: in which order, file by file or frame by frame, and what waits.

A run is one feed in one capture; several hosts are several runs, at the same time. Copies of a
frame are found only where frames are taken in the order in which they came. So a run's segments are
taken by number, and runs that overlap are read together, in order of time. Where none overlaps,
whole sealed files are taken, run after run, which is faster. Frames of several hosts that are young
wait until the other hosts' files can be here.

Pure decisions; no file and no database is read here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from recorder.clock import LAST, NS
from recorder.record.layout import began_ns, order, run_of

#: The moment until which frames are taken advances by the minute: each time, a part of the same
#: files is read again.
_STEP_NS = 60 * NS


class Span(NamedTuple):
    """A segment and the times (ns) of its first and last frame; `LAST` while it may grow."""

    stem: str
    first_ns: int
    last_ns: int


class Segment(NamedTuple):
    """A segment that may hold frames which the ledger does not know.

    `sealed`: it was listed as a sealed file. `begun`: the ledger knows some of its frames.
    """

    stem: str
    sealed: bool = False
    begun: bool = False


class Step(NamedTuple):
    """Segments to take together.

    `whole`: sealed files of one run, of which nothing is known, in their order. Otherwise frames
    received before `until_ns` are read, in the order in which they came.
    """

    stems: tuple[str, ...]
    whole: bool = False
    until_ns: int = LAST


@dataclass(frozen=True, slots=True)
class Waiting:
    """Segments whose frames from `until_ns` on wait for files of other hosts."""

    until_ns: int
    stems: tuple[str, ...]


def plan(
    segments: Sequence[Segment],
    spans: Sequence[Span] = (),
    until_ns: int = LAST,
    waiting: Waiting | None = None,
) -> list[Step]:
    """Return the steps in which to take a feed's segments; none: there is nothing to take.

    `spans` are those of the segments, needed where several runs have some. Frames from `until_ns`
    on are to wait; `waiting` is what waited after the last pass.
    """
    stems = tuple(segment.stem for segment in segments)
    if not stems or (waiting is not None and waiting == Waiting(until_ns, stems)):
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


def _of_run(segments: Iterable[Segment]) -> list[Step]:
    """Return the steps of one run's segments: new sealed files together, each other by itself."""
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
    """A whole sealed file; `bytes` before compression."""

    path: Path
    rows: int
    bytes: int


def groups(files: Iterable[tuple[str, File | None]], most_rows: int) -> Iterator[list[File] | str]:
    """Yield files to commit together, in order; by itself, the stem of one to read (None)."""
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
    """Yield files to normalise together, in order; a file that is larger makes a part by itself."""
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
class Turn:
    """Segments to take in one go: of one run, in order, or of several runs that overlap."""

    stems: tuple[str, ...]
    merged: bool = False


def runs(stems: Iterable[str]) -> list[list[str]]:
    """Return the segments of each run, in the order in which they were written.

    That is by number: the time in front goes back when the wall clock is set back.
    """
    found: dict[str, list[str]] = {}
    for stem in sorted(stems, key=order):
        found.setdefault(run_of(stem), []).append(stem)
    return list(found.values())


def turns(spans: Sequence[Span]) -> list[Turn]:
    """Return all segments, in turns: no frame of a later turn came before one of an earlier.

    Within a run a frame counts as late as any before it, so that its segments keep their order
    when the wall clock is set back.
    """
    found: list[Turn] = []
    waiting: list[Span] = []  # overlap, or are of one run
    for span in sorted(_rising(spans), key=lambda span: (span.first_ns, order(span.stem))):
        met = [one for one in waiting if one.last_ns >= span.first_ns]
        alone = len({run_of(one.stem) for one in waiting}) == 1
        if alone and all(run_of(one.stem) == run_of(span.stem) for one in waiting):
            waiting.append(span)
        elif alone and met:
            before = waiting[: len(waiting) - len(met)]
            found += _turn(before)
            waiting = [*met, span]
        elif met:
            waiting.append(span)
        else:
            found += _turn(waiting)
            waiting = [span]
    return found + _turn(waiting)


def _rising(spans: Iterable[Span]) -> list[Span]:
    """Return the spans with times that never go back within a run."""
    by_stem = {span.stem: span for span in spans}
    rising = []
    for run in runs(by_stem):
        latest = -LAST
        for stem in run:
            span = by_stem[stem]
            first = max(span.first_ns, latest)
            latest = max(span.last_ns, first)
            rising.append(Span(stem, first, latest))
    return rising


def _turn(spans: Sequence[Span]) -> list[Turn]:
    if not spans:
        return []
    stems = tuple(span.stem for span in spans)
    return [Turn(stems, several_runs(stems))]


# -- frames that wait, and files that may have come too late


def wait_from(
    recent: Sequence[Span], now_ns: int, settle_ns: int, ended: Callable[[str], bool]
) -> int:
    """Return from which receive time (ns) on frames are to wait for other hosts; `LAST`: none.

    `recent` are the feed's newest segments, ingested or not; a file may take `settle_ns` to get
    here. `ended(run)` is True where a run of the last `settle_ns` brings no more frames.
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
    """Return the segments that began before a frame of another run that is ingested already.

    `latest` is the latest receive time (ns) ingested of each run. With each segment comes the
    latest of the other runs.
    """
    late = {}
    for stem in sorted(stems):
        others = max((at for run, at in latest.items() if run != run_of(stem)), default=-LAST)
        if others > began_ns(stem):
            late[stem] = others
    return late
