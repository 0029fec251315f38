"""What a feed added to its record since the last look, for a reader that stays."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from recorder.durable import GRAIN_NS
from recorder.errors import DataError
from recorder.record import footers, read
from recorder.record.layout import Layout, began_ns, order
from recorder.record.read import Position, Reader
from recorder.record.store import directories, stems_in
from recorder.reporter import Reporter

#: Directories are listed again after this many seconds, whatever their times say.
_RELIST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a feed's directories held."""

    changed_ns: int  # when the directory of journals had changed last
    wall_ns: int
    at: float
    stems: list[str]

    def holds(self, changed_ns: int) -> bool:
        """Return True if nothing can have been added or removed since.

        A directory's time has the grain of the kernel's clock: a change within it would be missed.
        """
        settled = self.wall_ns - self.changed_ns > GRAIN_NS
        recent = time.monotonic() - self.at < _RELIST_SECONDS
        return settled and recent and changed_ns == self.changed_ns


@dataclass(slots=True)
class _Feed:
    """One feed, as far as it was read."""

    reader: Reader
    listing: _Listing | None = None
    days: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    """The directories of sealed files, as they were when they were listed last."""
    files: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    """The sealed files in directories that changed, as they were when they were looked at."""


class Follow:
    """Reads what was added to journals and sealed files since the last look.

    `reporter` is warned of each file that cannot be read; it is left out.
    """

    def __init__(self, record: Layout, reporter: Reporter) -> None:
        self._record, self._reporter = record, reporter
        self._feeds: dict[str, _Feed] = {}
        self._names: tuple[float, list[str]] = (-math.inf, [])

    def begin(self, feed: str, positions: Mapping[str, Position]) -> None:
        """Begin behind what was read of a feed's segments before."""
        self._feed(feed).reader.read.update(positions)

    def skip_before(self, feed: str, before_ns: int) -> None:
        """Skip sealed segments that were over before a time (ns), as far as the names say."""
        positions = self._feed(feed).reader.read
        sealed = set(self._record.sealed(feed))
        for stem, following in pairwise(read.stems(self._record, feed)):
            if stem in sealed and began_ns(following) <= before_ns and began_ns(stem) <= before_ns:
                positions.setdefault(stem, Position()).whole = True

    def feeds(self) -> list[str]:
        """Return every feed that left anything; looks for new ones once a second."""
        at, names = self._names
        if time.monotonic() - at >= 1.0:
            names = self._record.feeds()
            self._names = (time.monotonic(), names)
        return names

    def new(self, feed: str) -> Iterator[pa.Table]:
        """Yield the frames of a feed that were not read before, in the order they were written.

        A look costs a few system calls, however long the record is, until a journal begins or ends.
        """
        known = self._feed(feed)
        for stem in self._growing(feed, known):
            try:
                yield from known.reader.parts(stem)
            except FileNotFoundError:
                pass  # a journal that held no frame was removed, or the file was pruned
            except DataError as error:
                known.reader.read[stem].whole = True
                self._reporter.warn(f"segment left out: {error}")

    def _feed(self, feed: str) -> _Feed:
        if feed not in self._feeds:
            self._feeds[feed] = _Feed(Reader(self._record, feed, seen={}))
        return self._feeds[feed]

    def _growing(self, feed: str, known: _Feed) -> list[str]:
        """Return the segments in which there may be something new, in order."""
        changed = _changed_ns(self._record.journal_dir(feed))
        if known.listing is not None and known.listing.holds(changed):
            return [stem for stem in known.listing.stems if self._grew(feed, stem, known)]
        positions, there = known.reader.read, read.stems(self._record, feed)
        self._find_merged(feed, known)  # afterwards: what was merged before is not listed
        # One that was read in part may be in a merged file by now.
        begun = {stem for stem, at in positions.items() if at.rows and not at.whole}
        left = {s for s in (*there, *begun) if s not in positions or not positions[s].whole}
        stems = sorted(left, key=order)
        known.listing = _Listing(changed, time.time_ns(), time.monotonic(), stems)
        return stems

    def _grew(self, feed: str, stem: str, known: _Feed) -> bool:
        try:
            size = self._record.journal(feed, stem).stat().st_size
        except FileNotFoundError:
            return True
        at = known.reader.read.get(stem)
        return at is None or size > at.offset

    def _find_merged(self, feed: str, known: _Feed) -> None:
        """Open files again that were read whole, where a compaction put unread segments in them."""
        place = self._record.raw / f"feed={feed}"
        days = {place / date: _identity(place / date) for date in directories(place, "date=")}
        first = known.listing is None
        changed = [path for path, now in days.items() if not first and known.days.get(path) != now]
        known.days = days
        positions = known.reader.read
        for day, stem in ((one, stem) for one in changed for stem in stems_in(one, ".parquet")):
            path, at = day / f"{stem}.parquet", positions.get(stem)
            # Without rows it was skipped on purpose, or left out.
            if at is None or not at.whole or not at.rows:
                continue
            with suppress(DataError, FileNotFoundError):
                if (now := _identity(path)) != known.files.get(path):
                    known.files[path] = now
                    held = footers.footer(path).held
                    if any(one.stem not in positions for one in held):
                        positions[path.stem] = Position(max(at.rows, held[0].rows))


def _identity(path: Path) -> tuple[int, ...]:
    about = path.stat()
    return about.st_ino, about.st_mtime_ns, about.st_size


def _changed_ns(directory: Path) -> int:
    try:
        return directory.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
