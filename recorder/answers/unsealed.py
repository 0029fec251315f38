"""The frames of journals that are not sealed yet, as a relation of DuckDB.

A row of the tables leads to its raw frame from the moment it exists: ingest reads journals, so the
view `raw` of a connection has to have them as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from recorder.errors import DataError
from recorder.record import read
from recorder.record.layout import Layout, day_of
from recorder.record.read import Reader
from recorder.record.rows import of_journal
from recorder.schema.raw import RAW

#: The relation's name.
NAME = "raw_journals"

SCHEMA = pa.schema([*RAW, ("feed", pa.string()), ("date", pa.date32()), ("segment", pa.string())])


class UnsealedJournal(NamedTuple):
    """A journal of a feed."""

    feed: str
    stem: str
    bytes: int
    """How long it was when the connection was made: what is behind comes later."""


@dataclass(frozen=True, slots=True)
class UnsealedFrames:
    """The journals that a record had at one moment; Arrow reads them each time they are asked for.

    `sealed_too` says whether a journal that was sealed since is read from wherever it is by then.
    """

    layout: Layout
    journals: tuple[UnsealedJournal, ...]
    sealed_too: bool

    def __arrow_c_schema__(self) -> Any:
        """Return the schema for Arrow's C interface."""
        return SCHEMA.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return a new stream over all frames for Arrow's C interface."""
        reader = pa.RecordBatchReader.from_batches(SCHEMA, self.batches())
        return reader.__arrow_c_stream__(requested_schema)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the frames; what cannot be read is left out, as from the published view."""
        for journal in self.journals:
            try:
                for table in self._tables(journal):
                    yield from _placed(table, journal)
            except (DataError, FileNotFoundError):
                continue

    def _tables(self, one: UnsealedJournal) -> Iterator[pa.Table]:
        # A later journal that holds its end again is sealed after it: look for it first.
        cut = read.cut_of(self.layout, one.feed, one.stem)
        end = one.bytes if cut is None else min(cut, one.bytes)
        with suppress(FileNotFoundError):  # it is opened here, or was sealed before
            for part in of_journal(self.layout.journal(one.feed, one.stem), cut=end):
                yield part.table
            return
        if self.sealed_too or self.layout.parquet(one.feed, one.stem).exists():
            yield from Reader(self.layout, one.feed).parts(one.stem)


def _placed(table: pa.Table, one: UnsealedJournal) -> Iterator[pa.RecordBatch]:
    day = pa.scalar(date.fromisoformat(day_of(one.stem)), pa.date32())
    more = [pa.scalar(one.feed), day, pa.scalar(one.stem)]
    for batch in table.to_batches():
        columns = [*batch.columns, *(pa.repeat(value, len(batch)) for value in more)]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def journals(layout: Layout) -> list[UnsealedJournal]:
    """Return the journals of a record, as long as they are now."""
    found = []
    for feed in layout.feeds():
        for stem in layout.active(feed):
            with suppress(FileNotFoundError):  # sealed in this moment: its file is listed later
                size = layout.journal(feed, stem).stat().st_size
                found.append(UnsealedJournal(feed, stem, size))
    return found


def register(connection: duckdb.DuckDBPyConnection, frames: UnsealedFrames) -> None:
    """Register frames as the relation `raw_journals` of a connection."""
    connection.register(NAME, frames)
