"""A quiet feed whose every frame is in the tables already is as healthy as a busy one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.frames import T0
from kit.journals import Writer, seal_all
from kit.records import Published

from recorder import durable, frame
from recorder.clock import NS, Clock
from recorder.record.journal.writer import Stream
from recorder.record.layout import Layout
from recorder.status import Status, Watcher

FEED = "binance"


class Quiet:
    """A feed that sends a frame a minute and whose tables are up to date; the clock is ours."""

    def __init__(self, root: Path) -> None:
        self.record = Published(root)
        self.lock = durable.claim(Layout(root).journal_dir(FEED) / ".lock", "a test")
        os.utime(Layout(root).journal_dir(FEED) / ".lock", ns=(T0, T0))
        self.writer = Writer(root, FEED)
        self.stream: Stream = self.writer.open()
        self.writer.put(self.stream, b"the only frame")

    def live(self, seconds: int) -> None:
        """Pass time; capture notes every 10 s that the connection is alive."""
        for _ in range(seconds // 10):
            self.writer.now += 10 * NS
            now = self.writer.now
            self.writer.mark(self.stream, frame.STATS, line="A", group="all", heard_ns=now)

    def ask(self, *, history: bool) -> Status:
        """One call of `recorder status`, or (without history) of `recorder health`."""
        clock = Clock(lambda: self.writer.now, lambda: self.writer.now)
        watcher = Watcher(self.record.layout, None, clock, history=history)
        found = watcher.look()
        watcher.close()
        return found


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Quiet]:
    made = Quiet(tmp_path)
    yield made
    os.close(made.lock)


def same(quiet: Quiet) -> Status:
    """The status, whose verdict `health` must share."""
    status, health = quiet.ask(history=True), quiet.ask(history=False)
    assert status.problems == health.problems
    assert status.capture == health.capture
    return status


def test_status_and_health_agree_when_the_tables_are_up_to_date(quiet: Quiet) -> None:
    for _ in range(6):
        quiet.live(60)
        quiet.record.ingest()
        quiet.writer.now += 5 * NS
        status = same(quiet)
        assert status.healthy and not status.capture.unwritable and status.problems == ()
        [feed] = status.feeds
        [other] = quiet.ask(history=False).feeds
        assert feed.fresh and feed.frames == 1
        for name in ("frames", "fresh", "last_frame_ns", "frames_per_second", "bytes_per_second"):
            assert getattr(feed, name) == getattr(other, name)


def test_the_moment_after_a_rotation_proves_nothing(quiet: Quiet) -> None:
    quiet.live(120)
    quiet.writer.finish()
    quiet.writer.put(quiet.stream, b"the first of the next journal")
    seal_all(quiet.record.layout)
    quiet.writer.finish()
    seal_all(quiet.record.layout)
    quiet.record.ingest()
    quiet.writer.now += 5 * NS
    assert quiet.record.layout.active(FEED) == []
    assert same(quiet).healthy


def test_a_frame_in_the_tables_and_in_the_journal_is_counted_once(quiet: Quiet) -> None:
    quiet.live(20)
    quiet.record.ingest()
    quiet.writer.put(quiet.stream, b"not in the tables yet")
    [feed] = quiet.ask(history=True).feeds
    assert [one.frames for one in feed.connections] == [2]
    assert (feed.gaps_today, feed.frames_missing_today) == (0, 0)


def test_a_journal_that_takes_nothing_is_still_found(quiet: Quiet) -> None:
    quiet.live(60)
    quiet.record.ingest()
    quiet.writer.now += 50 * NS
    assert same(quiet).capture.unwritable
