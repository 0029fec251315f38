"""The record as one stream: order, ranges, gaps in place, journals, what is refused."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest.journals import Writer
from kit.effort import examples

import recorder
from recorder import frame as kinds
from recorder.clock import iso
from recorder.errors import DataError, RecorderError, UsageError
from recorder.frame import Frame
from recorder.player.iterate import Played

from .records import MS, T0, frames_of, marker, name, write


def replayed(root: Path, **options: object) -> list[Played]:
    return list(recorder.replay(data_dir=root, **options))  # type: ignore[arg-type]


def order(frame: Played) -> tuple[int, str, int]:
    return (frame.recv_ns, frame.connection, frame.seq)


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[str, int, list[list[Frame]]]]:
    """Runs of some feeds: each a few connections that interleave, cut into files."""
    found = []
    for run in range(draw(st.integers(1, 4))):
        feed = draw(st.sampled_from(["a", "b"]))
        now, seqs, written = T0 + draw(st.integers(0, 3)) * 1000 * MS, {}, []
        for _ in range(draw(st.integers(1, 30))):
            now += draw(st.sampled_from([0, 0, 1, MS, 700 * MS]))
            connection = run * 10 + draw(st.integers(0, 2))
            seq = seqs.get(connection, 0)
            seqs[connection] = seq + 1
            payload = b"%d" % len(written)
            written.append(Frame(now, now - T0, seq, name(connection), "text", payload))
        written.sort(key=lambda f: f.recv_ns)
        size = draw(st.integers(1, 30))
        found.append((feed, run, [written[i : i + size] for i in range(0, len(written), size)]))
    return found


@settings(max_examples=examples(40))
@given(runs(), st.integers(1, 7))
def test_frames_come_in_order_over_files_runs_and_feeds(
    found: list[tuple[str, int, list[list[Frame]]]], group: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        expected = []
        for feed, run, files in found:
            for number, frames in enumerate(files, 1):
                write(Path(place), feed, frames, run=run, number=number, group=group)
                expected += [Played(*frame, feed) for frame in frames]
        got = replayed(Path(place))
    assert got == sorted(expected, key=order)


def test_a_clock_that_was_set_back_changes_no_order_on_a_connection(tmp_path: Path) -> None:
    first = frames_of([b"1", b"2"], at=T0 + 5_000 * MS)
    later = frames_of([b"3", b"4"], at=T0 + 2_000 * MS, seq=2)
    last = frames_of([b"5"], at=T0 + 9_000 * MS, seq=4)
    write(tmp_path, "a", [*first, *later, *last])
    write(tmp_path, "b", frames_of([b"other"], at=T0 + 6_000 * MS, connection=2), run=2)
    got = replayed(tmp_path)
    assert [frame.payload for frame in got] == [b"1", b"2", b"3", b"4", b"other", b"5"]
    assert got[2].recv_ns == T0 + 2_000 * MS


def test_a_range_begins_with_its_start_and_ends_before_its_end(tmp_path: Path) -> None:
    write(tmp_path, "a", frames_of([b"%d" % i for i in range(10)]), group=3)
    got = replayed(tmp_path, start=T0 + 2 * MS, end=T0 + 5 * MS)
    assert [frame.payload for frame in got] == [b"2", b"3", b"4"]
    assert [f.payload for f in replayed(tmp_path, end=T0 + MS)] == [b"0"]
    assert len(replayed(tmp_path, start="2026-09-21T14:13:20Z", feeds="a")) == 10


def test_journals_still_being_written_are_read_after_sealed_files(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "binance")
    stream = writer.open()
    writer.put(stream, b'{"a":1}', b"\xff\x00")
    writer.beat()
    got = replayed(tmp_path)
    assert [(f.kind, f.payload) for f in got[1:]] == [("text", b'{"a":1}'), ("text", b"\xff\x00")]
    assert got[0].kind == "open"
    assert {frame.feed for frame in got} == {"binance"}


async def test_the_asynchronous_iterator_gives_the_same(sample: Path) -> None:
    replay = recorder.replay(data_dir=sample)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    found = [frame async for frame in replay]
    task.cancel()
    assert found == list(replay)
    assert len(found) > 1000
    assert turns > 1


async def test_at_a_speed_both_iterators_give_the_same(tmp_path: Path) -> None:
    write(tmp_path, "a", frames_of([b"1", b"2", b"3"], step=2 * MS))
    paced = recorder.replay(data_dir=tmp_path, speed=2)
    assert [f.payload for f in paced] == [b"1", b"2", b"3"] == [f.payload async for f in paced]


def test_channels_keep_their_frames_and_all_markers(sample: Path) -> None:
    every = replayed(sample, feeds="smartmoney")
    some = replayed(sample, feeds="smartmoney", channels=["derivatives:funding"])
    mine = (b'"type":"funding_rate"', b'"channel":"derivatives:funding"')
    funding = [f for f in every if f.kind != "text" or any(word in f.payload for word in mine)]
    assert some == funding
    assert 100 < len([f for f in some if f.kind == "text"]) < len(every) / 2


# -- gaps


def gaps(frames: list[Played]) -> list[tuple[int, dict[str, object]]]:
    return [(i, json.loads(f.payload)) for i, f in enumerate(frames) if f.seq == -1]


def test_a_gap_comes_before_the_frame_that_ends_it_with_its_cause(tmp_path: Path) -> None:
    heard = T0 + 10 * MS
    frames = [
        marker("open", T0),
        *frames_of([b"1"], at=T0 + MS, seq=1),
        marker("closed", T0 + 60 * MS, 2, opened=True, reason="no heartbeat", heard_ns=heard),
        marker("closed", T0 + 70 * MS, 0, 2, opened=False, reason="refused"),
        marker("open", T0 + 90 * MS, 0, 3),
        *frames_of([b"2"], at=T0 + 91 * MS, seq=1, connection=3),
    ]
    write(tmp_path, "a", frames)
    got = replayed(tmp_path)
    assert [f.payload for f in got if f.kind == "text"] == [b"1", b"2"]
    told = {"line": "A", "from_ns": heard, "to_ns": T0 + 91 * MS, "cause": "no heartbeat"}
    assert gaps(got) == [(5, told)]
    assert (got[4].kind, got[6].payload) == ("open", b"2")


def test_a_recorder_that_was_killed_leaves_a_gap(tmp_path: Path) -> None:
    write(tmp_path, "a", [marker("open", T0), *frames_of([b"1"], at=T0 + MS, seq=1)])
    again = [
        marker("open", T0 + 40 * MS, connection=2),
        *frames_of([b"2"], at=T0 + 50 * MS, seq=1, connection=2),
    ]
    write(tmp_path, "a", again, run=2)
    [(_, gap)] = gaps(replayed(tmp_path))
    assert gap["cause"] == "the recorder ended without closing"
    assert (gap["from_ns"], gap["to_ns"]) == (T0 + MS, T0 + 50 * MS)
    # The same where the range begins within the gap.
    [(_, gap)] = gaps(replayed(tmp_path, start=T0 + 20 * MS))
    assert gap["from_ns"] == T0 + MS


def test_a_handover_is_no_gap(tmp_path: Path) -> None:
    frames = [
        marker("open", T0),
        marker("open", T0 + 10 * MS, connection=2),
        marker("closed", T0 + 20 * MS, 1, opened=True, reason="planned reconnect"),
        *frames_of([b"1"], at=T0 + 30 * MS, seq=1, connection=2),
    ]
    write(tmp_path, "a", frames)
    assert gaps(replayed(tmp_path)) == []


def test_numbers_left_out_are_a_gap(tmp_path: Path) -> None:
    write(tmp_path, "a", [*frames_of([b"1", b"2"]), *frames_of([b"9"], at=T0 + 9 * MS, seq=8)])
    [(place, gap)] = gaps(replayed(tmp_path))
    assert place == 2
    assert gap["cause"] == "the journal was damaged"
    assert gap["from_ns"] == T0 + MS


# -- what is refused


def test_a_range_without_a_frame_says_what_is_around_it_and_why(tmp_path: Path) -> None:
    told = {"opened": True, "reason": "stopping", "heard_ns": T0 + MS}
    ended = marker("closed", T0 + 5 * MS, 1, **told)
    write(tmp_path, "a", [marker("open", T0), ended])
    later = T0 + 7_200_000 * MS
    write(tmp_path, "a", [marker("open", later, connection=2)], run=2)
    with pytest.raises(DataError, match="nothing was recorded of a") as found:
        replayed(tmp_path, start=T0 + 60_000 * MS, end=T0 + 120_000 * MS)
    assert "the recorder was stopped" in found.value.hint
    assert iso(T0) in found.value.hint
    assert iso(later) in found.value.hint
    with pytest.raises(DataError) as found:
        replayed(tmp_path, end=T0 - 60_000 * MS)
    assert iso(T0) in found.value.hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feeds": "smartmony"}, "did you mean 'smartmoney'"),
        ({"start": "soon"}, "'soon' is not a time"),
        ({"start": T0, "end": T0}, "empty range"),
        ({"speed": 0}, "is not a speed"),
        ({"speed": "fast"}, "is not a speed"),
    ],
)
def test_a_mistake_is_refused_at_once(
    sample: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as found:
        recorder.replay(data_dir=sample, **options)  # type: ignore[arg-type]
    assert message in str(found.value)


def test_channels_of_a_feed_that_names_none_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "mine", frames_of([b"1"]))
    with pytest.raises(UsageError, match="name no channels"):
        recorder.replay(data_dir=tmp_path, channels=["x"])


def test_nothing_recorded_at_all_says_how_to_record(tmp_path: Path) -> None:
    with pytest.raises(RecorderError, match="nothing is recorded here"):
        recorder.replay(data_dir=tmp_path)


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a", frames_of([b"1"]))
    frames = pq.read_table(path, partitioning=None)
    pq.write_table(frames.replace_schema_metadata({"recorder.schema": "2"}), path)
    with pytest.raises(DataError, match="another version") as found:
        replayed(tmp_path)
    assert str(path) in str(found.value)
    assert "update" in found.value.hint


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a", frames_of([b"1"]))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read") as found:
        replayed(tmp_path)
    assert str(path) in str(found.value)


def test_the_kinds_are_those_of_the_record(sample: Path) -> None:
    assert {frame.kind for frame in replayed(sample)} <= set(kinds.KINDS.values())
