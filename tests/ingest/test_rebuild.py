"""Rows made anew, whole or in part, are the rows that a full rebuild gives."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from kit.commands import call, start
from kit.effort import cases
from kit.frames import RUN, T0, events, frames_of
from kit.journals import Writer, eventful, seal_all
from kit.lives import DOUBLED, FEED, FEWER, PAST, SQL, Life, lived
from kit.records import Published, assert_same, rules

from recorder.clock import DAY_NS, NS
from recorder.errors import BusyError, DataError, UsageError
from recorder.record.layout import stem
from recorder.reporter import Reporter
from recorder.schema.tables import SCHEMA_VERSION
from recorder.tables import normalise, private
from recorder.tables.ingest import Ingest
from recorder.tables.rebuild.difference import Difference, differences
from recorder.tables.rebuild.run import (
    MADE,
    RawUnit,
    Scope,
    border_of,
    outdated,
    rebuild,
    start_of,
)
from recorder.tables.rebuild.run import ConnectionSpan as Alive
from recorder.tables.rules import Rules

from .test_kills import wait_until_it_works


@pytest.fixture
def record(tmp_path: Path) -> Published:
    """An empty data directory; readers see what a rebuild or a prune publishes."""
    return Published(tmp_path)


Tables = dict[str, list[tuple[Any, ...]]]


def rules_of(life: Life) -> Callable[[str], Rules]:
    normalise.load.cache_clear()
    return lambda feed: Rules(life.sql)


def renew(life: Life, scope: Scope) -> Tables:
    """Rebuild, publish, and give back everything."""
    rebuild(life.record.layout, rules_of(life), scope, Reporter(life.record.warnings.append))
    life.ingest()
    return life.record.everything()


def whole(life: Life, place: Path) -> Tables:
    """What a record's raw files give when nothing was ingested before."""
    shutil.copytree(life.record.layout.raw, place / "raw")
    fresh = Published(place)
    normalise.load.cache_clear()
    fresh.ingest(sql=life.sql)
    return fresh.everything()


def but(tables: Tables, *names: str) -> Tables:
    return {name: rows for name, rows in tables.items() if name not in names}


def test_the_same_sql_makes_the_same_rows_of_any_part(tmp_path: Path) -> None:
    life = lived(tmp_path / "data")
    before = life.record.everything()
    assert before["whales"] and before["funding"] and before["connections"] and before["gaps"]
    assert_same(before, whole(life, tmp_path / "fresh"))
    middle = (life.begun[1] + life.begun[2]) // 2
    for scope in cases(
        Scope((FEED,), middle, life.begun[3] + 7 * NS),
        Scope(),
        Scope((FEED,)),
        Scope(from_ns=life.begun[2]),
        Scope(from_ns=middle),
        Scope(to_ns=middle),
    ):
        assert_same(renew(life, scope), before)
        assert life.ingest() == 0
    assert life.record.warnings == []
    assert not (tmp_path / "data/work/rebuild").exists()


@pytest.mark.parametrize("pause", cases(3, 0, 120))
def test_new_sql_changes_the_rows_of_the_part_alone(tmp_path: Path, pause: int) -> None:
    life = lived(tmp_path / "data", pause=pause)
    old = life.record.everything()
    life.sql.write_text(DOUBLED)
    new = whole(life, tmp_path / "fresh")
    first, last = life.begun[1] + 11 * NS, life.begun[2] + 13 * NS
    found = renew(life, Scope((FEED,), first, last))
    for name in MADE:
        expected = [r for r in old[name] if not first <= r[4] < last]
        expected += [r for r in new[name] if first <= r[4] < last]
        assert sorted(map(repr, found[name])) == sorted(map(repr, expected)), name
    assert found["whales"] not in (old["whales"], new["whales"])
    assert_same(but(found, *MADE, "ledger"), but(old, *MADE, "ledger"))


def test_a_part_to_the_end_leaves_what_ingest_goes_on_from(tmp_path: Path) -> None:
    life = Life(tmp_path / "data")
    life.capture()
    life.capture(ends=False, pause=0)
    life.seal()
    life.ingest()
    renew(life, Scope(from_ns=life.begun[1] + 5 * NS))
    life.capture()
    life.seal()
    life.ingest()
    assert_same(life.record.everything(), whole(life, tmp_path / "fresh"))


def test_journals_still_written_are_part_of_a_rebuild(tmp_path: Path) -> None:
    life = lived(tmp_path / "data", captures=2)
    life.capture(ends=False)
    normalise.load.cache_clear()
    life.ingest()
    before = life.record.everything()
    assert_same(renew(life, Scope(from_ns=life.begun[1])), before)
    assert_same(renew(life, Scope((FEED,), life.begun[2] + NS, life.begun[2] + 20 * NS)), before)
    life.seal()
    life.ingest()
    assert_same(life.record.everything(), whole(life, tmp_path / "fresh"))


def test_one_feed_anew_leaves_the_others_alone(record: Published) -> None:
    for feed in ("binance", "smartmoney"):
        record.seal(feed, frames_of(events(feed)))
    record.ingest()
    before = record.everything()
    record.layout.parquet("smartmoney", record.layout.sealed("smartmoney")[0]).write_bytes(b"hurt")
    rebuild(record.layout, rules, Scope(("binance",)))
    record.ingest()
    assert_same(record.everything(), before)


def test_readers_see_one_state_or_the_other(tmp_path: Path) -> None:
    life = lived(tmp_path / "data")
    [(expected,)] = life.record.sql("SELECT sum(quantity) FROM whales")
    seen: set[float] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(life.record.sql("SELECT sum(quantity) FROM whales")[0][0])

    reader = threading.Thread(target=read)
    reader.start()
    life.sql.write_text(DOUBLED)
    try:
        renew(life, Scope((FEED,)))
    finally:
        done.set()
        reader.join()
    seen.add(life.record.sql("SELECT sum(quantity) FROM whales")[0][0])
    assert seen == {expected, 2 * expected}


@pytest.mark.process
def test_killed_anywhere_a_rebuild_has_happened_or_not(record: Published) -> None:
    for number, feed in enumerate(("binance", "smartmoney")):
        writer = Writer(record.layout.root, feed, rotate_bytes=8_000)
        eventful(writer, Random(number), 80)
        writer.finish()
    seal_all(record.layout)
    record.ingest()
    before = record.everything()
    for number in range(5):
        process = start("ingest", "--rebuild", "--data-dir", record.layout.root)
        wait_until_it_works(record, process)
        threading.Event().wait(0.25 * number)
        process.kill()
        process.communicate()
        assert_same(record.everything(), before)
    done = call("ingest", "--data-dir", record.layout.root)
    assert done.returncode == 0, done.stderr
    assert_same(record.everything(), before)
    assert not (record.layout.work / "rebuild").exists()


# -- where to begin

HOUR = 3600 * NS


def unit(number: int, first: int, last: int) -> RawUnit:
    name = stem(T0 + first * HOUR, RUN, number)
    return RawUnit(name, (name,), T0 + first * HOUR, T0 + last * HOUR)


def test_a_part_begins_where_no_connection_and_no_segment_reaches_over() -> None:
    units = [unit(1, 0, 1), unit(2, 2, 3), unit(3, 4, 5)]
    alive = [Alive("a", T0, T0 + 3 * HOUR + 5)]
    assert start_of(units, [], T0 + 5 * HOUR) == T0 + 4 * HOUR
    assert start_of(units, alive, T0 + 5 * HOUR) == T0 + 4 * HOUR
    assert start_of(units, alive, T0 + 3 * HOUR) == start_of(units, alive, T0) == T0
    assert start_of(units, [Alive("a", T0, T0 + 9 * HOUR)], T0 + 5 * HOUR) == T0
    assert start_of([*units, unit(4, 1, 6)], [], T0 + 5 * HOUR) == T0


def test_a_unit_that_reaches_over_the_border_is_left_too() -> None:
    units = [unit(2, 1, 3), unit(3, 3, 6), unit(4, 7, 8)]
    assert border_of(units, []) < 0
    assert border_of(units, [unit(1, 0, 2)]) == T0 + 6 * HOUR


# -- raw that is gone


def test_rows_whose_raw_is_gone_stay(tmp_path: Path) -> None:
    life = lived(tmp_path / "data")
    before = life.record.everything()
    sealed = life.record.layout.sealed(FEED)
    second = [s for s in sealed if life.begun[1] <= _span(life, s)[0] < life.begun[2]]
    gone = [s for s in sealed if _span(life, s)[1] < life.begun[1]] + second[:2]
    border = _span(life, second[1])[1]
    for name in gone:
        life.record.layout.parquet(FEED, name).unlink()
    assert_same(renew(life, Scope()), before)
    assert any("is gone" in text for text in life.record.warnings)
    life.sql.write_text(DOUBLED)
    found = renew(life, Scope())
    old = {row[4:9]: row for row in before["whales"]}
    assert len(found["whales"]) == len(old)
    for row in found["whales"]:
        changed = row != old[row[4:9]]
        assert not (changed and row[4] <= border)
        assert changed or row[4] < life.begun[2]
    assert_same(but(found, *MADE, "ledger"), but(before, *MADE, "ledger"))


def _span(life: Life, name: str) -> tuple[int, int]:
    [found] = life.record.sql(
        f"SELECT first_recv_ns, last_recv_ns FROM ledger WHERE segment = '{name}'"
    )
    return found


def test_rows_that_cannot_be_made_anew_are_not_dropped(tmp_path: Path) -> None:
    life = lived(tmp_path / "data", captures=2)
    before = life.record.everything()
    path = life.record.layout.parquet(FEED, life.record.layout.sealed(FEED)[4])
    kept = path.read_bytes()
    path.write_bytes(kept[:-30])
    for scope in (Scope(), Scope((FEED,)), Scope(to_ns=life.begun[1])):
        with pytest.raises(DataError, match="restore damaged files"):
            rebuild(
                life.record.layout, rules_of(life), scope, Reporter(life.record.warnings.append)
            )
    assert str(path) in life.record.warnings[0]
    path.write_bytes(kept)
    life.sql.write_text(SQL.replace("SELECT", "SELECT no_such_column,", 1))
    with pytest.raises(DataError, match="nothing was changed"):
        rebuild(life.record.layout, rules_of(life))
    life.sql.write_text(SQL)
    normalise.load.cache_clear()
    assert life.ingest() == 0
    assert_same(life.record.everything(), before)


def test_with_all_raw_gone_a_rebuild_says_so_and_changes_nothing(tmp_path: Path) -> None:
    life = lived(tmp_path / "data", captures=1)
    before = life.record.everything()
    shutil.rmtree(life.record.layout.raw / f"feed={FEED}")
    with pytest.raises(UsageError, match="no raw frames to rebuild from"):
        rebuild(life.record.layout, rules_of(life))
    life.ingest()
    assert_same(life.record.everything(), before)


# -- another version's tables


def test_older_tables_are_migrated_by_a_rebuild_and_newer_ones_refused(record: Published) -> None:
    record.seal("binance", frames_of(events("binance")))
    record.ingest()
    before = record.everything()
    for found, word in ((SCHEMA_VERSION - 1, "older"), (SCHEMA_VERSION + 1, "newer")):
        with duckdb.connect(str(private.database(record.layout))) as db:
            db.execute("UPDATE about SET value = $v WHERE name = 'schema'", {"v": str(found)})
        with pytest.raises(DataError, match=f"{word} version .{found}.(.|\n)*--rebuild"):
            Ingest(record.layout, rules)
        said = call("ingest", "--data-dir", record.layout.root)
        assert said.returncode == 1 and "--rebuild" in said.stderr
        with pytest.raises(DataError, match="--rebuild"):
            rebuild(record.layout, rules, Scope(("binance",)))
        done = call("ingest", "--rebuild", "--data-dir", record.layout.root)
        assert done.returncode == 0, done.stderr
        assert_same(record.everything(), before)


def test_rows_of_another_version_whose_raw_is_gone_are_not_dropped(record: Published) -> None:
    record.seal("binance", frames_of(events("binance")))
    gone = record.seal("binance", frames_of(events("binance"), first_seq=5, recv_ns=T0 + NS))
    record.ingest()
    gone.unlink()
    with duckdb.connect(str(private.database(record.layout))) as db:
        db.execute("UPDATE about SET value = '1' WHERE name = 'schema'")
    with pytest.raises(DataError, match="raw of 1 segments was removed"):
        rebuild(record.layout, rules)


def test_a_private_database_that_is_none_is_made_anew(record: Published) -> None:
    record.seal("binance", frames_of(events("binance")))
    record.ingest()
    before = record.everything()
    private.database(record.layout).write_bytes(b"no database" * 1000)
    rebuild(record.layout, rules)
    record.ingest()
    assert_same(record.everything(), before)


def test_a_rebuild_beside_an_ingest_is_refused(record: Published) -> None:
    record.seal("binance", frames_of(events("binance")))
    work = Ingest(record.layout, rules)
    try:
        with pytest.raises(BusyError):
            rebuild(record.layout, rules)
    finally:
        work.close()


# -- what would change


def compared(life: Life, scope: Scope = Scope()) -> dict[str, Difference]:  # noqa: B008
    found = differences(life.record.layout, rules_of(life), scope)
    return {one.table: one for one in found}


def test_the_difference_counts_and_shows_what_would_change(tmp_path: Path) -> None:
    life = lived(tmp_path / "data")
    before = life.record.everything()
    assert not any(one.any for one in compared(life).values())
    life.sql.write_text(DOUBLED)
    found = compared(life)
    assert (found["whales"].changed, found["whales"].same) == (len(before["whales"]), 0)
    assert not found["funding"].any and found["funding"].same == len(before["funding"])
    example = found["whales"].examples[0]
    old, new = example["columns"].pop("quantity")
    assert (example["what"], example["columns"], new) == ("changed", {}, 2 * old)
    part = compared(life, Scope(from_ns=life.begun[2], to_ns=life.begun[3]))["whales"]
    inside = [r for r in before["whales"] if life.begun[2] <= r[4] < life.begun[3]]
    assert part.changed == len(inside) > 0
    life.sql.write_text(FEWER)
    fewer = compared(life)["whales"]
    assert fewer.removed == len([r for r in before["whales"] if r[3] == "C"]) > 0
    assert (fewer.changed, fewer.added, fewer.examples[0]["what"]) == (0, 0, "removed")
    life.ingest()
    assert_same(life.record.everything(), before)
    renew(life, Scope())
    life.sql.write_text(FEWER.replace("<> 'C'", "<> 'none'"))
    again = compared(life)["whales"]
    assert (again.added, again.removed, again.examples[0]["what"]) == (fewer.removed, 0, "added")


def test_frames_recorded_since_are_no_difference(tmp_path: Path) -> None:
    life = lived(tmp_path / "data", captures=2)
    life.capture()
    assert not any(one.any for one in compared(life).values())


def test_the_command_shows_the_difference_in_words_and_as_json(record: Published) -> None:
    record.seal("binance", frames_of(events("binance")))
    record.ingest(whale_usd=1e9)
    assert record.sql("SELECT count(*) FROM whales") == [(0,)]
    place = ("--data-dir", record.layout.root)
    said = call("ingest", "--diff", *place)
    assert said.returncode == 0, said.stderr
    assert "binance whales: 0 rows changed, 1 added, 0 removed, 0 the same" in said.stdout
    assert "BTCUSDT" in said.stdout and "--rebuild" in said.stderr
    told = json.loads(call("ingest", "--diff", "--json", *place).stdout)
    assert told["differs"] and {one["table"] for one in told["tables"]} >= {"whales", "prices"}
    assert record.sql("SELECT count(*) FROM whales") == [(0,)]
    done = call("ingest", "--rebuild", "--feed", "binance", *place)
    assert done.returncode == 0, done.stderr
    assert record.sql("SELECT count(*) FROM whales") == [(1,)]
    assert "no row would change" in call("ingest", "--diff", *place).stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--feed", "binance"], "need --rebuild"),
        (["--diff", "--follow"], "--diff cannot be combined"),
        (["--json"], "needs --diff"),
        (["--rebuild", "--feed", "binanse"], "did you mean 'binance'"),
        (["--rebuild", "--from", "2026-02-01", "--to", "2026-01-01"], "must be before"),
        (["--rebuild", "--from", "soon"], "is not a time"),
    ],
)
def test_what_makes_no_sense_is_refused(record: Published, arguments: list[str], says: str) -> None:
    record.seal("binance", frames_of(events("binance")))
    done = call("ingest", *arguments, "--data-dir", record.layout.root)
    assert done.returncode == 2 and says in done.stderr
    assert not record.layout.database.exists()


# -- versions of the SQL


def test_segments_of_older_sql_are_counted_until_they_are_made_anew(tmp_path: Path) -> None:
    life = lived(tmp_path / "data")
    segments = len(life.record.layout.sealed(FEED))
    assert outdated(life.record.layout, rules_of(life)) == {}
    life.sql.write_text(DOUBLED)
    assert outdated(life.record.layout, rules_of(life)) == {FEED: segments}
    renew(life, Scope(from_ns=life.begun[2]))
    older = [s for s in life.record.layout.sealed(FEED) if _span(life, s)[0] < life.begun[2]]
    assert outdated(life.record.layout, rules_of(life)) == {FEED: len(older)}
    renew(life, Scope(to_ns=life.begun[2]))
    assert outdated(life.record.layout, rules_of(life)) == {}
    assert_same(life.record.everything(), whole(life, tmp_path / "fresh"))


def test_ingest_says_which_rows_older_sql_made(record: Published) -> None:
    record.seal("binance", frames_of(events("binance")))
    record.ingest()
    with duckdb.connect(str(private.database(record.layout))) as db:
        db.execute("UPDATE ledger SET normaliser = 'older'")
    said = call("ingest", "--data-dir", record.layout.root).stderr
    assert "1 segment of 'binance' was normalised" in said and "--rebuild --feed binance" in said


# -- late segments


def test_segments_of_another_host_that_come_late_are_picked_up(tmp_path: Path) -> None:
    there = Life(tmp_path / "there", "there")
    here = lived(tmp_path / "here", captures=2)
    there.now = PAST + 2 * DAY_NS
    there.capture()
    there.capture()
    there.seal()
    here.now = PAST + 4 * DAY_NS
    here.capture()
    here.seal()
    here.ingest()
    shutil.copytree(there.record.layout.raw, here.record.layout.raw, dirs_exist_ok=True)
    late = here.ingest()
    assert late == there.record.ingest(sql=there.sql) > 0
    expected = whole(here, tmp_path / "fresh")
    assert_same(but(here.record.everything(), "whales"), but(expected, "whales"))
    # An event that both hosts have belongs to whom it came from first, in order of ingest.
    keys = [{(row[3], row[-4]) for row in found["whales"]}
            for found in (here.record.everything(), expected)]  # fmt: skip
    assert keys[0] == keys[1]
    assert_same(renew(here, Scope()), expected)
