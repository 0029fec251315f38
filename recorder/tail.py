"""The end of a record that is still being written: each frame once, wherever it is by then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from recorder import raw
from recorder.errors import DataError
from recorder.segment import Layout, order


@dataclass(slots=True)
class _Read:
    """How much of a segment was read."""

    rows: int = 0
    offset: int = 0
    done: bool = False


class Tail:
    """Reads what was added to journals and sealed files since it looked last.

    `warn(text)` hears of files that cannot be read; they are left out.
    """

    def __init__(self, layout: Layout, warn: Callable[[str], None]) -> None:
        self._layout, self._warn = layout, warn
        self._segments: dict[str, _Read] = {}

    def begin(self, read: Mapping[str, tuple[int, int, bool]]) -> None:
        """Begin behind what was read before: a segment's rows, bytes of its journal, and if all."""
        self._segments = {stem: _Read(*known) for stem, known in read.items()}

    def new(self, feed: str) -> Iterator[pa.Table]:
        """Frames of a feed that were not read before, in the order they were written."""
        there = {*self._layout.active(feed), *self._layout.sealed(feed)}
        for stem in sorted(there, key=order):
            known = self._segments.setdefault(stem, _Read())
            if not known.done:
                yield from self._segment(feed, stem, known)

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
            self._warn(f"segment left out: {error}")

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
