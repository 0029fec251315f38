"""The blocks of a journal as Arrow tables of the raw schema."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from recorder.frame import KINDS
from recorder.record.journal import reader
from recorder.record.journal.block import Block, Damage, columns
from recorder.schema.raw import RAW

#: A part of a segment ends with the block that makes it at least this large.
PART_ROWS = 65_536
PART_BYTES = 8 << 20

_KIND_NAMES = [KINDS.get(code, f"kind {code}") for code in range(256)]


@dataclass(slots=True)
class _Rows:
    """Frames gathered column by column, on their way into Arrow.

    Numbers are machine words and equal texts are runs, which Arrow takes as they are. Python
    objects, converted one by one, made sealing a tenth slower.
    """

    recv_ns: array[int] = field(default_factory=lambda: array("q"))
    mono_ns: array[int] = field(default_factory=lambda: array("q"))
    seq: array[int] = field(default_factory=lambda: array("q"))
    connection: list[tuple[str, int]] = field(default_factory=list)  # and how many frames
    kind: bytearray = field(default_factory=bytearray)
    payload: list[bytes] = field(default_factory=list)
    numbers: dict[str, tuple[int, int]] = field(default_factory=dict)
    span: tuple[int, int] | None = None
    bytes: int = 0

    def add(self, block: Block) -> None:
        """Append all frames of a block."""
        count = block.frames
        kinds, payloads = columns(block)
        self.kind += kinds
        self.payload += payloads
        self.recv_ns += array("q", (block.recv_ns,)) * count
        self.mono_ns += array("q", (block.mono_ns,)) * count
        self.seq.extend(range(block.first_seq, block.first_seq + count))
        self.connection.append((block.connection, count))
        first, end = self.numbers.get(block.connection, (block.first_seq, 0))
        self.numbers[block.connection] = (
            first if first < block.first_seq else block.first_seq,
            end if end > block.first_seq + count else block.first_seq + count,
        )
        since, until = self.span or (block.recv_ns, block.recv_ns)
        self.span = min(since, block.recv_ns), max(until, block.recv_ns)
        self.bytes += len(block.body)

    def table(self) -> pa.Table:
        """Return the rows as an Arrow table of the raw schema."""
        arrays = [
            _words(pa.int64(), self.recv_ns),
            _words(pa.int64(), self.mono_ns),
            _words(pa.int64(), self.seq),
            _repeated(self.connection),
            _repeated((_KIND_NAMES[code], len(list(run))) for code, run in groupby(self.kind)),
            pa.array(self.payload, pa.binary()),
        ]
        return pa.table(arrays, RAW)


def _words(kind: pa.DataType, values: array[int] | bytearray) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _repeated(runs: Iterable[tuple[str, int]]) -> pa.Array:
    """Return each text as often as its run says.

    Arrow decodes a dictionary by a module of which loading takes a tenth of a second.
    """
    data, ends = bytearray(), array("i", [0])
    for text, count in runs:
        name, begin = text.encode(), len(data)
        data += name * count
        end, size = len(data), len(name)
        ends.extend(range(begin + size, end + 1, size) if size else [end] * count)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(ends) - 1, buffers)


class Part(NamedTuple):
    """Some rows of a journal."""

    table: pa.Table
    end: int
    """The byte at which the next ones begin."""
    frames: int
    """The frames up to `end`, those left out because they were read before included."""
    numbers: Mapping[str, tuple[int, int]]
    """The least number of each connection in `table`, and the number after its greatest."""
    span: tuple[int, int] | None
    """The least and the greatest receive time in `table` (ns); None: it has no frames."""


def of_journal(
    path: Path,
    start: int = 0,
    *,
    cut: int | None = None,
    damage: list[Damage] | None = None,
    seen: reader.Numbers | None = None,
) -> Iterator[Part]:
    """Yield the frames of a journal from byte `start`, in parts of bounded size.

    Blocks from byte `cut` on are left out: a later journal holds them. So are blocks whose numbers
    are in `seen`, to which the others are added. Damage is appended to `damage`.

    Raises:
        FileNotFoundError: the journal was sealed and is gone.
    """
    rows, end, frames = _Rows(), start, 0
    for item in reader.blocks(path, start):
        if cut is not None and item.start >= cut:
            break
        if isinstance(item, Damage):
            if damage is not None:
                damage.append(item)
            continue
        if seen is None or seen.take(item):
            rows.add(item)
        end, frames = item.end, frames + item.frames
        if len(rows.seq) >= PART_ROWS or rows.bytes >= PART_BYTES:
            yield Part(rows.table(), end, frames, rows.numbers, rows.span)
            rows, frames = _Rows(), 0
    if frames:
        yield Part(rows.table(), end, frames, rows.numbers, rows.span)
