"""Encoding of small tables that travel between a driver and its tasks."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import ipc


def encoded(table: pa.Table) -> bytes:
    """Return a table as bytes (an Arrow IPC stream)."""
    sink = pa.BufferOutputStream()
    options = ipc.IpcWriteOptions(compression="zstd")
    with ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def decoded(data: bytes) -> pa.Table:
    """Return the table that `encoded` turned into bytes."""
    return ipc.open_stream(data).read_all()
