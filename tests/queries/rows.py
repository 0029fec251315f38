"""Rows for the canned queries, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from recorder.answers import canned
from recorder.record.layout import Layout

QUERIES = canned.load()
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
START = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
DAY = datetime(2026, 1, 1, tzinfo=UTC)

Connection = duckdb.DuckDBPyConnection

#: A data directory without a record.
NOWHERE = Layout(Path("nowhere"))


def put(connection: Connection, table: str, at_ns: int, /, **values: Any) -> None:
    """Insert a row received at START + at_ns; what is not given is NULL, or a harmless default."""
    recv_ns = START + at_ns
    row: dict[str, Any] = {
        "feed": "f",
        _stream(table): "c",
        "exchange": "binance",
        "symbol": "BTCUSDT",
        "recv_ns": recv_ns,
        "recv_time": DAY + timedelta(microseconds=at_ns // 1000),
        "connection": "one",
        "seq": at_ns,
        "item": 0,
        **values,
    }
    marks = ", ".join(f"${name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row).fetchall()


def _stream(table: str) -> str:
    return "line_group" if table in {"connections", "gaps"} else "channel"


def ask(connection: Connection, name: str, **parameters: str) -> list[dict[str, Any]]:
    return list(canned.run(connection, QUERIES[name], parameters).to_pylist())


def connected(connection: Connection, opened: int | None, closed: int | None, **more: Any) -> None:
    at = opened or 0
    values = {
        "line": "A",
        "opened_ns": None if opened is None else START + opened,
        "first_frame_ns": None if opened is None else START + opened,
        "closed_ns": None if closed is None else START + closed,
        "last_heard_ns": None if closed is None else START + closed,
        "frames": 10,
        "bytes": 100,
    }
    put(connection, "connections", at, **(values | more))


def gap(connection: Connection, start: int, end: int | None, **more: Any) -> None:
    to_ns = None if end is None else START + end
    put(
        connection,
        "gaps",
        start,
        **({"line": "A", "from_ns": START + start, "to_ns": to_ns} | more),
    )
