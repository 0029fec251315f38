"""A skim counts each frame once: doubted, cut off, damaged, sealed or merged between two looks."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples
from kit.journals import Writer, seal_all

from recorder.record.journal import reader
from recorder.record.journal.block import MAGIC
from recorder.record.layout import Layout
from recorder.record.skim import Entry, FrameCount, JournalTail, Marker, Skim
from recorder.status.feed_watch import FeedWatch

from .restless import EVENTS, FEED, T0, World, restless

#: The disk's answer to the sync that fails.
REFUSED = OSError(errno.EIO, "Input/output error")

#: Files of a closed day alone are merged: a watcher has read those long before.
HAPPENED = st.lists(
    st.tuples(st.sampled_from([event for event in EVENTS if event != "pack"]), st.integers(0, 99)),
    max_size=12,
)


def watch(layout: Layout | World) -> FeedWatch:
    one = FeedWatch(layout.layout if isinstance(layout, World) else layout, FEED, lambda stem: None)
    one.begin(None, T0, history=True)
    return one


def frames(entries: Iterable[Entry]) -> int:
    return sum(one.frames for one in entries if isinstance(one, FrameCount))


def test_frames_that_were_written_again_after_a_failed_sync_count_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    one = watch(world)
    world.let([("put", 2), ("beat", 0), ("put", 2)])
    one.look()
    assert one.lives.frames == 6
    world.let([("fail", 0), ("put", 2), ("beat", 0)])
    assert len(world.layout.active(FEED)) == 2
    one.look()
    assert one.lives.frames == len(world.appended) == 9
    world.settle()
    one.look()
    assert one.lives.frames == 9
    one.close()


def test_what_stands_behind_the_cut_of_a_doubted_journal_is_not_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.let([("put", 2), ("beat", 0), ("put", 2)])
    [doubted] = world.layout.active(FEED)
    path = world.layout.journal(FEED, doubted)
    world.let([("fail", 0), ("put", 2), ("beat", 0)])
    # A block whose payload the failed sync lost: its header is whole, its number another one.
    world_of_old = path.read_bytes()
    last = [item for item in reader.blocks(path) if not hasattr(item, "torn")][-1]
    seq_at = last.start + 16
    path.write_bytes(world_of_old[:seq_at] + b"\x77" + world_of_old[seq_at + 1 :])
    one = watch(world)
    one.look()
    assert one.lives.frames == len(world.appended)
    assert not one.lives.holes
    one.close()


def test_a_segment_that_was_sealed_between_two_looks_repeats_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    one = watch(world)
    world.let([("put", 2), ("beat", 0), ("put", 2)])
    one.look()
    world.let([("fail", 0), ("put", 2), ("beat", 0)])
    world.settle()
    one.look()
    assert one.lives.frames == len(world.appended) == 9
    one.close()


@given(HAPPENED, st.lists(st.tuples(HAPPENED, HAPPENED), min_size=1, max_size=5))
@settings(max_examples=examples(40), deadline=None)
def test_each_frame_counts_once_whatever_happens_between_looks_and_during_one(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[tuple[str, int]],
    looks: list[tuple[list[tuple[str, int]], list[tuple[str, int]]]],
) -> None:
    world = World(tmp_path_factory.mktemp("record"))
    during: deque[tuple[str, int]] = deque()
    one = watch(restless(world, during))
    world.let(before)
    for between, meanwhile in looks:
        world.let(between)
        during.extend(meanwhile)
        one.look()
        during.clear()
    world.settle()
    one.look()
    one.look()
    assert one.lives.frames == len(world.appended)
    assert not one.lives.holes
    one.close()


def test_numbers_are_kept_only_while_they_can_be_read_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    one = watch(world)
    for _ in range(5):
        world.let([("open", 0), ("put", 0), ("put", 1), ("put", 2)])
        one.look()
        world.settle()
        one.look()
    one.look()
    assert one.lives.frames == len(world.appended)
    assert not one._skim._seen
    one.close()


@pytest.mark.parametrize("window", [1, 61, 100, 1000])
def test_a_window_of_any_width_counts_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    writer = Writer(tmp_path, FEED)
    streams = [writer.open(line) for line in "AB"]
    for number in range(60):
        writer.put(streams[number % 2], *[b"x" * (7 * number)] * (1 + number % 3))
        writer.mark(streams[0], 7, number=number)
    [stem] = writer.layout.active(FEED)
    path = writer.layout.journal(FEED, stem)
    content = bytearray(path.read_bytes())
    content[content.index(MAGIC, 9_000)] ^= 0xFF
    path.write_bytes(bytes(content) + content[:50])

    def skimmed() -> tuple[int, int, int, list[int]]:
        tail = JournalTail(path, reader.Numbers())
        entries = tail.new()
        tail.close()
        sizes = sum(one.bytes for one in entries if isinstance(one, FrameCount))
        seqs = [one.seq for one in entries if isinstance(one, Marker)]
        return frames(entries), sizes, len(seqs), seqs

    whole = skimmed()
    assert 100 < whole[0] < 120
    monkeypatch.setattr(reader, "WINDOW", window)
    assert skimmed() == whole


def test_a_sector_that_cannot_be_read_costs_a_few_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path, FEED)
    stream = writer.open()
    for _ in range(100):
        writer.put(stream, b"x" * 300)
    skim = Skim(writer.layout, FEED)
    [stem] = writer.layout.active(FEED)
    skim.open([stem], {})
    bad, real = range(3 * 4096, 4 * 4096), os.pread

    def pread(fd: int, size: int, position: int) -> bytes:
        if position < bad.stop and position + size > bad.start:
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, size, position)

    monkeypatch.setattr(os, "pread", pread)  # the disk's fault, not our code's
    assert 85 <= frames(skim.new(stem)) < 100
    skim.close(stem)


def test_a_journal_that_was_truncated_is_read_on_once_it_grew_again(tmp_path: Path) -> None:
    writer = Writer(tmp_path, FEED)
    stream = writer.open()
    for _ in range(10):
        writer.put(stream, b"x" * 300)
    skim = Skim(writer.layout, FEED)
    [stem] = writer.layout.active(FEED)
    skim.open([stem], {})
    assert frames(skim.new(stem)) == 10
    path = writer.layout.journal(FEED, stem)
    content = path.read_bytes()
    os.truncate(path, 1000)
    assert skim.new(stem) == []
    path.write_bytes(content)
    assert skim.new(stem) == []
    writer.put(stream, b"y")
    assert frames(skim.new(stem)) == 1
    skim.close(stem)


#: Reads a journal again and again, as `recorder status` does.
READER = """
import sys, time
from pathlib import Path
from recorder.record.layout import Layout
from recorder.record.skim import Skim

path = Path(sys.argv[1])
until = time.monotonic() + 1.5
while time.monotonic() < until:
    skim = Skim(Layout(path.parents[2]), path.parent.name)
    skim.open([path.stem], {})
    for stem in list(skim.journals):
        skim.new(stem)
        skim.close(stem)
print("lives")
"""


@pytest.mark.process
def test_a_journal_that_is_truncated_while_it_is_read_kills_nobody(tmp_path: Path) -> None:
    writer = Writer(tmp_path, FEED)
    stream = writer.open()
    for _ in range(3_000):
        writer.put(stream, b"x" * 4_000)
    [stem] = writer.layout.active(FEED)
    path = writer.layout.journal(FEED, stem)
    content = path.read_bytes()
    child = subprocess.Popen([sys.executable, "-c", READER, path], stdout=subprocess.PIPE)
    while child.poll() is None:
        os.truncate(path, 8_192)
        with path.open("r+b") as file:
            file.write(content)
    assert child.stdout is not None
    assert (child.returncode, child.stdout.read()) == (0, b"lives\n"), signal.strsignal(
        -child.returncode
    )
    child.stdout.close()


def test_sealed_files_hold_the_same_counts(tmp_path: Path) -> None:
    writer = Writer(tmp_path, FEED)
    stream = writer.open()
    for _ in range(10):
        writer.put(stream, b"x", b"y")
    writer.close(stream)
    writer.finish()
    skim = Skim(writer.layout, FEED)
    [stem] = writer.layout.active(FEED)
    skim.open([stem], {})
    of_journal = skim.new(stem)
    skim.close(stem)
    seal_all(writer.layout)
    of_file = Skim(writer.layout, FEED).sealed(stem)
    assert frames(of_file) == frames(of_journal) == 20
    markers = [[one for one in them if isinstance(one, Marker)] for them in (of_journal, of_file)]
    assert markers[0] == markers[1] and [one.kind for one in markers[0]] == ["open", "closed"]
    assert frames(Skim(writer.layout, FEED).sealed(stem, skip=1 + 8)) == 12
    assert skim.sealed(stem) == []  # the same frames again
    path = writer.layout.parquet(FEED, stem)
    path.write_bytes(path.read_bytes()[:-40])
    assert Skim(writer.layout, FEED).sealed(stem) == []
    path.unlink()
    assert Skim(writer.layout, FEED).sealed(stem) == []
