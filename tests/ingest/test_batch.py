"""One transaction turns frames into rows: all of a batch is kept, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer

import duckdb
import pytest
from kit.frames import MS, T0, events, frames_of, table
from kit.records import Record

from recorder.errors import DataError
from recorder.reporter import Reporter
from recorder.schema import duck
from recorder.tables import publish
from recorder.tables.batch import Batches, Paths, SlowPathError, prepare
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

from .test_bad_frames import FRAGILE, fragile

SLOW = """
-- step: messages
SELECT *, 'event' AS class, NULL AS reason FROM frames;

-- table: signals
SELECT id.*, 0 AS item, 'all' AS channel, (
    SELECT sum(hash(a.range, b.range, f.text)::DOUBLE)
    FROM range(1_000_000) AS a, range(1_000_000) AS b
) AS score
FROM messages AS f;
"""


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duck.connect()) as db:
        publish.tables(db)
        prepare(db)
        db.execute("CREATE TABLE noted (frames BIGINT)")
        yield db


def counts(db: duckdb.DuckDBPyConnection, *tables: str) -> list[int]:
    return [db.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in tables]


def test_rows_and_the_note_are_committed_together(db: duckdb.DuckDBPyConnection) -> None:
    batches = Batches(db, "binance", Rules("binance"))
    frames = table(frames_of(events("binance")))
    assert batches.take(frames, lambda: db.execute("INSERT INTO noted VALUES (5)")) == frames
    assert counts(db, "noted", "liquidations", "connections", "latency") == [1, 1, 1, 3]
    with pytest.raises(ZeroDivisionError):
        batches.take(table(frames_of(events("binance"), first_seq=5)), lambda: 1 // 0)
    assert counts(db, "noted", "liquidations", "connections", "latency") == [1, 1, 1, 3]
    assert batches.take(frames).num_rows == 0  # they were there before


def test_a_note_that_cannot_be_written_condemns_no_frame(db: duckdb.DuckDBPyConnection) -> None:
    batches = Batches(db, "binance", Rules("binance"))
    with pytest.raises(duckdb.CatalogException, match="nowhere"):
        batches.take(
            table(frames_of(events("binance"))),
            lambda: db.execute("INSERT INTO nowhere VALUES (1)"),
        )
    assert counts(db, "rejects", "connections") == [0, 0]


def test_a_frame_that_breaks_the_sql_is_rejected_and_the_others_are_rows(
    db: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    warnings: list[str] = []
    rules = Rules(fragile(tmp_path, FRAGILE))
    batches = Batches(db, "fragile", rules, Reporter(warnings.append))
    frames = table(frames_of(['{"score":1}', '{"score":"high"}', '{"score":2}']))
    assert batches.take(frames) == frames
    assert db.sql("SELECT seq FROM signals ORDER BY seq").fetchall() == [(0,), (2,)]
    assert db.sql("SELECT seq, reason FROM rejects").fetchall() == [
        (1, "a frame that breaks this feed's SQL")
    ]
    assert warnings == ["1 frames of 'fragile' break its SQL; they are in rejects"]


def test_settling_knows_the_frames_and_makes_no_row(db: duckdb.DuckDBPyConnection) -> None:
    batches = Batches(db, "binance", Rules("binance"))
    frames = table(frames_of(events("binance")))
    batches.settle(frames)
    assert db.sql("SELECT frames, last_seq FROM connections").fetchall() == [(5, 4)]
    assert counts(db, "liquidations", "latency", "rejects") == [0, 0, 0]
    assert batches.take(frames).num_rows == 0


def test_whole_files_are_one_transaction_or_take_the_slow_path(
    db: duckdb.DuckDBPyConnection, record: Record, tmp_path: Path
) -> None:
    warnings: list[str] = []
    batches = Batches(db, "fragile", Rules(fragile(tmp_path, FRAGILE)), Reporter(warnings.append))

    def sealed(score: str, first_seq: int) -> Path:
        return record.seal("fragile", frames_of([f'{{"score":{score}}}'] * 3, first_seq=first_seq))

    parts = [[sealed("1", 0)], [sealed("2", 3), sealed("3", 6)]]
    noted: list[Paths] = []
    batches.take_files(parts, noted.append)
    assert noted == parts
    assert counts(db, "signals") == [9]
    for unfit, why in (
        ([[sealed("4", 12)]], "not the next of their connections"),
        ([[sealed("4", 9)], [sealed('"high"', 12)]], "high"),
        ([[tmp_path / "gone.parquet"]], "No files found"),
    ):
        with pytest.raises(SlowPathError, match=why):
            batches.take_files(unfit, noted.append)
        assert counts(db, "signals") == [9]
    # The slow path names the frame; that a file is gone, or its disk fails, it may not notice.
    [warning] = warnings
    assert "'fragile'" in warning and "gone.parquet" in warning


def test_what_no_slow_path_can_mend_is_raised(
    db: duckdb.DuckDBPyConnection, record: Record
) -> None:
    batches = Batches(db, "binance", Rules("binance"))
    path = record.seal("binance", frames_of(events("binance")))
    db.close()
    with pytest.raises(duckdb.ConnectionException):
        batches.take_files([[path]], lambda part: None)


def test_a_note_that_fails_takes_the_slow_path_with_a_warning(
    db: duckdb.DuckDBPyConnection, record: Record
) -> None:
    warnings: list[str] = []
    batches = Batches(db, "binance", Rules("binance"), Reporter(warnings.append))
    with pytest.raises(SlowPathError):
        batches.take_files(
            [[record.seal("binance", frames_of(events("binance")))]],
            lambda part: db.execute("INSERT INTO nowhere VALUES (1)"),
        )
    [warning] = warnings
    assert "'binance'" in warning and "nowhere" in warning
    assert counts(db, "connections", "latency") == [0, 0]


# -- the same in ingest: only what is known to need a closer look takes the slow path unsaid


def test_an_interrupted_query_ends_ingest_and_nothing_is_kept(
    record: Record, tmp_path: Path
) -> None:
    record.seal("slow", frames_of([b"{}"] * 3))
    sql = tmp_path / "slow.sql"
    sql.write_text(SLOW)
    with closing(
        Ingest(record.layout, lambda feed: Rules(sql), Reporter(record.warnings.append))
    ) as work:
        timer = Timer(1.0, work._db.interrupt)
        timer.start()
        with pytest.raises(duckdb.InterruptException):
            work.run()
        timer.join()
        assert work._db.sql("FROM ledger").fetchall() == []
        assert work._db.sql("FROM connections").fetchall() == []
    assert record.warnings == []


def test_a_ledger_that_refuses_the_note_is_said(record: Record) -> None:
    path = record.seal("binance", frames_of(events("binance")))
    with closing(Ingest(record.layout, Rules, Reporter(record.warnings.append))) as work:
        # As after a feed's directory got another name: its segments are another feed's.
        work._db.execute(
            "INSERT INTO ledger BY NAME SELECT 'older' AS feed, $stem AS segment, "
            "DATE '2026-09-21' AS day, 0 AS rows, 0 AS journal_offset, false AS sealed",
            {"stem": path.stem},
        )
        assert work.run() == 5
    [warning] = record.warnings
    assert "'binance'" in warning and "Constraint" in warning


def test_a_damaged_file_is_named_once_and_its_neighbour_is_taken(record: Record) -> None:
    record.seal("binance", frames_of(events("binance")))
    many = [payload for n in range(2000) for payload in events("binance", n)]
    bad = record.seal("binance", frames_of(many, first_seq=5, recv_ns=T0 + MS))
    body = bytearray(bad.read_bytes())
    third = len(body) // 3
    body[third : 2 * third] = bytes(third)
    bad.write_bytes(body)
    assert record.ingest() == 5
    [warning] = record.warnings
    assert str(bad) in warning


def test_sql_that_is_missing_leaves_the_feed_out(
    db: duckdb.DuckDBPyConnection, record: Record
) -> None:
    batches = Batches(db, "none", Rules("none"))
    with pytest.raises(DataError, match="is missing"):
        batches.take(table(frames_of(["{}"])))
    with pytest.raises(DataError, match="is missing"):
        batches.take_files([[record.seal("none", frames_of(["{}"]))]], lambda part: None)
    assert counts(db, "connections") == [0]
