"""Small tables on their way between a driver and its tasks."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import ipc


def packed(table: pa.Table) -> bytes:
    """A table as bytes."""
    sink = pa.BufferOutputStream()
    options = ipc.IpcWriteOptions(compression="zstd")
    with ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def opened(parcel: bytes) -> pa.Table:
    """The table in some bytes."""
    return ipc.open_stream(parcel).read_all()
