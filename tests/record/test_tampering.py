"""Whatever is done to a record, `verify` names it, and its exit code says whether frames are gone.

Each way is tried on a record with tables and on one without: where tables are gone, heads must do.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recorder import frame
from recorder.bucket.remote import layout_of
from recorder.bucket.store import Store
from recorder.bucket.upload import run as upload
from recorder.clock import DAY_NS, NS, Clock, ulid
from recorder.record import compact, heads, seal
from recorder.record.journal.block import RECORD
from recorder.record.journal.sync import run as sync
from recorder.record.journal.writer import Journal, Limits, Reports, Stream
from recorder.record.layout import Layout
from recorder.record.report import RecordVerdict, Report
from recorder.record.verify import verify
from recorder.reporter import Reporter
from recorder.schema.raw import RAW
from recorder.tables import private, prune
from recorder.tables.ingest import Ingest
from recorder.tables.prune import Choice
from recorder.tables.rules import Rules

FEED, OTHER = "mine", "other"
T0 = 20_000 * DAY_NS + NS
ABOUT = {"host": "here", "kind": "generic", "recorder": "1.0"}


def write(layout: Layout, feed: str, begin_ns: int, segments: int = 3, host: str = "here") -> str:
    """Write journals of one run, one connection each, 20 frames in a journal; return the run."""
    now = [begin_ns]
    run = ulid(begin_ns, os.urandom(10))
    clock = Clock(lambda: now[0], lambda: now[0] - T0)
    journal = Journal(
        layout, feed, run, limits=Limits(), clock=clock, about={**ABOUT, "host": host},
        reports=Reports(),
    )  # fmt: skip
    stream = Stream(ulid(begin_ns, os.urandom(10)))
    for number in range(20 * segments):
        payload = b'{"feed":"%s","number":%d}' % (feed.encode(), number)
        parts = (RECORD.pack(frame.TEXT, len(payload)), payload)
        journal.write(stream, now[0], now[0] - T0, parts, len(payload))
        now[0] += NS
        jobs = journal.pulse()  # a block for each frame
        journal.synced(jobs, sync(jobs))
        if number % 20 == 19:
            journal.rotate()
            jobs = journal.pulse()
            journal.synced(jobs, sync(jobs))
    return run


def ingest(layout: Layout) -> None:
    with closing(Ingest(layout, lambda feed: Rules(None))) as work:
        work.run()
        work.publish()


def made(root: Path, *, sealed: bool = True, tables: bool = True) -> Layout:
    """Two runs of one feed and one of another, of three segments each."""
    layout = Layout(root)
    write(layout, FEED, T0)
    write(layout, FEED, T0 + 3600 * NS)
    write(layout, OTHER, T0)
    if sealed:
        assert seal.main([str(root)]) == 0
    if tables:
        ingest(layout)
    return layout


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[bool, bool], Path]:
    """Honest records, by whether they are sealed and whether they have tables."""
    place = tmp_path_factory.mktemp("originals")
    originals = {}
    for sealed in (True, False):
        for tables in (True, False):
            root = place / f"{sealed} {tables}"
            made(root, sealed=sealed, tables=tables)
            originals[sealed, tables] = root
    return originals


@pytest.fixture(params=[True, False], ids=["with tables", "without tables"])
def tables(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def copied(originals: dict[tuple[bool, bool], Path], target: Path, *key: bool) -> Layout:
    shutil.copytree(originals[key[0], key[1]], target, symlinks=True)
    return Layout(target)


def codes(report: Report) -> int:
    """The exit code; each finding has words and a place."""
    assert all(one.what and one.where and one.remedy for one in report.findings)
    return report.verdict.exit_code


# -- sealed files

#: A list of segments that a file does not hold.
NOWHERE = '[["20241004T000001Z-00000000000000000000000000-000001",20,1,2]]'

Way = Callable[[Layout], object]


def path(layout: Layout, number: int, feed: str = FEED) -> Path:
    return layout.parquet(feed, layout.sealed(feed)[number])


def rewritten(file: Path, change: Callable[[pa.Table], pa.Table], **metadata: str | None) -> None:
    """Write a sealed file again as the recorder does, every checksum made to fit."""
    table = pq.read_table(file)
    kept = {k.decode(): v.decode() for k, v in (pq.read_metadata(file).metadata or {}).items()}
    said = {k: v for k, v in kept.items() if k.startswith("recorder.") and k != "recorder.checksum"}
    said |= {f"recorder.{key}": value for key, value in metadata.items() if value is not None}
    for key, value in metadata.items():
        if value is None:
            del said[f"recorder.{key}"]
    table = change(table)
    file.unlink()
    # Taken row by row, a table begins where its buffers do.
    table = table.take(list(range(len(table)))).cast(RAW)
    if "schema" in metadata:  # the recorder reads back what it writes, and refuses this
        pq.write_table(table.replace_schema_metadata(said), file)
    else:
        seal.write(file, iter([table]), said)


def column(
    name: str, row: int, change: Callable[[object], object]
) -> Callable[[pa.Table], pa.Table]:
    """Change one value of a table."""

    def changed(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        values[row] = change(values[row])
        index = table.schema.get_field_index(name)
        return table.set_column(
            index, table.schema.field(index), pa.array(values, table.schema.field(index).type)
        )

    return changed


def swapped(table: pa.Table) -> pa.Table:
    order = [1, 0, *range(2, len(table))]
    return table.take(order)


def payloads_swapped(table: pa.Table) -> pa.Table:
    payload = table["payload"].take([1, 0, *range(2, len(table))])
    index = table.schema.get_field_index("payload")
    return table.set_column(index, table.schema.field(index), payload)


def by_duckdb(file: Path) -> None:
    copy = file.with_suffix(".new")
    rows = f"FROM read_parquet('{file}', hive_partitioning = false)"
    duckdb.sql(f"COPY ({rows}) TO '{copy}' (FORMAT parquet)")
    copy.rename(file)


def stem_with(layout: Layout, number: int, old: str, new: str) -> Path:
    stem = layout.sealed(FEED)[number]
    return layout.parquet(FEED, stem.replace(old, new))


def other_run(layout: Layout, number: int) -> Path:
    stem = layout.sealed(FEED)[number]
    return layout.parquet(FEED, f"{stem[:17]}{ulid(T0, bytes(10))}{stem[43:]}")


def move(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    file.rename(target)


def copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)


def remove_all(layout: Layout) -> None:
    for stem in layout.sealed(FEED):
        layout.parquet(FEED, stem).unlink()


def move_all(layout: Layout) -> None:
    for stem in layout.sealed(FEED):
        move(layout.parquet(FEED, stem), layout.parquet("elsewhere", stem))


def foreign(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": [1, 2, 3]}), file)


def by_pyarrow(file: Path) -> None:
    pq.write_table(pq.read_table(file).replace_schema_metadata(None), file)


def renamed(number: int, old: str, new: str) -> Way:
    """Rename a file: `old` in its stem becomes `new`."""
    return lambda at: move(path(at, number), stem_with(at, number, old, new))


def same(table: pa.Table) -> pa.Table:
    return table


def edit(change: Callable[[pa.Table], pa.Table], number: int = 1, **metadata: str | None) -> Way:
    return lambda layout: rewritten(path(layout, number), change, **metadata)


def edit_all(change: Callable[[pa.Table], pa.Table]) -> Way:
    def way(layout: Layout) -> None:
        for number in range(len(layout.sealed(FEED))):
            rewritten(path(layout, number), change)

    return way


def flipped(number: int, part: float) -> Way:
    def way(layout: Layout) -> None:
        file = path(layout, number)
        data = bytearray(file.read_bytes())
        data[int(part * len(data))] ^= 0x10
        file.write_bytes(data)

    return way


def cut(number: int, keep: Callable[[int], int]) -> Way:
    def way(layout: Layout) -> None:
        file = path(layout, number)
        os.truncate(file, keep(file.stat().st_size))

    return way


SEALED: dict[str, Way] = {
    "first file removed": lambda at: path(at, 0).unlink(),
    "middle file removed": lambda at: path(at, 1).unlink(),
    "last file of the first run removed": lambda at: path(at, 2).unlink(),
    "last file removed": lambda at: path(at, -1).unlink(),
    "last two files removed": lambda at: [path(at, -1).unlink() for _ in range(2)],
    "first run removed": lambda at: [path(at, 0).unlink() for _ in range(3)],
    "all files removed": remove_all,
    "the feed's directory removed": lambda at: shutil.rmtree(at.raw / f"feed={FEED}"),
    "raw removed": lambda at: shutil.rmtree(at.raw),
    "raw and journals removed": lambda at: [shutil.rmtree(at.raw), shutil.rmtree(at.journals)],
    "a copy under another number": lambda at: copy(
        path(at, 0), stem_with(at, 0, "-000001", "-000009")
    ),
    "a copy in another run": lambda at: copy(path(at, 0), other_run(at, 0)),
    "a copy in another feed": lambda at: copy(path(at, 0), at.parquet(OTHER, at.sealed(FEED)[0])),
    "a foreign file of a segment's name": lambda at: foreign(other_run(at, 0)),
    "a foreign file of another name": lambda at: foreign(path(at, 0).with_name("x.parquet")),
    "a foreign file beside the feeds": lambda at: foreign(at.raw / "x.parquet"),
    "a foreign file over a file": lambda at: foreign(path(at, 1)),
    "an empty file of a segment's name": lambda at: other_run(at, 0).write_bytes(b""),
    "a file moved to another feed": lambda at: move(
        path(at, 1), at.parquet(OTHER, at.sealed(FEED)[1])
    ),
    "all files moved to a feed of no head": move_all,
    "a file moved to another day": lambda at: move(
        path(at, 1), path(at, 1).parents[1] / "date=2024-01-01" / path(at, 1).name
    ),
    "a file moved above its day": lambda at: move(
        path(at, 1), path(at, 1).parents[1] / path(at, 1).name
    ),
    "a file moved out": lambda at: move(path(at, -1), at.root / "kept.parquet"),
    "renamed to another number": renamed(-1, "-000003", "-000007"),
    "renamed to another run": lambda at: move(path(at, -1), other_run(at, -1)),
    "renamed to what is no segment": lambda at: move(
        path(at, -1), path(at, -1).with_name("x.parquet")
    ),
    "renamed to another second": renamed(1, "21Z-", "59Z-"),
    "two files exchanged": lambda at: exchange(path(at, 0), path(at, 1)),
    "cut to a half": cut(1, lambda size: size // 2),
    "cut by a byte": cut(1, lambda size: size - 1),
    "cut to nothing": cut(-1, lambda size: 0),
    "a bit in the data": flipped(1, 0.3),
    "a bit at the end": flipped(1, 0.999),
    "rewritten by pyarrow": lambda at: by_pyarrow(path(at, 1)),
    "last rewritten by pyarrow": lambda at: by_pyarrow(path(at, -1)),
    "rewritten by DuckDB": lambda at: by_duckdb(path(at, 1)),
    "last rewritten by DuckDB": lambda at: by_duckdb(path(at, -1)),
    "first row dropped": edit(lambda t: t.slice(1), 0),
    "last row dropped": edit(lambda t: t.slice(0, len(t) - 1), -1),
    "a row dropped": edit(lambda t: pa.concat_tables([t.slice(0, 5), t.slice(6)])),
    "a row doubled": edit(lambda t: pa.concat_tables([t.slice(0, 6), t.slice(5)])),
    "last row doubled": edit(lambda t: pa.concat_tables([t, t.slice(len(t) - 1)]), -1),
    "two rows swapped": edit(swapped),
    "two payloads swapped": edit(payloads_swapped),
    "a payload changed": edit(column("payload", 3, lambda _: b"{}")),
    "the first payload changed": edit(column("payload", 0, lambda _: b"{}"), 0),
    "the last payload changed": edit(column("payload", -1, lambda _: b"{}"), -1),
    "a receive time changed": edit(column("recv_ns", 3, lambda ns: ns + 1)),  # type: ignore[operator]
    "a monotonic time changed": edit(column("mono_ns", 3, lambda ns: ns + 1)),  # type: ignore[operator]
    "a kind changed": edit(column("kind", 3, lambda _: "binary")),
    "a connection changed": edit(column("connection", 3, lambda _: ulid(T0, bytes(10)))),
    "a number changed": edit(column("seq", 3, lambda seq: seq + 100)),  # type: ignore[operator]
    "a payload of every file changed": edit_all(column("payload", 3, lambda _: b"{}")),
    "the last row of every file dropped": edit_all(lambda t: t.slice(0, len(t) - 1)),
    "all rows dropped but one": edit(lambda t: t.slice(0, 1), -1),
    "metadata: another feed": edit(same, feed="theirs"),
    "metadata: another run": edit(same, run=ulid(T0, bytes(10))),
    "metadata: another kind": edit(same, kind="binance"),
    "metadata: another host": edit(same, host="there"),
    "metadata: another version": edit(same, version="9.9"),
    "metadata: another schema": edit(same, schema="99"),
    "metadata: no feed": edit(same, feed=None),
    "metadata: no run": edit(same, -1, run=None),
    "metadata: segments that are not there": edit(same, segments=NOWHERE),
}


@pytest.mark.parametrize("way", SEALED)
def test_whatever_is_done_to_sealed_files_is_named(
    way: str, tables: bool, originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    layout = copied(originals, tmp_path / "data", True, tables)
    assert codes(verify(layout)) == 0
    SEALED[way](layout)
    report = verify(layout)
    assert codes(report) == 1, report.findings


# -- heads


def head_of(layout: Layout, number: int = 0) -> Path:
    return heads.path_of(layout, FEED, heads.runs(layout, FEED)[number])


def in_head(number: int, change: Callable[[list[bytes]], list[bytes]]) -> Way:
    """Change the lines of a head."""

    def way(layout: Layout) -> None:
        file = head_of(layout, number)
        file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))

    return way


def replaced(old: bytes, new: bytes) -> Way:
    return in_head(0, lambda all: [one.replace(old, new) for one in all])


def shorten(file: Path, size: int) -> None:
    os.truncate(file, file.stat().st_size - size)


HEADS: dict[str, tuple[Way, int]] = {
    "the head of the last run removed": (lambda at: head_of(at, -1).unlink(), 5),
    "the head of the first run removed": (lambda at: head_of(at, 0).unlink(), 5),
    "all heads removed": (lambda at: shutil.rmtree(at.heads), 5),
    "its first line removed": (in_head(0, lambda all: all[1:]), 1),
    "a line removed": (in_head(0, lambda all: [*all[:2], *all[3:]]), 1),
    "its last line removed": (in_head(-1, lambda all: all[:-1]), 1),
    "two lines exchanged": (in_head(0, lambda all: [all[0], all[2], all[1], *all[3:]]), 1),
    "rows changed": (replaced(b'"rows":20', b'"rows":19'), 1),
    "a digest changed": (replaced(b'"digest":"', b'"digest":"00'), 1),
    "another run's head over it": (lambda at: copy(head_of(at, 1), head_of(at, 0)), 1),
    "its last line cut by a crash": (lambda at: shorten(head_of(at, -1), 5), 1),
    "not text": (lambda at: head_of(at).write_bytes(os.urandom(200)), 1),
}


@pytest.mark.parametrize("way", HEADS)
def test_whatever_is_done_to_heads_is_named(
    way: str, tables: bool, originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    layout = copied(originals, tmp_path / "data", True, tables)
    HEADS[way][0](layout)
    report = verify(layout)
    assert codes(report) == HEADS[way][1], report.findings


def test_a_forged_note_of_removal_excuses_nothing(
    originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    layout = copied(originals, tmp_path / "data", True, False)
    stem = layout.sealed(FEED)[1]
    line = {"line": "pruned", "stem": stem, "rows": 20, "at_ns": 1}
    text = json.dumps({"link": "0" * 64, "says": line})
    (layout.heads / FEED / heads.PRUNED).write_text(f"{text}\n")
    layout.parquet(FEED, stem).unlink()
    assert codes(verify(layout)) == 1


# -- journals


def journal(layout: Layout, number: int, feed: str = FEED) -> Path:
    return layout.journal(feed, layout.active(feed)[number])


def border(layout: Layout, number: int) -> None:
    """Cut a journal where its last block begins."""
    from recorder.record.journal import reader

    file = journal(layout, number)
    *_, last = reader.blocks(file)
    os.truncate(file, last.start)


JOURNALS: dict[str, tuple[Way, int, int]] = {
    # the exit code with tables, and without
    "first removed": (lambda at: journal(at, 0).unlink(), 1, 1),
    "middle removed": (lambda at: journal(at, 1).unlink(), 1, 1),
    "last removed": (lambda at: journal(at, -1).unlink(), 1, 0),
    "all removed": (lambda at: shutil.rmtree(at.journal_dir(FEED)), 1, 0),
    "last cut at a block": (lambda at: border(at, -1), 1, 0),
    "middle cut at a block": (lambda at: border(at, 1), 1, 1),
    "last cut within a block": (lambda at: shorten(journal(at, -1), 3), 1, 0),
    "middle emptied": (lambda at: os.truncate(journal(at, 1), 0), 1, 1),
    "a bit flipped": (lambda at: flip(journal(at, 1), 0.5), 1, 1),
    "a bit of the last block flipped": (lambda at: flip(journal(at, -1), 0.99), 1, 1),
    "another format": (lambda at: flip(journal(at, 1), 0.0), 1, 1),
    "renamed to another number": (lambda at: rename(journal(at, -1), "-000003", "-000008"), 1, 1),
    "renamed to what is no segment": (
        lambda at: rename(journal(at, -1), journal(at, -1).stem, "x"),
        1,
        1,
    ),
    "moved to another feed": (
        lambda at: move(journal(at, 1), at.journal(OTHER, at.active(FEED)[1])),
        1,
        1,
    ),
    "two exchanged": (lambda at: exchange(journal(at, 0), journal(at, 1)), 1, 1),
}


def rename(file: Path, old: str, new: str) -> None:
    file.rename(file.with_name(file.name.replace(old, new)))


def flip(file: Path, part: float) -> None:
    data = bytearray(file.read_bytes())
    data[int(part * len(data))] ^= 0x10
    file.write_bytes(data)


def exchange(one: Path, two: Path) -> None:
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


@pytest.mark.parametrize("way", JOURNALS)
def test_whatever_is_done_to_journals_is_named(
    way: str, tables: bool, originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    layout = copied(originals, tmp_path / "data", False, tables)
    assert codes(verify(layout)) == 0
    change, with_tables, without = JOURNALS[way]
    change(layout)
    report = verify(layout)
    assert codes(report) == (with_tables if tables else without), report.findings


# -- merged files


def compacted(layout: Layout) -> None:
    with private.claimed(layout):
        done = set(layout.sealed(FEED)) | set(layout.sealed(OTHER))
        for feed in (FEED, OTHER):
            for day in compact.plan(layout, feed, done, T0 + 10 * DAY_NS, 1 << 30):
                compact.compact(layout, day, level=3)
    assert len(layout.sealed(FEED)) < 6


MERGED: dict[str, Way] = {
    "removed": lambda at: path(at, 0).unlink(),
    "a row dropped": edit(lambda t: t.slice(0, len(t) - 1), 0),
    "a payload changed": edit(column("payload", 30, lambda _: b"{}"), 0),
    "its list of segments removed": edit(same, 0, segments=None),
    "rewritten by pyarrow": lambda at: by_pyarrow(path(at, 0)),
}


@pytest.mark.parametrize("way", MERGED)
def test_whatever_is_done_to_merged_files_is_named(
    way: str, tables: bool, originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    layout = copied(originals, tmp_path / "data", True, tables)
    compacted(layout)
    assert codes(verify(layout)) == 0
    MERGED[way](layout)
    assert codes(verify(layout)) == 1


def test_a_file_that_was_merged_and_is_put_back_is_surplus(
    originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    layout = copied(originals, tmp_path / "data", True, True)
    kept = path(layout, 1)
    data = kept.read_bytes()
    compacted(layout)
    kept.write_bytes(data)
    assert codes(verify(layout)) == 1


# -- honest records


def test_an_honest_record_is_whole(
    tables: bool, originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    for sealed in (True, False):
        layout = copied(originals, tmp_path / f"data {sealed}", sealed, tables)
        report = verify(layout)
        assert report.verdict is RecordVerdict.WHOLE and report.findings == []
        if sealed:
            assert [feed.proven for feed in report.feeds] == [feed.frames for feed in report.feeds]


@pytest.mark.parametrize("begun", [True, False], ids=["a run with a head", "a run without"])
def test_a_record_that_is_sealed_meanwhile_is_whole(begun: bool, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    write(layout, FEED, T0, segments=6)
    if begun:
        assert seal.seal(layout, FEED, layout.active(FEED)[0]) is not None

    def sealed_meanwhile(_frames: int) -> None:
        assert seal.main([str(tmp_path)]) == 0

    report = verify(layout, Reporter(progress=sealed_meanwhile))
    assert codes(report) == 0 and report.feeds[0].frames == 120, report.findings


def test_a_pruned_record_is_whole_also_without_its_database(
    originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    layout = copied(originals, tmp_path / "data", True, True)
    limit = T0 + 1800 * NS
    with private.claimed(layout), closing(private.connect(layout)) as db:
        plan = prune.plan(db, layout, limit, Choice(raw_files=True))
        prune.apply(db, plan, limit)
    assert 0 < len(layout.sealed(FEED)) < 6
    assert codes(verify(layout)) == 0
    shutil.rmtree(layout.work)
    layout.database.unlink()
    assert codes(verify(layout)) == 0


def test_a_record_that_was_uploaded_and_dropped_is_whole_where_the_bucket_is_read(
    originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    layout = copied(originals, tmp_path / "data", True, False)
    (tmp_path / "bucket").mkdir()
    url = (tmp_path / "bucket").as_uri()
    upload(layout, Store(url), 0)
    assert layout.sealed(FEED) == []
    assert codes(verify(layout_of(layout.root, url))) == 0
    report = verify(layout)
    assert codes(report) == 5 and all(url in one.what for one in report.findings)


@pytest.mark.parametrize("way", ["removed", "cut", "flipped", "changed"])
def test_whatever_is_done_to_objects_of_a_bucket_is_named(
    way: str, originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    layout = copied(originals, tmp_path / "data", True, False)
    stem = layout.sealed(FEED)[-1]
    (tmp_path / "bucket").mkdir()
    url = (tmp_path / "bucket").as_uri()
    upload(layout, Store(url), 0)
    [file] = (tmp_path / "bucket").rglob(f"feed={FEED}/**/{stem}.parquet")
    if way == "removed":
        file.unlink()
    elif way == "cut":
        os.truncate(file, file.stat().st_size // 2)
    elif way == "flipped":
        flip(file, 0.3)
    else:
        rewritten(file, column("payload", 3, lambda _: b"{}"))
    assert codes(verify(layout_of(layout.root, url, refetch=True))) == 1


def test_the_files_and_heads_of_two_hosts_are_one_whole_record(tmp_path: Path) -> None:
    one, two = Layout(tmp_path / "one"), Layout(tmp_path / "two")
    write(one, FEED, T0)
    write(two, FEED, T0 + NS // 2, host="there")
    for layout in (one, two):
        assert seal.main([str(layout.root)]) == 0
    shutil.copytree(two.raw, one.raw, dirs_exist_ok=True)
    shutil.copytree(two.heads, one.heads, dirs_exist_ok=True)
    assert codes(verify(one)) == 0
    ingest(one)
    assert codes(verify(one)) == 0


def shared(tmp_path: Path) -> tuple[Layout, Layout, str]:
    """Two hosts that upload to one bucket, and keep nothing of their own."""
    one, two = Layout(tmp_path / "one"), Layout(tmp_path / "two")
    (tmp_path / "bucket").mkdir()
    url = (tmp_path / "bucket").as_uri()
    for layout, begin, host in ((one, T0, "here"), (two, T0 + NS // 2, "there")):
        write(layout, FEED, begin, host=host)
        assert seal.main([str(layout.root)]) == 0
        upload(layout, Store(url), 0)
        write(layout, FEED, begin + 3600 * NS, host=host)  # a head that grew is uploaded in parts
        assert seal.main([str(layout.root)]) == 0
        upload(layout, Store(url), 0)
    return one, two, url


def test_a_bucket_of_two_hosts_is_whole_for_a_third(tmp_path: Path) -> None:
    one, _, url = shared(tmp_path)
    third = tmp_path / "third"
    report = verify(layout_of(third, url))
    assert codes(report) == 0, report.findings
    assert [feed.proven for feed in report.feeds] == [240]
    bucket = layout_of(one.root, url)
    ingest(bucket)
    with private.claimed(one), closing(private.connect(one)) as db:
        limit = T0 + 1800 * NS
        prune.apply(db, prune.plan(db, bucket, limit, Choice(raw_files=True)), limit)
    assert codes(verify(layout_of(third, url))) == 1  # the bucket does not know yet
    upload(one, Store(url), 0)
    report = verify(layout_of(third, url))
    assert codes(report) == 0 and [feed.proven for feed in report.feeds] == [120]


BUCKET: dict[str, tuple[Callable[[Path], object], int]] = {
    "an object removed": (lambda at: next(at.glob("feed=*/*/*.parquet")).unlink(), 1),
    "all objects removed": (lambda at: shutil.rmtree(at / f"feed={FEED}"), 1),
    "all heads removed": (lambda at: shutil.rmtree(at / "heads"), 5),
    "the first part of a head removed": (
        lambda at: next(at.glob("heads/*/*/000000000000.jsonl")).unlink(),
        5,
    ),
    "a head changed": (lambda at: flip(next(at.glob("heads/*/*/*.jsonl")), 0.5), 1),
}


@pytest.mark.parametrize("way", BUCKET)
def test_whatever_is_done_to_a_shared_bucket_is_named(way: str, tmp_path: Path) -> None:
    _, _, url = shared(tmp_path)
    change, code = BUCKET[way]
    change(tmp_path / "bucket")
    report = verify(layout_of(tmp_path / "third", url))
    assert codes(report) == code, report.findings


def test_a_record_without_heads_is_unverified_and_so_is_a_hand_made_file(
    originals: dict[tuple[bool, bool], Path], tmp_path: Path
) -> None:
    layout = copied(originals, tmp_path / "data", True, True)
    shutil.rmtree(layout.heads)
    assert codes(verify(layout)) == 5
    path(layout, -1).unlink()
    assert codes(verify(layout)) == 1  # the ledger knows


def ways() -> Iterator[str]:
    yield from (*SEALED, *HEADS, *JOURNALS, *MERGED)


def test_there_are_at_least_sixty_ways() -> None:
    assert len(list(ways())) >= 60
