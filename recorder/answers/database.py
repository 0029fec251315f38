"""The published database: a read-only connection, and the age of its newest frame."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from recorder.errors import BusyError, DataError
from recorder.times import age

if TYPE_CHECKING:  # help and completion must not load it
    import duckdb

_NO_DATABASE = (
    "record with 'recorder capture', fill it with 'recorder ingest', or name another --data-dir"
)


def connect(path: Path, **settings: str | bool | int) -> duckdb.DuckDBPyConnection:
    """Open `recorder.duckdb` read-only, in UTC; `settings` are DuckDB's.

    Raises:
        DataError: there is no database, or it is unreadable.
        BusyError: a writer holds it, or this process has it open with other settings.
    """
    import duckdb

    from recorder.schema import duck

    if not path.exists():
        raise DataError("no database yet", where=str(path), hint=_NO_DATABASE)
    try:
        connection = duck.connect(path, read_only=True, **settings)
    except duckdb.Error as error:
        if "different configuration" in str(error):
            hint = "close it first, or query it from another process"
            raise BusyError("open in this process already", where=str(path), hint=hint) from error
        busy = "lock" in str(error)
        hint = "try again when it has finished" if busy else "rebuild it: recorder ingest --rebuild"
        what = f"cannot open the database: {str(error).splitlines()[0]}"
        raise (BusyError if busy else DataError)(what, where=str(path), hint=hint) from error
    return connection


def freshness(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the age of the newest ingested frame as text."""
    import duckdb

    try:
        [(newest,)] = connection.execute("SELECT max(last_recv_ns) FROM ledger").fetchall()
    except duckdb.CatalogException:
        newest = None
    if newest is None:
        return "nothing ingested yet"
    return f"newest frame {age(newest, time.time_ns())} old"
