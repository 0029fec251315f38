"""What is old goes, on purpose and on the record; what proves the record stays."""

from __future__ import annotations

import json
import shutil
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest
from kit.commands import call, start
from kit.frames import T0, events, frames_of
from kit.journals import Writer, seal_all
from kit.lives import FEED, Life, lived
from kit.records import Published, assert_same, rules

from recorder.clock import DAY_NS, NS
from recorder.record.verify import verify
from recorder.reporter import Reporter
from recorder.tables import private, prune
from recorder.tables.ingest import Ingest
from recorder.tables.prune import Choice
from recorder.tables.rebuild.run import MADE, Scope, rebuild

from .test_rebuild import rules_of


@pytest.fixture
def record(tmp_path: Path) -> Published:
    """An empty data directory; readers see what a rebuild or a prune publishes."""
    return Published(tmp_path)


BOTH = Choice(raw_files=True, tables=True)
RAW = Choice(raw_files=True)


def pruned(record: Published, limit: int, choice: Choice) -> prune.PrunePlan:
    """What `recorder prune --older-than` does, up to a moment instead of an age."""
    with private.claimed(record.layout), closing(private.connect(record.layout)) as db:
        plan = prune.plan(db, record.layout, limit, choice)
        prune.apply(db, plan, limit, limit)
        private.show(db, record.layout)
    return plan


def coverage(record: Published) -> list[tuple[object, ...]]:
    return record.sql("FROM coverage()")


def test_raw_goes_and_the_tables_the_ledger_and_coverage_stay(tmp_path: Path) -> None:
    life = lived(tmp_path / "data")
    record = life.record
    before, cover = record.everything(), coverage(record)
    files = record.layout.sealed(FEED)
    plan = pruned(record, life.begun[2], RAW)
    assert 0 < len(plan.files) < len(files) and plan.held_back == []
    left = record.layout.sealed(FEED)
    assert set(files) - set(left) == {file.stems[0] for file in plan.files}
    assert_same(record.everything(), before)
    assert coverage(record) == cover != []
    assert life.ingest() == 0 and record.warnings == []
    [(segments, rows)] = record.sql("SELECT count(*), sum(rows) FROM pruned")
    assert (segments, rows) == (len(plan.files), sum(file.rows for file in plan.files))
    assert (
        record.sql("SELECT count(*) FROM raw")[0][0] == sum(r[3] for r in before["ledger"]) - rows
    )
    report = verify(record.layout)
    assert report.sound and ["were pruned" in finding.what for finding in report.findings] == [True]


def test_a_connection_that_reaches_over_the_limit_is_no_hole(tmp_path: Path) -> None:
    life = lived(tmp_path / "data", captures=1)
    limit = life.begun[0] + 30 * NS
    plan = pruned(life.record, limit, RAW)
    assert plan.files and life.record.layout.sealed(FEED)
    report = verify(life.record.layout)
    assert report.sound and report.feeds[0].connections == 2
    # What is missing beside it is found as before.
    life.record.layout.parquet(FEED, life.record.layout.sealed(FEED)[1]).unlink()
    assert any("frames missing" in f.what for f in verify(life.record.layout).findings)


def test_old_rows_go_and_what_proves_the_record_stays(tmp_path: Path) -> None:
    life = lived(tmp_path / "data")
    before, cover = life.record.everything(), coverage(life.record)
    plan = pruned(life.record, life.begun[2], Choice(tables=True))
    after = life.record.everything()
    for name in MADE:
        assert after[name] == [row for row in before[name] if row[4] >= life.begun[2]]
        assert plan.rows[name] == len(before[name]) - len(after[name])
    assert sum(plan.rows.values()) > 0
    for name in ("connections", "gaps", "instruments", "ledger"):
        assert after[name] == before[name]
    assert coverage(life.record) == cover
    assert life.ingest() == 0


def test_a_rebuild_keeps_the_rows_of_pruned_raw(tmp_path: Path) -> None:
    life = lived(tmp_path / "data")
    before = life.record.everything()
    pruned(life.record, life.begun[2], RAW)
    for scope in (Scope(), Scope((FEED,)), Scope(from_ns=life.begun[1])):
        rebuild(life.record.layout, rules_of(life), scope, Reporter(life.record.warnings.append))
        life.ingest()
        assert_same(life.record.everything(), before)
    assert verify(life.record.layout).sound
    assert "stay as they were made" in life.record.warnings[0]


def test_a_rebuild_keeps_a_feed_of_which_all_raw_is_pruned(record: Published) -> None:
    record.seal("smartmoney", frames_of(events("smartmoney")))
    record.seal("binance", frames_of(events("binance"), recv_ns=T0 + DAY_NS))
    record.ingest()
    before = record.everything()
    plan = pruned(record, T0 + 3600 * NS, RAW)
    assert [file.feed for file in plan.files] == ["smartmoney"]
    rebuild(record.layout, rules)
    record.ingest()
    assert_same(record.everything(), before)
    shutil.rmtree(record.layout.raw / "feed=smartmoney")
    rebuild(record.layout, rules)
    record.ingest()
    assert_same(record.everything(), before)


def test_pruned_files_that_are_put_back_are_made_anew_again(tmp_path: Path) -> None:
    life = lived(tmp_path / "data")
    before = life.record.everything()
    shutil.copytree(life.record.layout.raw, tmp_path / "copy")
    pruned(life.record, life.begun[3], BOTH)
    shutil.copytree(tmp_path / "copy", life.record.layout.raw, dirs_exist_ok=True)
    assert life.ingest() == 0
    assert verify(life.record.layout).findings == []
    rebuild(life.record.layout, rules_of(life))
    life.ingest()
    assert_same(life.record.everything(), before)


def test_what_was_not_ingested_stays_unless_forced(tmp_path: Path) -> None:
    life = lived(tmp_path / "data", captures=1)
    life.capture()
    life.seal()
    new = set(life.record.layout.sealed(FEED)) - {
        row[1] for row in life.record.everything()["ledger"]
    }
    limit = life.now + DAY_NS
    plan = pruned(life.record, limit, RAW)
    assert {file.stems[0] for file in plan.held_back} == new
    assert set(life.record.layout.sealed(FEED)) == new
    pruned(life.record, limit, Choice(raw_files=True, force=True))
    assert life.record.layout.sealed(FEED) == []
    assert verify(life.record.layout).sound


def test_journals_are_never_touched(tmp_path: Path) -> None:
    life = lived(tmp_path / "data", captures=1)
    life.capture()
    life.ingest()
    active = life.record.layout.active(FEED)
    before = life.record.everything()
    pruned(life.record, life.now + DAY_NS, RAW)
    assert life.record.layout.active(FEED) == active != []
    life.seal()
    life.ingest()
    assert [r[:3] for r in life.record.everything()["ledger"]] == [r[:3] for r in before["ledger"]]
    assert len(life.record.layout.sealed(FEED)) == len(active)


def test_a_prune_that_ended_before_the_files_went_is_finished_by_the_next(tmp_path: Path) -> None:
    life = lived(tmp_path / "data")
    layout, limit = life.record.layout, life.begun[2]
    with private.claimed(layout), closing(private.connect(layout)) as db:
        noted = prune.plan(db, layout, limit, RAW)
        prune.note(db, noted, limit, limit)
    assert noted.files and all(Path(file.where).exists() for file in noted.files)
    assert life.ingest() == 0 and verify(layout).sound
    plan = pruned(life.record, limit, RAW)
    assert plan.files == noted.files and not any(Path(file.where).exists() for file in plan.files)
    assert verify(layout).sound


@pytest.mark.process
def test_kill_dash_nine_of_a_prune_leaves_a_sound_record(tmp_path: Path) -> None:
    for number in range(2):
        life = lived(tmp_path / f"data{number}", captures=2)
        before = life.record.everything()
        process = start(
            "prune", "--older-than", "1s", "--raw", "--data-dir", life.record.layout.root
        )
        files = len(life.record.layout.sealed(FEED))
        deadline = time.monotonic() + 30
        while process.poll() is None and len(life.record.layout.sealed(FEED)) == files:
            assert time.monotonic() < deadline
            if number % 2:
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert life.ingest() == 0
        assert_same(life.record.everything(), before)
        assert verify(life.record.layout).sound


# -- the command


def old(root: Path) -> Life:
    """A record as old as T0, long before now."""
    return lived(root, captures=1)


def test_a_dry_run_lists_what_would_go_with_sizes_and_changes_nothing(tmp_path: Path) -> None:
    life = old(tmp_path / "data")
    monday = life.record.layout.root
    before, files = life.record.everything(), life.record.layout.sealed(FEED)
    arguments = ("prune", "--older-than", "1s", "--raw", "--tables", "--data-dir", monday)
    said = call(*arguments, "--dry-run")
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("would remove: ") >= len(files)
    assert all(f"{name}.parquet" in said.stdout for name in files) and "MB" in said.stdout
    assert_same(life.record.everything(), before)
    assert life.record.layout.sealed(FEED) == files
    told = json.loads(call(*arguments, "--json").stdout)
    assert len(told["files"]) == len(files) and told["rows"]["whales"] == len(before["whales"])
    assert life.record.layout.sealed(FEED) == []
    assert life.record.rows("whales", "seq") == []
    assert life.record.sql("SELECT count(*) FROM raw") == [(0,)]
    assert call("verify", "--data-dir", monday).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing to do"),
        (["--raw"], "need an age"),
        (["--older-than", "90d"], "--raw, --tables or both"),
        (["--older-than", "long", "--raw"], "not a duration"),
        (["--compact", "--zstd-level", "40"], "--zstd-level"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = call("prune", *arguments, "--data-dir", tmp_path / "data")
    assert done.returncode == 2 and says in done.stderr


def test_without_tables_there_is_nothing_to_prune(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "binance")
    writer.put(writer.open(), b"{}")
    writer.finish()
    seal_all(writer.layout)
    done = call("prune", "--older-than", "1d", "--raw", "--data-dir", tmp_path)
    assert done.returncode == 1 and "recorder ingest" in done.stderr
    assert len(writer.layout.sealed("binance")) == 1


def test_a_prune_beside_an_ingest_is_refused_with_its_pid(tmp_path: Path) -> None:
    life = old(tmp_path / "data")
    work = Ingest(life.record.layout, rules)
    try:
        place = ("--data-dir", life.record.layout.root)
        done = call("prune", "--older-than", "1d", "--raw", *place)
        assert done.returncode == 1 and "(pid " in done.stderr
    finally:
        work.close()
    assert life.record.layout.sealed(FEED)
