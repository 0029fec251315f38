"""Segments of several runs read abreast, in windows: all frames that came before some moment.

No frame of a later window came before one of an earlier. Within a run frames keep their order, so a
frame counts as late as any before it: the wall clock may be set back. Of each run a part is in
memory, and the window; a run is opened when its time comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recorder.errors import DataError
from recorder.record import raw
from recorder.record.journal import reader
from recorder.record.journal.block import Block
from recorder.record.layout import Layout, began_ns
from recorder.tables.ingest_order import LAST


@dataclass(slots=True)
class Known:
    """The ledger's note of one segment."""

    rows: int = 0
    offset: int = 0


class Slice(NamedTuple):
    """Consecutive frames of one segment; of a journal also the byte behind them."""

    stem: str
    table: pa.Table
    offset: int | None


@dataclass(slots=True)
class Window:
    """Frames to take together, and what is over: sealed files read to their end, or damaged."""

    slices: list[Slice] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    failed: list[tuple[str, DataError]] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.slices or self.ended or self.failed)

    def add(self, piece: Slice) -> None:
        """Take some frames in."""
        self.slices.append(piece)
        self.rows += len(piece.table)
        self.bytes += piece.table.nbytes


@dataclass(slots=True)
class _Part:
    """Frames in hand, each with the latest stamp so far (`at`); no frames: the file is over."""

    stem: str
    table: pa.Table | None = None
    at: pa.Array | None = None
    start: int | None = None  # of a journal: the byte at which the frames begin
    end: int | None = None
    error: DataError | None = None


def windows(
    runs: Sequence[Run], full: Callable[[Window], bool], until_ns: int = LAST
) -> Iterator[Window]:
    """What the runs hold that came before `until_ns`, in windows; each ends when it is `full`."""
    window = Window()
    while True:
        moment = min([until_ns, *(run.reach_ns for run in runs)])
        for run in runs:
            run.take(moment, window)
        if window and (full(window) or window.failed):
            yield window
            window = Window()
        if moment == until_ns:
            break
        for run in runs:
            if run.reach_ns <= moment:
                run.read_on()
    if window:
        yield window


class Run:
    """One run's segments, `stems` in order, from where the ledger left them on.

    `known(stem)` is what the ledger says of one; `latest_ns` the run's latest stamp so far.
    """

    def __init__(
        self,
        layout: Layout,
        feed: str,
        stems: Sequence[str],
        known: Callable[[str], Known],
        latest_ns: int = -LAST,
    ) -> None:
        self._layout, self._feed, self._known = layout, feed, known
        self._latest = latest_ns
        self._hand: deque[_Part] = deque()
        self._ahead = self._read(stems)
        #: Every frame not in hand counts as this late or later (ns).
        self.reach_ns = max(latest_ns, began_ns(stems[0])) if stems else LAST

    def take(self, before_ns: int, window: Window) -> None:
        """Move what came before a moment into the window."""
        while self._hand:
            part = self._hand[0]
            if part.error is not None:
                window.failed.append((part.stem, part.error))
            elif part.table is None:
                window.ended.append(part.stem)
            elif not self._divide(part, before_ns, window):
                return
            self._hand.popleft()

    def _divide(self, part: _Part, before_ns: int, window: Window) -> bool:
        """Take the beginning of a part; True if that is all of it."""
        assert part.table is not None
        assert part.at is not None
        count = int(pc.sum(pc.less(part.at, before_ns)).as_py() or 0)
        whole = count == len(part.table)
        if count:
            end = part.end if whole else self._behind(part, count)
            window.add(Slice(part.stem, part.table.slice(0, count), end))
            part.table, part.at, part.start = part.table.slice(count), part.at[count:], end
        return whole

    def _behind(self, part: _Part, count: int) -> int | None:
        """The byte behind so many frames of a journal's part.

        Frames of a block have one stamp, so a moment divides no block.
        """
        if part.start is None:
            return None
        with suppress(FileNotFoundError):  # it was sealed just now: then the rows count
            for block in reader.blocks(self._layout.journal(self._feed, part.stem), part.start):
                if isinstance(block, Block):
                    count -= block.frames
                    if count <= 0:
                        return block.end
        return part.start

    def read_on(self) -> None:
        """Take the next part into one's hand."""
        part = next(self._ahead, None)
        if part is None:
            self.reach_ns = LAST
            return
        if part.table is not None:
            part.at = _rising(part.table, self._latest)
            self._latest = self.reach_ns = part.at[-1].as_py()
        self._hand.append(part)

    def _read(self, stems: Iterable[str]) -> Iterator[_Part]:
        for stem in stems:
            try:
                yield from _parts(self._layout, self._feed, stem, self._known(stem))
            except FileNotFoundError:
                pass  # a journal that held no frame was cleared away, or the file was pruned
            except DataError as error:
                yield _Part(stem, error=error)


def frames_left(layout: Layout, feed: str, stem: str, known: Known) -> Iterator[pa.Table]:
    """The frames of a segment that the ledger does not know, in parts of bounded size.

    Raises:
        DataError: its file is damaged.
        FileNotFoundError: it is gone.
    """
    for part in _parts(layout, feed, stem, known):
        if part.table is not None:
            yield part.table


def _parts(layout: Layout, feed: str, stem: str, known: Known) -> Iterator[_Part]:
    path = layout.parquet(feed, stem)
    if not path.exists():
        try:
            yield from _of_journal(layout.journal(feed, stem), stem, known.offset)
            return
        except FileNotFoundError:
            pass  # it was sealed just now
    if known.rows:
        # Of a journal whose end was written again into the next one, more may have been read.
        with suppress(OSError, pa.ArrowException):
            known.rows = min(known.rows, pq.read_metadata(path).num_rows)
    for table in raw.of_parquet(path, known.rows):
        yield _Part(stem, table)
    yield _Part(stem)


def _of_journal(path: Path, stem: str, start: int) -> Iterator[_Part]:
    for part in raw.of_journal(path, start):
        yield _Part(stem, part.table, start=start, end=part.end)
        start = part.end


def _rising(table: pa.Table, latest_ns: int) -> pa.Array:
    """For each frame the latest stamp up to it."""
    return pc.cumulative_max(table["recv_ns"].combine_chunks(), start=latest_ns)
