"""Reading journals: finished ones and those still being written."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from recorder.frame import KINDS, Frame
from recorder.record.journal.block import ABOUT, Block, Damage, records, scan, seed

_RELEASE = 8 << 20


def blocks(path: Path, start: int = 0) -> Iterator[Block | Damage]:
    """Blocks and damage of a journal from byte `start`; the description block is left out.

    A good block that is there twice, as a misdirected write leaves it, is damage the second time.

    Raises:
        FileNotFoundError: the journal was sealed and is gone.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        if size <= start:
            return
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            released = 0
            numbers = _Numbers()
            for found in scan(data, seed(path.stem), start):
                if isinstance(found, Damage):
                    yield found
                elif not _describes(found):
                    yield found if numbers.take(found) else Damage(found.start, found.end, False)
                if found.end - released > _RELEASE:  # what was read need not stay in memory
                    through = found.end - found.end % mmap.PAGESIZE
                    data.madvise(mmap.MADV_DONTNEED, released, through - released)
                    released = through


class _Numbers:
    """Which frame numbers of each connection have been read."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._holes: list[tuple[str, int, int]] = []

    def take(self, block: Block) -> bool:
        """Note a block's numbers; False if they were read before."""
        name, first, end = block.connection, block.first_seq, block.first_seq + block.frames
        expected = self._next.get(name, 0)
        if first < expected:
            return self._fill(name, first, end)
        if first > expected:
            self._holes.append((name, expected, first))
        self._next[name] = end
        return True

    def _fill(self, name: str, first: int, end: int) -> bool:
        for hole in self._holes:
            if hole[0] == name and hole[1] <= first and end <= hole[2]:
                self._holes.remove(hole)
                self._holes += [(name, hole[1], first), (name, end, hole[2])]
                return True
        return False


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
