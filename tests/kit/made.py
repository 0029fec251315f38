"""Tables of rows that a test makes up, without frames and ingest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from recorder.record.layout import Layout
from recorder.schema.arrow import columns
from recorder.schema.raw import RAW
from recorder.schema.state import ABOUT, LEDGER, PRUNED
from recorder.schema.tables import SCHEMA_VERSION, TABLES
from recorder.tables import publish

Row = dict[str, Any]

#: How many random records a reference is tried on: few in the suite, a thousand in the full run.
RECORDS = int(os.environ.get("RECORDER_TEST_RECORDS", "30"))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(ns: int) -> datetime:
    """Return a time in ns since epoch as a datetime, rounded down to a microsecond."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def database(path: Path) -> duckdb.DuckDBPyConnection:
    """Create empty tables with the queries' macros, in UTC; return the connection."""
    connection = duckdb.connect(str(path))
    publish.define(connection, Layout(Path("nowhere")))
    about = "INSERT INTO about VALUES ('schema', $1), ('recorder', 'made')"
    connection.execute(about, [str(SCHEMA_VERSION)])
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def clear(connection: duckdb.DuckDBPyConnection) -> None:
    """Delete every row but the versions."""
    names = [name for name in (*TABLES, LEDGER.name, PRUNED.name) if name != ABOUT.name]
    connection.execute("; ".join(f"DELETE FROM {name}" for name in names))


def fill(connection: duckdb.DuckDBPyConnection, record: Mapping[str, Sequence[Row]]) -> None:
    """Insert the rows of a record, by table; what a row does not give is NULL or a default."""
    for table, rows in record.items():
        if rows:
            connection.register("made", _table(table, rows))
            connection.execute(f"INSERT INTO {table} BY NAME FROM made")
            connection.unregister("made")


def frames(connection: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> None:
    """Let the view `raw` have these frames, and no others."""
    given = [
        {**row, "mono_ns": row["recv_ns"], "date": moment(row["recv_ns"]).date()} for row in rows
    ]
    shape = [*RAW, ("feed", pa.string()), ("date", pa.date32())]
    connection.register("made", pa.Table.from_pylist(given, pa.schema(shape)))
    connection.execute("CREATE OR REPLACE TABLE made_raw AS FROM made")
    connection.unregister("made")
    connection.execute("CREATE OR REPLACE VIEW raw AS FROM made_raw")


def ledger(record: Mapping[str, Iterable[Row]]) -> list[Row]:
    """Return the ledger row of a record that is one sealed segment per feed."""
    feeds: dict[str, list[int]] = {}
    for rows in record.values():
        for row in rows:
            feeds.setdefault(row.get("feed", "f"), []).append(row["recv_ns"])
    return [
        {"feed": feed, "segment": feed, "day": moment(min(times)).date(), "rows": len(times),
         "journal_offset": 0, "sealed": True, "first_recv_ns": min(times),
         "last_recv_ns": max(times), "normaliser": "made"}
        for feed, times in feeds.items()
    ]  # fmt: skip


def _table(name: str, rows: Sequence[Row]) -> pa.Table:
    if name == LEDGER.name:
        return pa.Table.from_pylist(list(rows), columns(LEDGER))
    given: list[Row] = [
        {"feed": "f", "connection": "one", "seq": number, "item": 0,
         "recv_time": moment(row["recv_ns"]), "first_frame_ns": row.get("opened_ns"), **row}
        for number, row in enumerate(rows)
    ]  # fmt: skip
    return pa.Table.from_pylist(given, columns(TABLES[name]))
