"""The frames of a segment behind a position, whichever file they are in by now.

A journal becomes a sealed file, and the files of a closed day become merged files, at any moment:
also between the look for a file and its opening. A reader gets each frame once all the same:

- A `Position` counts rows and, of a journal, bytes. Sealing keeps the frames and their order, so
  rows that were read of a journal are skipped in its sealed file.
- A segment that is neither a journal nor a file is looked for in the merged file before it. In a
  merged file, what was read of each of its segments before is skipped.
- After a failed sync, capture writes the doubtful frames again into a later journal, which names
  the byte where they begin (`replaces`). Readers stop there, as sealing does: see `cut_of`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recorder.errors import DataError
from recorder.record import footers, sealed
from recorder.record.journal import reader
from recorder.record.journal.block import Damage
from recorder.record.layout import Layout, day_of, order, run_of
from recorder.record.rows import PART_BYTES, PART_ROWS, of_journal
from recorder.schema.raw import RAW, check_version

#: A file can vanish once between the look for it and its opening, not repeatedly.
_ATTEMPTS = 2


@dataclass(slots=True)
class Position:
    """How far a reader is in a segment."""

    rows: int = 0
    offset: int = 0
    """Bytes of its journal; without a meaning once it is sealed."""
    whole: bool = False
    """True once its sealed file was read to the end."""


@dataclass(slots=True)
class Reader:
    """Reads a feed's segments; `read` is how far it is in each of them."""

    record: Layout
    feed: str
    read: dict[str, Position] = field(default_factory=dict)
    columns: Sequence[str] = tuple(RAW.names)
    span: tuple[int, int] | None = None
    """Skip row groups without a frame from the first to before the second time (ns)."""
    verify: bool = False
    """Compare all checksums, for a reader that begins at the front; a part is a row group then."""
    damage: list[Damage] | None = None
    """Receives the damage of journals, which is skipped."""
    seen: dict[str, reader.Numbers] | None = None
    """The frames that were read of each run's journals, for a reader that looks again and again.

    With it, frames that were read before capture wrote them again are skipped, too.
    """

    def parts(self, stem: str) -> Iterator[pa.Table]:
        """Yield what is behind the position in a segment, in parts of bounded size.

        Each part advances the position; the end of a sealed file makes it `whole`.

        Raises:
            DataError: the file is damaged, is not a sealed file, or is of another version.
            FileNotFoundError: the segment is gone: it was pruned, or held no frame.
        """
        at = self.read.setdefault(stem, Position())
        for attempt in range(1, 1 + _ATTEMPTS):
            if at.whole:
                return
            try:
                yield from self._parts(stem, at)
                return
            except FileNotFoundError:
                if attempt == _ATTEMPTS:
                    raise

    def _parts(self, stem: str, at: Position) -> Iterator[pa.Table]:
        store = self.record.store
        try:
            try:
                path = store.fetch(self.feed, stem)
            except FileNotFoundError:
                yield from self._of_journal(stem, at)
            else:
                yield from self._of_file(path, stem, stem, at)
        except FileNotFoundError:
            name = self._name_before(stem)
            yield from self._of_file(store.fetch(self.feed, name), name, stem, at)

    # -- journals

    def _of_journal(self, stem: str, at: Position) -> Iterator[pa.Table]:
        cut = cut_of(self.record, self.feed, stem)
        path = self.record.journal(self.feed, stem)
        if not at.offset and (version := about(path).get("schema")) is not None:
            check_version({b"recorder.schema": str(version).encode()}, path)
        seen = None if self.seen is None else self.seen.setdefault(run_of(stem), reader.Numbers())
        parts = of_journal(path, at.offset, cut=cut, damage=self.damage, seen=seen)
        for part in parts:
            at.rows, at.offset = at.rows + part.frames, part.end
            if len(part.table):
                yield part.table.select(self.columns)

    # -- sealed files

    def _of_file(self, path: Path, name: str, stem: str, at: Position) -> Iterator[pa.Table]:
        """Yield a segment's rows of the sealed file `name`; a file's own are all that it holds."""
        with sealed.sealed_file(path, verify=self.verify) as file:
            begin, end = 0, int(file.metadata.num_rows)
            others = _places(file, path)
            place = others.pop(stem, None)
            if name != stem:
                if place is None:
                    raise FileNotFoundError(path)
                (begin, end), others = place, {}
            # Of a journal whose end was written again into the next one, more may have been read.
            at.rows = min(at.rows, end - begin)
            for first, last in self._stretches(others, begin + at.rows, end):
                for row, table in self._tables(file, path, first, last):
                    at.rows = row - begin
                    if len(fresh := self._unseen(stem, table)):
                        yield fresh
            at.rows, at.whole = end - begin, True
            for other, (first, last) in others.items():
                self.read[other] = Position(last - first, whole=True)

    def _stretches(
        self, others: dict[str, tuple[int, int]], begin: int, end: int
    ) -> Iterator[tuple[int, int]]:
        """Yield the rows that no position covers: each time the first, and the one behind them."""
        for other, (first, last) in others.items():
            known = self.read.get(other)
            if known is not None and last > begin:
                if begin < first:
                    yield begin, first
                begin = max(begin, last if known.whole else min(first + known.rows, last))
        if begin < end:
            yield begin, end

    def _tables(
        self, file: pq.ParquetFile, path: Path, begin: int, end: int
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield the rows from `begin` to before `end` in parts, each with the row behind it."""
        if self.verify:
            yield from sealed.verified(file, path)
            return
        row = 0
        for index in range(file.num_row_groups):
            group = file.metadata.row_group(index)
            first, row = row, row + int(group.num_rows)
            if row <= begin or first >= end or not self._touches(group):
                continue
            size = 1 + PART_BYTES * group.num_rows // max(group.total_byte_size, 1)
            batches = file.iter_batches(
                min(PART_ROWS, size), [index], list(self.columns), use_threads=False
            )
            for batch in batches:
                low, high = max(begin - first, 0), min(end - first, len(batch))
                if low < high:
                    yield first + high, pa.Table.from_batches([batch.slice(low, high - low)])
                first += len(batch)

    def _touches(self, group: pq.RowGroupMetaData) -> bool:
        known = group.column(0).statistics
        if self.span is None or known is None or not known.has_min_max:
            return True
        return bool(known.min < self.span[1] and known.max >= self.span[0])

    def _unseen(self, stem: str, table: pa.Table) -> pa.Table:
        """Return the rows without those that were read of the run's journals before."""
        fresh = unseen(None if self.seen is None else self.seen.get(run_of(stem)), table)
        return table if fresh is None else table.filter(fresh)

    def _name_before(self, stem: str) -> str:
        """Return the name of the last sealed file before a segment, of its run and day."""
        names = [
            name
            for name in self.record.sealed(self.feed)
            if run_of(name) == run_of(stem)
            and day_of(name) == day_of(stem)
            and order(name) < order(stem)
        ]
        if not names:
            raise FileNotFoundError(self.record.journal(self.feed, stem))
        return max(names, key=order)


def _places(file: pq.ParquetFile, path: Path) -> dict[str, tuple[int, int]]:
    """Return where each segment of a merged file is: its first row, and the row behind its last."""
    places, row = {}, 0
    for one in footers.segments_of(file.metadata.metadata, str(path)):
        places[one.stem] = row, row + one.rows
        row += one.rows
    return places


def unseen(seen: reader.Numbers | None, table: pa.Table) -> pa.Array | None:
    """Return for each row whether it is not in `seen`, and add it; None if no row is."""
    if seen is None:
        return None
    firsts = table.group_by("connection").aggregate([("seq", "min")]).to_pylist()
    if all(seen.behind(one["connection"]) <= one["seq_min"] for one in firsts):
        return None
    names, numbers = table["connection"].to_pylist(), table["seq"].to_pylist()
    places = zip(names, numbers, strict=True)
    return pa.array([seen.add(name, seq, seq + 1) for name, seq in places], pa.bool_())


def stems(record: Layout, feed: str) -> list[str]:
    """Return the stems of a feed's journals and sealed files, in the order they were written.

    Sorted by run and number: the time in front goes back when the wall clock is set back.
    """
    active = record.active(feed)  # first: a journal that is sealed now is among the others
    return sorted({*active, *record.sealed(feed)}, key=order)


def cut_of(record: Layout, feed: str, stem: str) -> int | None:
    """Return the byte of a journal from which on a later journal holds its blocks again.

    None if no journal does. Call it before the journal is opened: the later one is sealed after it,
    so if the later one is gone, this one is gone as well.
    """
    abouts = {}
    for later in record.active(feed):
        if run_of(later) == run_of(stem) and order(later) > order(stem):
            with suppress(FileNotFoundError):
                abouts[later] = about(record.journal(feed, later))
    return reader.cuts(abouts).get(stem)


def about(journal: Path) -> dict[str, Any]:
    """Return a journal's description of itself; empty where it is damaged.

    Raises:
        FileNotFoundError: the journal was sealed and is gone.
    """
    known: dict[str, Any] = json.loads(reader.about(journal) or b"{}")
    return known


def kind_of(record: Layout, feed: str) -> str:
    """Return the kind of a recorded feed by its newest readable segment; empty if none has it."""
    for stem in reversed(record.active(feed)):
        try:
            known = about(record.journal(feed, stem))
        except FileNotFoundError:
            continue
        if known:
            return str(known.get("kind", ""))
    for stem in reversed(record.sealed(feed)):
        try:
            return footers.footer(record.store.look(feed, stem)).kind
        except (DataError, FileNotFoundError):
            continue
    return ""
