"""Several runs in order of time, read together: for ingest in windows, for replay row by row.

Within a run frames keep their order. A frame counts as late as any before it (its *place*): the
wall clock may be set back. Runs advance together up to the place that all of them have reached. In
memory are one part of each run that lives at the moment, and what the caller keeps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import LAST
from recorder.errors import DataError
from recorder.record.journal.block import Block
from recorder.record.journal.reader import blocks
from recorder.record.layout import began_ns
from recorder.record.read import Position, Reader


class Piece(Protocol):
    """Consecutive frames of one run; at least one."""

    @property
    def places(self) -> memoryview:
        """The place (ns) of each frame: the latest receive time up to it."""

    def divide(self, count: int) -> tuple[Self, Self]:
        """Return the first frames, and the others."""


P = TypeVar("P", bound=Piece)


class Run(NamedTuple, Generic[P]):
    """A run's frames in their order; none of them is placed before `begins_ns`."""

    begins_ns: int
    pieces: Iterator[P]


class _Head(Generic[P]):
    """A run that is open: its next piece."""

    def __init__(self, run: Run[P]) -> None:
        self._rest = run.pieces
        self.next = next(run.pieces, None)

    @property
    def last(self) -> int:
        """The place of the last frame of the current piece."""
        return LAST if self.next is None else int(self.next.places[-1])

    def take(self, before: int) -> P | None:
        """Return the part of the current piece that is placed before a time."""
        if self.next is None or (count := bisect_left(self.next.places, before)) == 0:
            return None
        if count < len(self.next.places):
            first, self.next = self.next.divide(count)
            return first
        whole, self.next = self.next, next(self._rest, None)
        return whole


def in_order(runs: Iterable[Run[P]], until_ns: int = LAST) -> Iterator[list[P]]:
    """Yield what runs hold that is placed before `until_ns`, in steps of a piece of each run.

    No frame of a later step is placed before one of an earlier.
    """
    ahead = sorted(runs, key=lambda run: run.begins_ns, reverse=True)
    heads: list[_Head[P]] = []
    reached = 0
    while reached < until_ns:
        reached = min((head.last for head in heads), default=LAST)
        while ahead and ahead[-1].begins_ns <= min(reached, until_ns - 1):
            heads.append(_Head(ahead.pop()))
            reached = min(reached, heads[-1].last)
        step = [piece for head in heads if (piece := head.take(min(reached + 1, until_ns)))]
        heads = [head for head in heads if head.next is not None]
        if step:
            yield step


def rising(recv_ns: pa.Array, latest_ns: int) -> pa.Array:
    """Return for each frame its place: the latest receive time up to it, and of those before."""
    if recv_ns[0].as_py() >= latest_ns and not any_of(pc.less(recv_ns[1:], recv_ns[:-1])):
        return recv_ns
    return pc.cumulative_max(recv_ns, start=latest_ns)


def any_of(mask: pa.Array) -> bool:
    """Return True if any value of a mask is true."""
    return bool(pc.any(mask).as_py())


def numbers(column: pa.Array) -> memoryview:
    """Return an int64 column without NULLs as a memoryview."""
    values = memoryview(column.buffers()[1]).cast("q")
    return values[column.offset : column.offset + len(column)]


# -- windows, for ingest


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive frames of one segment, and the reader's positions before and behind them."""

    stem: str
    table: pa.Table
    places: memoryview
    begin: Position
    end: Position
    reader: Reader

    def divide(self, count: int) -> tuple[Slice, Slice]:
        """Return the first frames, and the others."""
        middle = Position(self.begin.rows + count, self._behind(count))
        return (
            replace(self, table=self.table[:count], places=self.places[:count], end=middle),
            replace(self, table=self.table[count:], places=self.places[count:], begin=middle),
        )

    def _behind(self, count: int) -> int:
        """Return the byte behind the first frames of a journal's slice.

        Frames of a block have one receive time, so no place divides a block.
        """
        if self.end.offset > self.begin.offset:
            path = self.reader.record.journal(self.reader.feed, self.stem)
            with suppress(FileNotFoundError):  # sealed just now: then the rows count
                for block in blocks(path, self.begin.offset):
                    if isinstance(block, Block) and (count := count - block.frames) <= 0:
                        return block.end
        return self.begin.offset


@dataclass(slots=True)
class Window:
    """Frames to take together; sealed files that were read to their end; files that are damaged."""

    slices: list[Slice] = field(default_factory=list)
    ended: dict[str, Position] = field(default_factory=dict)
    failed: list[tuple[str, DataError]] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.slices or self.ended or self.failed)

    def add(self, piece: Slice) -> None:
        """Add frames."""
        self.slices.append(piece)
        self.rows += len(piece.table)
        self.bytes += piece.table.nbytes


@dataclass(frozen=True, slots=True)
class RunLeft:
    """What is left of a run: its segments in order; `latest_ns` is the latest place read of it."""

    reader: Reader
    stems: Sequence[str]
    latest_ns: int = -LAST


def windows(
    left: Iterable[RunLeft], full: Callable[[Window], bool], until_ns: int = LAST
) -> Iterator[Window]:
    """Yield what runs hold that is placed before `until_ns`, in windows that end when `full`."""
    window, noted = Window(), Window()
    runs = [Run(max(r.latest_ns, began_ns(r.stems[0])), _slices(r, noted)) for r in left]
    for step in in_order(runs, until_ns):
        for piece in step:
            window.add(piece)
        window.ended |= noted.ended
        window.failed += noted.failed
        noted.ended, noted.failed = {}, []
        if full(window) or window.failed:
            yield window
            window = Window()
    window.ended |= noted.ended
    window.failed += noted.failed
    if window:
        yield window


def _slices(run: RunLeft, noted: Window) -> Iterator[Slice]:
    """Yield a run's frames; note what ended or failed once the frames before it were taken."""
    reader, latest = run.reader, run.latest_ns
    for stem in run.stems:
        at = reader.read.setdefault(stem, Position())
        if at.whole:
            continue
        try:
            offset = at.offset
            for table in reader.parts(stem):
                places = rising(table["recv_ns"].combine_chunks(), latest)
                latest = places[-1].as_py()
                begin = Position(at.rows - len(table), offset)
                yield Slice(stem, table, numbers(places), begin, replace(at), reader)
                offset = at.offset
        except FileNotFoundError:
            continue  # a journal that held no frame was removed, or the file was pruned
        except DataError as error:
            noted.failed.append((stem, error))
            continue
        if reader.read[stem].whole:
            noted.ended[stem] = replace(at)
