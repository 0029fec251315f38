"""Sealed segments taken in several at a time, straight from their files.

DuckDB reads Parquet with all its threads and only the columns that a query needs; a segment that
was begun as a journal, or is not quite right, goes the long way through `recorder.record.raw`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from recorder.errors import DataError
from recorder.record.layout import Layout, day_of
from recorder.schema.raw import RAW, check_version

#: One batch is at most so large: the whole backlog never sits in memory.
_PART_BYTES = 256 << 20

#: Frames larger than this on average, such as the state of a whole market, go the long way, in
#: smaller batches: DuckDB takes 2,048 of them at a time, and one may hold hundreds of rows.
LARGE_FRAME = 4096

_NOTE = """
INSERT INTO ledger
SELECT
    $feed, $stem, $day, count(*), 0, true, min(recv_ns), max(recv_ns), $sql
FROM read_parquet($path, hive_partitioning = false)
"""


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed file."""

    stem: str
    path: Path
    rows: int
    bytes: int  # not compressed


@dataclass(slots=True)
class Group:
    """Consecutive new sealed segments of one feed."""

    segments: list[Segment] = field(default_factory=list)
    rows: int = 0

    def add(self, segment: Segment) -> None:
        """Take one more."""
        self.segments.append(segment)
        self.rows += segment.rows

    @property
    def stems(self) -> list[str]:
        """The names of the segments."""
        return [segment.stem for segment in self.segments]

    def parts(self, at_most: int) -> Iterator[Part]:
        """The segments in batches of about so many frames; none is divided."""
        part = Part()
        for segment in self.segments:
            full = part.rows + segment.rows > at_most or part.bytes + segment.bytes > _PART_BYTES
            if part.segments and full:
                yield part
                part = Part()
            part.segments.append(segment)
        if part.segments:
            yield part


@dataclass(slots=True)
class Part:
    """Segments that make one batch."""

    segments: list[Segment] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many frames there are, markers included."""
        return sum(segment.rows for segment in self.segments)

    @property
    def bytes(self) -> int:
        """How large they are, not compressed."""
        return sum(segment.bytes for segment in self.segments)

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the relation `batch`."""
        names = ", ".join(_quoted(segment.path) for segment in self.segments)
        files = f"read_parquet([{names}], hive_partitioning = false)"
        view = f"SELECT {', '.join(RAW.names)} FROM {files}"  # noqa: S608 - the names are quoted
        connection.execute(f"CREATE OR REPLACE TEMP VIEW batch AS {view}")

    def note(self, connection: duckdb.DuckDBPyConnection, feed: str, sql: str | None) -> None:
        """Write the segments into the ledger."""
        for segment in self.segments:
            connection.execute(
                _NOTE,
                {
                    "feed": feed,
                    "stem": segment.stem,
                    "day": day_of(segment.stem),
                    "sql": sql,
                    "path": str(segment.path),
                },
            )


def segment(stem: str, path: Path) -> Segment | None:
    """What a sealed file of ours says of itself.

    None if it cannot be read as one, is empty, or its frames are large.
    """
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(RAW) or not file.metadata.num_rows:
                return None
            check_version(file.metadata.metadata, path)
            groups = (file.metadata.row_group(i) for i in range(file.num_row_groups))
            size = sum(group.total_byte_size for group in groups)
            if size > LARGE_FRAME * file.metadata.num_rows:
                return None
            return Segment(stem, path, file.metadata.num_rows, size)
    except (OSError, pa.ArrowException, DataError):
        return None


def span(layout: Layout, feed: str, stem: str) -> tuple[int, int] | None:
    """The times (ns) of a sealed file's first and last frame, as its statistics say.

    None if there is no such file, or it says nothing of the kind.
    """
    try:
        with pq.ParquetFile(layout.look(feed, stem)) as file:
            groups = [file.metadata.row_group(i).column(0) for i in range(file.num_row_groups)]
            told = [group.statistics for group in groups if group.path_in_schema == "recv_ns"]
    except (OSError, pa.ArrowException, DataError):
        return None
    if not told or len(told) < len(groups) or not all(one and one.has_min_max for one in told):
        return None
    return min(one.min for one in told), max(one.max for one in told)


def _quoted(path: Path) -> str:
    """A path as DuckDB's text, in which no character stands for others."""
    name = "".join(f"[{c}]" if c in "*?[" else c for c in str(path))
    return "'" + name.replace("'", "''") + "'"
