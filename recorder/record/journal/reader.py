"""Reading journals: finished ones and those still being written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from recorder.frame import KINDS, Frame
from recorder.record.journal.block import ABOUT, Block, Damage, records, scan, seed
from recorder.record.layout import order, run_of

#: How much of a journal is read at a time; more only where one block is larger.
WINDOW = 4 << 20

#: How much is read first of a journal of which only the description is wanted.
_HEAD = 64 << 10

#: What one bad sector makes unreadable at most.
_PAGE = 4096


def blocks(path: Path, start: int = 0) -> Iterator[Block | Damage]:
    """Yield blocks and damage of a journal from byte `start`, without its description.

    A good block that occurs twice, as a misdirected write leaves it, is damage the second time.
    A sector that cannot be read is damage: it costs the blocks that it holds.

    Raises:
        FileNotFoundError: the journal was sealed and is gone.
    """
    numbers = Numbers()
    with path.open("rb") as file:
        for found in _scanned(file.fileno(), seed(path.stem), start, WINDOW):
            if isinstance(found, Damage):
                yield found
            elif not _describes(found):
                yield found if numbers.take(found) else Damage(found.start, found.end, False)


def _scanned(fd: int, salt: int, position: int, least: int) -> Iterator[Block | Damage]:
    """Scan a file window by window."""
    limit, width = os.fstat(fd).st_size, least
    while position < limit:
        window = read_at(fd, position, min(width, limit - position))
        ends = position + len(window) >= limit or not window
        reached = position
        for found in scan(window, salt, base=position):
            if not ends and isinstance(found, Damage) and found.end == position + len(window):
                break  # perhaps it is whole in a window that begins here, or in a wider one
            yield found
            reached = found.end
        if ends:
            return
        width = least if reached > position else 2 * width
        position = reached


def read_at(fd: int, position: int, size: int) -> bytes:
    """Return bytes of a file, fewer at its end; a page that cannot be read is zeros.

    No checksum accepts them. A mapped file would kill the process at such a page.
    """
    try:
        return os.pread(fd, size, position)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    pages, end = [], position + size
    while position < end:
        length = min(end, (position // _PAGE + 1) * _PAGE) - position
        try:
            page = os.pread(fd, length, position)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            page = bytes(length)
        pages.append(page)
        position += length
    return b"".join(pages)


class Numbers:
    """The frame numbers of each connection that were read."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._holes: list[tuple[str, int, int]] = []

    def take(self, block: Block) -> bool:
        """Note a block's numbers; return False if they were read before."""
        return self.add(block.connection, block.first_seq, block.first_seq + block.frames)

    def add(self, connection: str, first: int, end: int) -> bool:
        """Note the numbers from `first` to before `end`; return False if they were read before."""
        expected = self._next.get(connection, 0)
        if first < expected:
            return self._fill(connection, first, end)
        if first > expected:
            self._holes.append((connection, expected, first))
        self._next[connection] = end
        return True

    def behind(self, connection: str) -> int:
        """Return the number behind the last one that was read of a connection; 0 if none was."""
        return self._next.get(connection, 0)

    def keep(self, connections: Set[str]) -> bool:
        """Forget all other connections; return False if none is left."""
        self._next = {name: end for name, end in self._next.items() if name in connections}
        self._holes = [hole for hole in self._holes if hole[0] in connections]
        return bool(self._next)

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
    """Return the journal's own description (JSON), empty if it is damaged."""
    with path.open("rb") as file:
        first = next(_scanned(file.fileno(), seed(path.stem), 0, _HEAD), None)
    if isinstance(first, Block) and _describes(first):
        return next(records(first))[1]
    return b""


def cuts(abouts: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the byte of each journal from which on a later one of its run holds its blocks again.

    `abouts` are the descriptions of journals by stem. A journal that no later one replaces is not
    in the result.
    """
    result: dict[str, int] = {}
    for later, about in abouts.items():
        for stem, cut in about.get("replaces", []):
            if run_of(stem) == run_of(later) and order(stem) < order(later):
                result[stem] = min(cut, result.get(stem, cut))
    return result


def frames(path: Path) -> Iterator[Frame]:
    """Yield every frame of a journal in the order it was written; skip damage."""
    for block in blocks(path):
        if isinstance(block, Block):
            yield from frames_of(block)


def frames_of(block: Block) -> Iterator[Frame]:
    """Yield the frames of one block."""
    for index, (kind, payload) in enumerate(records(block)):
        yield Frame(
            block.recv_ns,
            block.mono_ns,
            block.first_seq + index,
            block.connection,
            KINDS[kind],
            payload,
        )
