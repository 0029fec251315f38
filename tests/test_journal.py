"""The journal: what is written comes back, whatever happens to the file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples

from recorder import frame
from recorder.clock import DAY_NS, NS, Clock, ulid
from recorder.record import layout
from recorder.record.journal import reader
from recorder.record.journal.block import (
    HEADER,
    MAGIC,
    RECORD,
    Block,
    Damage,
    encode,
    records,
    scan,
    seed,
)
from recorder.record.journal.sync import run
from recorder.record.journal.writer import Journal, Limits, Reports, Stream
from recorder.record.layout import Layout, number_of
from recorder.record.read import cut_of

STEM = "20260101T000000Z-01JD8XYZABCDEFGHJKMNPQRSTV-000001"
SALT = seed(STEM)
T0 = 20_000 * DAY_NS


class HandClock:
    """A clock moved by hand."""

    def __init__(self, now: int = T0 + NS) -> None:
        self.now = now

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.now - T0)


def make_journal(root: Path, clock: HandClock, **limits: int) -> Journal:
    run_id = ulid(T0, os.urandom(10))
    return Journal(
        Layout(root),
        "toy",
        run_id,
        limits=Limits(**limits),
        clock=clock.clock,
        about={"host": "here"},
        reports=Reports(),
    )


def put(journal: Journal, stream: Stream, clock: HandClock, *payloads: bytes) -> None:
    parts = [part for p in payloads for part in (RECORD.pack(frame.TEXT, len(p)), p)]
    journal.write(stream, clock.now, clock.now - T0, parts, sum(map(len, parts)))


def beat(journal: Journal) -> None:
    jobs = journal.pulse()
    journal.synced(jobs, run(jobs))


def recorded(root: Path) -> list[frame.Frame]:
    layout = Layout(root)
    return [f for s in layout.active("toy") for f in reader.frames(layout.journal("toy", s))]


payload_lists = st.lists(
    st.tuples(st.sampled_from([frame.TEXT, frame.BINARY, frame.SENT]), st.binary(max_size=300)),
    min_size=1,
    max_size=6,
)


def blocks_of(groups: list[list[tuple[int, bytes]]]) -> list[bytes]:
    made, seq = [], 0
    for index, group in enumerate(groups):
        parts = [x for kind, p in group for x in (RECORD.pack(kind, len(p)), p)]
        made.append(encode(SALT, "C" * 26, seq, T0 + index, index, parts))
        seq += len(group)
    return made


@given(st.lists(payload_lists, max_size=8))
def test_decode_of_encode_is_identity(groups: list[list[tuple[int, bytes]]]) -> None:
    data = b"".join(blocks_of(groups))
    found = list(scan(data, SALT))
    assert all(isinstance(item, Block) for item in found)
    assert [list(records(b)) for b in found if isinstance(b, Block)] == groups
    seqs = [b.first_seq for b in found if isinstance(b, Block)]
    assert seqs == [sum(len(g) for g in groups[:i]) for i in range(len(groups))]


@given(st.lists(payload_lists, min_size=1, max_size=5), st.data())
@settings(max_examples=examples(200))
def test_a_journal_cut_at_any_byte_gives_a_prefix(
    groups: list[list[tuple[int, bytes]]], data: st.DataObject
) -> None:
    blocks = blocks_of(groups)
    whole = b"".join(blocks)
    cut = data.draw(st.integers(0, len(whole)))
    found = list(scan(whole[:cut], SALT))
    good = [item for item in found if isinstance(item, Block)]
    complete = 0
    while sum(map(len, blocks[: complete + 1])) <= cut and complete < len(blocks):
        complete += 1
    assert [list(records(b)) for b in good] == groups[:complete]
    torn = [item for item in found if isinstance(item, Damage)]
    assert all(item.torn for item in torn)
    assert bool(torn) == (cut != sum(map(len, blocks[:complete])))


@given(st.lists(payload_lists, min_size=2, max_size=6), st.data())
@settings(max_examples=examples(300))
def test_damage_never_invents_a_frame_and_never_hides_a_good_block(
    groups: list[list[tuple[int, bytes]]], data: st.DataObject
) -> None:
    blocks = blocks_of(groups)
    whole = bytearray(b"".join(blocks))
    start = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=40))
    changed = bytearray(whole)
    changed[start : start + len(noise)] = noise[: len(whole) - start]
    good = [list(records(b)) for b in scan(bytes(changed), SALT) if isinstance(b, Block)]
    expected, position = [], 0
    for group, block in zip(groups, blocks, strict=True):
        if changed[position : position + len(block)] == block:
            expected.append(group)
        position += len(block)
    assert good == expected


def test_a_payload_that_holds_a_valid_block_of_another_journal_is_not_taken_for_one() -> None:
    inner = encode(seed("other"), "E" * 26, 0, 1, 1, [RECORD.pack(1, 3), b"bad"])
    outer = encode(SALT, "C" * 26, 0, 1, 1, [RECORD.pack(2, len(inner)), inner])
    hurt = bytearray(outer)
    hurt[HEADER.size - 1] ^= 1  # the outer block is damaged, so a search for the next one begins
    after = encode(SALT, "C" * 26, 1, 1, 1, [RECORD.pack(1, 2), b"ok"])
    assert inner.startswith(MAGIC)
    found = list(scan(bytes(hurt) + after, SALT))
    assert [list(records(b)) for b in found if isinstance(b, Block)] == [[(1, b"ok")]]
    assert [d.torn for d in found if isinstance(d, Damage)] == [False]


def test_frames_come_back_in_order_with_their_stamps_and_numbers(tmp_path: Path) -> None:
    hand = HandClock()
    journal = make_journal(tmp_path, hand)
    stream = Stream(ulid(T0, bytes(10)))
    put(journal, stream, hand, b"a", b"b")
    hand.now += 5
    put(journal, stream, hand, b"")
    assert [(f.seq, f.recv_ns, f.payload) for f in recorded(tmp_path)] == [
        (0, T0 + NS, b"a"),
        (1, T0 + NS, b"b"),
        (2, T0 + NS + 5, b""),
    ]


def test_no_segment_crosses_midnight(tmp_path: Path) -> None:
    hand = HandClock(T0 + DAY_NS - 1)
    journal = make_journal(tmp_path, hand)
    stream = Stream(ulid(T0, bytes(10)))
    put(journal, stream, hand, b"before")
    hand.now += 1
    put(journal, stream, hand, b"after")
    hand.now -= 1  # the wall clock is set back over midnight
    put(journal, stream, hand, b"again before")
    layout = Layout(tmp_path)
    stems = layout.active("toy")
    days = [[f.recv_ns // DAY_NS for f in reader.frames(layout.journal("toy", s))] for s in stems]
    assert sorted(days) == [[20_000], [20_000], [20_001]]
    assert [f.payload for f in sorted(recorded(tmp_path), key=lambda f: f.seq)] == [
        b"before",
        b"after",
        b"again before",
    ]


def test_rotation_by_size_and_by_age_loses_nothing(tmp_path: Path) -> None:
    hand = HandClock()
    journal = make_journal(tmp_path, hand, rotate_bytes=2_000, rotate_ns=10 * NS)
    stream = Stream(ulid(T0, bytes(10)))
    for number in range(40):
        put(journal, stream, hand, b"%03d" % number * 30)
        hand.now += NS
        beat(journal)
    assert [f.payload[:3] for f in recorded(tmp_path)] == [b"%03d" % n for n in range(40)]
    assert len(Layout(tmp_path).active("toy")) >= 4


def test_a_directory_that_goes_away_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    said: list[str] = []
    hand = HandClock()
    journal = make_journal(tmp_path, hand)
    journal._reports = Reports(trouble=said.append, recovered=said.append)
    stream = Stream(ulid(T0, bytes(10)))
    blocked = tmp_path / "journal"
    blocked.write_text("not a directory")
    put(journal, stream, hand, b"one")
    put(journal, stream, hand, b"two")
    assert journal.trouble is not None and "refuses" in said[0]
    blocked.unlink()
    beat(journal)
    put(journal, stream, hand, b"three")
    assert journal.trouble is None and said[1] == "nothing was lost"
    assert [f.payload for f in recorded(tmp_path)] == [b"one", b"two", b"three"]


def test_a_full_buffer_leaves_a_gap_marker_that_counts_the_missing(tmp_path: Path) -> None:
    hand = HandClock()
    journal = make_journal(tmp_path, hand, buffer_bytes=25)
    stream = Stream(ulid(T0, bytes(10)))
    blocked = tmp_path / "journal"
    blocked.write_text("not a directory")
    for payload in (b"kept-1", b"kept-2", b"lost-1", b"lost-2"):
        put(journal, stream, hand, payload)
    assert journal.lost_frames == 2
    blocked.unlink()
    beat(journal)
    kept = recorded(tmp_path)
    assert [(f.seq, f.kind) for f in kept] == [(0, "text"), (1, "text"), (4, "gap")]
    assert b'"frames":2' in kept[2].payload and b'"first_seq":2' in kept[2].payload


def test_after_a_failed_sync_the_frames_are_written_again_elsewhere(tmp_path: Path) -> None:
    hand = HandClock()
    journal = make_journal(tmp_path, hand)
    stream = Stream(ulid(T0, bytes(10)))
    put(journal, stream, hand, b"safe")
    beat(journal)
    put(journal, stream, hand, b"doubtful")
    jobs = journal.pulse()
    put(journal, stream, hand, b"later")
    journal.synced(jobs, OSError(5, "Input/output error"))
    assert journal.trouble is not None
    put(journal, stream, hand, b"buffered")
    beat(journal)
    layout = Layout(tmp_path)
    first, second = layout.active("toy")
    cut = cut_of(layout, "toy", first)
    assert cut is not None and cut_of(layout, "toy", second) is None
    before = [
        f.payload
        for b in reader.blocks(layout.journal("toy", first))
        if isinstance(b, Block) and b.start < cut
        for f in reader.frames_of(b)
    ]
    after = [f.payload for f in reader.frames(layout.journal("toy", second))]
    assert before == [b"safe"]
    assert after == [b"doubtful", b"later", b"buffered"]


@pytest.mark.parametrize("offset", [0, 1, 30, 65, 66])
def test_a_damaged_description_block_does_not_hide_the_frames(tmp_path: Path, offset: int) -> None:
    hand = HandClock()
    journal = make_journal(tmp_path, hand)
    put(journal, Stream(ulid(T0, bytes(10))), hand, b"here")
    path = Layout(tmp_path).journal("toy", Layout(tmp_path).active("toy")[0])
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)
    assert [f.payload for f in reader.frames(path)] == [b"here"]
    assert reader.about(path) == b""


@given(st.lists(payload_lists, min_size=1, max_size=5), st.data())
@settings(max_examples=examples(200))
def test_a_whole_last_block_with_a_flipped_bit_is_damage_and_no_cut(
    groups: list[list[tuple[int, bytes]]], data: st.DataObject
) -> None:
    blocks = blocks_of(groups)
    whole = bytearray(b"".join(blocks))
    at = data.draw(st.integers(len(whole) - len(blocks[-1]), len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    [damage] = [item for item in scan(bytes(whole), SALT) if isinstance(item, Damage)]
    assert damage == Damage(len(whole) - len(blocks[-1]), len(whole), torn=False)


@pytest.mark.parametrize("tail", [b"\0", bytes(70), bytes(8192), b"\xf5JB2" + bytes(90), b"x"])
def test_what_is_no_beginning_of_a_block_is_damage(tail: bytes) -> None:
    [block] = blocks_of([[(1, b"good")]])
    [_, damage] = scan(block + tail, SALT)
    assert damage == Damage(len(block), len(block) + len(tail), torn=False)


@pytest.mark.parametrize("window", [1, 61, 100, 1000])
def test_a_journal_is_read_the_same_through_a_window_of_any_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    path = tmp_path / f"{STEM}.journal"
    groups = [[(1, b"p" * size)] * count for size, count in ((3, 2), (400, 1), (0, 5), (50, 3))]
    first, *others = blocks_of(groups)
    hurt = bytearray(others[1])
    hurt[-1] ^= 1
    path.write_bytes(first + others[0] + hurt + MAGIC + b"noise" + others[2] + others[2][:70])
    whole = list(reader.blocks(path))
    assert [type(item) for item in whole] == [Block, Block, Damage, Block, Damage]
    monkeypatch.setattr(reader, "WINDOW", window)
    assert list(reader.blocks(path)) == whole
    assert list(reader.blocks(path, whole[1].start)) == whole[1:]


def test_a_sector_that_cannot_be_read_costs_the_blocks_in_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"{STEM}.journal"
    blocks = blocks_of([[(1, b"%04d" % number * 100)] for number in range(60)])
    path.write_bytes(b"".join(blocks))
    bad = range(3 * 4096, 4 * 4096)
    real = os.pread

    def pread(fd: int, size: int, position: int) -> bytes:
        if position < bad.stop and position + size > bad.start:
            raise OSError(errno.EIO, "Input/output error")
        return real(fd, size, position)

    monkeypatch.setattr(os, "pread", pread)  # the disk's fault, not our code's
    items, starts = list(reader.blocks(path)), {}
    position = 0
    for block in blocks:
        starts[position] = position + len(block)
        position += len(block)
    intact = [s for s, end in starts.items() if end <= bad.start or s >= bad.stop]
    assert [item.start for item in items if isinstance(item, Block)] == intact
    [damage] = [item for item in items if isinstance(item, Damage)]
    assert not damage.torn
    assert damage.start <= bad.start < bad.stop <= damage.end


def test_attempts_that_the_disk_refuses_spend_no_numbers(tmp_path: Path) -> None:
    clock = HandClock()
    journal, stream = make_journal(tmp_path, clock), Stream("C" * 26)
    blocker = tmp_path / "journal"
    blocker.write_bytes(b"")  # no directory can be made below a file
    put(journal, stream, clock, b"kept in memory")
    for _ in range(20):
        beat(journal)
    assert journal.trouble is not None
    blocker.unlink()
    beat(journal)
    assert journal.trouble is None
    [stem] = Layout(tmp_path).active("toy")
    assert number_of(stem) == 1
    assert [f.payload for f in recorded(tmp_path)] == [b"kept in memory"]


def test_numbers_of_segments_have_no_end_and_sort_as_numbers() -> None:
    run_id = ulid(T0, bytes(10))
    stems = [layout.stem(T0, run_id, n) for n in (1, 9, 10, 999_999, 1_000_000, 10**12)]
    assert all(map(layout.is_stem, stems))
    assert sorted(stems, key=layout.order) == sorted(stems, key=number_of) == stems
    assert [number_of(stem) for stem in stems] == [1, 9, 10, 999_999, 1_000_000, 10**12]


@pytest.mark.parametrize(
    "name",
    [
        "20269999T999999Z-00000000000000000000000000-000001",
        "20260230T000000Z-00000000000000000000000000-000001",
        "20260101T240000Z-00000000000000000000000000-000001",
        "20260101T000000Z-00000000000000000000000000-00001",
        "20260101T000000Z-00000000000000000000000000-0000001",
        "20260101T000000Z-00000000000000000000000000-" + "\u0660" * 6,
        "00000101T000000Z-00000000000000000000000000-000001",
    ],
)
def test_a_name_that_no_segment_can_have_is_no_stem(name: str) -> None:
    assert not layout.is_stem(name)
