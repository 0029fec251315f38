"""Publishing of the private database: readers see each state whole, with the view `raw` in it."""

from __future__ import annotations

import glob
import shutil
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb

from recorder import durable
from recorder.answers import canned
from recorder.record.footers import opens
from recorder.record.layout import Layout
from recorder.record.store import directories
from recorder.schema.raw import RAW_COLUMNS
from recorder.schema.state import ABOUT, CONDITIONS, LEDGER, PRUNED
from recorder.schema.tables import TABLES
from recorder.schema.versions import about, digest
from recorder.tables.batch import transaction

#: The newest state, and the one before it for a reader that has resolved the link but not yet
#: opened the file.
_STATES = 2

#: Readers of a database smaller than this see a frame within 5 s.
_FRESH_BYTES = 1 << 30

#: Where sealed files lie below the raw directory.
_PLACE = "feed=*/date=*/*.parquet"

_NOTHING = """
    SELECT NULL::BIGINT AS recv_ns, NULL::BIGINT AS mono_ns, NULL::BIGINT AS seq,
           NULL::VARCHAR AS connection, NULL::VARCHAR AS kind, NULL::BLOB AS payload,
           NULL::VARCHAR AS feed, NULL::DATE AS date WHERE false
"""

_COMMENT = (
    "The raw frames of all sealed segments. text is the payload as text, NULL if it is not UTF-8. "
    "Frames of journals, which are not sealed yet, are in the tables but not here: open the "
    "database with recorder sql, recorder query or recorder.connect() to see them, too."
)


def tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables in the current database, and their comments.

    Where they are there already nothing is done: some 270 comments take a tenth of a second, and
    each start of an ingest comes through here.
    """
    made = [table.ddl for table in (ABOUT, LEDGER, PRUNED, CONDITIONS, *TABLES.values())]
    _make(connection, "definitions", made)


def _make(connection: duckdb.DuckDBPyConnection, name: str, statements: Sequence[str]) -> None:
    """Run the statements, unless the current database was made by them.

    `about` keeps their digest under the name.
    """
    made = digest(statements)
    if about(connection, name) == made:
        return
    with transaction(connection):
        for sql in statements:
            connection.execute(sql)
        connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", [name, made])


def define(
    connection: duckdb.DuckDBPyConnection, layout: Layout, damaged: Collection[Path] = ()
) -> None:
    """Create everything that readers use in the current database: tables, `raw`, macros."""
    tables(connection)
    prepare(connection, layout, damaged)  # tries again where it fails, which ends a transaction
    _make(connection, canned.STORED, canned.macros())


def prepare(
    connection: duckdb.DuckDBPyConnection, layout: Layout, damaged: Collection[Path] = ()
) -> None:
    """Create the view `raw` in the current database.

    The view leaves out the `damaged` files, those of other names and those that cannot be opened:
    one of them would make every query fail.
    """
    here = layout.local
    ours = {here.look(feed, stem) for feed in here.feeds() for stem in here.sealed(feed)}
    there = set(layout.raw.glob(_PLACE))
    good = sorted(there & ours - set(damaged))
    try:
        # A pattern also finds the files that are sealed later.
        every = [layout.raw / _PLACE] if len(good) == len(there) else good
        _view(connection, layout, every if good else [])
    except duckdb.Error:
        _view(connection, layout, [path for path in good if opens(path)])


def _view(connection: duckdb.DuckDBPyConnection, layout: Layout, files: list[Path]) -> None:
    root = glob.escape(str(layout.raw.resolve()))
    names = [f"{root}/{path.relative_to(layout.raw)}".replace("'", "''") for path in files]
    listed = ", ".join(f"'{name}'" for name in sorted(names))
    source = f"read_parquet([{listed}], hive_partitioning = true)" if files else f"({_NOTHING})"
    # The path is ours and its quotes are doubled.
    connection.execute(f"CREATE OR REPLACE VIEW raw AS SELECT {RAW_COLUMNS} FROM {source} AS r")  # noqa: S608
    connection.execute(f"COMMENT ON VIEW raw IS '{_COMMENT}'")


class Publisher:
    """Publishes the private database of a data directory, and decides when."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._at = self._took = 0.0

    def due(self, private: Path) -> bool:
        """Return True if the private database may be published now.

        Publishing takes at most 5 % of the time. A database below 1 GiB is published more often if
        readers would otherwise see frames after more than 5 s.
        """
        wait = max(1.0, 20 * self._took)
        if private.stat().st_size < _FRESH_BYTES:
            wait = min(wait, max(1.0, 3.0 - self._took))
        return time.monotonic() - self._at >= wait

    def publish(
        self, connection: duckdb.DuckDBPyConnection, private: Path, damaged: Collection[Path] = ()
    ) -> None:
        """Close the private database, which is the current one, and publish it.

        The view `raw` has no frames of the `damaged` files.
        """
        start = time.monotonic()
        define(connection, self._layout, damaged)
        close_and_copy(connection, private, self._layout.database)
        self._at = time.monotonic()
        self._took = self._at - start


def close_and_copy(connection: duckdb.DuckDBPyConnection, private: Path, published: Path) -> None:
    """Close the database `private`, which is the current one, and publish it as `published`."""
    connection.execute("CHECKPOINT")
    # Copy after closing: in the process that has the database open, closing any descriptor of its
    # file would drop DuckDB's lock on it.
    connection.close()
    copy(private, published)


def copy(private: Path, published: Path) -> None:
    """Publish the closed database `private` as `published`, whole or not at all.

    `published` is a link to a file that never changes. DuckDB opens a database file several times:
    if a new file took its name between the header and the rest, DuckDB would mix two states. It
    resolves links first, so behind a link it always reads one state. The caller holds the claim to
    the data directory's tables.
    """
    states = private.parent / "published"
    for name in _numbers(states):
        if not (states / name / published.name).exists():  # a killed publish left it
            shutil.rmtree(states / name)
    newest = max(map(int, _numbers(states)), default=0)
    place = states / f"{newest + 1:08d}" / published.name
    durable.make_directory(place.parent)
    temporary = place.with_suffix(".tmp")
    shutil.copyfile(private, temporary)
    durable.publish(temporary, place)
    link = private.with_name(f"{published.name}.link")
    link.unlink(missing_ok=True)
    link.symlink_to(place.relative_to(published.parent))
    link.rename(published)
    durable.sync_directory(published.parent)
    for old in _numbers(states)[:-_STATES]:
        shutil.rmtree(states / old)


def _numbers(states: Path) -> list[str]:
    """Return the names of the published states, oldest first; other files are left alone."""
    return sorted(name for name in directories(states) if name.isdecimal() and name.isascii())
