"""The columns of the raw record: in sealed files (Arrow), and in the view `raw` (SQL)."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from recorder.errors import DISTRIBUTION, DataError

#: The version of these columns, in the metadata of every sealed file.
RAW_VERSION = "1"

RAW = pa.schema(
    [
        pa.field("recv_ns", pa.int64(), nullable=False),
        pa.field("mono_ns", pa.int64(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("connection", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)

#: The columns that the view `raw` selects from the files `r`.
# Qualified: DuckDB confuses a view's bare column with the parameter of a macro that reads the view.
RAW_COLUMNS = """
    r.feed, r.date, r.recv_ns, make_timestamptz(r.recv_ns // 1000) AS recv_time, r.mono_ns, r.seq,
    r.connection, r.kind, TRY(decode(r.payload)) AS text, r.payload
"""


def check_version(metadata: Mapping[bytes, bytes] | None, where: object) -> None:
    """Check that this version of the recorder can read a file: in others, columns may differ.

    Raises:
        DataError: the file's metadata names another version.
    """
    version = (metadata or {}).get(b"recorder.schema")
    if version is not None and version != RAW_VERSION.encode():
        theirs = version.decode("ascii", "replace")
        what = f"was written by another version (record schema {theirs}; this one reads "
        hint = f"update the recorder: pip install --upgrade {DISTRIBUTION}"
        raise DataError(f"{what}{RAW_VERSION})", where=str(where), hint=hint)
