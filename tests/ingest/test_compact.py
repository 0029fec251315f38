"""Small files become few; nobody who reads the record can tell, whenever the process is killed."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.commands import call, start
from kit.frames import RUN
from kit.journals import Writer, eventful, seal_all
from kit.lives import PAST
from kit.records import Published, assert_same

from recorder import durable
from recorder.clock import DAY_NS
from recorder.errors import BusyError, DataError
from recorder.record import compact, footers, sealed
from recorder.record.compact import Small, groups
from recorder.record.layout import Layout, day_of, order, stem
from recorder.record.verify import verify
from recorder.reporter import Reporter
from recorder.schema.raw import RAW
from recorder.tables import private
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

FEED = "binance"
NOW = PAST + 3 * DAY_NS
MB = 1_000_000


def recorded(root: Path, seed: str = "compact", blocks: int = 120) -> Published:
    """Many small sealed and ingested segments of two days."""
    for day in range(2):
        now = PAST + day * DAY_NS
        writer = Writer(root, FEED, now=now, rotate_bytes=3_000)
        eventful(writer, Random(f"{seed} {day}"), blocks)
        writer.finish()
    seal_all(Layout(root))
    record = Published(root)
    record.ingest()
    return record


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A record that every test has a copy of, for it takes long to make."""
    return recorded(tmp_path_factory.mktemp("once"))


@pytest.fixture
def record(once: Published, tmp_path: Path) -> Published:
    """A copy of it in `tmp_path`; its database still shows the original's raw files."""
    shutil.copytree(once.layout.root, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Published(tmp_path)


def planned(record: Published, target: int = MB, now: int = NOW) -> list[compact.Day]:
    """What is to be merged; the caller holds the claim."""
    with closing(private.connect(record.layout)) as db:
        done = {row[0] for row in db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()}
    return compact.plan(record.layout, FEED, done, now, target)


def merge(record: Published, target: int = MB, now: int = NOW) -> list[compact.Merged]:
    """What `recorder prune --compact` does."""
    layout = record.layout
    with private.claimed(layout):
        compact.recover(layout)
        days = planned(record, target, now)
        found = [compact.compact(layout, day, level=3) for day in days]
        with closing(private.connect(layout)) as db:
            private.show(db, layout)
    return found


def frames(layout: Layout) -> pa.Table:
    """All raw frames, in the order in which ingest and replay take them."""
    paths = [layout.parquet(FEED, s) for s in sorted(layout.sealed(FEED), key=order)]
    return pa.concat_tables(pq.read_table(path, partitioning=None) for path in paths)


def globbed(layout: Layout) -> int:
    """What somebody who reads the Parquet files directly counts."""
    place = glob.escape(str(layout.raw))
    query = f"SELECT count(*) FROM read_parquet('{place}/**/*.parquet')"
    return int(duckdb.sql(query).fetchall()[0][0])


def test_the_frames_are_the_same_in_the_same_order(record: Published, tmp_path: Path) -> None:
    before, tables, rows = frames(record.layout), record.everything(), globbed(record.layout)
    files = len(record.layout.sealed(FEED))
    done = merge(record)
    assert [one.after for one in done] == [1, 1] and sum(one.before for one in done) == files > 10
    assert frames(record.layout).equals(before)
    assert_same(record.everything(), tables)
    assert globbed(record.layout) == rows == record.sql("SELECT count(*) FROM raw")[0][0]
    report = verify(record.layout)
    assert report.sound and report.feeds[0].frames == rows
    assert all("gap marker" in finding.what for finding in report.findings)
    assert record.ingest() == 0
    assert merge(record) == []
    assert not any((tmp_path / "work/compact").rglob("*.parquet"))


def test_tables_made_of_merged_files_are_the_same_ledger_and_all(
    record: Published, tmp_path: Path
) -> None:
    tables = record.everything()
    merge(record, target=12_000)
    assert len(record.layout.sealed(FEED)) > 4
    done = call("ingest", "--rebuild", "--data-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same(record.everything(), tables)
    shutil.rmtree(tmp_path / "work")
    record.ingest()
    assert_same(record.everything(), tables)
    assert verify(record.layout).sound


def test_a_merged_file_says_what_it_holds(record: Published) -> None:
    names = sorted(record.layout.sealed(FEED), key=order)
    merge(record)
    ledger = record.sql("SELECT segment, rows, first_recv_ns, last_recv_ns FROM ledger")
    held = [one for _, stems in footers.files(record.layout, FEED) for one in stems]
    assert sorted(held, key=order) == names
    found = [
        tuple(one)
        for name in record.layout.sealed(FEED)
        for one in footers.footer(record.layout.parquet(FEED, name)).held
    ]
    assert sorted(found) == sorted(ledger)


def test_merged_files_can_be_merged_with_what_came_late(record: Published, tmp_path: Path) -> None:
    before, tables = frames(record.layout), record.everything()
    merge(record, target=9_000)
    several = len(record.layout.sealed(FEED))
    merge(record)
    assert len(record.layout.sealed(FEED)) == 2 < several
    assert frames(record.layout).equals(before)
    shutil.rmtree(tmp_path / "work")
    record.ingest()
    assert_same(record.everything(), tables)


# -- what is merged

FILES = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(1, 120), st.booleans(), st.booleans(), st.integers(0, 1)
    ),
    max_size=25,
)


@given(FILES)
def test_groups_are_consecutive_of_one_run_and_day_and_small(
    made: list[tuple[int, int, bool, bool, int]],
) -> None:
    runs = (RUN, f"{RUN[:-1]}Z")
    files = [
        Small(stem(PAST + day * DAY_NS, runs[run], number), size, free, fresh)
        for number, (day, size, free, fresh, run) in enumerate(made)
    ]
    line = sorted((file.stem for file in files), key=order)
    found = groups(files, 128)
    assert {file for group in found for file in group} >= {f for f in files if f.free and f.fresh}
    for group in found:
        assert all(file.free for file in group)
        assert sum(file.bytes for file in group) <= 128
        assert len(group) > 1 or group[0].fresh
        assert len({(day_of(f.stem), order(f.stem)[:26]) for f in group}) == 1
        at = line.index(group[0].stem)
        assert [file.stem for file in group] == line[at : at + len(group)]


def test_a_day_that_is_not_over_or_not_sealed_or_not_ingested_is_left(record: Published) -> None:
    assert merge(record, now=PAST) == []
    layout = record.layout
    done = set(layout.sealed(FEED))
    days = sorted({day_of(name) for name in done})
    assert [p.date for p in compact.plan(layout, FEED, done, NOW, MB)] == days
    assert compact.plan(layout, FEED, set(), NOW, MB) == []
    journal = layout.journal(FEED, stem(PAST, RUN, 7))
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.touch()
    assert [p.date for p in compact.plan(layout, FEED, done, NOW, MB)] == days[1:]


def test_a_file_without_neighbours_is_compressed_harder_once(tmp_path: Path) -> None:
    writer = Writer(tmp_path, FEED, now=PAST)
    eventful(writer, Random("alone"), 400)
    writer.finish()
    seal_all(writer.layout)
    record = Published(tmp_path)
    record.ingest()
    before, tables = frames(record.layout), record.everything()
    [done] = merge(record)
    assert (done.before, done.after) == (1, 1)
    assert all(
        footers.footer(record.layout.parquet(FEED, s)).held for s in record.layout.sealed(FEED)
    )
    assert frames(record.layout).equals(before) and verify(record.layout).sound
    assert merge(record) == []
    shutil.rmtree(tmp_path / "work")
    record.ingest()
    assert_same(record.everything(), tables)


def test_a_damaged_original_leaves_the_day_as_it_is(record: Published) -> None:
    path = record.layout.parquet(FEED, record.layout.sealed(FEED)[3])
    table = pq.read_table(path, partitioning=None)
    metadata = pq.read_metadata(path).metadata
    altered = table.set_column(5, RAW.field("payload"), pa.array([b"x"] * len(table)))
    kept = {sealed.CHECKSUM: metadata[sealed.CHECKSUM.encode()]}
    pq.write_table(altered.cast(RAW).replace_schema_metadata(kept), path)
    before = sorted(path.parent.iterdir())
    with pytest.raises(DataError, match="differ from those that were sealed"):
        merge(record)
    assert sorted(path.parent.iterdir()) == before


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory on another file system than temporary directories are on."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        pytest.skip("no second file system here")
    with tempfile.TemporaryDirectory(dir=memory) as place:
        yield Path(place)


@pytest.mark.parametrize("target", [9_000, MB])
def test_where_directories_cannot_be_exchanged_nothing_changes(
    record: Published, tmp_path: Path, elsewhere: Path, target: int
) -> None:
    if tmp_path.stat().st_dev == elsewhere.stat().st_dev:
        pytest.skip("temporary directories are on the same file system")
    before, names = frames(record.layout), record.layout.sealed(FEED)
    shutil.move(tmp_path / "work", elsewhere / "work")
    (tmp_path / "work").symlink_to(elsewhere / "work")
    with pytest.raises(DataError, match="one local file system"):
        merge(record, target)
    assert record.layout.sealed(FEED) == names and frames(record.layout).equals(before)
    assert compact.left_over(record.layout) == []


# -- crashes, readers, others


def test_a_file_copied_in_just_before_the_exchange_is_given_back(record: Published) -> None:
    layout = record.layout
    late = layout.parquet(FEED, stem(PAST, f"{RUN[:-1]}Z", 1))

    def copied_meanwhile(_frames: int) -> None:
        if not late.exists():
            shutil.copyfile(next(late.parent.glob("*.parquet")), late)

    with private.claimed(layout):
        day = planned(record)[0]
        compact.compact(layout, day, level=3, reporter=Reporter(progress=copied_meanwhile))
    assert late.stem in layout.sealed(FEED)
    assert len([name for name in layout.sealed(FEED) if day_of(name) == day.date]) == 2


@pytest.mark.parametrize("after", [False, True])
def test_ended_before_or_after_the_exchange_the_next_run_clears_up(
    record: Published, after: bool
) -> None:
    layout, before = record.layout, frames(record.layout)
    with private.claimed(layout):
        day = planned(record)[0]
        stage = compact.prepare(layout, day, level=3)
        if after:
            durable.exchange(stage, layout.raw / f"feed={FEED}" / f"date={day.date}")
    assert compact.left_over(layout) == [stage]
    assert frames(layout).equals(before)
    report = verify(layout)
    assert report.sound and any("interrupted" in finding.what for finding in report.findings)
    merge(record)
    assert frames(layout).equals(before)
    assert compact.left_over(layout) == [] and verify(layout).sound


@pytest.mark.process
def test_kill_dash_nine_at_random_points_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Somebody counts the files' frames all the while: right, or an error, but never wrong."""
    kills = int(os.environ.get("COMPACT_KILLS", "1"))
    source = recorded(tmp_path / "source", blocks=400)
    before, total = frames(source.layout), globbed(source.layout)
    tables = source.everything()
    random, landed = Random("compact kills"), 0
    while landed < kills:
        root = tmp_path / f"killed{landed}"
        shutil.copytree(source.layout.root, root, symlinks=True)
        record = Published(root)
        counts: set[int] = set()
        stopped = threading.Event()

        def count(layout: Layout, counts: set[int], stopped: threading.Event) -> None:
            while not stopped.is_set():
                try:
                    with duckdb.connect() as db:
                        place = glob.escape(str(layout.raw))
                        query = f"SELECT count(seq) FROM read_parquet('{place}/**/*.parquet')"
                        counts.add(db.execute(query).fetchall()[0][0])
                except duckdb.IOException:
                    pass  # it listed the day's files just before the exchange

        reader = threading.Thread(target=count, args=(record.layout, counts, stopped))
        reader.start()
        try:
            for _ in range(3):
                process = start("prune", "--compact", "--data-dir", root)
                work = root / "work" / "compact"
                while process.poll() is None and not any(work.rglob("*.tmp")):
                    time.sleep(0.002)
                time.sleep(random.random() * 0.15)
                landed += process.poll() is None
                process.kill()
                process.communicate()
                assert frames(record.layout).equals(before)
                assert verify(record.layout).sound
            done = call("prune", "--compact", "--data-dir", root)
            assert done.returncode == 0, done.stderr
        finally:
            stopped.set()
            reader.join()
        assert counts == {total}
        assert len(record.layout.sealed(FEED)) == 2 and frames(record.layout).equals(before)
        assert compact.left_over(record.layout) == []
        assert_same(record.everything(), tables)
        assert record.sql("SELECT count(*) FROM raw") == [(total,)]
        assert record.ingest() == 0


def test_compaction_beside_an_ingest_is_refused(tmp_path: Path) -> None:
    record = recorded(tmp_path, blocks=10)
    with closing(Ingest(record.layout, Rules)), pytest.raises(BusyError):
        merge(record)


def test_the_command_says_what_it_did_and_takes_a_level(record: Published, tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path))
    files = len(record.layout.sealed(FEED))
    planned = json.loads(call("prune", "--compact", "--dry-run", "--json", *place).stdout)
    assert sum(day["files"] for day in planned["merged"]) == files
    assert len(record.layout.sealed(FEED)) == files
    done = call("prune", "--compact", "--zstd-level", "19", "--target-mb", "1", *place)
    assert done.returncode == 0, done.stderr
    assert f"{FEED} " in done.stdout and "files -> 1" in done.stdout
    path = record.layout.parquet(FEED, record.layout.sealed(FEED)[0])
    assert pq.read_metadata(path).row_group(0).column(5).compression == "ZSTD"
    assert "no small files" in call("prune", "--compact", *place).stderr
