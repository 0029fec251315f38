"""Every recorded frame becomes rows once, however often and whenever ingest runs."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from kit.commands import call, recorder, start
from kit.frames import T0, events, frames_of
from kit.journals import Writer, eventful, seal_all
from kit.records import Published, assert_same, rules

from recorder.clock import NS
from recorder.errors import BusyError
from recorder.record import seal
from recorder.record.layout import Layout
from recorder.record.store import LocalStore
from recorder.tables.ingest import Ingest


@pytest.fixture
def record(tmp_path: Path) -> Published:
    return Published(tmp_path)


FEEDS = ["binance", "cryptolisting", "smartmoney"]


def ingest_now(layout: Layout) -> int:
    with closing(Ingest(layout, rules)) as work:
        frames = work.run()
        work.publish()
    return frames


def test_ingesting_twice_is_ingesting_once(record: Published) -> None:
    for feed in FEEDS:
        record.seal(feed, frames_of(events(feed) * 3))
    assert record.ingest() == 3 * (5 + 4 + 5)
    once = record.everything()
    assert record.ingest() == 0
    assert record.everything() == once
    assert once["latency"] and once["rejects"] and once["whales"]


@pytest.mark.parametrize("feed", FEEDS)
def test_a_growing_journal_read_in_pieces_then_sealed_is_one_sealed_file(
    tmp_path: Path, feed: str
) -> None:
    random = Random(f"pieces of {feed}")
    source = Writer(tmp_path / "source", feed, rotate_bytes=60_000)
    eventful(source, random, 400)
    source.finish()
    stems = source.layout.active(feed)
    assert len(stems) >= 2

    grown = Published(tmp_path / "grown")
    with closing(Ingest(grown.layout, rules)) as work:
        for stem in stems:
            whole = source.layout.journal(feed, stem).read_bytes()
            growing = grown.layout.journal(feed, stem)
            growing.parent.mkdir(parents=True, exist_ok=True)
            # Cut anywhere: a reader meets blocks that are half written.
            cuts = sorted(random.sample(range(len(whole)), 3))
            for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
                with growing.open("ab") as file:
                    file.write(whole[begin:end])
                work.run()
            if random.random() < 0.5:
                seal_all(grown.layout)
        seal_all(grown.layout)
        work.run()
        work.publish()
    seal_all(source.layout)
    whole_record = Published(source.layout.root)
    whole_record.ingest()
    expected = whole_record.everything()
    assert_same(grown.everything(), expected)
    assert expected["connections"] and expected["gaps"] and expected["ledger"]
    assert all(row[4] for row in expected["ledger"])  # sealed


def test_a_journal_that_is_read_once_and_still_active_is_told_from_a_sealed_one(
    tmp_path: Path,
) -> None:
    writer = Writer(tmp_path, "smartmoney")
    stream = writer.open()
    writer.put(stream, *events("smartmoney"))
    record = Published(tmp_path)
    assert record.ingest() == 1 + 5
    assert record.sql("SELECT rows, sealed FROM ledger") == [(6, False)]
    assert record.sql("SELECT count(*) FROM raw") == [(0,)]
    writer.finish()
    seal_all(writer.layout)
    assert record.ingest() == 0
    assert record.sql("SELECT rows, sealed FROM ledger") == [(6, True)]
    assert record.sql("SELECT count(*) FROM raw") == [(6,)]


class _SealedMeanwhile(LocalStore):
    """A store in which a journal is sealed just after a reader looked for its sealed file."""

    def fetch(self, feed: str, stem: str) -> Path:
        try:
            return super().fetch(feed, stem)
        finally:
            seal.seal(Layout(self.raw.parent), feed, stem)


def sealed_meanwhile(root: Path) -> Layout:
    plain = Layout(root)
    return Layout(root, _SealedMeanwhile(plain.journals, plain.raw))


def test_a_journal_sealed_between_listing_and_reading_is_read_from_its_sealed_file(
    tmp_path: Path,
) -> None:
    writer = Writer(tmp_path, "smartmoney")
    writer.put(writer.open(), *events("smartmoney"))
    writer.finish()
    assert ingest_now(sealed_meanwhile(tmp_path)) == 6
    record = Published(tmp_path)
    assert record.sql("SELECT rows, sealed FROM ledger") == [(6, True)]
    assert len(record.rows("whales", "seq")) == 1


def test_a_journal_without_frames_that_vanishes_meanwhile_is_no_error(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "smartmoney")
    writer.put(writer.open(), b"{}")
    writer.finish()
    path = writer.layout.journal("smartmoney", writer.layout.active("smartmoney")[0])
    path.write_bytes(path.read_bytes()[:100])  # the crash came before the first frame
    assert ingest_now(sealed_meanwhile(tmp_path)) == 0
    assert not path.exists()


def test_frames_written_again_after_a_failed_sync_are_rows_once(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "smartmoney")
    stream = writer.open()
    writer.put(stream, *events("smartmoney"))
    writer.beat()
    writer.put(stream, *events("smartmoney"))
    doubted = writer.journal.pulse()
    record = Published(tmp_path)
    assert record.ingest() == 11  # the doubtful ones among them: they can be read
    writer.journal.synced(doubted, OSError(5, "Input/output error"))
    writer.beat()
    writer.put(stream, *events("smartmoney"))
    writer.beat()
    record.ingest()
    assert record.rows("whales", "seq") == [(1,), (6,), (11,)]
    writer.finish()
    seal_all(writer.layout)
    record.ingest()
    assert record.warnings == []
    incremental = record.everything()
    shutil.rmtree(record.layout.work)
    record.ingest()
    whole = record.everything()
    assert_same({**incremental, "ledger": []}, {**whole, "ledger": []})
    assert record.sql("SELECT sum(rows) FROM ledger") == [(16,)]
    assert record.sql("SELECT frames, last_seq FROM connections") == [(15, 15)]
    assert record.rows("gaps", "seq") == []


def test_segments_are_read_in_the_order_written_though_the_clock_was_set_back(
    tmp_path: Path,
) -> None:
    writer = Writer(tmp_path, "smartmoney")
    stream = writer.open()
    writer.put(stream, *events("smartmoney"))
    writer.finish()
    writer.now -= 30 * NS
    writer.put(stream, *events("smartmoney"))
    writer.finish()
    seal_all(writer.layout)
    record = Published(tmp_path)
    assert record.ingest() == 11
    assert record.rows("gaps", "cause") == []
    assert record.sql("SELECT frames, last_seq FROM connections") == [(10, 10)]


def test_a_damaged_file_is_named_and_left_out_and_the_rest_is_ingested(record: Published) -> None:
    first = record.seal("smartmoney", frames_of(events("smartmoney")))
    whole = first.read_bytes()
    second = frames_of(events("smartmoney"), first_seq=5, recv_ns=T0 + NS)
    record.seal("smartmoney", second)
    record.seal("binance", frames_of(events("binance")))
    for hurt in (whole[:-20], whole[: len(whole) // 2], b"", b"PAR1" * 10):
        first.write_bytes(hurt)
        shutil.rmtree(record.layout.work, ignore_errors=True)
        record.warnings.clear()
        assert record.ingest() == 10
        assert len(record.warnings) == 1 and str(first) in record.warnings[0]
        assert record.rows("whales", "feed", "seq") == [("binance", 2), ("smartmoney", 5)]
        assert record.sql("SELECT count(*) FROM raw") == [(10,)]
    first.write_bytes(whole)
    assert record.ingest() == 5
    assert len(record.rows("whales", "seq")) == 3
    assert record.sql("SELECT count(*) FROM raw") == [(15,)]


def test_a_file_that_is_damaged_after_it_was_ingested_takes_nothing_from_the_tables(
    record: Published,
) -> None:
    first = record.seal("binance", frames_of(events("binance")))
    record.ingest()
    first.write_bytes(b"PAR1")
    record.take("smartmoney", frames_of(events("smartmoney")))
    assert record.rows("whales", "feed", "seq") == [("smartmoney", 0), ("binance", 2)]
    assert record.sql("SELECT DISTINCT feed FROM raw") == [("smartmoney",)]


def test_the_command_names_a_damaged_file_and_goes_on(record: Published) -> None:
    record.seal("smartmoney", frames_of(events("smartmoney"))).write_bytes(b"PAR1")
    record.seal("binance", frames_of(events("binance")))
    done = call("ingest", "--data-dir", record.layout.root)
    assert done.returncode == 0
    assert "segment left out" in done.stderr and ".parquet" in done.stderr
    assert "5 frames ingested" in done.stderr
    assert done.stdout == ""


def test_rebuilding_gives_the_same_tables(record: Published) -> None:
    for feed in FEEDS:
        writer = Writer(record.layout.root, feed)
        eventful(writer, Random(feed), 60)
        writer.finish()
    record.ingest()
    seal_all(record.layout)
    record.ingest()
    before = record.everything()
    done = call("ingest", "--rebuild", "--data-dir", record.layout.root)
    assert done.returncode == 0, done.stderr
    assert_same(record.everything(), before)


@pytest.mark.process
def test_a_second_ingest_is_refused_with_the_pid_of_the_first(record: Published) -> None:
    record.seal("binance", frames_of(events("binance")))
    first = start("ingest", "--follow", "--data-dir", record.layout.root)
    try:
        wait_for(record.layout.database.exists)
        second = recorder("ingest", "--data-dir", record.layout.root)
        assert second.returncode == 1
        assert f"pid {first.pid})" in second.stderr
        assert "Traceback" not in second.stderr
        with pytest.raises(BusyError, match=re.escape(f"pid {first.pid})")):
            Ingest(record.layout, rules)
    finally:
        first.terminate()
        _, said = first.communicate(timeout=30)
    assert first.returncode == 0
    assert "everything recorded so far is published" in said


def test_an_ingest_that_was_refused_leaves_the_first_ones_lock_alone(record: Published) -> None:
    with closing(Ingest(record.layout, rules)):
        for _ in range(2):
            with pytest.raises(BusyError):
                Ingest(record.layout, rules)
    record.ingest()


@pytest.mark.process
def test_following_sees_what_is_recorded_while_it_runs_and_the_sealing(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "smartmoney")
    stream = writer.open()
    record = Published(tmp_path)
    process = start("ingest", "--follow", "--data-dir", tmp_path)
    try:
        wait_for(record.layout.database.exists)
        writer.put(stream, *events("smartmoney"))
        wait_for(lambda: len(record.rows("whales", "seq")) == 1)
        writer.finish()
        seal_all(writer.layout)
        wait_for(lambda: record.sql("SELECT count(*) FROM raw") == [(6,)])
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.05)
