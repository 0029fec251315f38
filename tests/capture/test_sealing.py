"""Sealing: whatever happened to a journal, its good blocks become one Parquet file."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import sys
import threading
from pathlib import Path

import pytest
from kit.captures import journals, litter, rows

from recorder import frame
from recorder.clock import NS, Clock, ulid
from recorder.record import heads, seal
from recorder.record.digest import digests_in
from recorder.record.journal import reader
from recorder.record.journal.block import RECORD, Block
from recorder.record.journal.sync import run
from recorder.record.journal.writer import Journal, Limits, Reports, Stream
from recorder.record.layout import Layout, number_of

_T0 = 1_767_225_600 * NS


class _Recorder:
    """Writes a journal as capture does, with a clock that ticks once per block."""

    def __init__(self, data: Path, run_ns: int = _T0, **limits: int) -> None:
        self.now = _T0
        clock = Clock(lambda: self.now, lambda: self.now - _T0)
        self.journal = Journal(
            Layout(data),
            "toy",
            ulid(run_ns, os.urandom(10)),
            limits=Limits(**limits),
            clock=clock,
            about={"host": "here", "kind": "generic"},
            reports=Reports(),
        )
        self.stream = Stream(ulid(_T0, bytes(10)))

    def block(self, *payloads: bytes) -> None:
        self.now += 1
        records = [x for p in payloads for x in (RECORD.pack(frame.TEXT, len(p)), p)]
        size = sum(map(len, records))
        self.journal.write(self.stream, self.now, self.now - _T0, records, size)

    def beat(self) -> None:
        jobs = self.journal.pulse()
        self.journal.synced(jobs, run(jobs))

    def close(self) -> None:
        self.journal.rotate()
        self.beat()


def _record(data: Path, blocks: int = 12) -> Path:
    recorder = _Recorder(data)
    for number in range(blocks):
        recorder.block(*(b"%d-%d" % (number, index) for index in range(number % 4 + 1)))
    recorder.close()
    return Layout(data).journal("toy", Layout(data).active("toy")[-1])


def _whole_blocks(journal: Path) -> list[Block]:
    return [block for block in reader.blocks(journal) if isinstance(block, Block)]


def test_a_journal_cut_anywhere_seals_into_exactly_the_whole_blocks_before_the_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = _record(tmp_path / "whole")
    content, blocks = journal.read_bytes(), _whole_blocks(journal)
    edges = {edge + shift for block in blocks for edge in (block.end,) for shift in (-1, 0, 1)}
    dice = random.Random(6)
    cuts = sorted({0, 1, *edges, *(dice.randrange(len(content)) for _ in range(40))})
    for cut in cuts:
        data = tmp_path / f"cut-{cut}"
        place = data / "journal" / "toy" / journal.name
        place.parent.mkdir(parents=True)
        place.write_bytes(content[:cut])
        assert seal.main([str(data)]) == 0
        expected = [f for b in blocks if b.end <= cut for f in reader.frames_of(b)]
        assert rows(data, "toy") == expected, f"cut at byte {cut}"
        assert not journals(data) and not litter(data)
        said = capsys.readouterr().err
        torn = cut not in {0, blocks[0].start, *(block.end for block in blocks)}
        assert ("torn tail cut off" in said) == (torn and cut < len(content)), f"{cut}: {said}"


def test_damage_in_the_middle_is_skipped_and_said_with_file_and_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = _record(tmp_path)
    blocks = _whole_blocks(journal)
    hurt = blocks[5]
    content = bytearray(journal.read_bytes())
    content[hurt.end - 1] ^= 0x40
    journal.write_bytes(content)
    assert seal.main([str(tmp_path)]) == 0
    kept = [f for block in blocks if block is not hurt for f in reader.frames_of(block)]
    assert rows(tmp_path, "toy") == kept
    size = hurt.end - hurt.start
    kept_in = journal.parent / "damaged" / journal.name
    assert capsys.readouterr().err == (
        f"{journal}: damage skipped: {size} bytes from byte {hurt.start}\n"
        f"{journal}: kept in {kept_in}\n"
    )
    assert kept_in.read_bytes() == content and not journal.exists()


def test_a_crash_between_publish_and_unlink_leaves_one_parquet_file_and_no_loss(
    tmp_path: Path,
) -> None:
    journal = _record(tmp_path)
    expected = [f for block in _whole_blocks(journal) for f in reader.frames_of(block)]
    shutil.copy(journal, tmp_path / "kept")
    assert seal.main([str(tmp_path)]) == 0
    shutil.copy(tmp_path / "kept", journal)
    assert seal.main([str(tmp_path)]) == 0
    assert rows(tmp_path, "toy") == expected
    assert not journals(tmp_path) and len(list(tmp_path.rglob("*.parquet"))) == 1


def test_a_half_made_parquet_file_of_a_crash_is_made_anew(tmp_path: Path) -> None:
    journal = _record(tmp_path)
    expected = [f for block in _whole_blocks(journal) for f in reader.frames_of(block)]
    target = Layout(tmp_path).parquet("toy", journal.stem)
    target.parent.mkdir(parents=True)
    target.with_suffix(".parquet.tmp").write_bytes(b"PAR1 and then the power went")
    assert seal.main([str(tmp_path)]) == 0
    assert rows(tmp_path, "toy") == expected
    assert not journals(tmp_path) and not litter(tmp_path)


def test_a_directory_that_cannot_be_used_keeps_the_journal_until_it_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = _record(tmp_path)
    content = journal.read_bytes()
    (tmp_path / "raw").write_text("in the way")
    assert seal.main([str(tmp_path)]) == 1
    assert "raw" in capsys.readouterr().err
    assert journal.read_bytes() == content
    (tmp_path / "raw").unlink()
    assert seal.main([str(tmp_path)]) == 0
    assert len(rows(tmp_path, "toy")) == 30 and not journals(tmp_path)


def test_one_journal_that_cannot_be_sealed_does_not_keep_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = _record(tmp_path)
    shutil.move(first.parent, first.parent.parent / "blocked")
    _record(tmp_path)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "feed=blocked").write_text("in the way")
    assert seal.main([str(tmp_path)]) == 1
    assert "feed=blocked" in capsys.readouterr().err
    assert [journal.parent.name for journal in journals(tmp_path)] == ["blocked"]
    assert len(rows(tmp_path, "toy")) == 30


def test_a_journal_of_a_description_alone_leaves_no_file(tmp_path: Path) -> None:
    journal = _record(tmp_path, blocks=1)
    journal.write_bytes(journal.read_bytes()[: _whole_blocks(journal)[0].start])
    assert seal.main([str(tmp_path)]) == 0
    assert not journals(tmp_path) and not list(tmp_path.rglob("*.parquet"))


def test_empty_frames_alone_can_be_sealed(tmp_path: Path) -> None:
    recorder = _Recorder(tmp_path)
    for _ in range(3):
        recorder.block(*[b""] * 30_000)
    recorder.close()
    assert seal.main([str(tmp_path)]) == 0
    assert [f.payload for f in rows(tmp_path, "toy")] == [b""] * 90_000


def test_sealing_takes_no_journal_that_is_about_to_be_written(tmp_path: Path) -> None:
    recorder = _Recorder(tmp_path)

    def seal_before_it_is_locked(_: object, event: str, called: object) -> None:
        if event == "c_call" and called is fcntl.flock:
            sys.setprofile(None)
            seal.main([str(tmp_path)])

    sys.setprofile(seal_before_it_is_locked)
    try:
        recorder.block(b"first")
    finally:
        sys.setprofile(None)
    recorder.block(b"second")
    recorder.close()
    assert seal.main([str(tmp_path)]) == 0
    assert [f.payload for f in rows(tmp_path, "toy")] == [b"first", b"second"]
    assert not list(tmp_path.rglob("*.new"))


def test_frames_written_again_after_a_failed_sync_are_sealed_once(tmp_path: Path) -> None:
    recorder = _Recorder(tmp_path)
    journal = recorder.journal
    recorder.block(b"safe")
    recorder.beat()
    recorder.block(b"doubtful")
    journal.rotate()
    journal.synced(journal.pulse(), OSError(errno.EIO, "Input/output error"))
    assert seal.main([str(tmp_path)]) == 0  # too early: what is doubtful is not elsewhere yet
    recorder.beat()
    recorder.block(b"later")
    assert seal.main([str(tmp_path)]) == 0
    recorder.close()
    assert seal.main([str(tmp_path)]) == 0
    assert [f.payload for f in rows(tmp_path, "toy")] == [b"safe", b"doubtful", b"later"]
    assert not journals(tmp_path)


def test_a_journal_that_fails_keeps_the_one_behind_it_which_knows_what_is_written_again(
    tmp_path: Path,
) -> None:
    recorder = _Recorder(tmp_path)
    journal = recorder.journal
    recorder.block(b"safe")
    recorder.beat()
    recorder.block(b"doubtful")
    journal.rotate()
    journal.synced(journal.pulse(), OSError(errno.EIO, "Input/output error"))
    recorder.beat()
    recorder.block(b"later")
    recorder.close()
    first, second = journals(tmp_path)
    in_the_way = Layout(tmp_path).parquet("toy", first.stem).with_suffix(".parquet.tmp")
    in_the_way.mkdir(parents=True)
    assert seal.main([str(tmp_path)]) == 1
    assert journals(tmp_path) == [first, second]
    in_the_way.rmdir()
    assert seal.main([str(tmp_path)]) == 0
    assert [f.payload for f in rows(tmp_path, "toy")] == [b"safe", b"doubtful", b"later"]
    assert not journals(tmp_path)


def test_two_sealers_and_a_writer_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    recorder, stop = _Recorder(tmp_path, rotate_bytes=1), threading.Event()

    def seal_on() -> None:
        while not stop.is_set():
            seal.main([str(tmp_path)])

    sealing = [threading.Thread(target=seal_on) for _ in range(2)]
    for thread in sealing:
        thread.start()
    try:
        for number in range(200):
            recorder.block(b"%d" % number)
            recorder.beat()
    finally:
        stop.set()
        for thread in sealing:
            thread.join()
    recorder.close()
    seal.main([str(tmp_path)])
    assert [f.payload for f in rows(tmp_path, "toy")] == [b"%d" % n for n in range(200)]


def test_a_journal_that_is_not_what_its_run_has_sealed_is_kept_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = _record(tmp_path)
    content, last = journal.read_bytes(), _whole_blocks(journal)[-1]
    sealed = rows(tmp_path, "toy") if seal.main([str(tmp_path)]) == 0 else []
    journal.write_bytes(content[: last.start])
    other = _record(tmp_path)
    assert seal.main([str(tmp_path)]) == 0
    kept_in = journal.parent / "damaged" / journal.name
    assert kept_in.read_bytes() == content[: last.start]
    assert f"kept in {kept_in}" in capsys.readouterr().err
    assert not other.exists() and len(rows(tmp_path, "toy")) == 2 * len(sealed)


def test_a_broken_file_under_the_sealed_name_costs_no_frame(tmp_path: Path) -> None:
    journal = _record(tmp_path)
    expected = [f for block in _whole_blocks(journal) for f in reader.frames_of(block)]
    target = Layout(tmp_path).parquet("toy", journal.stem)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"")
    assert seal.main([str(tmp_path)]) == 0
    assert rows(tmp_path, "toy") == expected
    assert (journal.parent / "damaged" / target.name).read_bytes() == b""


@pytest.mark.parametrize("kind", ["another format", "another name"])
def test_a_journal_that_cannot_be_read_is_kept_whole(tmp_path: Path, kind: str) -> None:
    journal = _record(tmp_path)
    content = journal.read_bytes()
    if kind == "another format":
        content = content.replace(b"\xf5JB1", b"\xf5JB2")
        journal.write_bytes(content)
    else:
        journal = journal.rename(journal.with_name(journal.name.replace("-000001", "-000002")))
    assert seal.main([str(tmp_path)]) == 0
    assert (journal.parent / "damaged" / journal.name).read_bytes() == content
    assert not journal.exists()


def test_a_head_links_what_each_run_has_sealed_and_whom_it_follows(tmp_path: Path) -> None:
    recorder = _Recorder(tmp_path, rotate_bytes=1)
    for number in range(3):
        recorder.block(b"%d" % number)
        recorder.beat()
    recorder.close()
    assert seal.main([str(tmp_path)]) == 0
    later = _Recorder(tmp_path, run_ns=_T0 + NS)
    later.block(b"later")
    later.close()
    assert seal.main([str(tmp_path)]) == 0
    layout = Layout(tmp_path)
    first_run, second_run = heads.runs(layout, "toy")
    first, head = heads.read(layout, "toy", first_run), heads.read(layout, "toy", second_run)
    assert first is not None and head is not None
    assert first.faults == head.faults == []
    assert [number_of(one.stem) for one in first.segments] == [1, 2, 3]
    files = {stem: digests_in(layout.parquet("toy", stem)) for stem in layout.sealed("toy")}
    for one in (*first.segments, *head.segments):
        assert files[one.stem] == {one.stem: one.digest}
    follows = [h.begin.follows for h in (first, head) if h.begin and h.begin.follows]
    assert [(f.run, f.segments, f.lives) for f in follows] == [(first_run, 3, False)]
    assert follows[0].link == first.link
    path = heads.path_of(layout, "toy", first_run)
    changed = path.read_bytes().replace(b'"rows":1', b'"rows":2', 1)
    assert heads.parse(first_run, changed).faults
