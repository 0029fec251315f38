"""A journal as a watcher needs it: how much came on which connection, and what markers tell.

Payloads are not read and their checksums not compared, except those of markers: what is counted
here is for eyes, the tables are made with care.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from recorder.clock import NS
from recorder.frame import BINARY, KINDS, TEXT
from recorder.record.journal.block import (
    ABOUT,
    HEADER,
    MAGIC,
    RECORD,
    Block,
    decode,
    records,
    scan,
    seed,
)


class Run(NamedTuple):
    """Frames of one connection: of a journal, data that came one after the other in one second."""

    connection: str
    first_seq: int
    end_seq: int
    frames: int
    """Data frames among them."""
    bytes: int
    last_ns: int
    """When the last data frame came."""
    missing: int = 0
    """Numbers between the first and the end that no frame has."""


class Marker(NamedTuple):
    """A frame of our own making; `told` is its JSON object, empty where there is none."""

    connection: str
    seq: int
    recv_ns: int
    kind: str
    told: dict[str, Any]


Found = Run | Marker

_DATA = frozenset({TEXT, BINARY})

#: Markers of which the words matter here.
TELLING = frozenset({"open", "closed", "stats", "gap"})


def told(payload: bytes) -> dict[str, Any]:
    """A marker's JSON object; empty if it is none."""
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (ValueError, RecursionError):
        return {}


@dataclass(slots=True)
class JournalTail:
    """Reads what was added to one journal since the last time.

    The file stays open: when it was sealed and is gone, its end can be read all the same.
    """

    path: Path
    offset: int = 0
    fd: int = -1
    size: int = 0
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fd = os.open(self.path, os.O_RDONLY)
        if self.offset:
            with suppress(OSError, StopIteration):
                self._describe(decode(os.pread(self.fd, 1 << 16, 0), 0, self._salt, 1 << 16))

    @property
    def _salt(self) -> int:
        return seed(self.path.stem)

    def close(self) -> None:
        """Let the file go."""
        os.close(self.fd)

    def new(self) -> list[Found]:
        """What came since the last time, each connection's in order."""
        size = os.fstat(self.fd).st_size
        if size <= self.offset or size == self.size:
            return []
        self.size = size
        begin = self.offset - self.offset % mmap.ALLOCATIONGRANULARITY
        with mmap.mmap(self.fd, size - begin, access=mmap.ACCESS_READ, offset=begin) as data:
            found = _Found([], {})
            position, limit = self.offset - begin, size - begin
            while position < limit:
                position = self._walk(data, position, limit, found)
                resumed = self._resume(data, position, limit)
                if resumed is None:
                    break
                position = resumed
            found.finish()
        self.offset = begin + position
        return found.all

    def _walk(self, data: mmap.mmap, position: int, limit: int, found: _Found) -> int:
        """Go from block to block as far as they are whole; where the next one would begin."""
        unpack, head, under_way = HEADER.unpack_from, HEADER.size, found.under_way.get
        while position + head < limit:
            magic, length, _, count, first_seq, recv_ns, _, name = unpack(data, position)
            end = position + head + length
            if magic != MAGIC or end > limit:
                break
            kind = data[position + head]
            if kind in _DATA:
                run = under_way(name)
                if run is not None and run[1] + run[2] == first_seq and recv_ns < run[5]:
                    run[2] += count
                    run[3] += length - RECORD.size * count
                    run[4] = recv_ns
                else:
                    found.begin(name, first_seq, count, length - RECORD.size * count, recv_ns)
            else:
                self._marked(decode(data, position, self._salt, limit), found)
            position = end
        return position

    def _resume(self, data: mmap.mmap, position: int, limit: int) -> int | None:
        """Behind damage: where the next good block begins; None if there is none (yet)."""
        for item in scan(data, self._salt, position, limit):
            if isinstance(item, Block):
                return item.start if item.start > position else None
            if not item.torn:
                return item.end
        return None

    def _marked(self, block: Block | None, found: _Found) -> None:
        """A block that begins with a frame of our own making: it may hold any others, too."""
        if block is None:
            return
        if block.frames == 1 and block.body[:1] == bytes([ABOUT]):
            self._describe(block)
            return
        name = block.connection.encode()
        for index, (kind, payload) in enumerate(records(block)):
            seq = block.first_seq + index
            if kind in _DATA:
                found.begin(name, seq, 1, len(payload), block.recv_ns)
            else:
                found.end(name)
                kind_name = KINDS.get(kind, str(kind))
                says = told(payload) if kind_name in TELLING else {}
                found.all.append(Marker(block.connection, seq, block.recv_ns, kind_name, says))

    def _describe(self, block: Block | None) -> None:
        if block is not None:
            self.about = told(next(records(block))[1])


class _Found(NamedTuple):
    """What a walk found: finished, and the runs under way by connection.

    A run is [name, first seq, frames, bytes, last ns, end of its second]; a list is fast to add to.
    """

    all: list[Found]
    under_way: dict[bytes, list[Any]]

    def begin(self, name: bytes, first_seq: int, frames: int, size: int, recv_ns: int) -> None:
        """A run begins; the one before it on this connection is finished."""
        self.end(name)
        until = (recv_ns // NS + 1) * NS
        self.under_way[name] = [name, first_seq, frames, size, recv_ns, until]

    def end(self, name: bytes) -> None:
        """The run of a connection is finished."""
        run = self.under_way.pop(name, None)
        if run is not None:
            self.all.append(_run(run))

    def finish(self) -> None:
        """All runs are finished."""
        self.all.extend(map(_run, self.under_way.values()))
        self.under_way.clear()


def _run(parts: list[Any]) -> Run:
    name, first_seq, frames, size, last_ns, _ = parts
    return Run(
        name.decode("ascii", "replace"), first_seq, first_seq + frames, frames, size, last_ns
    )
