"""Export of tables as plain Parquet: one file per table, rows unchanged, in receive order."""

from __future__ import annotations

from collections.abc import Sequence

from recorder.export.job import Job
from recorder.schema.tables import TABLES

#: The tables that can be exported: all but `rejects`, which holds raw payloads.
NAMES = tuple(name for name in TABLES if name != "rejects")


def export(job: Job, tables: Sequence[str] = NAMES) -> None:
    """Write `<table>.parquet` for each table that has rows in the range."""
    for table in tables:
        columns = ", ".join(
            f"{c.name}::VARCHAR AS {c.name}" if c.type == "JSON" else c.name
            for c in TABLES[table].columns
        )
        select = job.where(f"SELECT {columns} FROM {table} WHERE {{where}}")  # noqa: S608
        if job.rows(f"SELECT count(*) FROM ({select})") == [(0,)]:  # noqa: S608
            continue
        ordered = f"{select} ORDER BY recv_ns, connection, seq, item"
        job.copy(ordered, job.out / f"{table}.parquet", "FORMAT parquet, COMPRESSION zstd")
