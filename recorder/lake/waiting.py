"""Which frames have to wait, because another host may still bring their copies.

Several hosts record one feed at the same time, each in files of its own, which arrive when they
are full. Copies of a frame are only found where frames are taken in the order in which they came.
So, while two runs or more still bring files, those frames are taken that came before the moment up
to which every line has told its life; the others wait in their files, of which the lake notes how
much was taken (`begun`). A line that stopped, or was not heard of for long, is not waited for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc

from recorder.clock import LAST, NS
from recorder.lake.raw import RawFile
from recorder.record.layout import Layout, run_of
from recorder.record.sealed import columns, keep_first

#: A host that was not heard of for so long is not waited for.
PATIENCE_NS = 900 * NS

#: The reason of a connection's end by which a recorder says that it stops.
_STOPPED = "stopping"


class Life(NamedTuple):
    """A connection's last word: of which line of which group, when, and its end's reason."""

    group: str
    line: str
    last_ns: int
    reason: str


def moment(lives: Iterable[Life], runs: Iterable[tuple[str, int]], now_ns: int) -> int:
    """Up to when (ns) frames can be taken; `LAST` if none has to wait.

    `runs` are runs of the feed and when each was last heard of.
    """
    since = now_ns - PATIENCE_NS
    if len({run for run, last_ns in runs if last_ns > since}) < 2:
        return LAST
    newest: dict[tuple[str, str], Life] = {}
    for life in lives:
        known = newest.get((life.group, life.line))
        if known is None or life.last_ns >= known.last_ns:
            newest[life.group, life.line] = life
    lines = Counter(group for group, _ in newest)
    lasting = [
        life
        for life in newest.values()
        if lines[life.group] > 1 and life.reason != _STOPPED and life.last_ns > since
    ]
    return min((life.last_ns for life in lasting), default=LAST)


def back(layout: Layout, files: Sequence[RawFile], until_ns: int) -> tuple[RawFile, ...]:
    """Cut files, in order, where frames have to wait; those that then are not whole, or not there.

    Within a run a frame counts as late as any before it: the wall clock may be set back.
    """
    if until_ns == LAST:
        return ()
    latest: dict[str, int] = {}
    waiting = []
    for file in files:
        path, run = layout.parquet(file.feed, file.stem), run_of(file.stem)
        count, frames, latest[run] = _before(path, until_ns, latest.get(run, -LAST))
        if count < frames:
            waiting.append(file)
            keep_first(path, count)
    return tuple(waiting)


def _before(path: Path, until_ns: int, latest: int) -> tuple[int, int, int]:
    """Return how many frames of a file came before a moment, of how many, and its latest stamp."""
    count = frames = 0
    for part in columns(path, ["recv_ns"]):
        stamps = part["recv_ns"]
        if latest < until_ns:
            rising = pc.cumulative_max(stamps.combine_chunks(), start=latest)
            count += int(pc.sum(pc.less(rising, until_ns)).as_py() or 0)
        latest = max(latest, pc.max(stamps).as_py())
        frames += len(part)
    return count, frames, latest
