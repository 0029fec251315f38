"""Free space of the record's file systems, and the time until they are full."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from recorder.clock import NS
from recorder.status.model import Disk

#: The record's growth is measured over the last hour.
_SPAN_NS = 3600 * NS

#: Growth over a shorter time is not measured.
_LEAST_NS = 60 * NS


def space(places: Iterable[Path]) -> tuple[int, int] | None:
    """Return free (for an ordinary user) and total bytes of the file system with the least free."""
    found = []
    for place in places:
        try:
            about = os.statvfs(place)
        except OSError:
            continue
        found.append((about.f_bavail * about.f_frsize, about.f_blocks * about.f_frsize))
    return min(found, default=None)


Space = Callable[[Iterable[Path]], tuple[int, int] | None]
"""The type of `space`; a parameter, so that a test can fill a disk."""


def read_only(place: Path) -> bool:
    """Return True if the file system is mounted read-only."""
    try:
        return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    except OSError:
        return False


class Growth:
    """The growth rate of the record: from sealed files or, until there are any, from journals."""

    def __init__(self) -> None:
        self._sealed: deque[tuple[int, int]] = deque()
        self._begun_ns: int | None = None

    def sealed(self, path: Path) -> None:
        """Count a sealed file."""
        try:
            size = path.stat().st_size
        except OSError:
            return
        self._sealed.append((begun_ns(path.stem), size))

    def rate(self, now_ns: int, backlog: int, backlog_since_ns: int | None) -> float | None:
        """Return bytes per second, measured over at least a minute; None: not known yet.

        `backlog` bytes wait to be sealed, in journals of which the oldest began at
        `backlog_since_ns`. They count only while there is no sealed file of the last hour.
        """
        while self._sealed and self._sealed[0][0] < now_ns - _SPAN_NS:
            self._sealed.popleft()
        if self._sealed:
            span = now_ns - min(at for at, _ in self._sealed)
            if span >= _LEAST_NS:
                return sum(size for _, size in self._sealed) / (span / NS)
        if backlog_since_ns is None or now_ns - backlog_since_ns < _LEAST_NS:
            return None
        return backlog / ((now_ns - backlog_since_ns) / NS)


def begun_ns(stem: str) -> int:
    """Return when a segment began (ns), to the second, from its name."""
    time = datetime.strptime(stem[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(time.timestamp()) * NS


def disk(places: Iterable[Path], rate: float | None, space: Space = space) -> Disk | None:
    """Return the free space and, at `rate` bytes per second, the hours left; None: no place."""
    found = space(places)
    if found is None:
        return None
    free, total = found
    return Disk(free, total, rate, free / rate / 3600 if rate else None)
