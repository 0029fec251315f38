"""The record as one stream of Arrow batches: runs and feeds merged as they are read.

Order is `(recv_ns, connection, seq)`. Only runs that overlap are merged, a stretch at a time, by
Arrow. What is in memory is a row group of each run that lives at the moment.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from recorder.player.run import Run, joined, last_before, numbers, rows, settled
from recorder.stream.span import FOR_EVER, Span


def before(found: Sequence[Run], span: Span) -> Iterator[pa.RecordBatch]:
    """The rows shortly before a span, which say which connections live at its beginning."""
    last = [
        replace(run, stems=stems) for run in found if (stems := tuple(last_before(run.stems, span)))
    ]
    return merged(last, Span(0, span.since_ns))


class _Head:
    """A run that lives now: its next rows, as far as they are read."""

    def __init__(self, run: Run, batch: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> None:
        self.run, self._rest = run, rest
        self.rows: pa.RecordBatch | None = None
        self.last = 0
        self._hold(batch)

    def _hold(self, batch: pa.RecordBatch | None) -> None:
        self.rows = batch
        if batch is not None:
            self._at = numbers(batch.column("at"))
            self.last = self._at[-1]

    def take(self, until: int) -> pa.RecordBatch | None:
        """The rows placed at or before a time."""
        assert self.rows is not None
        count = bisect_right(self._at, until)
        if count == len(self.rows):
            whole = self.rows
            self._hold(next(self._rest, None))
            return whole
        part = self.rows.slice(0, count)
        self._hold(self.rows.slice(count))
        return part if count else None


def merged(
    found: Iterable[Run], span: Span, ended: set[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """All rows of these runs in order, in batches of bounded size, of the schema `PLACED`.

    The numbers of runs whose last row was given are put into `ended`.

    Raises:
        DataError: a file is damaged, or was written by a newer version.
    """
    ahead = sorted(found, key=lambda run: run.begins, reverse=True)
    heads: list[_Head] = []
    over = set() if ended is None else ended
    while ahead or heads:
        until = min((head.last for head in heads), default=FOR_EVER)
        while ahead and (not heads or ahead[-1].begins <= until):
            run = ahead.pop()
            rest = rows(run, span)
            batch = next(rest, None)
            if batch is None:
                over.add(run.number)
            else:
                heads.append(_Head(run, batch, rest))
                until = min(until, heads[-1].last)
        parts = [part for head in heads if (part := head.take(until)) is not None]
        over.update(head.run.number for head in heads if head.rows is None)
        heads = [head for head in heads if head.rows is not None]
        if len(parts) == 1:
            yield parts[0]
        elif parts:
            together = joined(parts)
            ranks = pc.sort_indices(together, sort_keys=[("at", "ascending")])
            yield settled(together.take(ranks))
