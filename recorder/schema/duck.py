"""DuckDB connections with the settings that the recorder needs."""

from __future__ import annotations

from pathlib import Path

import duckdb

#: Memory (MB) and threads of a connection that turns frames into rows, whatever the machine has:
#: more threads would each hold a part of a batch at once.
BATCH_MB = 2048
_BATCH_THREADS = 8

_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def bound(db: duckdb.DuckDBPyConnection, memory_mb: int = BATCH_MB) -> None:
    """Limit a connection's memory (MB) and threads; never beyond what DuckDB chose by itself."""
    text, threads = db.execute(
        "SELECT current_setting('memory_limit'), current_setting('threads')"
    ).fetchall()[0]
    number, unit = str(text).split()
    if float(number) * _UNITS.get(unit, 1 << 50) > memory_mb * 10**6:
        db.execute(f"SET memory_limit = '{memory_mb}MB'")
    db.execute(f"SET threads = {min(int(threads), _BATCH_THREADS)}")


def connect(
    path: Path | None = None, *, read_only: bool = False, **settings: str | bool | int
) -> duckdb.DuckDBPyConnection:
    """Return a connection to a database file, or to memory: on UTC, without a progress bar.

    By default DuckDB draws a progress bar on standard output when a query takes long.
    """
    where = ":memory:" if path is None else str(path)
    connection = duckdb.connect(where, read_only=read_only, config=dict(settings))
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    return connection
