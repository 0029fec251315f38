"""Reading journals: finished ones and those still being written."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from recorder.frame import KINDS, Frame
from recorder.journal.block import ABOUT, Block, Damage, records, scan, seed

_RELEASE = 8 << 20


def blocks(path: Path, start: int = 0) -> Iterator[Block | Damage]:
    """Blocks and damage of a journal from byte `start`; the description block is left out.

    Raises:
        FileNotFoundError: the journal was sealed and is gone.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        if size <= start:
            return
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            released = 0
            for found in scan(data, seed(path.stem), start):
                if isinstance(found, Damage) or not _describes(found):
                    yield found
                if found.end - released > _RELEASE:  # what was read need not stay in memory
                    through = found.end - found.end % mmap.PAGESIZE
                    data.madvise(mmap.MADV_DONTNEED, released, through - released)
                    released = through


def _describes(block: Block) -> bool:
    return block.frames == 1 and block.body[:1] == bytes([ABOUT])


def about(path: Path) -> bytes:
    """The journal's own description (JSON), empty if it is damaged."""
    with path.open("rb") as file:
        first = next(scan(file.read(64 * 1024), seed(path.stem)), None)
    if isinstance(first, Block) and _describes(first):
        return next(records(first))[1]
    return b""


def frames(path: Path) -> Iterator[Frame]:
    """Every frame of a journal in the order it was written; damage is skipped."""
    for block in blocks(path):
        if isinstance(block, Block):
            yield from frames_of(block)


def frames_of(block: Block) -> Iterator[Frame]:
    """The frames of one block."""
    for index, (kind, payload) in enumerate(records(block)):
        yield Frame(
            block.recv_ns,
            block.mono_ns,
            block.first_seq + index,
            block.connection,
            KINDS[kind],
            payload,
        )
