"""The markers of connections that opened, without reading the frames between them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recorder.record.layout import Layout
from recorder.record.read import Reader


def openings(layout: Layout, feed: str, stem: str) -> Iterator[bytes]:
    """Yield the payloads of a segment's `open` markers; of a sealed file only one on this machine.

    Raises:
        DataError, OSError, pa.ArrowException: the segment is gone, or cannot be read.
    """
    path = layout.parquet(feed, stem)
    if not path.exists():
        for table in Reader(layout, feed).parts(stem):
            yield from _of(table)
        return
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            kinds = file.read_row_group(group, columns=["kind"])["kind"]
            if pc.any(pc.equal(kinds, "open")).as_py():
                yield from _of(file.read_row_group(group, columns=["kind", "payload"]))


def _of(table: pa.Table) -> list[bytes]:
    kept = table.filter(pc.equal(table["kind"], "open"))["payload"].to_pylist()
    return [bytes(payload) for payload in kept]
