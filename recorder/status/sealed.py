"""Sealed segments for a watcher: markers, and the number of frames per connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorder.clock import day
from recorder.record.layout import Layout, is_stem, order
from recorder.record.skim import TELLING, Found, Marker, Run, told

if TYPE_CHECKING:
    import pyarrow as pa


def of_today(layout: Layout, feed: str, now_ns: int) -> list[str]:
    """Return the stems of today's sealed files and the newest earlier one, oldest first."""
    today = day(now_ns)
    dates = layout.raw / f"feed={feed}"
    days = sorted((path.name.removeprefix("date=") for path in dates.glob("date=*")), reverse=True)
    found: list[str] = []
    for one in (d for d in days if d <= today):
        stems = [p.stem for p in (dates / f"date={one}").glob("*.parquet") if is_stem(p.stem)]
        stems.sort(key=order)
        if one != today:
            found = stems[-1:] + found
            break
        found = stems
    return found


def found_in(layout: Layout, feed: str, name: str, skip: int = 0) -> list[Found]:
    """Return runs and markers of a sealed segment after its first `skip` frames.

    A damaged or missing file yields none: `recorder verify` reports it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(layout.parquet(feed, name)) as file:
            found: list[Found] = []
            for index in range(file.num_row_groups):
                rows = file.metadata.row_group(index).num_rows
                if skip < rows:
                    found += _row_group(file, index, skip)
                skip = max(skip - rows, 0)
            return found
    except (OSError, pa.ArrowException):
        return []


def _row_group(file: pa.parquet.ParquetFile, index: int, skip: int) -> list[Found]:
    """Return a run per connection, then the markers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = ["connection", "kind", "seq", "recv_ns"]
    table = file.read_row_group(index, columns=names, use_threads=False).slice(skip)
    data = pc.is_in(table["kind"], value_set=pa.array(["text", "binary"]))
    table = table.append_column("data_ns", pc.if_else(data, table["recv_ns"], None))
    wanted = [("seq", "min"), ("seq", "max"), ("seq", "count")]
    wanted += [("data_ns", "max"), ("data_ns", "count")]
    found: list[Found] = [
        Run(
            row["connection"],
            row["seq_min"],
            row["seq_max"] + 1,
            row["data_ns_count"],
            0,
            row["data_ns_max"] or 0,
            row["seq_max"] + 1 - row["seq_min"] - row["seq_count"],
        )
        for row in table.group_by("connection").aggregate(wanted).to_pylist()
    ]
    marked = pc.invert(data)
    if pc.any(marked).as_py():
        rows = file.read_row_group(index, use_threads=False).slice(skip).filter(marked)
        for row in rows.to_pylist():
            says = told(row["payload"]) if row["kind"] in TELLING else {}
            found.append(Marker(row["connection"], row["seq"], row["recv_ns"], row["kind"], says))
    return found
