"""In which order ingest takes segments: a run's by number, those of several runs by time.

A run is one feed in one capture; several hosts are several runs, at the same time. Copies of a
frame are only found where frames are taken in the order in which they came, so runs that overlap
have to be read abreast. Where none overlaps, whole files are taken, run after run, which is faster.
Pure decisions; no file is read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from recorder.record.layout import order, run_of

#: After every receive time (ns).
LAST = 1 << 62


class Span(NamedTuple):
    """A segment and the times (ns) of its first and last frame; a journal may go on to `LAST`."""

    stem: str
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Segments to take together: of one run, in order, or of several runs that overlap."""

    stems: tuple[str, ...]
    abreast: bool = False


def runs(stems: Iterable[str]) -> list[list[str]]:
    """The segments of each run, in the order they were written.

    That is by number: the time in front goes back when the wall clock is set back.
    """
    found: dict[str, list[str]] = {}
    for stem in sorted(stems, key=order):
        found.setdefault(run_of(stem), []).append(stem)
    return list(found.values())


def turns(spans: Sequence[Span]) -> list[Turn]:
    """All segments, in turns: no frame of a later turn came before one of an earlier.

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
    """The spans with times that never go back within a run."""
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
    several = len({run_of(span.stem) for span in spans}) > 1
    return [Turn(tuple(span.stem for span in spans), several)]
