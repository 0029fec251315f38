"""The record as one stream of Arrow batches: runs and feeds merged as they are read.

Order is `(recv_ns, connection, seq)`. Only runs that overlap are merged, a stretch at a time, by
Arrow. Memory holds only a part of each run of that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from recorder.player.run import RecordedRun, joined, last_before, rows, settled
from recorder.record import merge
from recorder.record.merge import in_order, numbers
from recorder.stream.span import Span


def before(found: Sequence[RecordedRun], span: Span) -> Iterator[pa.RecordBatch]:
    """Yield rows shortly before a span: they show which connections are open at its start."""
    last = [
        replace(run, stems=stems) for run in found if (stems := tuple(last_before(run.stems, span)))
    ]
    return merged(last, Span(0, span.since_ns))


class _Batch(NamedTuple):
    """Rows of one run, of the schema `PLACED`."""

    rows: pa.RecordBatch
    places: memoryview

    def divide(self, count: int) -> tuple[_Batch, _Batch]:
        """Return the first rows, and the others."""
        return (
            _Batch(self.rows[:count], self.places[:count]),
            _Batch(self.rows[count:], self.places[count:]),
        )


def _batches(run: RecordedRun, span: Span, ended: set[int]) -> Iterator[_Batch]:
    for batch in rows(run, span):
        yield _Batch(batch, numbers(batch.column("at")))
    ended.add(run.number)


def merged(
    found: Iterable[RecordedRun], span: Span, ended: set[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield all rows of these runs in order, in batches of bounded size, of the schema `PLACED`.

    Adds the numbers of runs whose last row was yielded to `ended`.

    Raises:
        DataError: a file is damaged, or was written by a newer version.
    """
    over = set() if ended is None else ended
    for step in in_order(merge.Run(run.begins, _batches(run, span, over)) for run in found):
        if len(step) == 1:
            yield step[0].rows
        else:
            together = joined([piece.rows for piece in step])
            ranks = pc.sort_indices(together, sort_keys=[("at", "ascending")])
            yield settled(together.take(ranks))
