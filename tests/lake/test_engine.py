"""A lake holds the rows that one machine's ingest makes of the same files, whatever comes how."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.effort import cases
from kit.lives import FEED, Life
from kit.records import Published, assert_same

from recorder.lake.place import Place
from recorder.tables.rules import Rules

from . import worlds
from .worlds import KINDS, Tables

LINES = {"one line": "A", "two lines": "AB"}

#: Feeds that keep nothing, know events sent again, and keep state.
THREE = ("cryptolisting", "okx", "bybit")


@pytest.fixture(scope="module", params=cases("two lines", "one line"))
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Every feed's frames, in three files each."""
    return worlds.record(tmp_path_factory.mktemp("world"), lines=LINES[request.param])


@pytest.fixture(scope="module")
def expected(record: Published) -> Tables:
    return worlds.local(record)


def test_the_worlds_have_something_of_everything(expected: Tables) -> None:
    empty = {name for name, rows in expected.items() if not rows}
    assert empty <= {"open_interest", "alerts", "flows", "system_status", "signals"}
    assert {row[0] for row in expected["ledger"]} == set(KINDS)


def test_every_feed_s_rows_are_those_of_one_machine(
    record: Published, expected: Tables, tmp_path: Path
) -> None:
    one = worlds.engine(record.layout.root, tables=Place.of(str(tmp_path)), unit_bytes=1)
    done = worlds.take(one)
    assert done.files == len(list(worlds.sealed(record))) and not done.skipped
    assert done.frames == sum(row[3] for row in expected["ledger"])
    assert_same(worlds.lake(one), expected)
    again = worlds.take(one)
    assert (again.files, again.batches) == (0, 0)
    assert_same(worlds.lake(one), expected)


@pytest.mark.parametrize("lines", cases("AB", "A"))
def test_files_that_arrive_one_after_the_other_make_the_rows_of_one_machine(
    lines: str, tmp_path: Path
) -> None:
    """Which copy of an event sent again is kept depends on batches, there as here."""
    record = worlds.record(tmp_path, THREE, files=2, lines=lines)
    arriving, backlog = worlds.engine(tmp_path), worlds.engine(tmp_path, batch_bytes=1)
    backlog.tables = Place.of(str(tmp_path / "backlog"))

    def each() -> None:
        worlds.take(arriving)
        record.ingest()

    worlds.step_by_step(tmp_path, 2, each)
    expected = record.everything()
    assert_same(worlds.lake(arriving), expected)
    done = worlds.take(backlog)
    assert done.batches == done.files == len(list(worlds.sealed(record)))
    assert_same(worlds.lake(backlog), expected)


def test_what_a_feed_s_own_sql_remembers_goes_on_from_file_to_file(tmp_path: Path) -> None:
    """State, events sent again, lines and captures that were killed: see `ingest.lives`."""
    life = Life(tmp_path)
    for ends in (True, False, True):
        life.capture(blocks=30, pause=20, ends=ends)
    life.seal()
    life.ingest()
    expected = life.record.everything()
    for number, size in enumerate((1 << 30, 12_000)):
        tables = Place.of(str(tmp_path / f"lake {number}"))
        one = worlds.engine(
            tmp_path, tables=tables, rules=lambda feed, kind: Rules(life.sql), batch_bytes=size
        )
        done = worlds.take(one)
        assert (done.batches > 1) == (size == 12_000)
        assert_same(worlds.lake(one), expected)
    assert {row[0] for row in expected["ledger"]} == {FEED}


def test_missing_and_repeated_frame_numbers_are_noted_as_on_one_machine(tmp_path: Path) -> None:
    record = Published(tmp_path)
    some = worlds.frames("cryptolisting")
    record.seal("cryptolisting", some[:30])
    record.seal("cryptolisting", some[34:60])
    record.seal("cryptolisting", some[50:])
    one = worlds.engine(tmp_path, batch_bytes=1)
    worlds.take(one)
    expected = worlds.local(record)
    assert any(row[-2] == 4 for row in expected["gaps"])
    assert_same(worlds.lake(one), expected)
