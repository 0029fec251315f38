"""Sealing: a finished journal becomes one Parquet file, and only then goes away.

Runs as a process of its own (`python -m recorder.record.seal DATA_DIR [ZSTD_LEVEL]`): capture
never loads pyarrow and never waits for a disk. It seals every journal that no process is writing:
after a crash those are the orphans, else the ones just rotated. Killed anywhere, it leaves either
the journal, or both the journal and its complete Parquet file; the next run finishes the work.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recorder import durable
from recorder.errors import DataError
from recorder.priority import behind_capture
from recorder.record.journal import reader
from recorder.record.journal.block import Damage
from recorder.record.layout import Layout
from recorder.record.raw import CHECKSUM, checksum, combined, of_journal, sealed_file
from recorder.schema.raw import RAW, RAW_VERSION

#: zstd's level where none is said: what capture's machine hardly notices.
LEVEL = 1


def write(
    path: Path, parts: Iterator[pa.Table], metadata: dict[str, str], *, level: int = LEVEL
) -> int:
    """Write a raw Parquet file beside its place, read it back, and give it its name.

    `level` is zstd's. Returns the number of rows; none means that no file was made.

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
    with (
        pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            compression_level=level,
            use_dictionary=["connection", "kind"],
            column_encoding={
                "recv_ns": "DELTA_BINARY_PACKED",
                "mono_ns": "DELTA_BINARY_PACKED",
                "seq": "DELTA_BINARY_PACKED",
            },
            write_statistics=["recv_ns", "mono_ns", "seq", "connection", "kind"],
            write_page_checksum=True,
        ) as writer,
        ThreadPoolExecutor(1) as pool,
    ):
        # One part is compressed while the next is read: neither needs the interpreter for long.
        rows, written = 0, pool.submit(_put, writer, first)
        for part in parts:
            rows += written.result()
            sums.append(checksum(first))
            first, written = part, pool.submit(_put, writer, part)
        rows += written.result()
        sums.append(checksum(first))
        writer.add_key_value_metadata({CHECKSUM: combined(sums)})
    _compare(temporary, sums)
    durable.publish(temporary, path)
    return rows


def _put(writer: pq.ParquetWriter, part: pa.Table) -> int:
    writer.write_table(part, row_group_size=len(part))
    return len(part)


def _compare(path: Path, sums: list[int]) -> None:
    # ParquetWriter.close() on a full disk says nothing and leaves no footer: read it back.
    try:
        with sealed_file(path, verify=True) as file:
            found = [
                checksum(file.read_row_group(i, use_threads=False))
                for i in range(file.num_row_groups)
            ]
        if found != sums:
            raise DataError("differs from the journal", where=str(path))
    except DataError as error:
        path.unlink(missing_ok=True)
        error.hint = "the journal is kept; free disk space, and sealing is tried again"
        raise


@dataclass(frozen=True, slots=True)
class Sealed:
    """What sealing one journal gave."""

    feed: str
    stem: str
    rows: int
    damage: list[Damage]


def seal(layout: Layout, feed: str, stem: str, *, level: int = LEVEL) -> Sealed | None:
    """Seal one journal at zstd's `level`; None if it is gone, or another process has it.

    Raises:
        DataError: the Parquet file could not be made; the journal is kept.
    """
    source = layout.journal(feed, stem)
    try:
        fd = os.open(source, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if not durable.try_lock(fd) or os.fstat(fd).st_nlink == 0:
            return None
        target = layout.parquet(feed, stem)
        damage: list[Damage] = []
        rows = 0
        if not target.exists():
            cut = cuts(layout, feed).get(stem)
            parts = (part.table for part in of_journal(source, cut=cut, damage=damage))
            rows = write(target, parts, _metadata(source, feed), level=level)
        source.unlink(missing_ok=True)
        durable.sync_directory(source.parent)
        return Sealed(feed, stem, rows, damage)
    finally:
        os.close(fd)


def _metadata(source: Path, feed: str) -> dict[str, str]:
    about = reader.about(source)
    known = json.loads(about) if about else {}
    return {
        "recorder.schema": RAW_VERSION,
        "recorder.feed": feed,
        "recorder.kind": str(known.get("kind", "")),
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


def waiting(layout: Layout) -> Iterator[tuple[str, str]]:
    """Feed and stem of every journal there is, each feed's oldest first."""
    for feed in layout.feeds():
        for stem in layout.active(feed):
            yield feed, stem


def main(arguments: list[str]) -> int:
    """Seal what can be sealed under a data directory; one line per note on stderr."""
    layout, level = Layout(Path(arguments[0])), int(arguments[1]) if arguments[1:] else LEVEL
    failures = 0
    for feed, stem in waiting(layout):
        place = layout.journal(feed, stem)
        try:
            done = seal(layout, feed, stem, level=level)
        except (DataError, OSError) as error:
            failures += 1
            print(f"{place}: not sealed: {error}", file=sys.stderr)
            continue
        for hurt in done.damage if done else ():
            what = "torn tail cut off" if hurt.torn else "damage skipped"
            size = hurt.end - hurt.start
            print(f"{place}: {what}: {size} bytes from byte {hurt.start}", file=sys.stderr)
    return 1 if failures else 0


def _settle() -> None:
    """What holds for the whole of a process that only seals."""
    behind_capture(10)
    gc.disable()  # nothing here makes cycles, and the process is short-lived
    with contextlib.suppress(NotImplementedError):
        pa.set_memory_pool(pa.jemalloc_memory_pool())  # gives memory back: 108 MB, not 173


if __name__ == "__main__":
    _settle()
    sys.exit(main(sys.argv[1:]))
