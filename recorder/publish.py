"""Publishing the tables: views and macros for readers, and a name that is never half a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from recorder import canned, durable
from recorder.segment import Layout

_COLUMNS = """
    recv_ns, make_timestamptz(recv_ns // 1000) AS recv_time, mono_ns, seq, connection, kind,
    TRY(decode(payload)) AS text, payload
"""

_NOTHING = """
    SELECT NULL::BIGINT AS recv_ns, NULL::BIGINT AS mono_ns, NULL::BIGINT AS seq,
           NULL::VARCHAR AS connection, NULL::VARCHAR AS kind, NULL::BLOB AS payload,
           NULL::VARCHAR AS feed, NULL::DATE AS date WHERE false
"""

_COMMENT = (
    "The raw frames of all sealed segments. text is the payload as text, NULL if it is not UTF-8. "
    "The newest frames, not yet sealed, are in the tables but not here."
)


def prepare(connection: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    """Put the `raw` view and the canned queries' macros into the current database."""
    if any(layout.raw.glob("feed=*/date=*/*.parquet")):
        pattern = str(layout.raw.resolve() / "feed=*" / "date=*" / "*.parquet").replace("'", "''")
        source = f"read_parquet('{pattern}', hive_partitioning = true)"
    else:
        source = f"({_NOTHING})"
    # The path is ours and its quotes are doubled.
    connection.execute(f"CREATE OR REPLACE VIEW raw AS SELECT feed, date, {_COLUMNS} FROM {source}")  # noqa: S608
    connection.execute(f"COMMENT ON VIEW raw IS '{_COMMENT}'")
    canned.install_macros(connection)


def copy(private: Path, published: Path) -> None:
    """Make the closed database `private` visible as `published`, whole or not at all."""
    temporary = private.with_name(f"{published.name}.tmp")
    shutil.copyfile(private, temporary)
    durable.publish(temporary, published)
