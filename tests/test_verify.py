"""`recorder verify`: what is wrong is found, named and placed; what is right is left in peace."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
from click.testing import CliRunner

from recorder import frame
from recorder.cli import cli
from recorder.clock import DAY_NS, NS, Clock, ulid
from recorder.record import seal
from recorder.record.journal import reader
from recorder.record.journal.block import RECORD, Block
from recorder.record.journal.sync import run
from recorder.record.journal.writer import Journal, Limits, Reports, Stream
from recorder.record.layout import Layout
from recorder.record.report import Report
from recorder.record.verify import verify
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

T0 = 20_000 * DAY_NS + NS


def record(root: Path, count: int = 60, per_segment: int = 20) -> Layout:
    """A journal of three segments of one connection, none sealed."""
    layout, now = Layout(root), [T0]
    journal = Journal(
        layout,
        "toy",
        ulid(T0, os.urandom(10)),
        limits=Limits(),
        clock=Clock(lambda: now[0], lambda: now[0] - T0),
        about={"host": "here"},
        reports=Reports(),
    )
    stream = Stream(ulid(T0, bytes(10)))
    for number in range(count):
        payload = b"frame %d" % number
        parts = (RECORD.pack(frame.TEXT, len(payload)), payload)
        journal.write(stream, now[0], now[0] - T0, parts, len(payload))
        now[0] += NS
        if number % per_segment == per_segment - 1:
            journal.rotate()
            jobs = journal.pulse()
            journal.synced(jobs, run(jobs))
    return layout


def wrongs(report: Report) -> list[str]:
    return [finding.what for finding in report.findings if finding.wrong]


def seal_all(layout: Layout) -> None:
    assert seal.main([str(layout.root)]) == 0


def test_a_whole_record_is_sound_sealed_or_not(tmp_path: Path) -> None:
    layout = record(tmp_path)
    before = verify(layout)
    seal_all(layout)
    after = verify(layout)
    assert before.sound and after.sound
    assert [feed.frames for feed in (*before.feeds, *after.feeds)] == [60, 60]
    assert (before.feeds[0].journals, after.feeds[0].segments) == (3, 3)
    assert (
        after.feeds[0].bytes == before.feeds[0].bytes == sum(len(f"frame {n}") for n in range(60))
    )


def test_a_missing_segment_is_a_hole_with_its_size(tmp_path: Path) -> None:
    layout = record(tmp_path)
    seal_all(layout)
    layout.parquet("toy", layout.sealed("toy")[1]).unlink()
    hole, absent = wrongs(verify(layout))
    assert "20 frames missing before frame 40" in hole
    assert "-000002 is missing (20 frames, says the head of its run)" in absent


def test_a_segment_that_is_there_twice_is_found(tmp_path: Path) -> None:
    layout = record(tmp_path)
    seal_all(layout)
    stem = layout.sealed("toy")[0]
    copy = layout.parquet("toy", stem.replace("-000001", "-000009"))
    copy.write_bytes(layout.parquet("toy", stem).read_bytes())
    found = wrongs(verify(layout))
    assert sum("frames 0 to 19 are there twice" in what for what in found) == 1
    assert sum("-000009 is not in the head of its run" in what for what in found) == 1


def test_a_flipped_bit_anywhere_in_a_journal_is_found(tmp_path: Path) -> None:
    layout = record(tmp_path)
    path = layout.journal("toy", layout.active("toy")[1])
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        report = verify(layout)
        assert any(f.where == str(path) for f in report.findings), place


def test_a_flipped_bit_in_a_sealed_file_is_found_or_changes_no_value(tmp_path: Path) -> None:
    layout = record(tmp_path)
    seal_all(layout)
    path = layout.parquet("toy", layout.sealed("toy")[1])
    whole, table = path.read_bytes(), pa.parquet.read_table(path)
    found = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        if verify(layout).sound:
            assert pa.parquet.read_table(path).equals(table), place
        else:
            found += 1
    assert found > len(whole) // 3 // 4


def test_a_torn_tail_is_a_note_and_no_fault(tmp_path: Path) -> None:
    layout = record(tmp_path)
    path = layout.journal("toy", layout.active("toy")[-1])
    path.write_bytes(path.read_bytes()[:-3])
    report = verify(layout)
    assert report.sound
    assert ["torn tail" in finding.what for finding in report.findings] == [True]


def test_a_journal_that_ends_in_zeros_proves_nothing_sealed_or_not(tmp_path: Path) -> None:
    """A power cut leaves zeros behind the last sync; so does a device that loses blocks."""
    layout = record(tmp_path)
    path = layout.journal("toy", layout.active("toy")[-1])
    path.write_bytes(path.read_bytes() + bytes(804))
    before = verify(layout)
    seal_all(layout)
    after = verify(layout)
    assert (before.verdict.exit_code, after.verdict.exit_code) == (5, 5)
    assert all(
        len(one.findings) == 1 and "zeros" in one.findings[0].what for one in (before, after)
    )
    [kept] = path.parent.glob("damaged/*.journal")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    assert verify(layout).verdict.exit_code == 1


def test_blocks_that_changed_places_are_named_sealed_or_not(tmp_path: Path) -> None:
    layout = record(tmp_path)
    path = layout.journal("toy", layout.active("toy")[1])
    blocks = [block for block in reader.blocks(path) if isinstance(block, Block)]
    data, (_, one, other, *_) = path.read_bytes(), blocks
    swapped = data[other.start : other.end] + data[one.start : one.end]
    path.write_bytes(data[: one.start] + swapped + data[other.end :])
    for _ in range(2):
        found = wrongs(verify(layout))
        assert sum("frame 21 is there twice or out of order" in what for what in found) == 1
        seal_all(layout)


def test_frames_of_another_day_are_found(tmp_path: Path) -> None:
    layout = record(tmp_path)
    seal_all(layout)
    path = layout.parquet("toy", layout.sealed("toy")[2])
    table = pa.parquet.read_table(path)
    later = pa.compute.add(table["recv_ns"], DAY_NS)
    pa.parquet.write_table(table.set_column(0, table.schema.field(0), later), path)
    assert any("another day" in what for what in wrongs(verify(layout)))


def test_a_ledger_that_claims_more_than_there_is_is_found(tmp_path: Path) -> None:
    layout = record(tmp_path)
    seal_all(layout)
    work = Ingest(layout, lambda feed: Rules(None))
    work.run()
    work.publish()
    work.close()
    assert verify(layout).sound
    path = layout.parquet("toy", layout.sealed("toy")[2])
    pa.parquet.write_table(pa.parquet.read_table(path).slice(0, 15), path)
    assert any("says 20 frames" in what for what in wrongs(verify(layout)))


def test_the_command_says_it_in_words_in_json_and_in_its_exit_code(tmp_path: Path) -> None:
    layout = record(tmp_path)
    sound = CliRunner().invoke(cli, ["verify", "--data-dir", str(tmp_path)])
    assert (sound.exit_code, "sound: nothing is missing" in sound.output) == (0, True)
    layout.journal("toy", layout.active("toy")[1]).unlink()
    hurt = CliRunner().invoke(cli, ["verify", "--data-dir", str(tmp_path), "--json"])
    report = json.loads(hurt.stdout)
    assert hurt.exit_code == 1 and report["sound"] is False
    assert "20 frames missing" in report["findings"][0]["what"]


def test_a_directory_without_a_record_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["verify", "--data-dir", str(tmp_path)])
    assert result.exception is not None and "recorder capture" in str(result.exception)
