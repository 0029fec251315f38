"""Ingest killed at any moment, and started again, makes the tables that one quiet run makes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from random import Random

import duckdb
import pytest
from kit.commands import recorder, start
from kit.effort import examples
from kit.journals import Writer, eventful, seal_all
from kit.records import Published, assert_same


@pytest.fixture
def record(tmp_path: Path) -> Published:
    return Published(tmp_path)


pytestmark = pytest.mark.process

KILLS = examples(10)


def make(root: Path) -> None:
    """Many small segments, sealed and not, so that there is much to be killed in."""
    for feed in ("binance", "cryptolisting", "smartmoney"):
        writer = Writer(root, feed, rotate_bytes=12_000)
        eventful(writer, Random(feed), 140)
        writer.finish()
        if feed != "smartmoney":
            seal_all(writer.layout)


def progress(record: Published) -> int:
    """Frames in the private database of a process that is dead."""
    private = record.layout.work / "ingest.duckdb"
    if not private.exists():
        return 0
    with duckdb.connect(str(private)) as db:
        if not db.execute("FROM duckdb_tables() WHERE table_name = 'ledger'").fetchall():
            return 0
        return int(db.execute("SELECT coalesce(sum(rows), 0) FROM ledger").fetchall()[0][0])


def wait_until_it_works(record: Published, process: subprocess.Popen[str]) -> None:
    """Until the process holds the directory: starting Python takes longer than its work."""
    lock = record.layout.work / ".lock"
    while process.poll() is None:
        if lock.exists() and lock.read_text() == f"{process.pid}\n":
            return
        time.sleep(0.01)


def test_kill_dash_nine_at_random_points_changes_nothing_in_the_result(tmp_path: Path) -> None:
    make(tmp_path / "killed")
    shutil.copytree(tmp_path / "killed", tmp_path / "quiet")
    quiet, killed = Published(tmp_path / "quiet"), Published(tmp_path / "killed")
    total = quiet.ingest()
    expected = quiet.everything()

    random, patience = Random("kills"), 0.7
    seen: list[int] = []
    for number in range(4 * KILLS):
        if number >= KILLS and any(0 < frames < total for frames in seen):
            break
        follow = ["--follow"] if number % 2 else []
        process = start("ingest", *follow, "--data-dir", killed.layout.root)
        wait_until_it_works(killed, process)
        time.sleep(random.random() * patience)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        seen.append(progress(killed))
        patience *= 1.3 if seen[-1] == 0 else 1.0  # a slow machine: kill later
        if killed.layout.database.exists():
            published = killed.sql("SELECT coalesce(sum(rows), 0) FROM ledger")
            assert published[0][0] <= seen[-1]
    assert seen == sorted(seen)
    assert any(0 < frames < total for frames in seen), seen

    done = recorder("ingest", "--data-dir", killed.layout.root)
    assert done.returncode == 0, done.stderr
    assert_same(killed.everything(), expected)
