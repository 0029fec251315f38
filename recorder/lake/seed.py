"""What a task knows before it takes in its files: put into the scratch tables of its own ingest.

A task that takes a file by itself is given the few rows that matter (`Alone`). One that takes all
of a feed's new files goes on from the lake's own state (`Whole`), as ingest on one machine does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from recorder.lake import delta, transfer
from recorder.lake.place import Place
from recorder.lake.tables import BOOKS
from recorder.record.layout import Layout
from recorder.tables import markers, private
from recorder.tables.normalise import Normaliser

#: Rows that are known already, beside those that a task makes: `item` is never negative.
KNOWN = -1

#: Delta has no unsigned numbers.
HASH_TO_LAKE = "(hash::HUGEINT - 9223372036854775808)::BIGINT"
HASH_FROM_LAKE = "(hash::HUGEINT + 9223372036854775808)::UBIGINT"

#: What of the lake's books goes elsewhere, or is changed, on its way into a task.
_TABLE = {"begun": "ledger"}
_COLUMNS = {"arrivals": f"* REPLACE ({HASH_FROM_LAKE} AS hash)"}

#: What a row cannot be without.
_NEEDED = ("feed", "recv_ns", "recv_time", "connection", "seq")


@dataclass(frozen=True, slots=True)
class Alone:
    """What matters for some files of a feed, each a packed table."""

    connections: bytes  # as the lake knows them
    before: bytes  # what files before these, in the same batch, say of them
    instruments: bytes

    def put(self, layout: Layout, feed: str) -> None:
        """Insert it into the scratch tables of a layout."""
        with closing(private.create(layout)) as db:
            for name, rows in (
                ("connections", self.connections),
                ("instruments", self.instruments),
            ):
                _insert(db, name, transfer.opened(rows))
            db.register("known", transfer.opened(self.before))
            db.execute("CREATE OR REPLACE TEMP TABLE seen AS FROM known")
            markers.take(db, feed)


@dataclass(frozen=True, slots=True)
class Whole:
    """The lake's own state of a feed, at these versions of its tables."""

    tables: Place
    versions: Mapping[str, int]

    def put(self, layout: Layout, feed: str, normaliser: Normaliser | None) -> int:
        """Into the scratch tables of a layout; `normaliser` None: the feed has no SQL.

        Returns how many frames were taken of files that go on.
        """
        with closing(private.create(layout)) as db:
            for name in BOOKS:
                rows = delta.rows(self.tables, name, self.versions[name], feed)
                _insert(db, _TABLE.get(name, name), rows, _COLUMNS.get(name, "*"))
            for name, columns in _sent_once(normaliser).items():
                rows = delta.rows(self.tables, name, self.versions[name], feed, columns)
                _insert(db, name, rows, f"*, {KNOWN} AS item")
            [(frames,)] = db.execute("SELECT coalesce(sum(rows), 0)::BIGINT FROM ledger").fetchall()
        return int(frames)


def _sent_once(normaliser: Normaliser | None) -> dict[str, list[str]]:
    """For each table whose events may come again: the columns by which they are known."""
    found: dict[str, list[str]] = {}
    for section in normaliser.sections if normaliser else ():
        if section.once:
            columns = found.setdefault(section.name, list(_NEEDED))
            columns += [column for column in section.once if column not in columns]
    return found


def _insert(db: duckdb.DuckDBPyConnection, name: str, rows: pa.Table, columns: str = "*") -> None:
    if len(rows):
        db.register("known", rows)
        db.execute(f"INSERT INTO {name} BY NAME SELECT {columns} FROM known")  # noqa: S608 - our names
        db.unregister("known")
