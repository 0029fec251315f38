"""Ingest's private database: claimed by one process at a time, changed, then published."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from recorder import durable
from recorder.errors import DataError
from recorder.record.footers import opens
from recorder.record.layout import Layout
from recorder.schema import duck
from recorder.schema.state import PRUNED
from recorder.schema.tables import SCHEMA_VERSION
from recorder.schema.versions import of_another_version, version_in
from recorder.tables import batch, publish
from recorder.version import __version__

#: DuckDB 1.4 clients can open what this version wrote.
_STORAGE = "v1.4.0"


def database(layout: Layout) -> Path:
    """Return the private database's file."""
    return layout.work / "ingest.duckdb"


@contextmanager
def claimed(layout: Layout, purpose: str = "an ingest or a prune") -> Iterator[None]:
    """Hold the claim to the data directory's tables, as ingest does, for the length of the block.

    Raises:
        BusyError: an ingest, a rebuild or a prune works in this data directory.
    """
    lock = durable.claim(layout.work / ".lock", purpose)
    try:
        yield
    finally:
        os.close(lock)


def version(layout: Layout) -> str | None:
    """Return the version of the private tables; None if there are none.

    Raises:
        DataError: the file is not a database.
    """
    path = database(layout)
    if not path.exists():
        return None
    with _opening(path), duck.connect(path) as db:
        return version_in(db)


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Raise a DataError, with what to do, if the database cannot be opened."""
    try:
        yield
    except duckdb.Error as error:
        if full(error):
            raise
        why = str(error).splitlines()[0].removeprefix("IO Error: ")
        what = f"the database cannot be opened: {why}"
        hint = "rebuild the tables from the raw record: recorder ingest --rebuild"
        raise DataError(what, where=str(path), hint=hint) from error


def full(error: BaseException) -> bool:
    """Return True if DuckDB failed because the disk is full."""
    return "No space left on device" in str(error) or "Disk quota exceeded" in str(error)


def connect(layout: Layout) -> duckdb.DuckDBPyConnection:
    """Open the private database as `work`, the current one; the caller holds the claim.

    Raises:
        DataError: there is no private database yet, or it is from another version.
    """
    found = version(layout)
    if found is None:
        hint = "take the record into tables first: recorder ingest"
        raise DataError("nothing was ingested yet", where=str(layout.root), hint=hint)
    if found != str(SCHEMA_VERSION):
        raise of_another_version(found, database(layout))
    db = duck.connect()
    db.execute("SET temp_directory = $place", {"place": str(layout.work / "spill")})
    attach(db, database(layout), "work")
    db.execute("USE work")
    db.execute(PRUNED.ddl)
    return db


def create(layout: Layout) -> duckdb.DuckDBPyConnection:
    """Open the private database as `work`, for ingest; create it and its tables where missing.

    The caller holds the claim.

    Raises:
        DataError: it is from another version.
    """
    layout.work.mkdir(parents=True, exist_ok=True)
    db = reopen(layout)
    try:
        publish.tables(db)
        db.execute(
            "INSERT OR REPLACE INTO about VALUES ('schema', $schema), ('recorder', $recorder)",
            {"schema": str(SCHEMA_VERSION), "recorder": __version__},
        )
    except BaseException:
        db.close()
        raise
    return db


def reopen(layout: Layout) -> duckdb.DuckDBPyConnection:
    """Open the private database as `work`, for ingest, without creating its tables.

    Raises:
        DataError: it is from another version, or is not a database.
    """
    db = duck.connect()
    try:
        duck.bound(db)
        db.execute("SET preserve_insertion_order = false")
        db.execute("SET temp_directory = $place", {"place": str(layout.work / "spill")})
        with _opening(database(layout)):
            attach(db, database(layout), "work", f"STORAGE_VERSION '{_STORAGE}'")
        db.execute("USE work")
        if (found := version_in(db)) not in (None, str(SCHEMA_VERSION)):
            raise of_another_version(found, database(layout))
        batch.prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def attach(db: duckdb.DuckDBPyConnection, path: Path, name: str, options: str = "") -> None:
    """Attach another database file as `name`; `options` are those of DuckDB's ATTACH."""
    place = str(path).replace("'", "''")
    db.execute(f"ATTACH '{place}' AS {name}" + (f" ({options})" if options else ""))


def show(db: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    """Close the private database and publish it: readers then see its rows."""
    done = {row[0] for row in db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()}
    new = [
        layout.parquet(feed, stem)
        for feed in layout.feeds()
        for stem in layout.sealed(feed)
        if stem not in done
    ]
    publish.prepare(db, layout, [path for path in new if not opens(path)])
    publish.close_and_copy(db, database(layout), layout.database)
