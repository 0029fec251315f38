"""The frames that have to wait, because another host may still bring their copies.

Several hosts record one feed at the same time, each in separate files, which arrive when they are
full. Ingest finds copies of a frame only if it takes frames in the order in which they arrived. So
while two or more runs bring files, it takes frames only up to the time to which the files of every
line reach. Later frames wait in their files; the lake notes how much of each was ingested
(`begun`). Nothing waits for a line that stopped or has been silent for 15 minutes.
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

#: No frame waits for a host that has been silent for this long.
PATIENCE_NS = 900 * NS

#: The reason that a recorder gives for a connection's end when it stops.
_STOPPED = "stopping"


class LastHeard(NamedTuple):
    """A connection's last sign of life (ns), its group and line, and why it ended, if it did."""

    group: str
    line: str
    last_ns: int
    reason: str


def ready_until(
    connections: Iterable[LastHeard], runs: Iterable[tuple[str, int]], now_ns: int
) -> int:
    """Return the time (ns) up to which frames can be taken; `LAST` if none has to wait.

    `runs` are the feed's runs, each with its latest receive time (ns).
    """
    since = now_ns - PATIENCE_NS
    if len({run for run, last_ns in runs if last_ns > since}) < 2:
        return LAST
    newest: dict[tuple[str, str], LastHeard] = {}
    for one in connections:
        known = newest.get((one.group, one.line))
        if known is None or one.last_ns >= known.last_ns:
            newest[one.group, one.line] = one
    lines = Counter(group for group, _ in newest)
    live = [
        one
        for one in newest.values()
        if lines[one.group] > 1 and one.reason != _STOPPED and one.last_ns > since
    ]
    return min((one.last_ns for one in live), default=LAST)


def hold_back(layout: Layout, files: Sequence[RawFile], until_ns: int) -> tuple[RawFile, ...]:
    """Truncate files, in order, where frames have to wait; return the files that were truncated.

    Within a run a frame counts as at least as late as the frames before it: the wall clock may have
    been set back.
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
    """Return how many frames of a file arrived before a time, how many it holds, and the latest.

    The latest receive time (ns) is the largest of the file's and of `latest`.
    """
    count = frames = 0
    for part in columns(path, ["recv_ns"]):
        stamps = part["recv_ns"]
        if latest < until_ns:
            rising = pc.cumulative_max(stamps.combine_chunks(), start=latest)
            count += int(pc.sum(pc.less(rising, until_ns)).as_py() or 0)
        latest = max(latest, pc.max(stamps).as_py())
        frames += len(part)
    return count, frames, latest
