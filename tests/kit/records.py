"""A data directory for a test: sealed frames in, tables out."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from recorder.errors import ConfigError
from recorder.feeds import feed as feed_of
from recorder.frame import Frame
from recorder.record import seal
from recorder.record.layout import Layout, stem
from recorder.reporter import Reporter
from recorder.schema import duck
from recorder.schema.state import LEDGER
from recorder.schema.tables import TABLES
from recorder.tables import private
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules, stamped_of

from .frames import RUN, table

Rows = list[tuple[Any, ...]]


def stamped(kind: str) -> str | None:
    """What the service of a kind of feed stamps on copies; None for a kind that does not exist."""
    try:
        return stamped_of(feed_of(kind))
    except ConfigError:
        return None


def coding(kind: str) -> str | None:
    """How the service of a kind of feed packs its frames; None for a kind that does not exist."""
    try:
        return feed_of(kind).coding
    except ConfigError:
        return None


def rules(feed: str) -> Rules:
    """Return the rules of a feed whose name is its kind."""
    return Rules(feed, stamped=stamped(feed))


class Record:
    """One data directory. Its tables are those of ingest itself: nothing is published.

    Publishing costs more than ingesting some frames does; a test of what readers see uses
    `Published`.
    """

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.warnings: list[str] = []
        self._number = 0
        self.coding: str | None = None  # of feeds that have none of their own

    def seal(self, feed: str, frames: Sequence[Frame], kind: str | None = None) -> Path:
        """Write frames as the feed's next sealed segment; return its path."""
        self._number += 1
        path = self.layout.parquet(feed, stem(frames[0].recv_ns, RUN, self._number))
        seal.write(path, iter([table(frames)]), {"recorder.kind": kind or feed})
        return path

    def ingest(self, whale_usd: float = 100_000.0, sql: str | Path | None = None) -> int:
        """Ingest once, in this process; return how many frames. A feed's name is its kind."""
        empty_tables(self.layout)
        with closing(self._ingest(whale_usd, sql)) as work:
            return work.run()

    def take(self, feed: str, frames: Sequence[Frame], whale_usd: float = 100_000.0) -> None:
        """Seal the frames and ingest them."""
        self.seal(feed, frames)
        assert self.ingest(whale_usd) == len(frames)

    def sql(self, query: str) -> Rows:
        """Return what a query finds in the tables."""
        with self._connected() as db:
            return db.execute(query).fetchall()

    def rows(self, name: str, *columns: str) -> Rows:
        """Return the chosen columns of a table, in order of the frames."""
        return self.sql(f"SELECT {', '.join(columns)} FROM {name} ORDER BY seq, item")

    def everything(self) -> dict[str, Rows]:
        """Return every row of every table, sorted; the ledger without how it got there."""
        kept = [c.name for c in LEDGER.columns if c.name != "journal_offset"]
        with self._connected() as db:
            found = {name: db.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in TABLES}
            ledger = db.execute(f"SELECT {', '.join(kept)} FROM ledger ORDER BY ALL").fetchall()
        return {**found, "ledger": ledger}

    def _ingest(self, whale_usd: float, sql: str | Path | None) -> Ingest:
        def rules(feed: str) -> Rules:
            packed = self.coding or coding(feed)
            return Rules(sql or feed, whale_usd, None, stamped(feed), packed)

        return Ingest(self.layout, rules, Reporter(self.warnings.append))

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the tables, on UTC."""
        path = str(private.database(self.layout)).replace("'", "''")
        with _memory().cursor() as db:
            db.execute(f"ATTACH '{path}' AS ingested (READ_ONLY)")
            try:
                db.execute("USE ingested")
                yield db
            finally:
                db.execute("USE memory; DETACH ingested")


class Published(Record):
    """One data directory, whose tables are published after each ingest, for readers."""

    def ingest(self, whale_usd: float = 100_000.0, sql: str | Path | None = None) -> int:
        """Ingest and publish once, in this process; return how many frames."""
        empty_tables(self.layout)
        with closing(self._ingest(whale_usd, sql)) as work:
            frames = work.run()
            work.publish()
        return frames

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the published database, on UTC."""
        with duckdb.connect(str(self.layout.database), read_only=True) as db:
            db.execute("SET TimeZone = 'UTC'")
            yield db


@functools.cache
def _memory() -> duckdb.DuckDBPyConnection:
    """Return this process's DuckDB, to which private databases are attached for reading.

    Attaching a file takes a tenth of the time in which a DuckDB of its own starts.
    """
    return duck.connect()


def empty_tables(layout: Layout) -> None:
    """Give a data directory without tables a copy of empty ones, with their macros.

    Making them takes most of a second.
    """
    path = private.database(layout)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(private.database(Layout(Path(_made_once().name))), path)


@functools.cache
def _made_once() -> tempfile.TemporaryDirectory[str]:
    """Make empty tables and their macros, once per process; return their data directory."""
    place = tempfile.TemporaryDirectory(prefix="recorder-test-tables-")
    with closing(Ingest(Layout(Path(place.name)), Rules)) as work:
        work.publish()
    return place


def assert_same(found: dict[str, Rows], expected: dict[str, Rows]) -> None:
    """Compare two records' tables; the failure shows the rows that only one of them has."""
    for name, rows in expected.items():
        here, there = Counter(map(repr, found[name])), Counter(map(repr, rows))
        missing, added = (there - here).elements(), (here - there).elements()
        assert (name, [*islice(missing, 3)], [*islice(added, 3)]) == (name, [], [])
