"""Writing of rows as Parquet files of a Delta table, with the statistics for the table's log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from recorder.lake.place import Place
from recorder.lake.tables import SHAPES

#: The columns with statistics, where a table has them: queries filter by them.
_WITH_STATISTICS = (
    "exchange", "symbol", "channel", "line_group", "recv_ns", "recv_time", "event_ns", "connection",
    "seq",
)  # fmt: skip

#: No statistics are kept of longer texts: the log would grow for nothing.
_LONG = 64

_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Added:
    """A file that was written beside a table but is not committed to it yet."""

    table: str
    path: str  # below the table
    folders: Mapping[str, str]
    size: int
    rows: int
    stats: str  # JSON, as Delta's log has it


def written(
    place: Place, table: str, name: str, parts: Iterable[pa.Table], **folder: str
) -> Added | None:
    """Write rows (the columns that a file holds) as the file `name` of a table.

    Return the file; None if there are no rows. `folder` are the values that name its folder. A file
    gets its name once it is whole; a retry writes the same file.
    """
    folders = {key: folder[key] for key in SHAPES[table].folders}
    path = "/".join([*(f"{key}={value}" for key, value in folders.items()), f"{name}.parquet"])
    target = (place / table).path + "/" + path
    parts = iter(parts)
    if (first := next(parts, None)) is None:
        return None
    files = place.files
    # An object is visible only when it is whole; a local file is renamed when it is whole.
    temporary = target if place.remote else f"{target}.{id(first)}.tmp"
    if not place.remote:
        files.create_dir(target.rpartition("/")[0], recursive=True)
    metadata = _write(files, temporary, SHAPES[table].in_file, first, parts)
    if temporary != target:
        files.move(temporary, target)
    size = files.get_file_info(target).size
    return Added(table, path, folders, size, metadata.num_rows, json.dumps(_stats(metadata)))


def _write(
    files: fs.FileSystem, path: str, schema: pa.Schema, first: pa.Table, rest: Iterable[pa.Table]
) -> pq.FileMetaData:
    collected: list[pq.FileMetaData] = []
    with (
        files.open_output_stream(path) as sink,
        pq.ParquetWriter(sink, schema, compression="zstd", metadata_collector=collected) as writer,
    ):
        for part in (first, *rest):
            writer.write_table(part.select(schema.names).cast(schema))
    return collected[0]


def _stats(metadata: pq.FileMetaData) -> dict[str, Any]:
    """Return Delta's statistics of a file, from its footer."""
    names = {metadata.schema.column(i).name: i for i in range(metadata.num_columns)}
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for name in (name for name in _WITH_STATISTICS if name in names):
        groups = [
            metadata.row_group(i).column(names[name]).statistics
            for i in range(metadata.num_row_groups)
        ]
        if any(group is None or group.null_count is None for group in groups):
            continue
        nulls[name] = sum(group.null_count for group in groups)
        full = [group for group in groups if group.num_values]
        if full and all(group.has_min_max for group in full):
            lowest, highest = _low(min(g.min for g in full)), _high(max(g.max for g in full))
            if lowest is not None and highest is not None:
                low[name], high[name] = lowest, highest
    return {"numRecords": metadata.num_rows, "minValues": low, "maxValues": high,
            "nullCount": nulls}  # fmt: skip


def _low(value: Any) -> Any:
    return _time(value) if isinstance(value, datetime) else _short(value)


def _high(value: Any) -> Any:
    """Return a largest value for Delta's log, whose times have milliseconds: rounded up."""
    return _time(value + _MS) if isinstance(value, datetime) else _short(value)


def _time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03}Z"


def _short(value: Any) -> Any:
    return None if isinstance(value, str) and len(value) > _LONG else value
