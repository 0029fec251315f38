"""Frames that would become more rows than memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from kit.frames import events, frames_of, table
from kit.records import Record

from recorder.feeds import KINDS, feed
from recorder.reporter import Reporter
from recorder.schema import duck
from recorder.schema.tables import TABLES
from recorder.tables import private
from recorder.tables.batch import Batches, prepare
from recorder.tables.rules import Rules

CROWDED = "more than 1,000,000 JSON objects and arrays"
TOO_MUCH = "a frame whose rows need more memory than ingest may use"
MARK_PRICE = (
    '{"e":"markPriceUpdate","E":1791269856000,"s":"SYMBOL%dUSDT","p":"85296.6","i":"85345.1",'
    '"r":"0.0001","T":1791273600000}'
)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables in a database that has little memory."""
    little = {"memory_limit": "60MB", "temp_directory": str(tmp_path), "threads": 2}
    with duckdb.connect(config=little) as db:
        for made in TABLES.values():
            db.execute(made.ddl)
        prepare(db)
        yield db


def crowd(count: int) -> str:
    return '{"data":[' + ",".join(["{}"] * (count - 2)) + "]}"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if feed(kind).normalise])
def test_a_frame_of_more_than_a_million_items_is_a_reject_of_every_feed(
    record: Record, kind: str
) -> None:
    record.take(kind, frames_of([crowd(1_000_001), *events("smartmoney", 1)]))
    assert record.rows("rejects", "seq", "reason")[0] == (0, CROWDED)
    assert record.sql("SELECT frames FROM connections") == [(6,)]
    assert record.warnings == []


def test_braces_within_a_long_text_count_only_beyond_a_million(record: Record) -> None:
    title = '{"type":"announcement","title":"%s","ticker":"A","publisher":"upbit"}'
    record.take("cryptolisting", frames_of([title % ("{" * 900_000), title % ("{" * 1_100_000)]))
    assert record.rows("listings", "seq") == [(0,)]
    assert record.rows("rejects", "seq", "reason") == [(1, CROWDED)]


def test_a_frame_that_needs_too_much_memory_is_a_reject_and_the_others_are_rows(
    memory: duckdb.DuckDBPyConnection,
) -> None:
    warnings: list[str] = []
    batches = Batches(memory, "binance", Rules("binance"), Reporter(warnings.append))
    zeros = '{"data":[' + "0," * 1_500_000 + "0]}"
    payloads = [MARK_PRICE % 1, zeros, MARK_PRICE % 2, "no JSON", MARK_PRICE % 3]
    batches.take(table(frames_of(payloads)))
    assert memory.execute("SELECT seq, reason FROM rejects ORDER BY seq").fetchall() == [
        (1, TOO_MUCH),
        (3, "not JSON"),
    ]
    assert memory.execute("SELECT seq FROM funding ORDER BY seq").fetchall() == [(0,), (2,), (4,)]
    assert warnings == [
        "1 frames of 'binance' need more memory than ingest may use; they are in rejects"
    ]


def test_frames_that_only_together_need_too_much_memory_become_rows_in_parts(
    memory: duckdb.DuckDBPyConnection,
) -> None:
    whole = "[" + ",".join(MARK_PRICE % n for n in range(1000)) + "]"
    batches = Batches(memory, "binance", Rules("binance"))
    batches.take(table(frames_of([whole] * 12)))
    assert memory.execute("SELECT count(*) FROM rejects").fetchall() == [(0,)]
    assert memory.execute("SELECT count(*) FROM funding").fetchall() == [(12 * 1000,)]
    assert memory.execute("SELECT frames FROM connections").fetchall() == [(12,)]


def test_ingest_has_the_memory_that_is_stated_whatever_the_machine_has(tmp_path: Path) -> None:
    record = Record(tmp_path)
    with private.create(record.layout) as db:
        [(limit, threads)] = db.execute(
            "SELECT current_setting('memory_limit'), current_setting('threads')"
        ).fetchall()
    number, unit = limit.split()
    assert unit != "GiB" or float(number) * (1 << 30) <= duck.BATCH_MB * 10**6 + 10**8
    assert threads <= 8
