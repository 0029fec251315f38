"""A lake for a test: the tables of a local `recorder.duckdb`, written as Delta tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

from recorder.lake.tables import ABOUT, SHAPES, Shape
from recorder.schema import duck
from recorder.schema.state import LEDGER
from recorder.schema.tables import SCHEMA_VERSION, TABLES
from recorder.version import __version__

#: The tables that are read; what ingest alone goes on from is not in a published database.
READ = (*TABLES, LEDGER.name)

Options = Mapping[str, str]


def write(database: Path, url: str, options: Options | None = None) -> dict[str, int]:
    """Write every table of a published database in one batch; the pinned versions."""
    with closing(duck.connect(database, read_only=True)) as connection:
        found = {name: table(connection, name) for name in READ}
    for name, rows in found.items():
        append(url, name, rows, options)
    versions = dict.fromkeys(READ, 0)
    pin(url, versions, options=options)
    return versions


def table(connection: duckdb.DuckDBPyConnection, name: str) -> pa.Table:
    """A table's rows as a lake keeps them."""
    day = ", make_timestamptz(recv_ns // 1000)::DATE AS day" if "day" in _added(name) else ""
    order = "symbol, recv_ns" if name in TABLES else "ALL"
    sql = f"SELECT *{day} FROM {name} ORDER BY {order}"
    found = connection.sql(sql).to_arrow_table()
    columns = [_plain(column) for column in found.columns]
    return pa.table(columns, found.column_names).cast(SHAPES[name].columns)


def _added(name: str) -> set[str]:
    """The columns that a lake has more than the table."""
    return set(SHAPES[name].columns.names) - {
        column.name for column in (TABLES | {LEDGER.name: LEDGER})[name].columns
    }


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Arrow's own JSON type is text in a lake."""
    return column.cast(pa.string()) if "json" in str(column.type) else column


def append(url: str, name: str, rows: pa.Table, options: Options | None = None) -> None:
    """One commit more to a table; a file for each feed and day."""
    shape: Shape = SHAPES[name]
    write_deltalake(
        f"{url}/{name}",
        rows.cast(shape.columns),
        partition_by=list(shape.folders) or None,
        mode="append",
        storage_options=dict(options) if options else None,
    )


def pin(
    url: str,
    versions: Mapping[str, int],
    *,
    schema: int = SCHEMA_VERSION,
    options: Options | None = None,
) -> None:
    """Write the pointer: what belongs to the newest whole batch."""
    told = {"schema": str(schema), "recorder": __version__, "versions": json.dumps(dict(versions))}
    rows = pa.table({"name": list(told), "value": list(told.values())})
    write_deltalake(
        f"{url}/{ABOUT}",
        rows,
        mode="overwrite",
        storage_options=dict(options) if options else None,
    )


def days(rows: pa.Table, choose: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> pa.Table:
    """The rows whose day is chosen."""
    return rows.filter(choose(rows["day"])) if "day" in rows.column_names else rows


def split(rows: pa.Table, column: str, at: str) -> tuple[pa.Table, pa.Table]:
    """The rows below a value, and the others."""
    below = pc.fill_null(pc.less(rows[column], at), False)
    return rows.filter(below), rows.filter(pc.invert(below))
