"""Sealing: a finished journal becomes one Parquet file, and only then goes away.

Runs as a process of its own (`python -m recorder.seal DATA_DIR`), so that capture never loads
pyarrow and never waits for a disk. It seals every journal that no process is writing: after a
crash those are the orphans, else the ones just rotated. Killed anywhere, it leaves either the
journal, or both the journal and its complete Parquet file; the next run finishes the work.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq

from recorder import durable
from recorder.errors import DataError
from recorder.frame import KINDS
from recorder.journal import reader
from recorder.journal.block import Block, Damage, records
from recorder.segment import Layout

SCHEMA_VERSION = "1"
RAW = pa.schema(
    [
        pa.field("recv_ns", pa.int64(), nullable=False),
        pa.field("mono_ns", pa.int64(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("connection", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)
_ROW_GROUP_ROWS = 65_536
_ROW_GROUP_BYTES = 16 << 20


@dataclass(slots=True)
class Rows:
    """Frames gathered column by column, on their way into Arrow."""

    recv_ns: list[int] = field(default_factory=list)
    mono_ns: list[int] = field(default_factory=list)
    seq: list[int] = field(default_factory=list)
    connection: list[str] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    payload: list[bytes] = field(default_factory=list)
    bytes: int = 0

    def add(self, block: Block) -> None:
        """Append all frames of a block."""
        count = block.frames
        for code, payload in records(block):
            self.kind.append(KINDS[code])
            self.payload.append(payload)
        self.recv_ns += [block.recv_ns] * count
        self.mono_ns += [block.mono_ns] * count
        self.seq += range(block.first_seq, block.first_seq + count)
        self.connection += [block.connection] * count
        self.bytes += len(block.body)

    def table(self) -> pa.Table:
        """The rows as an Arrow table of the raw schema."""
        columns = [self.recv_ns, self.mono_ns, self.seq, self.connection, self.kind, self.payload]
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, RAW, strict=True)], RAW)


def tables(
    found: Iterator[Block | Damage], damage: list[Damage], cut: int | None = None
) -> Iterator[pa.Table]:
    """Arrow tables of bounded size from a journal's blocks; damage is collected aside.

    Blocks from byte `cut` on are left out: a later journal holds them.
    """
    rows = Rows()
    for item in found:
        if isinstance(item, Damage):
            damage.append(item)
            continue
        if cut is not None and item.start >= cut:
            break
        rows.add(item)
        if len(rows.seq) >= _ROW_GROUP_ROWS or rows.bytes >= _ROW_GROUP_BYTES:
            yield rows.table()
            rows = Rows()
    if rows.seq:
        yield rows.table()


def write(path: Path, parts: Iterator[pa.Table], metadata: dict[str, str]) -> int:
    """Write a raw Parquet file beside its place, read it back, and give it its name.

    Returns the number of rows; none means that no file was made.

    Raises:
        DataError: what was read back is not what was written; nothing was published.
    """
    first = next(parts, None)
    if first is None:
        return 0
    durable.make_directory(path.parent)
    temporary = path.with_suffix(".parquet.tmp")
    schema = RAW.with_metadata(metadata)
    sums: list[int] = []
    with pq.ParquetWriter(
        temporary,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=["connection", "kind"],
        column_encoding={
            "recv_ns": "DELTA_BINARY_PACKED",
            "mono_ns": "DELTA_BINARY_PACKED",
            "seq": "DELTA_BINARY_PACKED",
        },
        write_statistics=["recv_ns", "mono_ns", "seq", "connection", "kind"],
        write_page_checksum=True,
    ) as writer:
        part: pa.Table | None = first
        rows = 0
        while part is not None:
            writer.write_table(part, row_group_size=len(part))
            sums.append(_checksum(part))
            rows += len(part)
            part = next(parts, None)
    _compare(temporary, sums)
    durable.publish(temporary, path)
    return rows


def _compare(path: Path, sums: list[int]) -> None:
    # ParquetWriter.close() on a full disk says nothing and leaves no footer: read it back.
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = [_checksum(file.read_row_group(i)) for i in range(file.num_row_groups)]
    except (OSError, pa.ArrowException) as error:
        path.unlink(missing_ok=True)
        raise DataError(
            f"the sealed file cannot be read back: {error}",
            where=str(path),
            hint="the journal is kept; free disk space, and sealing is tried again",
        ) from error
    if found != sums:
        path.unlink(missing_ok=True)
        raise DataError(
            "the sealed file differs from the journal", where=str(path), hint="the journal is kept"
        )


def _checksum(table: pa.Table) -> int:
    check = 0
    for column in table.columns:
        for chunk in pa.chunked_array([column.combine_chunks()]).chunks:
            for value in (
                chunk,
                *([chunk.dictionary] if pa.types.is_dictionary(chunk.type) else []),
            ):
                for buffer in value.buffers()[1:]:
                    if buffer is not None:
                        check = crc32(buffer, check)
    return check


@dataclass(frozen=True, slots=True)
class Sealed:
    """What sealing one journal gave."""

    feed: str
    stem: str
    rows: int
    damage: list[Damage]


def seal(layout: Layout, feed: str, stem: str, cut: int | None = None) -> Sealed | None:
    """Seal one journal; None if another process is writing or sealing it, or it is gone.

    Raises:
        DataError: the Parquet file could not be made; the journal is kept.
    """
    source = layout.journal(feed, stem)
    try:
        fd = os.open(source, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if not durable.try_lock(fd):
            return None
        target = layout.parquet(feed, stem)
        damage: list[Damage] = []
        rows = 0
        if not target.exists():
            found = reader.blocks(source)
            rows = write(target, tables(found, damage, cut), _metadata(source, feed))
        source.unlink(missing_ok=True)
        durable.sync_directory(source.parent)
        return Sealed(feed, stem, rows, damage)
    finally:
        os.close(fd)


def _metadata(source: Path, feed: str) -> dict[str, str]:
    about = reader.about(source)
    known = json.loads(about) if about else {}
    return {
        "recorder.schema": SCHEMA_VERSION,
        "recorder.feed": feed,
        "recorder.run": str(known.get("run", "")),
        "recorder.host": str(known.get("host", "")),
        "recorder.version": str(known.get("recorder", "")),
    }


def cuts(layout: Layout, feed: str) -> dict[str, int]:
    """Journals whose end was written again into a later one: stem -> byte to cut at."""
    found: dict[str, int] = {}
    for stem in layout.active(feed):
        try:
            about = reader.about(layout.journal(feed, stem))
        except FileNotFoundError:
            continue
        if about:
            found.update((old, at) for old, at in json.loads(about).get("replaces", []))
    return found


def seal_all(layout: Layout) -> Iterator[Sealed]:
    """Seal every journal that nobody writes, oldest first."""
    for feed in layout.feeds():
        cut = cuts(layout, feed)
        for stem in layout.active(feed):
            sealed = seal(layout, feed, stem, cut.get(stem))
            if sealed is not None:
                yield sealed


def main(arguments: list[str]) -> int:
    """Seal what can be sealed under a data directory; one line per note on stderr."""
    layout = Layout(Path(arguments[0]))
    failures = 0
    sealing = seal_all(layout)
    while True:
        try:
            done = next(sealing)
        except StopIteration:
            return 1 if failures else 0
        except (DataError, OSError) as error:
            print(f"sealing stopped: {error}", file=sys.stderr)
            return 1
        for hurt in done.damage:
            what = "torn tail cut off" if hurt.torn else "damage skipped"
            place = layout.journal(done.feed, done.stem)
            size = hurt.end - hurt.start
            print(f"{place}: {what}: {size} bytes from byte {hurt.start}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
