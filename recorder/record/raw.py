"""The raw record as Arrow tables: of a journal, of a sealed file, from any point on."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq

from recorder.errors import DataError
from recorder.frame import KINDS
from recorder.record.journal import reader
from recorder.record.journal.block import Block, Damage, columns
from recorder.record.layout import Layout
from recorder.schema.raw import RAW, check_version

#: The metadata key of a sealed file's checksum: of the values, from journal to reader.
CHECKSUM = "recorder.checksum"
_PART_ROWS = 65_536
_PART_BYTES = 8 << 20


_KIND_NAMES = pa.array([KINDS.get(code, f"kind {code}") for code in range(256)], pa.string())


@dataclass(slots=True)
class _Rows:
    """Frames gathered column by column, on their way into Arrow.

    Numbers as machine words and names as codes: Arrow takes them as they are, where Python
    objects, converted one by one, made sealing a tenth slower.
    """

    recv_ns: array[int] = field(default_factory=lambda: array("q"))
    mono_ns: array[int] = field(default_factory=lambda: array("q"))
    seq: array[int] = field(default_factory=lambda: array("q"))
    connection: array[int] = field(default_factory=lambda: array("i"))  # index into `names`
    names: dict[str, int] = field(default_factory=dict)
    kind: bytearray = field(default_factory=bytearray)
    payload: list[bytes] = field(default_factory=list)
    bytes: int = 0

    def add(self, block: Block) -> None:
        """Append all frames of a block."""
        count = block.frames
        kinds, payloads = columns(block)
        self.kind += bytes(kinds)
        self.payload += payloads
        self.recv_ns += array("q", (block.recv_ns,)) * count
        self.mono_ns += array("q", (block.mono_ns,)) * count
        self.seq.extend(range(block.first_seq, block.first_seq + count))
        name = self.names.setdefault(block.connection, len(self.names))
        self.connection += array("i", (name,)) * count
        self.bytes += len(block.body)

    def table(self) -> pa.Table:
        """The rows as an Arrow table of the raw schema."""
        names = pa.array(list(self.names), pa.string())
        columns = [
            _words(pa.int64(), self.recv_ns),
            _words(pa.int64(), self.mono_ns),
            _words(pa.int64(), self.seq),
            _spelt(_words(pa.int32(), self.connection), names),
            _spelt(_words(pa.uint8(), self.kind), _KIND_NAMES),
            pa.array(self.payload, pa.binary()),
        ]
        return pa.table(columns, RAW)


def _words(kind: pa.DataType, values: array[int] | bytearray) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _spelt(codes: pa.Array, names: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(codes, names).dictionary_decode()


class Part(NamedTuple):
    """Some rows of a journal, and the byte at which the next ones begin."""

    table: pa.Table
    end: int


def of_journal(
    path: Path, start: int = 0, *, cut: int | None = None, damage: list[Damage] | None = None
) -> Iterator[Part]:
    """The frames of a journal from byte `start`, in parts of bounded size.

    Blocks from byte `cut` on are left out: a later journal holds them. Damage goes to `damage`.

    Raises:
        FileNotFoundError: the journal was sealed and is gone.
    """
    rows, end = _Rows(), start
    for item in reader.blocks(path, start):
        if cut is not None and item.start >= cut:
            break
        if isinstance(item, Damage):
            if damage is not None:
                damage.append(item)
            continue
        rows.add(item)
        end = item.end
        if len(rows.seq) >= _PART_ROWS or rows.bytes >= _PART_BYTES:
            yield Part(rows.table(), end)
            rows = _Rows()
    if rows.seq:
        yield Part(rows.table(), end)


@contextmanager
def sealed_file(path: Path | BinaryIO, *, verify: bool = False) -> Iterator[pq.ParquetFile]:
    """Open a sealed file; with `verify`, the checksum of each page that is read is compared.

    Raises:
        DataError: the file is damaged, is none of ours, or is of another version; damage is told
            also while it is being read.
        FileNotFoundError: it is gone.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=verify) as file:
            if not file.schema_arrow.equals(RAW):
                raise DataError("is no sealed file: its columns are others", where=str(path))
            check_version(file.metadata.metadata, path)
            yield file
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        what = f"cannot be read: {str(error).splitlines()[0]}"
        raise DataError(what, where=str(path)) from error


def of_parquet(path: Path, skip: int = 0) -> Iterator[pa.Table]:
    """The frames of a sealed file after the first `skip`, in parts of bounded size.

    Raises:
        DataError: the file is damaged, or holds fewer rows than `skip`.
    """
    with sealed_file(path) as file:
        if file.metadata.num_rows < skip:
            raise DataError(
                f"holds {file.metadata.num_rows} frames, but {skip} were ingested from it",
                where=str(path),
                hint="rebuild the tables: recorder ingest --rebuild",
            )
        for batch in file.iter_batches(batch_size=_rows_at_once(file.metadata)):
            if skip >= len(batch):
                skip -= len(batch)
                continue
            yield pa.Table.from_batches([batch.slice(skip)])
            skip = 0


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    """How many frames of a file make a part."""
    rows, groups = int(metadata.num_rows), range(metadata.num_row_groups)
    size = sum(int(metadata.row_group(i).total_byte_size) for i in groups)
    return min(_PART_ROWS, 1 + _PART_BYTES * rows // max(size, 1))


def checksum(table: pa.Table) -> int:
    """A checksum of the values alone: Arrow may pad its buffers as it likes."""
    check = 0
    for column in table.combine_chunks().columns:
        for chunk in column.chunks:
            *offsets, values = chunk.buffers()[1:]
            for buffer in offsets:
                check = crc32(buffer[: 4 * (len(chunk) + 1)], check)
            size = 8 * len(chunk)
            if offsets:
                size = int.from_bytes(offsets[0][4 * len(chunk) :][:4].to_pybytes(), "little")
            check = crc32(values[:size], check)
    return check


def combined(sums: Sequence[int]) -> str:
    """One checksum of all row groups' checksums, in order."""
    return f"{crc32(b''.join(part.to_bytes(4, 'little') for part in sums)):08x}"


def kind_of(layout: Layout, feed: str) -> str:
    """The kind of a recorded feed, as its newest readable segment says; empty if none does."""
    for stem in reversed(layout.active(feed)):
        try:
            about = reader.about(layout.journal(feed, stem))
        except FileNotFoundError:
            continue
        if about:
            return str(json.loads(about).get("kind", ""))
    for stem in reversed(layout.sealed(feed)):
        try:
            metadata = pq.read_schema(layout.parquet(feed, stem)).metadata or {}
        except (OSError, pa.ArrowException):
            continue
        return str(metadata.get(b"recorder.kind", b"").decode("utf-8", "replace"))
    return ""
