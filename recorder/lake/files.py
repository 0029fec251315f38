"""A Delta table's files as an Arrow data set, which opens only files that a condition may match.

The log holds each file's feed and day, and the smallest and largest `recv_ns` and `symbol` in it.
Arrow leaves a file out if they contradict a condition. Of the times, only `recv_ns` is used: the
log keeps timestamps in milliseconds, and some writers round the largest one down, so rows would be
missing. The bounds of `recv_time` follow from `recv_ns`, or from the day if a file has no
statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds

from recorder.clock import NS
from recorder.errors import DataError
from recorder.lake.place import Place

if TYPE_CHECKING:
    from deltalake import DeltaTable

_DAY_NS = 86_400 * NS
_EPOCH = date(1970, 1, 1)
_TIME = pa.timestamp("us", "UTC")
_KNOWN = {"path"} | {
    f"{what}.{column}"
    for what in ("min", "max", "null_count", "partition")
    for column in ("feed", "day", "recv_ns", "symbol")
}

#: Fetch whole column chunks at once: a bucket answers few large requests faster than many small.
_FORMAT = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=True)
)


def dataset(table: DeltaTable, columns: pa.Schema, place: Place) -> ds.FileSystemDataset:
    """Return the files of a table's version, with the bounds of each; `place` is the table's.

    Raises:
        DataError: another program gave the table features that the recorder cannot read.
    """
    _check(table, place)
    found, files = pa.table(table.get_add_actions(flatten=True)), place.files
    fragments = [
        _FORMAT.make_fragment(
            f"{place.path}/{unquote(known['path'])}",
            filesystem=files,
            partition_expression=reduce(and_, held(known), ds.scalar(True)),
        )
        for known in found.select([n for n in found.column_names if n in _KNOWN]).to_pylist()
    ]
    return ds.FileSystemDataset(fragments, columns, _FORMAT, files)


def _check(table: DeltaTable, place: Place) -> None:
    """Raise DataError for features that would be read wrong, such as deletions in the log only."""
    protocol = table.protocol()
    if protocol.min_reader_version == 2 or protocol.reader_features:
        names = ", ".join(sorted(protocol.reader_features or ["columnMapping"]))
        hint = "drop them with the program that added them, or fill another lake from raw"
        what = f"the table has features that the recorder cannot read: {names}"
        raise DataError(what, where=place.url, hint=hint)


def held(known: Mapping[str, Any]) -> Iterator[ds.Expression]:
    """Yield conditions that hold for every row of a file."""
    feed, day = known.get("partition.feed"), known.get("partition.day")
    if feed is not None:
        yield ds.field("feed") == feed
    if day is not None:
        yield ds.field("day") == pa.scalar(day, pa.date32())
    if span := _span(known, day):
        yield from _times(*span)
    low, high = known.get("min.symbol"), known.get("max.symbol")
    if low is not None and high is not None:
        yield from _symbols(low, high, known.get("null_count.symbol") != 0)


def _span(known: Mapping[str, Any], day: date | None) -> tuple[int, int] | None:
    """Return the first and the last `recv_ns` that a file may hold; None if unknown."""
    low, high = known.get("min.recv_ns"), known.get("max.recv_ns")
    if low is not None and high is not None:
        return low, high
    if day is None:
        return None
    start = (day - _EPOCH).days * _DAY_NS
    return start, start + _DAY_NS - 1


def _times(low: int, high: int) -> Iterator[ds.Expression]:
    recv_ns, recv_time = ds.field("recv_ns"), ds.field("recv_time")
    yield recv_ns >= low
    yield recv_ns <= high
    yield recv_time >= pa.scalar(low // 1000, _TIME)
    yield recv_time <= pa.scalar(high // 1000, _TIME)


def _symbols(low: str, high: str, some_null: bool) -> Iterator[ds.Expression]:
    symbol = ds.field("symbol")
    for bound in (symbol >= low, symbol <= high):
        yield bound | symbol.is_null() if some_null else bound
