"""One run's rows in order: the segments that a feed's recorder wrote from its start to its end.

A run wrote its frames in the order in which they came, so its files are read one after the other, a
part at a time.

Where the wall clock was set back while recording, frames keep their timestamps and the order in
which they were written: they are placed (`at`) where the clock stood before it was set back, until
it has caught up. On no connection do frames ever change places.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import NS
from recorder.record.layout import Layout, began_ns, run_of
from recorder.record.merge import any_of, numbers, rising
from recorder.record.read import Reader, stems
from recorder.schema.raw import RAW
from recorder.stream.span import FOR_EVER, Span

#: The raw columns, then where a frame is placed (`recv_ns`, unless the clock was set back), and
#: the number of the run that wrote it.
PLACED = RAW.append(pa.field("at", pa.int64())).append(pa.field("run", pa.int32()))

_FIRST = -(1 << 63)

#: By how much the wall clock may be wrong where file names say which files a range can touch.
_TRUST_NS = 3600 * NS

#: Rows of one place that are sorted together; more come in the order in which they were written.
_MOST_TIED = 1 << 16


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """The segments that one run of a feed left within a span, in the order they were written."""

    layout: Layout
    number: int  # in the list that `runs` gives
    feed: str
    stems: tuple[str, ...]

    @property
    def begins(self) -> int:
        """The time (ns) before which no frame of the run is placed."""
        return began_ns(self.stems[0])


def runs(layout: Layout, feeds: Sequence[str], span: Span) -> list[RecordedRun]:
    """Return every run of these feeds that may hold frames of the span, or of shortly before it."""
    found: list[RecordedRun] = []
    for feed in feeds:
        written = stems(layout, feed)
        before = set(last_before(written, span))
        for _, some in groupby(written, key=run_of):
            kept = _within(list(some), span, before)
            if kept:
                found.append(RecordedRun(layout, len(found), feed, kept))
    return found


def last_before(written: Sequence[str], span: Span) -> list[str]:
    """Return the last two segments that began before the span."""
    return [stem for stem in written if began_ns(stem) < span.since_ns][-2:]


def _within(stems: list[str], span: Span, before: set[str]) -> tuple[str, ...]:
    """Return those that may hold frames of the span: one ends about where the next one begins."""
    begins = [began_ns(stem) for stem in stems]
    ends = [*begins[1:], FOR_EVER - 2 * _TRUST_NS]
    return tuple(
        stem
        for stem, begin, end in zip(stems, begins, ends, strict=True)
        if stem in before
        or (begin - _TRUST_NS < span.until_ns and end + _TRUST_NS + NS >= span.since_ns)
    )


def _tables(run: RecordedRun, span: Span) -> Iterator[pa.Table]:
    reader = Reader(run.layout, run.feed, span=(span.since_ns, span.until_ns))
    for stem in run.stems:
        with suppress(FileNotFoundError):  # it held no frame and was removed, or was pruned
            yield from reader.parts(stem)


def _clipped(table: pa.Table, span: Span) -> pa.Table:
    recv = table["recv_ns"]
    bounds = pc.min_max(recv).as_py()
    if bounds["min"] is None or (bounds["min"] >= span.since_ns and bounds["max"] < span.until_ns):
        return table
    inside = pc.and_(pc.greater_equal(recv, span.since_ns), pc.less(recv, span.until_ns))
    return table.filter(inside)


def _placed(table: pa.Table, number: int, latest: int) -> pa.RecordBatch:
    """Return the rows with their places: never before what the run wrote before them."""
    batch = table.combine_chunks().to_batches()[0]
    at = rising(batch.column(0), latest)
    run = pa.repeat(pa.scalar(number, pa.int32()), len(batch))
    return pa.RecordBatch.from_arrays([*batch.columns, at, run], schema=PLACED)


def rows(run: RecordedRun, span: Span) -> Iterator[pa.RecordBatch]:
    """Yield a run's rows in order; no two batches hold rows of one place."""
    tied: pa.RecordBatch | None = None
    latest = _FIRST
    for table in _tables(run, span):
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


def joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return batches as one."""
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def settled(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows in order of place; those of one place by connection and number."""
    at, connection = batch.column("at"), batch.column("connection")
    count = len(batch) - 1
    tied = pc.equal(at.slice(1), at.slice(0, count))
    if any_of(tied) and any_of(
        pc.and_(tied, pc.not_equal(connection.slice(1), connection.slice(0, count)))
    ):
        keys = [("at", "ascending"), ("connection", "ascending"), ("seq", "ascending")]
        return batch.take(pc.sort_indices(batch, sort_keys=keys))
    return batch
