"""DuckDB connections with the settings that the recorder needs."""

from __future__ import annotations

from pathlib import Path

import duckdb


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
