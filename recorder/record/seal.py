"""Sealing: a finished journal becomes one Parquet file, and is then deleted.

Runs as a separate process (`python -m recorder.record.seal DATA_DIR [ZSTD_LEVEL]`): capture
never loads pyarrow and never waits for a disk. It seals every journal that no process is writing:
after a crash those are the orphans, else the ones just rotated. A feed's journals are sealed in the
order of their numbers; a failure to read or write stops that feed until the next run, so that what
a later journal says of an earlier one is not lost. Killed anywhere, it leaves either the journal,
or both the journal and its complete Parquet file; the next run compares the two.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    # Arrow loads it where it is installed, which takes as long as sealing 50,000 frames.
    sys.modules["numpy"] = None  # type: ignore[assignment]

import pyarrow as pa
import pyarrow.parquet as pq

from recorder import durable
from recorder.errors import DataError
from recorder.priority import behind_capture
from recorder.record import damaged, heads
from recorder.record.digest import Digest, digests_in
from recorder.record.journal import reader
from recorder.record.journal.block import Damage
from recorder.record.layout import Layout, order, run_of
from recorder.record.read import about, cut_of
from recorder.record.rows import Part, of_journal
from recorder.record.sealed import CHECKSUM, checksum, combined, sealed_file
from recorder.schema.raw import RAW, RAW_VERSION

#: zstd's default level: it costs little beside a running capture.
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
    moved: list[Path]
    """What was moved to `damaged/`: the journal itself, or a file that held its sealed name."""


def seal(layout: Layout, feed: str, stem: str, *, level: int = LEVEL) -> Sealed | None:
    """Seal one journal at zstd's `level`.

    None if it is gone, another process has it, or a journal that it replaces is not sealed yet:
    only this one says where that one has to be cut.

    The journal is deleted when a sealed file was read back in full and has the digest of all its
    blocks, and the head of its run says so. A journal with damage that is not a cut last block is
    sealed as far as it is sound, and kept in `damaged/`. So is a file that has the sealed name and
    cannot be read, or holds other frames.

    Raises:
        DataError: the sealed file could not be made; the journal is kept.
    """
    with heads.claimed(layout, feed):
        return _seal(layout, feed, stem, level)


def _seal(layout: Layout, feed: str, stem: str, level: int) -> Sealed | None:
    source = layout.journal(feed, stem)
    try:
        fd = os.open(source, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if not durable.try_lock(fd) or os.fstat(fd).st_nlink == 0:
            return None
        replaced = about(source).get("replaces", [])
        if any(layout.journal(feed, other).exists() for other, _ in replaced):
            return None
        journal, moved = _Contents(layout, feed, stem), []
        known = heads.digest_of(layout, feed, stem)
        if known is not None and known != journal.summed().digest:
            why = "the head of its run has another digest for it"
            moved.append(damaged.keep(layout, feed, source, damaged.Note(stem, why, 0, [])))
            return Sealed(feed, stem, 0, journal.damage, moved)
        if layout.parquet(feed, stem).exists():
            moved += _occupied(layout, feed, stem, journal)
        if not layout.parquet(feed, stem).exists():
            write(layout.parquet(feed, stem), journal.parts(), journal.metadata(), level=level)
        segment = journal.segment()
        lives = any(run_of(one) < run_of(stem) for one in layout.active(feed))
        heads.note_sealed(layout, feed, segment, journal.origin, lives=lives)
        if segment.damaged:
            moved.append(damaged.keep(layout, feed, source, journal.note()))
        else:
            source.unlink(missing_ok=True)
        durable.sync_directory(source.parent)
        return Sealed(feed, stem, segment.rows, journal.damage, moved)
    finally:
        os.close(fd)


class _Contents:
    """What a journal holds, as far as no later journal holds it again."""

    def __init__(self, layout: Layout, feed: str, stem: str) -> None:
        self._source, self._feed, self._stem = layout.journal(feed, stem), feed, stem
        self._about = about(self._source)
        self._cut = _cut(layout, feed, stem)
        self._digest = Digest()
        self._numbers: dict[str, tuple[int, int]] = {}
        self._span: tuple[int, int] | None = None
        self.damage: list[Damage] = []

    @property
    def origin(self) -> heads.Origin:
        """Where the journal was written."""
        return heads.Origin(*(str(self._about.get(name, "")) for name in heads.Origin._fields))

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the sealed file."""
        return {
            "recorder.schema": RAW_VERSION,
            "recorder.feed": self._feed,
            "recorder.kind": self.origin.kind,
            "recorder.run": run_of(self._stem),
            "recorder.host": self.origin.host,
            "recorder.version": self.origin.recorder,
        }

    def parts(self) -> Iterator[pa.Table]:
        """Yield the frames in parts of bounded size, and sum them up."""
        self._digest, self._numbers, self._span = Digest(), {}, None
        self.damage.clear()
        for part in of_journal(self._source, cut=self._cut, damage=self.damage):
            self._digest.update(part.table)
            self._note(part)
            yield part.table

    def _note(self, part: Part) -> None:
        for connection, (first, end) in part.numbers.items():
            known = self._numbers.get(connection, (first, end))
            self._numbers[connection] = min(known[0], first), max(known[1], end)
        if part.span is not None:
            since, until = self._span or part.span
            self._span = min(since, part.span[0]), max(until, part.span[1])

    def segment(self) -> heads.Segment:
        """Return what the head says of it; `parts` was run to its end."""
        first, last = self._span or (None, None)
        return heads.Segment(
            self._stem,
            self._digest.rows,
            self._digest.hexdigest(),
            first,
            last,
            self._numbers,
            sum(hurt.end - hurt.start for hurt in self.damage if not hurt.torn),
        )

    def summed(self) -> heads.Segment:
        """Read the journal to its end and return what the head says of it."""
        for _ in self.parts():
            pass
        return self.segment()

    def note(self) -> damaged.Note:
        """Return why the journal is kept in `damaged/`."""
        hurt = [(one.start, one.end) for one in self.damage if not one.torn]
        return damaged.Note(self._stem, "the journal was damaged", self._digest.rows, hurt)


def _occupied(layout: Layout, feed: str, stem: str, journal: _Contents) -> list[Path]:
    """Compare a file that has the journal's sealed name; what is not it is moved to `damaged/`.

    Raises:
        DataError: it holds other segments too, and not the frames of this one.
    """
    target = layout.parquet(feed, stem)
    segment = journal.summed()
    try:
        found = digests_in(target)
    except DataError as error:
        found, why = {}, error.what
    else:
        why = "it holds other frames than the journal of this name"
    if found.get(stem) == segment.digest:
        return []
    if len(found) > 1:
        hint = "compare the two; move the one that is wrong away"
        raise DataError("differs from the journal of this name", where=str(target), hint=hint)
    return [damaged.keep(layout, feed, target, damaged.Note(stem, why, 0, []))]


def _cut(layout: Layout, feed: str, stem: str) -> int | None:
    """Return the byte from which a later journal holds this one's frames again; None: nowhere.

    Only what the later journals were read to hold counts, not what one of them says.
    """
    cut = cut_of(layout, feed, stem)
    if cut is None:
        return None
    wanted = set(_frames(layout.journal(feed, stem), cut))
    for later in waiting(layout, feed):
        if wanted and run_of(later) == run_of(stem) and order(later) > order(stem):
            wanted.difference_update(_frames(layout.journal(feed, later), 0))
    return None if wanted else cut


def _frames(path: Path, start: int) -> Iterator[tuple[str, int, int, bytes]]:
    """Yield connection, number, time and a digest of each frame of a journal from byte `start`."""
    with contextlib.suppress(FileNotFoundError):
        for block in reader.blocks(path, start):
            if isinstance(block, Damage):
                continue
            for frame in reader.frames_of(block):
                same = hashlib.sha256(frame.kind.encode() + b"\0" + frame.payload).digest()
                yield frame.connection, frame.seq, frame.recv_ns, same


def waiting(layout: Layout, feed: str) -> list[str]:
    """Return the stems of a feed's journals in the order in which they are sealed."""
    return sorted(layout.active(feed), key=order)


def main(arguments: list[str]) -> int:
    """Seal what can be sealed under a data directory; one line per note on stderr."""
    layout, level = Layout(Path(arguments[0])), int(arguments[1]) if arguments[1:] else LEVEL
    failures = [feed for feed in layout.feeds() if not _seal_feed(layout, feed, level)]
    return 1 if failures else 0


def _seal_feed(layout: Layout, feed: str, level: int) -> bool:
    """Seal a feed's journals in order; return False at the first that could not be.

    A later journal may say which end of an earlier one it holds again: it has to outlive it.
    """
    blocked = ""  # a run of which a journal is still being written
    for stem in waiting(layout, feed):
        if run_of(stem) == blocked:
            continue
        place = layout.journal(feed, stem)
        try:
            done = seal(layout, feed, stem, level=level)
        except (DataError, OSError) as error:
            print(f"{place}: not sealed: {error}", file=sys.stderr)
            return False
        if done is None:
            blocked = run_of(stem)
            continue
        for hurt in done.damage:
            what = "torn tail cut off" if hurt.torn else "damage skipped"
            size = hurt.end - hurt.start
            print(f"{place}: {what}: {size} bytes from byte {hurt.start}", file=sys.stderr)
        for path in done.moved:
            print(f"{place}: kept in {path}", file=sys.stderr)
    return True


def _settle() -> None:
    """Set priority and memory for a process that only seals."""
    behind_capture(10)
    gc.disable()  # nothing here makes cycles, and the process is short-lived
    with contextlib.suppress(NotImplementedError):
        pa.set_memory_pool(pa.jemalloc_memory_pool())  # returns memory: 108 MB, not 173


if __name__ == "__main__":
    _settle()
    sys.exit(main(sys.argv[1:]))
