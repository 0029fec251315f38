"""One run's rows in order: the segments that a feed's recorder wrote from its start to its end.

A run wrote its frames in the order in which they came, so that its files are read one after the
other, a row group at a time.

Where the wall clock was set back while recording, frames keep their timestamps and the order in
which they were written: they are placed (`at`) where the clock stood before it was set back, until
it has caught up. On no connection do frames ever change places.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import NS
from recorder.record.journal import reader
from recorder.record.layout import Layout, order
from recorder.record.raw import of_journal, sealed_file
from recorder.record.seal import cuts
from recorder.schema.raw import RAW, check_version
from recorder.stream.span import FOR_EVER, Span

#: The raw columns, then where a frame is placed (`recv_ns`, unless the clock was set back), and
#: the number of the run that wrote it.
PLACED = RAW.append(pa.field("at", pa.int64())).append(pa.field("run", pa.int32()))

_FIRST = -(1 << 63)

#: A wall clock is trusted so far where file names say which files a range can touch.
_TRUST_NS = 3600 * NS

#: Rows of one place that are sorted together; more come in the order in which they were written.
_MOST_TIED = 1 << 16


@dataclass(frozen=True, slots=True)
class Run:
    """The segments that one run of a feed left within a span, in the order they were written."""

    layout: Layout
    number: int  # in the list that `runs` gives
    feed: str
    stems: tuple[str, ...]
    cuts: dict[str, int] = field(default_factory=dict)

    @property
    def begins(self) -> int:
        """No frame of the run is placed before this time."""
        return first_second(self.stems[0])


def first_second(stem: str) -> int:
    """The second in which a segment's first frame came, in ns."""
    moment = datetime.strptime(stem[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * NS


def runs(layout: Layout, feeds: Sequence[str], span: Span) -> list[Run]:
    """Every run of these feeds that may hold frames of the span, or tells what lay before it."""
    found: list[Run] = []
    for feed in feeds:
        written = sorted({*layout.active(feed), *layout.sealed(feed)}, key=order)
        known = cuts(layout, feed)
        before = set(last_before(written, span))
        for _, stems in groupby(written, key=lambda stem: stem[17:43]):
            kept = _within(list(stems), span, before)
            if kept:
                found.append(Run(layout, len(found), feed, kept, known))
    return found


def last_before(stems: Sequence[str], span: Span) -> list[str]:
    """The last two segments that began before the span."""
    return [stem for stem in stems if first_second(stem) < span.since_ns][-2:]


def _within(stems: list[str], span: Span, before: set[str]) -> tuple[str, ...]:
    """Those that may hold frames of the span: a segment ends about where the next one begins."""
    begins = [first_second(stem) for stem in stems]
    ends = [*begins[1:], FOR_EVER - 2 * _TRUST_NS]
    return tuple(
        stem
        for stem, begin, end in zip(stems, begins, ends, strict=True)
        if stem in before
        or (begin - _TRUST_NS < span.until_ns and end + _TRUST_NS + NS >= span.since_ns)
    )


def _tables(run: Run, stem: str, span: Span) -> Iterator[pa.Table]:
    """A segment's rows, in parts of bounded size, wherever it is by now."""
    for attempt in range(2):
        path = run.layout.parquet(run.feed, stem)
        try:
            if path.exists():
                with sealed_file(path) as file:
                    for group in range(file.num_row_groups):
                        if _touches(file.metadata.row_group(group).column(0).statistics, span):
                            yield file.read_row_group(group, use_threads=False)
            else:
                journal = run.layout.journal(run.feed, stem)
                about = reader.about(journal)
                version = json.loads(about).get("schema") if about else None
                if version is not None:
                    check_version({b"recorder.schema": str(version).encode()}, journal)
                for part in of_journal(journal, cut=run.cuts.get(stem)):
                    yield part.table
            return
        except FileNotFoundError:
            if attempt:
                return  # it held no frame and was cleared away, or was pruned


def _touches(statistics: Any, span: Span) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min < span.until_ns and statistics.max >= span.since_ns)


def _clipped(table: pa.Table, span: Span) -> pa.Table:
    recv = table["recv_ns"]
    bounds = pc.min_max(recv).as_py()
    if bounds["min"] is None or (bounds["min"] >= span.since_ns and bounds["max"] < span.until_ns):
        return table
    inside = pc.and_(pc.greater_equal(recv, span.since_ns), pc.less(recv, span.until_ns))
    return table.filter(inside)


def _placed(table: pa.Table, number: int, latest: int) -> pa.RecordBatch:
    """The rows with their places: never before what the run wrote before them."""
    batch = table.combine_chunks().to_batches()[0]
    at = batch.column(0)
    if at[0].as_py() < latest or _any(pc.less(at.slice(1), at.slice(0, len(at) - 1))):
        at = pc.max_element_wise(pc.cumulative_max(at), pa.scalar(latest, pa.int64()))
    run = pa.repeat(pa.scalar(number, pa.int32()), len(batch))
    return pa.RecordBatch.from_arrays([*batch.columns, at, run], schema=PLACED)


def _any(mask: pa.Array) -> bool:
    return bool(pc.any(mask).as_py())


def rows(run: Run, span: Span) -> Iterator[pa.RecordBatch]:
    """A run's rows in order; no two batches hold rows of one place."""
    tied: pa.RecordBatch | None = None
    latest = _FIRST
    for stem in run.stems:
        for table in _tables(run, stem, span):
            inside = _clipped(table, span)
            if not len(inside):
                continue
            batch = _placed(inside, run.number, latest)
            places = numbers(batch.column("at"))
            if tied is not None:
                more = bisect_right(places, latest)
                tied = joined([tied, batch.slice(0, more)]) if more else tied
                batch, places = batch.slice(more), places[more:]
                if len(batch) or len(tied) > _MOST_TIED:
                    yield settled(tied)
                    tied = None
            if len(batch):
                latest = places[-1]
                cut = bisect_left(places, latest)
                if cut:
                    yield settled(batch.slice(0, cut))
                tied = batch.slice(cut)
    if tied is not None:
        yield settled(tied)


def numbers(column: pa.Array) -> memoryview:
    """An int64 column without NULLs, as Python sees memory."""
    values = memoryview(column.buffers()[1]).cast("q")
    return values[column.offset : column.offset + len(column)]


def joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Batches as one."""
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def settled(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows in order of place; those of one place by connection and number."""
    at, connection = batch.column("at"), batch.column("connection")
    count = len(batch) - 1
    tied = pc.equal(at.slice(1), at.slice(0, count))
    if _any(tied) and _any(
        pc.and_(tied, pc.not_equal(connection.slice(1), connection.slice(0, count)))
    ):
        keys = [("at", "ascending"), ("connection", "ascending"), ("seq", "ascending")]
        return batch.take(pc.sort_indices(batch, sort_keys=keys))
    return batch
