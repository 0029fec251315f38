"""The watcher follows a record that is being written, and counts each frame once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from kit.frames import T0
from kit.journals import Writer, seal_all
from kit.records import Published

from recorder import durable, frame
from recorder.clock import NS, Clock, ulid
from recorder.record.journal.writer import Stream
from recorder.record.layout import Layout
from recorder.settings.config import FeedSettings, Settings
from recorder.status import CLOSED, CRITICAL, LOST, OPEN, Status, Watcher

FEED = "binance"


class Scene:
    """A feed being recorded, its clock moved by hand, and who watches it."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.lock = durable.claim(self.layout.journal_dir(FEED) / ".lock", "a test")
        self.writer = Writer(root, FEED, rotate_bytes=4_000)
        self.clock = Clock(lambda: self.writer.now, lambda: self.writer.now)
        self.watcher = self.another()

    def another(self, *, history: bool = True, config: Settings | None = None) -> Watcher:
        return Watcher(self.layout, config, self.clock, history=history)

    def look(self) -> Status:
        return self.watcher.look()

    def wait(self, seconds: float) -> None:
        self.writer.now += int(seconds * NS)

    def die(self) -> None:
        os.close(self.lock)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    found = Scene(tmp_path)
    yield found
    found.watcher.close()


def whats(status: Status) -> list[str]:
    return [problem.what for problem in status.problems if problem.severity == CRITICAL]


def test_a_connection_is_seen_with_its_rate(scene: Scene) -> None:
    stream = scene.writer.open()
    for _ in range(40):
        scene.wait(0.249)  # a write moves the clock by 1 ms
        scene.writer.put(stream, b"12345", b"67890")
    status = scene.look()
    [feed] = status.feeds
    [one] = feed.connections
    assert (feed.kind, feed.recorded, feed.fresh, feed.frames, feed.bytes) == (
        FEED, True, True, 80, 400,
    )  # fmt: skip
    assert one.state == OPEN and one.line == "A" and one.uptime == 1.0
    assert 7.0 <= feed.frames_per_second <= 9.0
    assert status.capture.running and status.capture.pid == os.getpid()
    assert status.healthy and status.ready and status.problems == ()


def test_each_frame_is_counted_once_whatever_becomes_of_its_journal(scene: Scene) -> None:
    stream, put = scene.writer.open(), 0
    for turn in range(60):
        for _ in range(turn % 5):
            scene.writer.put(stream, b"x" * 300)
            put += 1
        if turn % 3 == 0:
            scene.writer.beat()  # closes what was rotated
        if turn % 7 == 0:
            seal_all(scene.layout)
        if turn % 4 == 0:
            assert scene.look().feeds[0].frames == put
    scene.writer.finish()
    seal_all(scene.layout)
    [feed] = scene.look().feeds
    assert feed.frames == put
    assert (feed.gaps_today, feed.frames_missing_today, feed.backlog_bytes) == (0, 0, 0)


def test_segments_that_came_and_went_between_two_looks_are_counted(scene: Scene) -> None:
    stream = scene.writer.open()
    scene.look()
    for _ in range(40):
        scene.writer.put(stream, b"x" * 300)
        scene.writer.beat()
        seal_all(scene.layout)
    assert len(scene.layout.sealed(FEED)) > 1
    assert scene.look().feeds[0].frames == 40


def test_a_gap_counts_from_the_last_proof_of_life_and_is_covered_by_the_other_line(
    scene: Scene,
) -> None:
    a, b = scene.writer.open("A"), scene.writer.open("B")
    scene.wait(10)
    scene.writer.put(a, b"a")
    scene.writer.put(b, b"b")
    scene.writer.close(a)
    scene.wait(20)
    scene.writer.put(b, b"b")
    scene.writer.mark(b, frame.STATS, line="B", group="all", heard_ns=scene.writer.now)
    lasting = scene.look()
    assert [one.state for one in lasting.feeds[0].connections] == [CLOSED, OPEN]
    scene.wait(10)
    scene.writer.open("A")
    scene.writer.mark(b, frame.STATS, line="B", group="all", heard_ns=scene.writer.now)
    [feed] = scene.look().feeds
    assert feed.gap_seconds_today == pytest.approx(30, abs=0.1)
    assert (feed.gaps_today, feed.uncovered_seconds_today, feed.reconnects_today) == (1, 0, 1)
    assert feed.connections[0].uptime == pytest.approx(0.25, abs=0.01)


def test_lost_frames_are_told_by_number(scene: Scene) -> None:
    stream = scene.writer.open()
    scene.writer.put(stream, b"x")
    stream.next_seq += 7
    scene.writer.put(stream, b"y")
    [feed] = scene.look().feeds
    assert (feed.gaps_today, feed.frames_missing_today) == (1, 7)


def test_a_line_that_stays_away_is_a_problem_after_a_while(scene: Scene) -> None:
    stream = scene.writer.open()
    scene.writer.put(stream, b"x")
    scene.writer.close(stream, reason="closed 1006 gone")
    scene.wait(10)
    assert whats(scene.look()) == []
    scene.wait(80)
    status = scene.look()
    assert whats(status) == ["not connected for 1m30s: closed 1006 gone"]
    assert not status.healthy and not status.ready


def test_retries_do_not_hide_how_long_a_line_is_away(scene: Scene) -> None:
    for _ in range(9):
        told = {"line": "A", "group": "all", "opened": False, "code": 503}
        attempt = Stream(ulid(scene.writer.now, os.urandom(10)))
        scene.writer.mark(attempt, frame.CLOSED, reason="refused (HTTP 503)", **told)
        scene.wait(10)
    assert whats(scene.look()) == ["cannot connect for 1m30s: refused (HTTP 503)"]


def test_a_refused_key_is_named_with_its_variable(scene: Scene) -> None:
    stream = scene.writer.open()
    scene.writer.close(stream, code=1000, reason="the stream is over")
    told = {"line": "A", "group": "all", "opened": False, "code": 401}
    attempt = Stream("01ZZZZZZZZZZZZZZZZZZZZZZZZ")
    scene.writer.mark(attempt, frame.CLOSED, reason="credentials refused (HTTP 401)", **told)
    [problem] = [one for one in scene.look().problems if one.severity == CRITICAL]
    assert problem.what == "gave up: credentials refused (HTTP 401)"
    assert "RECORDER_BINANCE_KEY" in problem.next


def test_silence_and_a_journal_that_takes_nothing_are_told(scene: Scene) -> None:
    stream = scene.writer.open()
    scene.writer.put(stream, b"x")
    scene.wait(600)
    durable_since = scene.layout.journal_dir(FEED) / ".lock"
    os.utime(durable_since, ns=(T0, T0))
    status = scene.look()
    assert any("silent for 10m" in what for what in whats(status))
    assert status.capture.unwritable and not status.ready


def test_a_recorder_that_died_leaves_its_connections_lost(scene: Scene) -> None:
    stream = scene.writer.open()
    scene.writer.put(stream, b"x")
    assert scene.look().feeds[0].connections[0].state == OPEN
    scene.die()
    scene.wait(5)
    status = scene.look()
    assert status.feeds[0].connections[0].state == LOST
    assert not status.capture.running
    assert any(what.startswith("capture is not running") for what in whats(status))
    assert status.feeds[0].gap_seconds_today == pytest.approx(5, abs=0.1)
    scene.lock = os.open(os.devnull, os.O_RDONLY)


def test_it_goes_on_from_the_tables_and_what_they_have_not_seen(scene: Scene) -> None:
    writer = scene.writer
    first = writer.open()
    writer.put(first, *[b"x" * 300] * 20)
    scene.wait(30)
    writer.close(first)
    scene.wait(30)
    second = writer.open()
    writer.finish()
    seal_all(scene.layout)
    writer.put(second, b"in the tables")
    record = Published(scene.layout.root)
    record.ingest()
    writer.put(second, b"x" * 4_000, b"beyond them, sealed")
    writer.finish()
    seal_all(scene.layout)
    writer.put(second, b"in the journal")
    ingested = Watcher(Layout(scene.layout.root), None, scene.clock).look()
    assert ingested.ingest.newest_ns is not None and ingested.ingest.rejects == 21
    [feed] = ingested.feeds
    assert (feed.gaps_today, feed.reconnects_today, feed.frames_missing_today) == (1, 1, 0)
    scene.layout.database.unlink()
    [alone] = scene.another().look().feeds
    assert (alone.gaps_today, alone.reconnects_today, alone.frames_missing_today) == (1, 1, 0)
    assert alone.gap_seconds_today == feed.gap_seconds_today


def test_a_damaged_database_is_a_problem_and_nothing_else_suffers(scene: Scene) -> None:
    stream = scene.writer.open()
    scene.writer.put(stream, b"x")
    scene.layout.database.write_bytes(b"no database at all" * 1000)
    for history in (True, False):
        status = scene.another(history=history).look()
        [problem] = status.problems
        assert problem.severity == CRITICAL and "--rebuild" in problem.next
        assert problem.where == str(scene.layout.database)
        assert status.feeds[0].frames == 1


def test_what_is_configured_and_not_recorded_is_told(scene: Scene) -> None:
    scene.writer.put(scene.writer.open(), b"x")
    config = Settings(feeds={FEED: FeedSettings(), "other": FeedSettings(kind="generic")})
    [problem] = scene.another(config=config).look().problems
    assert (problem.where, problem.what) == ("other", "configured, but no process records it")


def test_a_new_day_begins_at_nought(scene: Scene) -> None:
    stream = scene.writer.open()
    scene.writer.put(stream, b"x")
    scene.writer.close(stream)
    scene.wait(60)
    second = scene.writer.open()
    scene.writer.put(second, b"x")
    assert scene.look().feeds[0].gaps_today == 1
    scene.wait(86_400)
    scene.writer.put(second, b"x")
    [feed] = scene.look().feeds
    assert (feed.gaps_today, feed.reconnects_today, feed.gap_seconds_today) == (0, 0, 0)
    assert feed.frames == 3


def test_damage_in_a_journal_is_skipped(scene: Scene) -> None:
    stream = scene.writer.open()
    scene.writer.put(stream, b"good")
    [stem] = scene.layout.active(FEED)
    path = scene.layout.journal(FEED, stem)
    before = path.stat().st_size
    scene.writer.put(stream, b"to be damaged")
    with path.open("r+b") as file:
        file.seek(before)
        file.write(b"????")
    scene.writer.put(stream, b"good")
    [feed] = scene.look().feeds
    assert (feed.frames, feed.frames_missing_today) == (2, 1)


def test_an_empty_directory_says_what_to_do(tmp_path: Path) -> None:
    status = Watcher(Layout(tmp_path)).look()
    assert whats(status) == ["nothing is recorded here"]
    assert "recorder capture" in status.problems[0].next
    assert status.feeds == () and not status.ready


def test_a_status_survives_json(scene: Scene) -> None:
    scene.writer.put(scene.writer.open(), b"x")
    status = scene.look()
    assert msgspec.json.decode(msgspec.json.encode(status.as_dict()), type=Status) == status
