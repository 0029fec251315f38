"""The watcher of a data directory: each look reads only what is new."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from recorder.clock import DAY_NS, NS, Clock, day
from recorder.record import damaged
from recorder.record.layout import Layout
from recorder.status import bucket, disk, process, tables
from recorder.status.conditions import REJECTED_WITHIN, UNWRITTEN
from recorder.status.connection_state import connection
from recorder.status.feed_watch import FeedWatch
from recorder.status.model import OPEN, CaptureStatus, Disk, FeedStatus, IngestStatus, Status
from recorder.status.problems import problems
from recorder.status.scene import Scene, limit_of
from recorder.status.tables import EVERY_NS, Facts, Past
from recorder.version import __version__

if TYPE_CHECKING:
    from recorder.settings.config import Settings


class Watcher:
    """Watches one data directory; only one thread may call `look` at a time.

    `config` names the feeds to record; without it, those that a process records or recorded last
    count. With `history=False` the watcher reads neither today's sealed files nor the database:
    figures of "today" are unknown, but the first look is quick.
    """

    def __init__(
        self,
        layout: Layout,
        config: Settings | None = None,
        clock: Clock | None = None,
        *,
        history: bool = True,
        space: disk.Space = disk.space,
    ) -> None:
        self.layout, self._config, self._clock = layout, config, clock or Clock()
        self._history, self._space = history, space
        self._feeds: dict[str, FeedWatch] = {}
        self._growth = disk.Growth()
        self._facts = Facts()
        self._past: Past | None = None
        self._published: tuple[int, int] | None = None
        self._asked_ns = 0
        self._day = 0
        self._limits: dict[str, float] = {}
        self._spooled: tuple[int, bucket.Waiting | None] = (0, None)

    def look(self) -> Status:
        """Return the current status; the first look also reads the existing files."""
        now_ns = self._clock.wall_ns()
        self._ask(now_ns)
        self._watch_feeds(now_ns)
        locks = process.locked()
        held = {
            name: process.holder(self.layout.journal_dir(name) / ".lock", locks)
            for name in self._feeds
        }
        feeds = tuple(
            self._feed(one, now_ns, recorded=held[name] is not None)
            for name, one in sorted(self._feeds.items())
        )
        scene = Scene(
            at_ns=now_ns,
            layout=self.layout,
            config=self._config,
            capture=self._capture(held, now_ns),
            ingest=self._ingest(locks),
            disk=self._disk(now_ns, feeds),
            feeds=feeds,
            lives={name: one.lives for name, one in self._feeds.items()},
            waiting={name: one.waiting for name, one in self._feeds.items()},
            waiting_since={name: one.waiting_since_ns for name, one in self._feeds.items()},
            damaged={name: damaged.count(self.layout, name) for name in self._feeds},
            database=self._facts.trouble,
            rejected=self._rejected(now_ns),
            limits=self._limits,
            spool=self._spool(now_ns),
        )
        return Status(
            at_ns=now_ns,
            data_dir=str(self.layout.root),
            host=self._host(),
            version=__version__,
            capture=scene.capture,
            ingest=scene.ingest,
            disk=scene.disk,
            feeds=feeds,
            problems=tuple(problems(scene)),
        )

    def close(self) -> None:
        """Close all files."""
        for one in self._feeds.values():
            one.close()

    # -- the tables

    def _ask(self, now_ns: int) -> None:
        """Query the published database if it is new; the first time for all of today."""
        there = tables.published(self.layout)
        first = self._asked_ns == 0
        if there == self._published or not (first or now_ns - self._asked_ns >= EVERY_NS):
            return
        self._published, self._asked_ns = there, now_ns
        if there is None:
            self._facts = Facts()
        elif not self._history:
            self._facts = Facts(trouble=tables.damaged(self.layout))
        else:
            since_ns = now_ns - now_ns % DAY_NS
            lately_ns = now_ns - REJECTED_WITHIN.ns
            found, past = tables.facts(self.layout, lately_ns, since_ns if first else None)
            if found.newest_ns is None and found.trouble is None:
                found = replace(self._facts, trouble=None)  # busy: keep the older facts
            self._facts, self._past = found, past

    def _rejected(self, now_ns: int) -> int | None:
        """Return how many recently received frames were rejected; None: not known."""
        if self._facts.rejected is None:
            return None
        lately = (now_ns - REJECTED_WITHIN.ns) // NS
        return sum(count for second, count in self._facts.rejected if second >= lately)

    def _spool(self, now_ns: int) -> bucket.Waiting | None:
        """Return the files that wait for the bucket, at most a few seconds old."""
        if now_ns - self._spooled[0] >= bucket.EVERY_NS:
            self._spooled = (now_ns, bucket.waiting(self.layout, self._config))
        return self._spooled[1]

    # -- the feeds

    def _watch_feeds(self, now_ns: int) -> None:
        for name in self.layout.feeds():
            if name not in self._feeds:
                one = FeedWatch(self.layout, name, self._grown(name))
                one.begin(self._past, now_ns, history=self._history)
                self._feeds[name] = one
        self._past = None
        today = now_ns // DAY_NS
        for one in self._feeds.values():
            one.look()
            if today != self._day:
                one.lives.forget(today * DAY_NS)
        self._day = today
        for name, one in self._feeds.items():
            if name not in self._limits:
                self._limits[name] = limit_of(name, _text(one.about.get("kind")), self._config)

    def _grown(self, feed: str) -> Callable[[str], None]:
        return lambda stem: self._growth.sealed(self.layout.parquet(feed, stem))

    def _feed(self, one: FeedWatch, now_ns: int, *, recorded: bool) -> FeedStatus:
        lives, day_ns = one.lives, now_ns - now_ns % DAY_NS
        gaps = lives.gaps(now_ns, recorded=recorded)
        since_ns = lives.since_ns or now_ns
        newest = tuple(
            connection(lives, known, gaps, now_ns, recorded=recorded) for known in lives.newest()
        )
        rates = [known.rates(now_ns, since_ns) for known in lives.known.values() if known.seconds]
        holes = [missing for at_ns, missing in lives.holes if at_ns >= day_ns]
        seconds = [(gap.seconds(day_ns, now_ns), gap.covered) for gap in gaps]
        limit_ns = int(self._limits[one.feed] * NS)
        alive = (
            (c.heard_ns or 0) + 2 * int((c.poll_seconds or 0) * NS)
            for c in newest
            if c.state == OPEN
        )
        heard = max(alive, default=0)
        return FeedStatus(
            name=one.feed,
            kind=_text(one.about.get("kind")),
            recorded=recorded,
            fresh=recorded and now_ns - heard <= limit_ns,
            last_frame_ns=lives.last_frame_ns,
            frames_per_second=sum(frames for frames, _ in rates),
            bytes_per_second=sum(size for _, size in rates),
            frames=lives.frames,
            bytes=lives.bytes,
            connections=newest,
            reconnects_today=lives.reconnects(day_ns) if self._history else None,
            gaps_today=len(gaps) + len(holes) if self._history else None,
            gap_seconds_today=sum(s for s, _ in seconds) if self._history else None,
            uncovered_seconds_today=(
                sum(s for s, covered in seconds if not covered) if self._history else None
            ),
            frames_missing_today=sum(holes) if self._history else None,
            backlog_bytes=one.backlog_bytes,
            today=self._facts.days.get((one.feed, day(now_ns))),
            yesterday=self._facts.days.get((one.feed, day(now_ns - DAY_NS))),
        )

    # -- the processes and the machine

    def _capture(self, held: dict[str, process.HeldLock | None], now_ns: int) -> CaptureStatus:
        running = {name: one for name, one in held.items() if one is not None}
        if not running:
            return CaptureStatus(running=False)
        oldest = min(running.values(), key=lambda one: one.since_ns)
        silent = [self._stuck(name, one, now_ns) for name, one in running.items()]
        stuck = any(silent) or disk.read_only(self.layout.journals)
        return CaptureStatus(True, oldest.pid, oldest.since_ns, stuck)

    def _stuck(self, name: str, held: process.HeldLock, now_ns: int) -> bool:
        """Return True if connections are open but nothing was written about them for too long.

        A recorder regularly notes the state of each open connection. If nothing it wrote is known,
        the age of its lock alone proves nothing.
        """
        lives = self._feeds[name].lives
        if lives.written_ns is None:
            return False
        every = self._config.capture.stats_seconds if self._config else 10.0
        patience = int(max(4 * every, UNWRITTEN.base) * NS)
        last = max(lives.written_ns, held.since_ns)
        is_open = any(one.closed_ns is None for one in lives.newest())
        return is_open and now_ns - last > patience

    def _ingest(self, locks: process.Locks) -> IngestStatus:
        held = process.holder(self.layout.work / ".lock", locks)
        at_ns, size = self._published or (None, None)
        facts = self._facts
        return IngestStatus(held is not None, facts.newest_ns, at_ns, size, facts.rejects)

    def _disk(self, now_ns: int, feeds: tuple[FeedStatus, ...]) -> Disk | None:
        backlog = sum(feed.backlog_bytes for feed in feeds)
        begun = (one.backlog_since_ns for one in self._feeds.values())
        since_ns = min((ns for ns in begun if ns is not None), default=None)
        rate = self._growth.rate(now_ns, backlog, since_ns)
        places = [self.layout.root, self.layout.journals, self.layout.raw]
        return disk.disk(places, rate, self._space)

    def _host(self) -> str:
        hosts = (_text(one.about.get("host")) for one in self._feeds.values())
        return next((host for host in hosts if host), None) or platform.node()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
