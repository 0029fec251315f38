"""Recorders in every state that the verdict has a word for: real files, a clock moved by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from kit.frames import T0
from kit.journals import Writer, seal_all
from kit.records import Published

from recorder import durable, frame
from recorder.clock import NS, Clock, Sync, ulid
from recorder.record.journal.writer import Stream
from recorder.record.layout import Layout
from recorder.settings.config import BucketSettings, FeedSettings, Settings
from recorder.status import Status, Watcher

FEED = "binance"


class World:
    """One machine: a feed that is recorded on line A, its disk, its kernel's clock."""

    def __init__(self, root: Path) -> None:
        self.root, self.layout = root, Layout(root)
        self.settings: dict[str, Any] = {"feeds": {FEED: FeedSettings()}}
        self.free_bytes, self.synchronised = 1 << 40, True
        self.writer = Writer(root, FEED)
        self.locks: dict[str, int] = {}
        self.lines: dict[str, Stream] = {}
        self.record = Published(root)

    # -- what happens

    def begin(self) -> None:
        """Capture begins and connects line A."""
        self.claim(FEED)
        self.open("A")
        self.live(20)

    def claim(self, feed: str) -> None:
        """A process begins to record a feed."""
        path = self.layout.journal_dir(feed) / ".lock"
        self.locks[feed] = durable.claim(path, "a test")
        os.utime(path, ns=(self.now, self.now))

    def ingest(self) -> None:
        """Ingest everything and publish, now."""
        self.record.ingest()
        os.utime(self.layout.database, ns=(self.now, self.now))

    def keep_ingesting(self) -> None:
        """Ingest is a running process."""
        self.locks["ingest"] = durable.claim(self.layout.work / ".lock", "a test")

    def die(self, name: str = FEED) -> None:
        """A process ends: the kernel drops its lock."""
        os.close(self.locks.pop(name))

    def open(self, line: str) -> None:
        self.lines[line] = self.writer.open(line)

    def close(self, line: str) -> None:
        self.writer.close(self.lines.pop(line), reason="closed 1006 gone")

    def live(self, seconds: int, *, heard: bool = True, **told: Any) -> None:
        """Pass time; capture notes every 10 s that its connections are open."""
        for _ in range(seconds // 10):
            self.writer.now += 10 * NS
            for line, stream in self.lines.items():
                self.note(stream, line, **({"heard_ns": self.now} if heard else {}), **told)
        self.writer.now += seconds % 10 * NS

    def note(self, stream: Stream, line: str, **told: Any) -> None:
        clock = {"synchronised": self.synchronised, "error_ns": 1_000}
        self.writer.mark(stream, frame.STATS, line=line, group="all", clock=clock, **told)

    def wait(self, seconds: float) -> None:
        """Pass time; capture writes nothing."""
        self.writer.now += int(seconds * NS)

    # -- what is seen

    @property
    def now(self) -> int:
        return self.writer.now

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.writer.now, lambda: self.writer.now - T0)

    @property
    def config(self) -> Settings:
        return Settings(data_dir=self.root, **self.settings)

    def space(self, places: object) -> tuple[int, int]:
        """Free and total bytes, in place of the file system's answer."""
        return self.free_bytes, 1 << 41

    def sync(self) -> Sync:
        """The kernel's answer."""
        return Sync(self.synchronised, error_ns=1_000, offset_ns=0)

    def look(self, *, history: bool = True) -> Status:
        """One call of `recorder status`; without history, of `recorder health`."""
        watcher = Watcher(self.layout, self.config, self.clock, history=history, space=self.space)
        try:
            return watcher.look()
        finally:
            watcher.close()

    def end(self) -> None:
        for name in list(self.locks):
            self.die(name)


@dataclass(frozen=True)
class Scene:
    """What happens to a recorder that is well, and which conditions hold then."""

    name: str
    happen: Callable[[World], None]
    conditions: frozenset[str] = frozenset()
    before: Callable[[World], None] = field(default=World.begin)


SCENES: list[Scene] = []


def scene(*conditions: str, before: Callable[[World], None] = World.begin) -> Any:
    def add(happen: Callable[[World], None]) -> Callable[[World], None]:
        SCENES.append(Scene(happen.__name__, happen, frozenset(conditions), before))
        return happen

    return add


def nothing(world: World) -> None:
    """No recorder was ever here."""


def two_lines(world: World) -> None:
    world.claim(FEED)
    world.open("A")
    world.open("B")
    world.live(20)


def tables(world: World) -> None:
    world.begin()
    world.writer.put(world.lines["A"], *[b"no JSON"] * 9)
    world.ingest()
    world.keep_ingesting()


@scene()
def all_is_well(world: World) -> None:
    world.live(600)


@scene(before=tables)
def all_is_well_with_tables(world: World) -> None:
    world.live(200)


@scene("nothing_recorded", before=nothing)
def an_empty_directory(world: World) -> None:
    world.settings = {}


@scene("capture_stopped")
def capture_stops(world: World) -> None:
    world.die()
    world.wait(60)


@scene("feed_not_recorded")
def a_feed_is_configured_and_not_recorded(world: World) -> None:
    world.settings["feeds"]["other"] = FeedSettings(kind="generic")
    world.live(10)


@scene("feed_never_connected")
def a_feed_never_connects(world: World) -> None:
    world.claim("other")
    world.live(60)


@scene("feed_away")
def the_only_line_stays_away(world: World) -> None:
    world.close("A")
    world.wait(60)


@scene("feed_silent")
def the_only_line_is_silent(world: World) -> None:
    world.live(600, heard=False)


@scene("feed_gave_up")
def the_only_line_makes_no_attempt(world: World) -> None:
    world.close("A")
    world.wait(1000)


@scene("credentials_refused")
def the_key_is_refused(world: World) -> None:
    world.close("A")
    told = {"line": "A", "group": "all", "opened": False, "code": 401}
    attempt = Stream(ulid(world.now, os.urandom(10)))
    world.writer.mark(attempt, frame.CLOSED, reason="credentials refused (HTTP 401)", **told)
    world.wait(60)


@scene("line_away", before=two_lines)
def a_redundant_line_is_lost(world: World) -> None:
    world.close("A")
    world.live(60)


@scene("line_away", before=two_lines)
def a_redundant_line_is_silent(world: World) -> None:
    silent = world.lines.pop("A")
    for _ in range(60):
        world.live(10)
        world.note(silent, "A")


@scene("gap_uncovered")
def the_only_line_reconnects(world: World) -> None:
    world.close("A")
    world.wait(12)
    world.open("A")
    world.live(20)


@scene("gap_uncovered")
def frames_are_missing_by_number(world: World) -> None:
    world.lines["A"].next_seq += 7
    world.live(20)


@scene("gap_covered", before=two_lines)
def a_redundant_line_reconnects(world: World) -> None:
    world.close("A")
    world.live(10)
    world.open("A")
    world.live(20)


@scene("journal_unwritable")
def the_journal_takes_nothing(world: World) -> None:
    world.wait(55)


@scene("disk_full")
def half_a_gigabyte_is_free(world: World) -> None:
    world.free_bytes = 500_000_000
    world.live(10)


def record_quickly(world: World) -> float:
    """Record about 300 kB a second; return how fast the record grows, bytes a second."""
    for _ in range(7):
        world.live(10)
        world.writer.put(world.lines["A"], *[b"x" * 300_000] * 10)
    disk = world.look().disk
    assert disk is not None and disk.bytes_per_second is not None
    assert 200_000 < disk.bytes_per_second < 310_000
    return disk.bytes_per_second


@scene("disk_full")
def the_disk_is_full_in_an_hour_and_a_half(world: World) -> None:
    world.free_bytes = int(record_quickly(world) * 1.5 * 3600)
    assert world.free_bytes > 1 << 30


@scene("disk_filling")
def the_disk_is_full_in_half_a_day(world: World) -> None:
    world.free_bytes = int(record_quickly(world) * 12 * 3600)


@scene("journals_unsealed")
def nothing_is_sealed(world: World) -> None:
    for _ in range(14):
        world.live(10)
        world.writer.finish()
    world.live(10)


@scene("journals_unsealed")
def the_child_that_seals_hangs(world: World) -> None:
    world.live(10)
    world.writer.finish()
    world.live(620)


@scene()
def a_journal_was_finished_some_minutes_ago(world: World) -> None:
    world.live(10)
    world.writer.finish()
    world.live(500)


@scene("files_damaged")
def a_journal_cannot_be_read(world: World) -> None:
    world.live(10)
    world.writer.finish()
    [stem, *_] = world.layout.active(FEED)
    path = world.layout.journal(FEED, stem)
    path.write_bytes(b"JB9 of another version" + path.read_bytes())
    seal_all(world.layout)
    world.live(10)


def with_a_bucket(world: World, spool_gb: float) -> None:
    """Sealed files wait for a bucket."""
    world.live(10)
    world.writer.finish()
    seal_all(world.layout)
    world.live(10)
    bucket = world.root.parent / f"{world.root.name}-bucket"
    world.settings |= {"raw_url": bucket.as_uri(), "bucket": BucketSettings(spool_gb=spool_gb)}
    for path in world.layout.raw.rglob("*.parquet"):
        os.utime(path, ns=(world.now, world.now))


def sealed_gb(world: World) -> float:
    return sum(path.stat().st_size for path in world.layout.raw.rglob("*.parquet")) / 1e9


@scene("spool_full")
def more_waits_for_the_bucket_than_may(world: World) -> None:
    with_a_bucket(world, 1e-9)


@scene("spool_filling")
def almost_as_much_waits_for_the_bucket_as_may(world: World) -> None:
    with_a_bucket(world, 1.0)
    world.settings["bucket"] = BucketSettings(spool_gb=sealed_gb(world) / 0.9)


@scene("spool_waiting")
def a_file_waits_for_the_bucket(world: World) -> None:
    with_a_bucket(world, 1.0)
    world.live(1000)


@scene("ingest_stopped", before=tables)
def ingest_stops(world: World) -> None:
    world.die("ingest")
    world.live(20)


@scene("tables_behind", before=tables)
def ingest_does_not_keep_up(world: World) -> None:
    world.live(400)


@scene("database_damaged", before=tables)
def the_database_is_damaged(world: World) -> None:
    world.layout.database.unlink()
    world.layout.database.write_bytes(b"no database at all" * 1000)
    world.live(10)


@scene("database_version", before=tables)
def the_database_is_of_another_version(world: World) -> None:
    with duckdb.connect(str(world.layout.database.resolve())) as db:
        db.execute("UPDATE about SET value = '0' WHERE name = 'schema'")
    os.utime(world.layout.database, ns=(world.now, world.now))
    world.live(10)


@scene("rejects_rising", before=tables)
def frames_are_rejected(world: World) -> None:
    world.writer.put(world.lines["A"], b"no JSON")
    world.die("ingest")
    world.ingest()
    world.keep_ingesting()
    world.live(10)


@scene("clock_unsynchronised")
def the_clock_is_not_synchronised(world: World) -> None:
    world.synchronised = False
    world.live(10)


@scene("disk_full", "line_away", "clock_unsynchronised", "journals_unsealed", before=two_lines)
def much_is_wrong_at_once(world: World) -> None:
    world.free_bytes, world.synchronised = 0, False
    world.close("B")
    nothing_is_sealed(world)
