"""Compaction: a closed day's sealed files become few and small, and no reader sees it happen.

Small files are merged; one that has no neighbour to join is compressed harder by itself, once.

A feed's day is a directory. The merged files are written into a new directory under `work/`, where
nobody looks, read back and compared with the originals value by value; all other files of the day
are linked beside them. Then the two directories change names in one step. Whoever lists the day
finds either all originals or all merged files, whenever the process is killed; what lies in `work/`
afterwards is cleared away by `recover`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from recorder import durable
from recorder.clock import NS, day
from recorder.errors import DataError
from recorder.record import footers, seal, sealed
from recorder.record.digest import Digest
from recorder.record.footers import Held
from recorder.record.layout import Layout, day_of, order
from recorder.record.sealed import sealed_file
from recorder.reporter import QUIET, Reporter

#: A merged file's row groups: what one part of a reader's work is.
_ROWS = 131_072
_BYTES = 64 << 20

#: This long after midnight, no step back of the clock adds a frame to the day any more.
_CLOSED_NS = 3600 * NS


class Small(NamedTuple):
    """A sealed file, whether it may be merged, and whether it is as it was sealed."""

    stem: str
    bytes: int
    free: bool
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of compacting one feed's day."""

    feed: str
    day: str
    before: int  # files
    after: int
    bytes_before: int
    bytes_after: int


def groups(files: Iterable[Small], target: int) -> list[list[Small]]:
    """Return the files that become one: consecutive ones of a run and day, `target` bytes at most.

    A group of one is a file that was never compacted. `files` are all of a feed's, for what lies
    between two of them must not change its place.
    """
    found: list[list[Small]] = [[]]
    for file in sorted(files, key=lambda file: order(file.stem)):
        last = found[-1]
        joins = (
            last
            and file.free
            and last[-1].free
            and _place(file.stem) == _place(last[-1].stem)
            and sum(one.bytes for one in last) + file.bytes <= target
        )
        if joins:
            last.append(file)
        else:
            found.append([file])
    return [group for group in found if len(group) > 1 or any(f.free and f.fresh for f in group)]


def _is_merged(path: Path) -> bool:
    try:
        return bool(footers.footer(path).held)
    except (DataError, FileNotFoundError):
        return False


def _place(stem: str) -> tuple[str, str]:
    return day_of(stem), order(stem)[:26]


class Day(NamedTuple):
    """What to merge of one feed's day: each group becomes one file."""

    feed: str
    date: str
    groups: list[list[Small]]


def plan(layout: Layout, feed: str, done: Collection[str], now_ns: int, target: int) -> list[Day]:
    """Return what to merge of a feed. `done` are the segments that ingest has read whole."""
    waiting = {day_of(stem) for stem in layout.active(feed)}
    small = []
    for stem in layout.sealed(feed):
        closed = day_of(stem) < day(now_ns - _CLOSED_NS) and day_of(stem) not in waiting
        path = layout.parquet(feed, stem)
        free = closed and all(one in done for one in footers.stems_in(path, stem))
        fresh = free and not _is_merged(path)
        small.append(Small(stem, path.stat().st_size, free, fresh))
    by_day: dict[str, list[list[Small]]] = {}
    for group in groups(small, target):
        by_day.setdefault(day_of(group[0].stem), []).append(group)
    return [Day(feed, date, found) for date, found in by_day.items()]


def compact(layout: Layout, planned: Day, *, level: int, reporter: Reporter = QUIET) -> Merged:
    """Merge a day's files as planned; report progress in frames. The caller holds the claim.

    Raises:
        DataError: an original is damaged, what was written is not what was read, or the file
            system cannot exchange directories; nothing was changed.
    """
    place = _directory(layout, planned.feed, planned.date)
    before = _sizes(place)
    stage = prepare(layout, planned, level=level, reporter=reporter)
    with _or_nothing(stage, place):
        durable.exchange(stage, place)
    _clear(stage, place)
    after = _sizes(place)
    sizes = sum(before.values()), sum(after.values())
    return Merged(planned.feed, planned.date, len(before), len(after), *sizes)


def prepare(layout: Layout, planned: Day, *, level: int, reporter: Reporter = QUIET) -> Path:
    """Make the directory that is to be the day's: merged files, and links to all others.

    Raises:
        DataError: as `compact` says.
    """
    feed, date, chosen = planned
    place, stage = _directory(layout, feed, date), _stage(layout, feed, date)
    shutil.rmtree(stage, ignore_errors=True)
    durable.make_directory(stage)
    names = _sizes(place).keys()
    for group in chosen:
        paths = [layout.parquet(feed, file.stem) for file in group]
        _merge(paths, stage / paths[0].name, level, reporter)
    replaced = {f"{file.stem}.parquet" for group in chosen for file in group}
    with _or_nothing(stage, place):
        for name in names - replaced:
            os.link(place / name, stage / name)
        durable.sync_directory(stage)
    return stage


@contextmanager
def _or_nothing(stage: Path, place: Path) -> Iterator[None]:
    """Remove the stage if the file system refuses an operation, and raise a DataError."""
    try:
        yield
    except (OSError, AttributeError) as error:
        shutil.rmtree(stage)
        hint = "raw/ and work/ must lie on one local file system (ext4, xfs, btrfs, APFS)"
        what = f"its directory cannot be exchanged for another: {error}"
        raise DataError(what, where=str(place), hint=hint) from error


def recover(layout: Layout) -> None:
    """Clear away what a killed compaction left. The caller holds the claim."""
    for stage in sorted(_stages(layout)):
        feed, date = (part.partition("=")[2] for part in stage.parts[-2:])
        _clear(stage, _directory(layout, feed, date))


def left_over(layout: Layout) -> list[Path]:
    """Return the stages that a killed compaction left, or that a running one is working on."""
    return sorted(_stages(layout))


def _stages(layout: Layout) -> Iterator[Path]:
    return (layout.work / "compact").glob("feed=*/date=*")


def _stage(layout: Layout, feed: str, date: str) -> Path:
    return layout.work / "compact" / f"feed={feed}" / f"date={date}"


def _directory(layout: Layout, feed: str, date: str) -> Path:
    return layout.raw / f"feed={feed}" / f"date={date}"


def _sizes(place: Path) -> dict[str, int]:
    files = (path for path in place.glob("*.parquet") if path.is_file())
    return {path.name: path.stat().st_size for path in files}


def _clear(stage: Path, place: Path) -> None:
    """Remove a stage; first move back what the day does not hold: nothing foreign is deleted.

    Those are files of segments that another program copied in just before the exchange, and files
    and directories that are not the recorder's.
    """
    there = {
        stem for name in _sizes(place) for stem in footers.stems_in(place / name, Path(name).stem)
    }
    for path in sorted(stage.iterdir()):
        ours = path.suffix == ".parquet" and path.is_file()
        held = ours and not there.isdisjoint(footers.stems_in(path, path.stem))
        if held or path.suffix == ".tmp" or (place / path.name).exists():
            continue
        path.rename(place / path.name)
        durable.sync_directory(place)
    shutil.rmtree(stage)


# -- one merged file


def _merge(paths: Sequence[Path], target: Path, level: int, reporter: Reporter) -> None:
    held: list[Held] = []
    metadata: dict[str, str] = {}
    read = Digest()
    for path in paths:
        with sealed_file(path) as file:
            known = file.metadata.metadata or {}
            metadata = metadata or _ours(known)
            held += footers.segments_of(known, str(path)) or [_whole(path)]

    def parts() -> Iterator[pa.Table]:
        for part in _gathered(_checked(paths)):
            read.update(part)
            reporter.progress(len(part))
            yield part

    listed = {footers.SEGMENTS: footers.encoded(held)}
    seal.write(target, parts(), metadata | listed, level=level)
    written = Digest()
    with sealed_file(target, verify=True) as file:
        for group in range(file.num_row_groups):
            written.update(file.read_row_group(group))
    same = written.hexdigest() == read.hexdigest() and written.rows == sum(one.rows for one in held)
    if not same:
        target.unlink()
        raise DataError("merged, it differs from what it was merged of", where=str(paths[0]))


def _ours(metadata: dict[bytes, bytes]) -> dict[str, str]:
    """Return the metadata that all originals share."""
    names = {k.decode(): v.decode("utf-8", "replace") for k, v in metadata.items()}
    own = {sealed.CHECKSUM, footers.SEGMENTS}
    return {k: v for k, v in names.items() if k.startswith("recorder.") and k not in own}


def _whole(path: Path) -> Held:
    with sealed_file(path) as file:
        rows, stamps = file.metadata.num_rows, file.read(columns=["recv_ns"])["recv_ns"]
    span = pc.min_max(stamps).as_py()
    return Held(path.stem, rows, span["min"], span["max"])


def _checked(paths: Sequence[Path]) -> Iterator[pa.Table]:
    """Yield the frames of all files, in order; compare each file's values with its checksum."""
    for path in paths:
        try:
            with sealed_file(path, verify=True) as file:
                for _, table in sealed.verified(file, path):
                    yield table
        except DataError as error:
            error.hint = "restore it from a copy; the day stays as it is"
            raise


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the same frames in parts of one row group each."""
    some: list[pa.Table] = []
    for table in tables:
        some.append(table)
        if sum(map(len, some)) >= _ROWS or sum(part.nbytes for part in some) >= _BYTES:
            yield pa.concat_tables(some).combine_chunks()
            some = []
    if some:
        yield pa.concat_tables(some).combine_chunks()
