"""DuckDB as the recorder uses it."""

from __future__ import annotations

from pathlib import Path

import duckdb


def connect(
    path: Path | None = None, *, read_only: bool = False, **settings: str | bool | int
) -> duckdb.DuckDBPyConnection:
    """A connection to a database file, or to memory: on UTC, and silent.

    Left alone, DuckDB draws a progress bar on standard output when a query takes long.
    """
    where = ":memory:" if path is None else str(path)
    connection = duckdb.connect(where, read_only=read_only, config=dict(settings))
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    return connection
