"""The end of a record that is still being written: each frame once, wherever it is by then."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recorder.errors import DataError
from recorder.record import raw
from recorder.record.layout import Layout, began_ns, order
from recorder.reporter import Reporter

#: How coarse the time of a directory may be.
_GRAIN_NS = 100_000_000

#: Directories are looked through again after so many seconds, whatever their times say.
_AGAIN = 10.0


@dataclass(slots=True)
class _Read:
    """How much of a segment was read."""

    rows: int = 0
    offset: int = 0
    done: bool = False


_UNREAD = _Read()


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a feed's directories held, and when they were looked through."""

    changed_ns: int  # when the directory of journals had changed last
    wall_ns: int
    at: float
    stems: list[str]

    def holds(self, changed_ns: int) -> bool:
        """True if nothing can have been added or taken away since.

        A directory's time has the grain of the kernel's clock: a change within it would be missed.
        """
        settled = self.wall_ns - self.changed_ns > _GRAIN_NS
        return settled and changed_ns == self.changed_ns and time.monotonic() - self.at < _AGAIN


class Tail:
    """Reads what was added to journals and sealed files since it looked last.

    `reporter` is warned of files that cannot be read; they are left out.
    """

    def __init__(self, layout: Layout, reporter: Reporter) -> None:
        self._layout, self._reporter = layout, reporter
        self._segments: dict[str, _Read] = {}
        self._listed: dict[str, _Listed] = {}
        self._feeds: tuple[float, list[str]] = (-math.inf, [])

    def begin(self, read: Mapping[str, tuple[int, int, bool]]) -> None:
        """Begin behind what was read before: a segment's rows, bytes of its journal, and if all."""
        self._segments = {stem: _Read(*known) for stem, known in read.items()}

    def pass_over(self, feed: str, before_ns: int) -> None:
        """Leave out sealed segments that were over before a time, as far as the names tell."""
        stems = sorted({*self._layout.active(feed), *self._layout.sealed(feed)}, key=order)
        for stem, following in pairwise(stems):
            sealed = self._layout.parquet(feed, stem).exists()
            if sealed and began_ns(following) <= before_ns and began_ns(stem) <= before_ns:
                self._segments.setdefault(stem, _Read()).done = True

    def feeds(self) -> list[str]:
        """Every feed that left anything, looked for once a second."""
        at, found = self._feeds
        if time.monotonic() - at >= 1.0:
            found = self._layout.feeds()
            self._feeds = (time.monotonic(), found)
        return found

    def new(self, feed: str) -> Iterator[pa.Table]:
        """Frames of a feed that were not read before, in the order they were written.

        Looking again costs a few system calls, however long the record is, until a journal begins
        or ends.
        """
        for stem in self._open(feed):
            known = self._segments.setdefault(stem, _Read())
            if not known.done:
                yield from self._segment(feed, stem, known)

    def _open(self, feed: str) -> list[str]:
        """The segments in which there may be something new, in order."""
        listed = self._listed.get(feed)
        changed = _changed_ns(self._layout.journal_dir(feed))
        if listed is None or not listed.holds(changed):
            found = {*self._layout.active(feed), *self._layout.sealed(feed)}
            unread = [stem for stem in found if not self._segments.get(stem, _UNREAD).done]
            listed = _Listed(changed, time.time_ns(), time.monotonic(), sorted(unread, key=order))
            self._listed[feed] = listed
            return listed.stems
        return [stem for stem in listed.stems if self._grew(feed, stem)]

    def _grew(self, feed: str, stem: str) -> bool:
        try:
            size = self._layout.journal(feed, stem).stat().st_size
        except FileNotFoundError:
            return True
        return size > self._segments.get(stem, _UNREAD).offset

    def _segment(self, feed: str, stem: str, known: _Read) -> Iterator[pa.Table]:
        try:
            if not self._layout.parquet(feed, stem).exists():
                # A journal that is sealed meanwhile is read on from its Parquet file.
                with suppress(FileNotFoundError):
                    yield from self._journal(feed, stem, known)
                    return
            yield from self._parquet(feed, stem, known)
        except FileNotFoundError:
            pass  # a journal that held no frame was cleared away, or the file was pruned
        except DataError as error:
            known.done = True
            self._reporter.warn(f"segment left out: {error}")

    def _journal(self, feed: str, stem: str, known: _Read) -> Iterator[pa.Table]:
        for part in raw.of_journal(self._layout.journal(feed, stem), known.offset):
            known.offset, known.rows = part.end, known.rows + len(part.table)
            yield part.table

    def _parquet(self, feed: str, stem: str, known: _Read) -> Iterator[pa.Table]:
        path = self._layout.parquet(feed, stem)
        if known.rows:
            # Of a journal whose end was written again into the next one, more may have been read.
            with suppress(OSError, pa.ArrowException):
                known.rows = min(known.rows, pq.read_metadata(path).num_rows)
        for table in raw.of_parquet(path, known.rows):
            known.rows += len(table)
            yield table
        known.done = True


def _changed_ns(directory: Path) -> int:
    try:
        return directory.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
