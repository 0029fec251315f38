"""The tables in memory: the published rows, and the rows of frames recorded since."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import duckdb
import pyarrow as pa
from pyarrow import compute

from recorder.schema import duck
from recorder.schema.tables import TABLES
from recorder.stream import event
from recorder.stream.event import Event, Filter, columns
from recorder.tables.batch import Batches, prepare
from recorder.tables.rules import Rules

#: After this many batches the database is rewritten without the rows that were deleted. Until then
#: they stay in memory, and every statement reads them: each batch replaces the state tables' rows.
BATCHES_UNTIL_CHECKPOINT = 50

#: Tables of which all rows are copied and kept, whatever their age.
_WHOLE = ("connections", "instruments", "gaps")


class MemoryTables:
    """Turns frames into rows of tables in memory, and rows into events.

    `tables` and `wanted` select the events. `db` is the database in memory.
    """

    def __init__(
        self, rules: Callable[[str], Rules], tables: Sequence[str], wanted: Filter
    ) -> None:
        self.db = duck.connect()
        for table in TABLES.values():
            self.db.execute(table.ddl)
        prepare(self.db)
        self._rules, self._tables, self._wanted = rules, tables, wanted
        self._batches: dict[str, Batches] = {}
        self._since_checkpoint = 0

    def copy(self, published: duckdb.DuckDBPyConnection, since_ns: int) -> None:
        """Copy the rows received since `since_ns`, and the state that batches carry on."""
        there = {row[0] for row in published.execute("SHOW TABLES").fetchall()}
        mine = {row[0] for row in self.db.execute("SHOW TABLES").fetchall()}
        for name in sorted(there & mine):
            recent = name in TABLES and name not in _WHOLE
            condition = f" WHERE recv_ns >= {int(since_ns)}" if recent else ""
            rows = published.sql(f"FROM {name}{condition}").to_arrow_table()  # our names
            self.db.register("copied", rows)
            self.db.execute(f"INSERT INTO {name} BY NAME FROM copied")
        self.db.unregister("copied")

    def take(self, feed: str, frames: pa.Table) -> Iterator[Event]:
        """Turn frames of a feed into rows; return the wanted events among them, in no order.

        Raises:
            DataError: the feed's SQL is missing or wrong, or fails on frame after frame.
        """
        new = self._batches_of(feed).take(frames)
        self._checkpoint()
        return self._events(feed, new)

    def settle(self, feed: str, frames: pa.Table) -> None:
        """Update the state of connections after frames from the fast path; make no rows."""
        self._batches_of(feed).settle(frames)
        self._checkpoint()

    def forget(self, before_ns: int) -> None:
        """Drop rows received before `before_ns`."""
        for name in TABLES:
            if name not in _WHOLE:
                sql = f"DELETE FROM {name} WHERE recv_ns < $before"  # noqa: S608 - our own names
                self.db.execute(sql, {"before": before_ns})

    def close(self) -> None:
        """Release the memory."""
        self.db.close()

    def _checkpoint(self) -> None:
        """Free the memory of deleted rows, from time to time."""
        self._since_checkpoint += 1
        if self._since_checkpoint >= BATCHES_UNTIL_CHECKPOINT:
            with suppress(duckdb.TransactionException):  # a reader is at work: after the next batch
                self.db.execute("CHECKPOINT")
                self._since_checkpoint = 0

    def _batches_of(self, feed: str) -> Batches:
        if feed not in self._batches:
            self._batches[feed] = Batches(self.db, feed, self._rules(feed))
        return self._batches[feed]

    def _events(self, feed: str, frames: pa.Table) -> Iterator[Event]:
        """Yield the wanted events whose rows these frames made."""
        self.db.register("batch", frames)
        given = {"since": 0, "until": 0, **self._wanted.values, "name": feed}
        # A row has its frame's receive time, so older rows need not be searched.
        times = compute.min_max(frames["recv_ns"]).as_py()
        given["since"] = max(self._wanted.span.since_ns, times["min"] or 0)
        given["until"] = min(self._wanted.span.until_ns, (times["max"] or 0) + 1)
        for name in self._tables:
            sql = (
                f"SELECT {', '.join(columns(name))} FROM {name} "  # noqa: S608 - our own names
                f"SEMI JOIN batch USING (connection, seq) WHERE feed = $name AND {self._wanted.sql}"
            )
            yield from (event.CLASSES[name](*row) for row in self.db.execute(sql, given).fetchall())
