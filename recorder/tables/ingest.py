"""Ingest: frames into tables, exactly once.

Ingest works on a database of its own (`work/ingest.duckdb`). A batch's rows and the ledger's note
of it are one transaction, so that a kill anywhere loses nothing and repeats nothing. For readers
the database is published by rename: whoever has the old one open keeps it, nobody meets a lock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute

from recorder import __version__, durable
from recorder.answers import canned
from recorder.errors import DataError
from recorder.sealed import merged, raw
from recorder.segment import Layout, day_of, order
from recorder.tables import (
    arrivals,
    bulk,
    carry,
    duck,
    instruments,
    markers,
    normalise,
    private,
    publish,
    sieve,
)
from recorder.tables.bulk import Group
from recorder.tables.schema import SCHEMA_VERSION

#: Frames are gathered to about this much before they are normalised: DuckDB shares the work out
#: by row groups (122,880 rows), and smaller batches keep one thread busy.
_BATCH_ROWS = 1_000_000
_BATCH_BYTES = 64 << 20
_LARGE_BATCH_BYTES = 16 << 20  # of large frames, which become many rows each

#: New sealed segments are taken in together, up to about so many frames in one transaction: what
#: does not fill a row group of its table is written twice.
_GROUP_ROWS = 2_000_000

#: The fault of the SQL itself, not of a frame.
_WRONG_SQL = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)

#: Readers of a database smaller than this see a frame within 5 s.
_FRESH_BYTES = 1 << 30

#: DuckDB 1.4 clients can open what this version wrote.
_STORAGE = "v1.4.0"


class Rules(NamedTuple):
    """How one feed's frames are normalised: by `sql` (see `normalise.load`); None: not at all."""

    sql: str | Path | None
    whale_usd: float = 100_000.0


@dataclass(slots=True)
class _Known:
    """The ledger's note of one segment."""

    rows: int = 0
    offset: int = 0


class Ingest:
    """Holds the private database of one data directory; close it when done.

    `rules(feed)` says how a feed is normalised; `warn(text)` hears of what is skipped.

    Raises:
        BusyError: another ingest works here.
        DataError: the private database is from another version of the recorder.
    """

    def __init__(
        self,
        layout: Layout,
        rules: Callable[[str], Rules],
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._layout, self._rules, self._warn = layout, rules, warn
        self._lock = durable.claim(layout.work / ".lock", "ingest")
        self._path = layout.work / "ingest.duckdb"
        self._sql = canned.sql_directory() / "normalise"
        self._skipped: set[Path] = set()
        self._gaps_made: set[str] = set()
        self._db = self._open()
        self._define()
        self._changed = not layout.database.exists()
        self._published_at = self._publishing_took = 0.0

    def close(self) -> None:
        """Give the directory free."""
        self._db.close()
        os.close(self._lock)

    def _open(self) -> duckdb.DuckDBPyConnection:
        db = duck.connect()
        db.execute("SET preserve_insertion_order = false")
        db.execute("SET temp_directory = $place", {"place": str(self._layout.work / "spill")})
        place = str(self._path).replace("'", "''")
        db.execute(f"ATTACH '{place}' AS work (STORAGE_VERSION '{_STORAGE}')")
        db.execute("USE work")
        self._check_version(db)
        db.execute(arrivals.STATE)
        db.execute(carry.STATE)
        normalise.prepare(db, self._sql)
        return db

    def _define(self) -> None:
        """Make the tables, their comments and the macros; once, for it takes half a second."""
        publish.define(self._db, self._layout)
        self._db.execute(
            "INSERT OR REPLACE INTO about VALUES ('schema', $schema), ('recorder', $recorder)",
            {"schema": str(SCHEMA_VERSION), "recorder": __version__},
        )

    def _check_version(self, db: duckdb.DuckDBPyConnection) -> None:
        if not db.execute("FROM duckdb_tables() WHERE table_name = 'about'").fetchone():
            return
        found = db.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
        if found and found[0] != str(SCHEMA_VERSION):
            db.close()
            os.close(self._lock)
            raise private.of_another_version(found[0], self._path)

    # -- one pass

    def run(self, tell: Callable[[int], None] = lambda frames: None) -> int:
        """Ingest everything there is now, sealed or still in a journal; how many frames.

        `tell(frames)` hears of each batch.
        """
        total = 0
        for feed in self._layout.feeds():
            frames = sum(
                self._together(feed, group, tell)
                if isinstance(group, Group)
                else self._segment(feed, group, tell)
                for group in self._groups(feed)
            )
            # At first also without frames: a kill may have come between the last ones and this.
            if frames or feed not in self._gaps_made:
                self._db.execute("BEGIN")
                markers.apply_gaps(self._db, feed)
                self._db.execute("COMMIT")
                self._gaps_made.add(feed)
            total += frames
        self._changed |= total > 0
        return total

    def _stems(self, feed: str) -> list[str]:
        """Segments that may hold more than the ledger knows, in the order they were written.

        That is by run and number: the time in front goes back when the wall clock is set back.
        """
        done = self._db.execute(
            "SELECT segment FROM ledger WHERE feed = $feed AND sealed", {"feed": feed}
        ).fetchall()
        there = {*self._layout.active(feed), *self._layout.sealed(feed)}
        skipped = {path.stem for path in self._skipped}
        return sorted(there - {row[0] for row in done} - skipped, key=order)

    def _groups(self, feed: str) -> Iterator[Group | str]:
        """What to ingest: new sealed segments together, every other by itself, in order."""
        begun = {
            row[0]
            for row in self._db.execute(
                "SELECT segment FROM ledger WHERE feed = $feed", {"feed": feed}
            ).fetchall()
        }
        group = Group()
        for stem in self._stems(feed):
            whole = bulk.segment(stem, self._layout.parquet(feed, stem))
            if whole is None or stem in begun:
                if group.stems:
                    yield group
                    group = Group()
                yield stem
                continue
            group.add(whole)
            if group.rows >= _GROUP_ROWS:
                yield group
                group = Group()
        if group.stems:
            yield group

    def _together(self, feed: str, group: Group, tell: Callable[[int], None]) -> int:
        """Several new sealed segments in one transaction, straight from their files.

        Whatever is not quite right with them is found when they are taken one by one.
        """
        told = 0
        try:
            self._db.execute("BEGIN")
            for part in group.parts(_BATCH_ROWS):
                part.register(self._db)
                if not markers.goes_on(self._db, feed):
                    raise DataError("frame numbers that do not simply go on")
                self._understand(feed)
                self._normalise(feed)
                part.note(self._db, feed, self._fingerprint(feed))
                for segment in part.segments:
                    merged.note(self._db, segment.stem, merged.held_in(segment.path))
                tell(part.rows)
                told += part.rows
            self._db.execute("COMMIT")
            together = True
        except (duckdb.Error, DataError, FileNotFoundError):
            self._db.execute("ROLLBACK")
            together = False
        self._db.execute("DROP VIEW IF EXISTS batch")
        if not together:
            tell(-told)
            return sum(self._segment(feed, stem, tell) for stem in group.stems)
        self._changed = True
        return group.rows

    def _segment(self, feed: str, stem: str, tell: Callable[[int], None]) -> int:
        known = self._known(stem)
        before = known.rows
        try:
            if not self._layout.parquet(feed, stem).exists():
                try:
                    self._from_journal(feed, stem, known, tell)
                    return known.rows - before
                except FileNotFoundError:
                    pass  # it was sealed just now
            self._from_parquet(feed, stem, known, tell)
        except FileNotFoundError:
            pass  # a journal that held no frame was cleared away, or the file was pruned
        except DataError as error:
            self._skipped.add(self._layout.parquet(feed, stem))
            self._warn(f"segment left out: {error}")
        return known.rows - before

    def _from_journal(
        self, feed: str, stem: str, known: _Known, tell: Callable[[int], None]
    ) -> None:
        for part in raw.of_journal(self._layout.journal(feed, stem), known.offset):
            known.offset = part.end
            self._batch(feed, stem, known, part.table)
            tell(len(part.table))

    def _from_parquet(
        self, feed: str, stem: str, known: _Known, tell: Callable[[int], None]
    ) -> None:
        path = self._layout.parquet(feed, stem)
        if known.rows:
            # Of a journal whose end was written again into the next one, more may have been read.
            with suppress(OSError, pa.ArrowException):
                known.rows = min(known.rows, pq.read_metadata(path).num_rows)
        for table in _gathered(raw.of_parquet(path, known.rows)):
            self._batch(feed, stem, known, table)
            tell(len(table))
        held = merged.held_in(path)
        self._db.execute("BEGIN")
        self._db.execute(
            "UPDATE ledger SET sealed = true, rows = $rows WHERE segment = $stem",
            {"rows": known.rows, "stem": stem},
        )
        merged.note(self._db, stem, held)
        self._db.execute("COMMIT")
        self._changed = True  # its frames are in the view `raw` now

    def _known(self, stem: str) -> _Known:
        found = self._db.execute(
            "SELECT rows, journal_offset FROM ledger WHERE segment = $stem", {"stem": stem}
        ).fetchall()
        return _Known(*found[0]) if found else _Known()

    # -- one batch, one transaction

    def _batch(self, feed: str, stem: str, known: _Known, table: pa.Table) -> None:
        new = self._unseen(feed, table)
        try:
            self._transact(feed, new, pa.array([], pa.int64()))
        except _WRONG_SQL as error:
            self._db.execute("ROLLBACK")
            why = str(error).splitlines()[0]
            raise DataError(why, where=f"the SQL that normalises '{feed}'") from error
        except duckdb.Error as error:
            # Some frame breaks the feed's SQL. Find it, reject it, and go on with the others.
            self._db.execute("ROLLBACK")
            bad = sieve.broken(lambda start, end: self._breaks(feed, new, start, end), len(new))
            if bad is None:
                what = f"fails on frame after frame: {str(error).splitlines()[0]}"
                raise DataError(what, where=f"the SQL that normalises '{feed}'") from error
            if not bad:
                raise
            self._warn(f"{len(bad)} frames of '{feed}' break its SQL; they are in rejects")
            self._transact(feed, new, pa.array(bad, pa.int64()))
        known.rows += len(table)
        self._note(feed, stem, known, table)
        self._db.execute("COMMIT")

    def _unseen(self, feed: str, table: pa.Table) -> pa.Table:
        """The batch without frames that an earlier segment brought.

        After a failed sync capture writes the doubtful frames again, into the next journal; the
        end of the first one may have been read before.
        """
        self._db.register("batch", table)
        if not markers.overlaps(self._db, feed):
            return table
        return markers.unseen(self._db, feed).cast(raw.RAW)

    def _transact(self, feed: str, table: pa.Table, bad: pa.Array) -> None:
        """Everything of a batch but the ledger, in a transaction left open."""
        self._db.execute("BEGIN")
        self._db.register("batch", table)
        self._understand(feed)
        if self._rules(feed).sql is not None and len(bad):
            self._db.register("batch", table.take(bad))
            normalise.reject(self._db, feed, "a frame that breaks this feed's SQL")
            keep = sorted(set(range(len(table))) - set(bad.to_pylist()))
            self._db.register("batch", table.take(keep))
        self._normalise(feed)

    def _understand(self, feed: str) -> None:
        """What needs no knowledge of the feed: connections, instruments, what is new of `batch`."""
        markers.apply(self._db, feed)
        instruments.apply(self._db, feed)
        arrivals.apply(self._db, feed)

    def _normalise(self, feed: str) -> None:
        """The rows of the relation `fresh`."""
        rules = self._rules(feed)
        if rules.sql is not None:
            normaliser = normalise.load(self._sql, rules.sql)
            normalise.apply(self._db, normaliser, feed, whale_usd=rules.whale_usd)

    def _fingerprint(self, feed: str) -> str | None:
        sql = self._rules(feed).sql
        return normalise.load(self._sql, sql).fingerprint if sql else None

    def _breaks(self, feed: str, table: pa.Table, start: int, end: int) -> bool:
        """True if the feed's SQL fails on some of these frames; nothing is kept."""
        try:
            self._transact(feed, table.slice(start, end - start), pa.array([], pa.int64()))
        except duckdb.Error:
            return True
        finally:
            self._db.execute("ROLLBACK")
        return False

    def _note(self, feed: str, stem: str, known: _Known, table: pa.Table) -> None:
        span = compute.min_max(table["recv_ns"]).as_py()
        self._db.execute(
            """
            INSERT INTO ledger
            VALUES ($feed, $stem, $day, $rows, $offset, false, $first, $last, $sql)
            ON CONFLICT (segment) DO UPDATE SET
                rows = excluded.rows, journal_offset = excluded.journal_offset,
                first_recv_ns = least(first_recv_ns, excluded.first_recv_ns),
                last_recv_ns = greatest(last_recv_ns, excluded.last_recv_ns),
                normaliser = excluded.normaliser
            """,
            {
                "feed": feed,
                "stem": stem,
                "day": day_of(stem),
                "rows": known.rows,
                "offset": known.offset,
                "first": span["min"],
                "last": span["max"],
                "sql": self._fingerprint(feed),
            },
        )

    # -- publishing

    def publish_due(self) -> bool:
        """True if there is something new, and publishing it now is worth its time.

        It takes at most 5 % of the time, unless the promise of freshness (5 s) asks for more.
        """
        wait = max(1.0, 20 * self._publishing_took)
        if self._path.stat().st_size < _FRESH_BYTES:
            wait = min(wait, max(1.0, 3.0 - self._publishing_took))
        return self._changed and time.monotonic() - self._published_at >= wait

    def publish(self) -> None:
        """Let readers see what was ingested."""
        start = time.monotonic()
        publish.prepare(self._db, self._layout, self._skipped)
        self._db.execute("CHECKPOINT work")
        # Copied after closing: closing any descriptor of a database file in the process that has
        # it open would drop DuckDB's lock on it.
        self._db.close()
        publish.copy(self._path, self._layout.database)
        self._db = self._open()
        self._changed = False
        self._published_at = time.monotonic()
        self._publishing_took = self._published_at - start


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in larger tables."""
    some: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        some.append(table)
        rows, size = rows + len(table), size + table.nbytes
        large = size > rows * bulk.LARGE_FRAME
        if rows >= _BATCH_ROWS or size >= (_LARGE_BATCH_BYTES if large else _BATCH_BYTES):
            yield pa.concat_tables(some)
            some, rows, size = [], 0, 0
    if some:
        yield pa.concat_tables(some)
