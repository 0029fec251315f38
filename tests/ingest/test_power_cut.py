"""Tables never hold more than raw: what a power cut took from a journal leaves the tables, too."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from random import Random

import pytest
from kit.commands import call, start
from kit.effort import cases
from kit.frames import T0
from kit.journals import Writer, eventful, seal_all
from kit.records import Published, assert_same

from recorder.clock import NS
from recorder.record.journal import reader
from recorder.record.layout import Layout
from recorder.record.verify import verify

FEED = "smartmoney"


def cut(layout: Layout, keep: float) -> None:
    """Cut the last journal where one of its blocks begins, as a power cut may."""
    path = layout.journal(FEED, layout.active(FEED)[-1])
    blocks = list(reader.blocks(path))
    os.truncate(path, blocks[int(keep * len(blocks))].start)


def recorded(root: Path) -> Published:
    record = Published(root)
    for seed in (1, 2):
        writer = Writer(root, FEED, rotate_bytes=6_000, now=T0 + seed * 1_000 * NS)
        eventful(writer, Random(seed), 60)
        writer.finish()
    return record


def fresh(record: Published, place: Path) -> dict[str, list[tuple[object, ...]]]:
    """The tables of the same files, made from nothing."""
    other = Published(place)
    other.layout.root.mkdir(parents=True, exist_ok=True)
    other.layout.raw.symlink_to(record.layout.raw)
    other.ingest()
    return other.everything()


@pytest.mark.parametrize("keep", cases(0.6, 0.2, 0.95))
def test_rows_of_frames_that_are_gone_go_with_a_warning(keep: float, tmp_path: Path) -> None:
    record = recorded(tmp_path / "data")
    assert call("ingest", "--data-dir", record.layout.root).returncode == 0
    before = len(record.sql("FROM ledger"))
    cut(record.layout, keep)
    assert any("says" in one.what for one in verify(record.layout).findings)
    seal_all(record.layout)
    done = call("ingest", "--data-dir", record.layout.root)
    assert done.returncode == 0 and "lost ingested frames" in done.stderr
    assert_same(record.everything(), fresh(record, tmp_path / "fresh"))
    assert len(record.sql("FROM ledger")) == before
    assert verify(record.layout).sound
    again = call("ingest", "--data-dir", record.layout.root)
    assert again.returncode == 0 and "power cut" not in again.stderr


def test_rows_of_a_journal_that_is_gone_go_with_a_warning(tmp_path: Path) -> None:
    """Its name was not durable yet: neither a journal nor a sealed file is left of it."""
    record = recorded(tmp_path / "data")
    assert call("ingest", "--data-dir", record.layout.root).returncode == 0
    gone = record.layout.active(FEED)[-1]
    [(rows,)] = record.sql(f"SELECT rows FROM ledger WHERE segment = '{gone}'")
    record.layout.journal(FEED, gone).unlink()
    seal_all(record.layout)
    done = call("ingest", "--data-dir", record.layout.root)
    assert done.returncode == 0 and f"lost ingested frames, {rows} in all" in done.stderr
    assert_same(record.everything(), fresh(record, tmp_path / "fresh"))
    assert verify(record.layout).sound
    again = call("ingest", "--data-dir", record.layout.root)
    assert again.returncode == 0 and "lost" not in again.stderr


def test_rows_of_what_was_removed_by_hand_or_pruned_stay(tmp_path: Path) -> None:
    record = recorded(tmp_path / "data")
    assert call("ingest", "--data-dir", record.layout.root).returncode == 0
    before = record.everything()
    seal_all(record.layout)
    last = record.layout.sealed(FEED)[-1]
    record.layout.parquet(FEED, last).unlink()
    done = call("ingest", "--data-dir", record.layout.root)
    assert done.returncode == 0 and "lost" not in done.stderr
    after = record.everything()
    assert {name: rows for name, rows in after.items() if name != "ledger"} == {
        name: rows for name, rows in before.items() if name != "ledger"
    }
    assert not verify(record.layout).sound


@pytest.mark.process
def test_an_ingest_that_follows_puts_it_right_and_goes_on(tmp_path: Path) -> None:
    record = recorded(tmp_path / "data")
    assert call("ingest", "--data-dir", record.layout.root).returncode == 0
    cut(record.layout, 0.5)
    seal_all(record.layout)
    process = start("ingest", "--follow", "--data-dir", record.layout.root)
    expected = fresh(record, tmp_path / "fresh")
    deadline = time.monotonic() + 60
    while record.everything() != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and str(said).count("power cut") == 1
    assert_same(record.everything(), expected)
