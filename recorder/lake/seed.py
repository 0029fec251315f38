"""The state before a task's files, which the task inserts into the scratch tables of its ingest.

A task that takes some files independently gets the few rows that matter to them (`FileSeed`). A
task that takes all of a feed's new files continues from the lake's state (`FeedSeed`), as ingest on
one machine does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from recorder.lake import delta, transfer
from recorder.lake.place import Place
from recorder.lake.tables import STATE_TABLES
from recorder.record.layout import Layout
from recorder.tables import markers, private
from recorder.tables.normalise import Normaliser

#: The `item` of rows that are in the lake already; that of a task's new rows is never negative.
KNOWN = -1

#: Delta has no unsigned numbers.
HASH_TO_LAKE = "(hash::HUGEINT - 9223372036854775808)::BIGINT"
HASH_FROM_LAKE = "(hash::HUGEINT + 9223372036854775808)::UBIGINT"

#: State tables with another name or other columns in a task's database.
_TABLE = {"begun": "ledger"}
_COLUMNS = {"arrivals": f"* REPLACE ({HASH_FROM_LAKE} AS hash)"}

#: The columns that are NOT NULL.
_NEEDED = ("feed", "recv_ns", "recv_time", "connection", "seq")


@dataclass(frozen=True, slots=True)
class FileSeed:
    """The rows that matter to some files of a feed; each field is an encoded table."""

    connections: bytes  # as the lake has them
    before: bytes  # the same connections in earlier files of the batch
    instruments: bytes

    def put(self, layout: Layout, feed: str) -> None:
        """Insert the rows into the scratch tables of a layout."""
        with closing(private.create(layout)) as db:
            for name, rows in (
                ("connections", self.connections),
                ("instruments", self.instruments),
            ):
                _insert(db, name, transfer.decoded(rows))
            db.register("known", transfer.decoded(self.before))
            db.execute("CREATE OR REPLACE TEMP TABLE seen AS FROM known")
            markers.take(db, feed)


@dataclass(frozen=True, slots=True)
class FeedSeed:
    """The lake's state of a feed, at these versions of its tables."""

    tables: Place
    versions: Mapping[str, int]

    def put(self, layout: Layout, feed: str, normaliser: Normaliser | None) -> int:
        """Insert the state into the scratch tables of a layout.

        Return how many frames of unfinished files were ingested before. A feed without SQL has no
        normaliser (None).
        """
        with closing(private.create(layout)) as db:
            for name in STATE_TABLES:
                rows = delta.rows(self.tables, name, self.versions[name], feed)
                _insert(db, _TABLE.get(name, name), rows, _COLUMNS.get(name, "*"))
            for name, columns in _sent_once(normaliser).items():
                rows = delta.rows(self.tables, name, self.versions[name], feed, columns)
                _insert(db, name, rows, f"*, {KNOWN} AS item")
            [(frames,)] = db.execute("SELECT coalesce(sum(rows), 0)::BIGINT FROM ledger").fetchall()
        return int(frames)


def _sent_once(normaliser: Normaliser | None) -> dict[str, list[str]]:
    """Return, for each table whose events may be sent twice, the columns that identify them."""
    result: dict[str, list[str]] = {}
    for section in normaliser.sections if normaliser else ():
        if section.once:
            columns = result.setdefault(section.name, list(_NEEDED))
            columns += [column for column in section.once if column not in columns]
    return result


def _insert(db: duckdb.DuckDBPyConnection, name: str, rows: pa.Table, columns: str = "*") -> None:
    if len(rows):
        db.register("known", rows)
        db.execute(f"INSERT INTO {name} BY NAME SELECT {columns} FROM known")  # noqa: S608 - our names
        db.unregister("known")
