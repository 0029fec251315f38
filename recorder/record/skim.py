"""A feed's files without their payloads: frames counted per connection, and markers.

This is the fast path of status. It skips data payloads and their checksums; those of markers are
read and compared. Everything else is as `record.read` does it: a segment is a journal or the sealed
file that it became, and frames that capture wrote again after a failed sync count once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from recorder.clock import NS
from recorder.errors import DataError
from recorder.frame import BINARY, DATA, KINDS, POLLED, TEXT
from recorder.record.journal import reader
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
from recorder.record.layout import Layout, order, run_of

if TYPE_CHECKING:
    import pyarrow.parquet as pq


class FrameCount(NamedTuple):
    """Frames of one connection; in a journal, consecutive data frames of one second."""

    connection: str
    first_seq: int
    end_seq: int
    frames: int
    """Data frames among them."""
    bytes: int
    """Their payloads' size; 0 for a sealed file."""
    last_ns: int
    """When the last data frame was received."""
    missing: int = 0
    """Numbers between the first and the end that no frame has."""
    first_ns: int | None = None
    """When the first data frame was received; None if that is `last_ns`."""


class Marker(NamedTuple):
    """A frame that the recorder wrote itself."""

    connection: str
    seq: int
    recv_ns: int
    kind: str
    fields: dict[str, Any]
    """Its JSON object; empty if it has none, or its kind is not in `DECODED`."""


Entry = FrameCount | Marker

_DATA = frozenset({TEXT, BINARY, POLLED})

#: Kinds of markers whose payloads are decoded.
DECODED = frozenset({"open", "closed", "stats", "gap", "answer"})


def decode_fields(payload: bytes) -> dict[str, Any]:
    """Return a marker's JSON object; an empty one if the payload is not a JSON object."""
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (ValueError, RecursionError):
        return {}


class Skim:
    """Skims one feed's files; journals are skimmed again and again as they grow.

    An open journal keeps its file descriptor: after it was sealed and removed, its end can still
    be read.
    """

    def __init__(self, record: Layout, feed: str) -> None:
        self._record, self._feed = record, feed
        self._tails: dict[str, JournalTail] = {}
        self._seen: dict[str, reader.Numbers] = {}
        """The frames that were read of each run's journals."""
        self._closed: list[JournalTail] = []
        """The journals that were closed since the last call of `forget`."""
        self._kept = False
        """True if the last call of `forget` kept the numbers of closed journals."""

    @property
    def journals(self) -> list[str]:
        """The stems of the open journals, in the order they were written."""
        return sorted(self._tails, key=order)

    def open(self, stems: Iterable[str], offsets: Mapping[str, int]) -> None:
        """Open journals, each at its byte in `offsets`; one that was sealed meanwhile is left out.

        Journals that are open already end where one of these replaces them.
        """
        for stem in stems:
            path = self._record.journal(self._feed, stem)
            seen = self._seen.setdefault(run_of(stem), reader.Numbers())
            with suppress(OSError):
                self._tails[stem] = JournalTail(path, seen, offsets.get(stem, 0))
        cuts = reader.cuts({stem: tail.about for stem, tail in self._tails.items()})
        for stem, tail in self._tails.items():
            tail.cut = cuts.get(stem)

    def new(self, stem: str) -> list[Entry]:
        """Return what an open journal gained since the last call, each connection's in order."""
        return self._tails[stem].new()

    def about(self, stem: str) -> dict[str, Any]:
        """Return an open journal's description of itself; empty if it is damaged."""
        return self._tails[stem].about

    def size(self, stem: str) -> int:
        """Return the size of an open journal in bytes."""
        return os.fstat(self._tails[stem].fd).st_size

    def close(self, stem: str) -> None:
        """Close a journal."""
        tail = self._tails.pop(stem)
        tail.close()
        self._closed.append(tail)

    def forget(self) -> None:
        """Drop the frame numbers of journals that were closed before the last call.

        Call it after all files were read. Capture writes doubtful frames again before their journal
        can be sealed, so one call later those were read, too.
        """
        if not self._closed and not self._kept:
            return
        names: set[str] = set()
        for tail in (*self._tails.values(), *self._closed):
            names |= tail.connections
        for run, numbers in list(self._seen.items()):
            if not numbers.keep(names):
                del self._seen[run]
        self._closed, self._kept = [], bool(self._closed)

    def sealed(self, stem: str, skip: int = 0) -> list[Entry]:
        """Return what a sealed file holds after its first `skip` frames.

        A damaged or missing file yields none: `recorder verify` reports it.
        """
        from recorder.record.sealed import sealed_file

        seen = self._seen.get(run_of(stem))
        entries: list[Entry] = []
        try:
            with sealed_file(self._record.parquet(self._feed, stem)) as file:
                for index in range(file.num_row_groups):
                    rows = file.metadata.row_group(index).num_rows
                    if skip < rows:
                        entries += _row_group(file, index, skip, seen)
                    skip = max(skip - rows, 0)
        except (DataError, FileNotFoundError):
            return []
        return entries


# -- journals


class JournalTail:
    """Skims what was added to one journal since the last time."""

    def __init__(self, path: Path, seen: reader.Numbers, offset: int = 0) -> None:
        """Open a journal; `seen` are the frames read of its run, to which this adds.

        Raises:
            OSError: it cannot be opened, or is gone.
        """
        self.about = decode_fields(reader.about(path))
        self.fd = os.open(path, os.O_RDONLY)
        self.cut: int | None = None
        """The byte from which on a later journal holds its blocks again."""
        self.connections: set[str] = set()
        self._salt = seed(path.stem)
        self._seen = seen
        self._offset = offset
        self._limit = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def new(self) -> list[Entry]:
        """Return what was added since the last call, each connection's in order."""
        limit = os.fstat(self.fd).st_size
        if self.cut is not None:
            limit = min(limit, self.cut)
        if limit <= self._offset or limit == self._limit:
            return []
        self._limit = limit
        gathered = _Gathered(self._seen)
        width = reader.WINDOW
        while self._offset < limit:
            size = min(width, limit - self._offset)
            # A mapped file would kill the process where it is truncated, or cannot be read.
            window = reader.read_at(self.fd, self._offset, size)
            is_last = len(window) < size or self._offset + size == limit
            position = self._read(window, gathered, is_last=is_last)
            self._offset += position
            if is_last:
                break
            width = reader.WINDOW if position else 2 * width
        gathered.finish()
        self.connections |= gathered.connections
        return gathered.entries

    def _read(self, window: bytes, gathered: _Gathered, *, is_last: bool) -> int:
        """Read the blocks of a window; return the position from which to read the next time."""
        position, end = 0, len(window)
        while position < end:
            position = self._walk(window, position, gathered)
            resumed = self._resume(window, position)
            if resumed is None or (resumed == end and not is_last):
                break  # perhaps the block is whole in the next window
            position = resumed
        return position

    def _walk(self, data: bytes, position: int, gathered: _Gathered) -> int:
        """Go from block to block while they are whole; return where the next one would begin."""
        unpack, head, limit = HEADER.unpack_from, HEADER.size, len(data)
        under_way = gathered.under_way.get
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
                    gathered.begin(name, first_seq, count, length - RECORD.size * count, recv_ns)
            else:
                self._marked(decode(data, position, self._salt, limit), gathered)
            position = end
        return position

    def _resume(self, data: bytes, position: int) -> int | None:
        """Return where the next good block begins behind damage; None if there is none (yet)."""
        for item in scan(data, self._salt, position):
            if isinstance(item, Block):
                return item.start if item.start > position else None
            if not item.torn:
                return item.end
        return None

    def _marked(self, block: Block | None, gathered: _Gathered) -> None:
        """Add a block that begins with a marker; any other frames may follow it."""
        if block is None or block.body[:1] == bytes([ABOUT]):
            return
        name = block.connection.encode()
        gathered.end(name)
        if not self._seen.take(block):
            return
        gathered.connections.add(block.connection)
        for index, (kind, payload) in enumerate(records(block)):
            seq = block.first_seq + index
            if kind in _DATA:
                count = FrameCount(block.connection, seq, seq + 1, 1, len(payload), block.recv_ns)
                gathered.entries.append(count)
            else:
                kind_name = KINDS.get(kind, str(kind))
                fields = decode_fields(payload) if kind_name in DECODED else {}
                marker = Marker(block.connection, seq, block.recv_ns, kind_name, fields)
                gathered.entries.append(marker)


class _Gathered:
    """What a walk gathered: entries, and the counts under way by connection.

    A count under way is [name, first seq, frames, bytes, last ns, end of its second, first ns]; a
    list is fast to add to.
    """

    def __init__(self, seen: reader.Numbers) -> None:
        self.entries: list[Entry] = []
        self.under_way: dict[bytes, list[Any]] = {}
        self.connections: set[str] = set()
        self._seen = seen

    def begin(self, name: bytes, first_seq: int, frames: int, size: int, recv_ns: int) -> None:
        """Begin a count with a block's data frames; end the one before it on this connection."""
        self.end(name)
        connection, end_seq = _text(name), first_seq + frames
        if first_seq < self._seen.behind(connection):
            if self._seen.add(connection, first_seq, end_seq):
                self._add(FrameCount(connection, first_seq, end_seq, frames, size, recv_ns))
            return
        until = (recv_ns // NS + 1) * NS
        self.under_way[name] = [name, first_seq, frames, size, recv_ns, until, recv_ns]

    def end(self, name: bytes) -> None:
        """End the count of a connection, if one is under way."""
        run = self.under_way.pop(name, None)
        if run is not None:
            connection, end_seq = _text(name), run[1] + run[2]
            self._seen.add(connection, run[1], end_seq)
            self._add(FrameCount(connection, run[1], end_seq, run[2], run[3], run[4], 0, run[6]))

    def finish(self) -> None:
        """End all counts."""
        for name in list(self.under_way):
            self.end(name)

    def _add(self, count: FrameCount) -> None:
        self.entries.append(count)
        self.connections.add(count.connection)


def _text(name: bytes) -> str:
    return name.decode("ascii", "replace")


# -- sealed files


def _row_group(
    file: pq.ParquetFile, index: int, skip: int, seen: reader.Numbers | None
) -> list[Entry]:
    """Return a count per connection, then the markers, without the frames in `seen`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from recorder.record.read import unseen

    names = ["connection", "kind", "seq", "recv_ns"]
    table = file.read_row_group(index, columns=names, use_threads=False).slice(skip)
    fresh = unseen(seen, table)
    if fresh is not None:
        table = table.filter(fresh)
    data = pc.is_in(table["kind"], value_set=pa.array(DATA))
    table = table.append_column("data_ns", pc.if_else(data, table["recv_ns"], None))
    wanted = [("seq", "min"), ("seq", "max"), ("seq", "count")]
    wanted += [("data_ns", "max"), ("data_ns", "count"), ("data_ns", "min")]
    entries: list[Entry] = [
        FrameCount(
            row["connection"],
            row["seq_min"],
            row["seq_max"] + 1,
            row["data_ns_count"],
            0,
            row["data_ns_max"] or 0,
            row["seq_max"] + 1 - row["seq_min"] - row["seq_count"],
            row["data_ns_min"],
        )
        for row in table.group_by("connection").aggregate(wanted).to_pylist()
    ]
    marked = pc.invert(data)
    if pc.any(marked).as_py():
        whole = file.read_row_group(index, use_threads=False).slice(skip)
        if fresh is not None:
            whole = whole.filter(fresh)
        for row in whole.filter(marked).to_pylist():
            fields = decode_fields(row["payload"]) if row["kind"] in DECODED else {}
            entries.append(
                Marker(row["connection"], row["seq"], row["recv_ns"], row["kind"], fields)
            )
    return entries
