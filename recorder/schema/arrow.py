"""The columns of the tables as Arrow types."""

from __future__ import annotations

import pyarrow as pa

from recorder.schema.table import Table

#: DuckDB's types as Arrow's.
TYPES = {
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "BLOB": pa.binary(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
}


def columns(table: Table) -> pa.Schema:
    """Return the columns of a table, each of which may be NULL."""
    return pa.schema([(name, TYPES[kind]) for name, kind in table.types.items()])
