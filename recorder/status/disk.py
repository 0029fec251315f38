"""The file systems that take the record, and how long they will."""

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

#: A shorter time is not measured.
_LEAST_NS = 60 * NS


def space(places: Iterable[Path]) -> tuple[int, int] | None:
    """Free and total bytes of the file system with the least free, for an ordinary user."""
    found = []
    for place in places:
        try:
            about = os.statvfs(place)
        except OSError:
            continue
        found.append((about.f_bavail * about.f_frsize, about.f_blocks * about.f_frsize))
    return min(found, default=None)


Space = Callable[[Iterable[Path]], tuple[int, int] | None]
"""What `space` is; passed in, so that a test can fill a disk."""


def read_only(place: Path) -> bool:
    """True if nothing can be written there by anyone."""
    try:
        return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    except OSError:
        return False


class Growth:
    """How fast the record grows: by the sizes of sealed files, of journals until there are any."""

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
        """Return bytes a second, measured over a minute at least; None: not known yet.

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
    """When a segment began, to the second: its name says so."""
    time = datetime.strptime(stem[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(time.timestamp()) * NS


def disk(places: Iterable[Path], rate: float | None, space: Space = space) -> Disk | None:
    """Return what is left, and for how long at `rate` bytes a second; None: there is no place."""
    found = space(places)
    if found is None:
        return None
    free, total = found
    return Disk(free, total, rate, free / rate / 3600 if rate else None)
