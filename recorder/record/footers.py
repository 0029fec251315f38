"""What sealed files say of themselves in their footers: sizes, spans, connections that ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recorder.errors import DataError
from recorder.record import raw
from recorder.record.layout import Layout

K = TypeVar("K")
V = TypeVar("V")

#: The most files that are remembered.
_MOST = 10_000


class Size(NamedTuple):
    """The frames of a sealed file, and their bytes before compression."""

    rows: int
    bytes: int


def size(path: Path) -> Size | None:
    """Return the size of a sealed file; None if it cannot be read as one."""
    try:
        with raw.sealed_file(path) as file:
            groups = (file.metadata.row_group(i) for i in range(file.num_row_groups))
            return Size(file.metadata.num_rows, sum(group.total_byte_size for group in groups))
    except (OSError, pa.ArrowException, DataError):
        return None


@dataclass(slots=True)
class Footers:
    """Footers of a record's sealed files, each read once: the files do not change."""

    layout: Layout
    _spans: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _ended: dict[tuple[str, str], bool] = field(default_factory=dict)

    def span(self, feed: str, stem: str) -> tuple[int, int] | None:
        """Return the receive times (ns) of a file's first and last frame; None if not known yet."""
        if (feed, stem) not in self._spans:
            span = _span(self.layout, feed, stem)
            if span is None:
                return None
            _keep(self._spans, (feed, stem), span)
        return self._spans[feed, stem]

    def all_ended(self, feed: str, stem: str) -> bool:
        """Return True if every connection of the file ended in it."""
        if (feed, stem) not in self._ended:
            _keep(self._ended, (feed, stem), _all_ended(self.layout, feed, stem))
        return self._ended[feed, stem]


def _keep(known: dict[K, V], key: K, value: V) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[key] = value


def _span(layout: Layout, feed: str, stem: str) -> tuple[int, int] | None:
    try:
        with pq.ParquetFile(layout.look(feed, stem)) as file:
            groups = [file.metadata.row_group(i).column(0) for i in range(file.num_row_groups)]
            known = [group.statistics for group in groups if group.path_in_schema == "recv_ns"]
    except (OSError, pa.ArrowException, DataError):
        return None
    if not known or len(known) < len(groups) or not all(one and one.has_min_max for one in known):
        return None
    return min(one.min for one in known), max(one.max for one in known)


def _all_ended(layout: Layout, feed: str, stem: str) -> bool:
    try:
        with raw.sealed_file(layout.look(feed, stem)) as file:
            table = file.read(["connection", "kind"])
    except (OSError, DataError):
        return False
    lived = table.filter(pc.not_equal(table["kind"], "instruments"))
    ended = lived.filter(pc.equal(lived["kind"], "closed"))
    return set(pc.unique(lived["connection"]).to_pylist()) == set(ended["connection"].to_pylist())
