"""The recording of one feed: its lock, its journal, its lines, and their tasks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from recorder import durable, frame
from recorder.capture.catalogue import marker_payload
from recorder.capture.drift import LoopLag
from recorder.capture.polled_line import PolledLine
from recorder.capture.sealer import Sealer
from recorder.capture.sources import FeedSource, missing
from recorder.clock import NS, Clock, ulid
from recorder.feed import CREDENTIALS, Plan
from recorder.record.journal import sync
from recorder.record.journal.writer import UNNAMED, Journal, Limits, Reports, Stream
from recorder.record.layout import Layout
from recorder.redact import Redactor
from recorder.session.bounds import Bounds, Intake
from recorder.session.budget import Budget
from recorder.session.line import Line
from recorder.session.link import Wiring
from recorder.settings.config import CaptureSettings
from recorder.version import __version__

#: The reason in a removed line's last marker, and so the cause of the gap that follows.
_REMOVED = "no longer configured"

#: A line: its plan's group, which of the plans of that name, the number of the line.
_Key = tuple[str, int, int]

AnyLine = Line | PolledLine


@dataclass(frozen=True, slots=True)
class Room:
    """The parts that all recordings of one capture share."""

    layout: Layout
    settings: CaptureSettings
    redactor: Redactor
    log: Any
    clock: Clock
    sealer: Sealer
    lag: LoopLag
    intake: Intake
    bounds: Bounds
    revive_seconds: float | None = None  # a line that gave up starts again after this time


class Recording:
    """One feed being recorded. It takes the feed's lock; `close` releases it.

    `options` say how to connect (`sources.connect_options`).

    Raises:
        BusyError: another process records this feed here.
    """

    def __init__(self, room: Room, source: FeedSource, options: dict[str, Any]) -> None:
        self._room, self.source = room, source
        self._lock = _claim(room.layout, source.name)
        self._about: dict[str, object] = {
            "recorder": __version__,
            "host": platform.node(),
            "kind": source.feed.kind,
        }
        self.journal = self._new_journal()
        self._wiring = self._new_wiring(options)
        self._budgets: dict[str, Budget] = {}
        places = _places(source)
        self._lines = {key: self._new_line(plan, key[-1]) for key, plan in places.items()}
        self._past: list[AnyLine] = []  # taken away by a change of the settings
        self._tasks: set[asyncio.Task[object]] = set()
        self._pool = ThreadPoolExecutor(1, f"sync {source.name}")
        self._beat: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._settled = asyncio.Event()  # there are lines, or the recording is stopping
        self.pulsed_ns: int | None = None  # monotonic: when the journal was last in order

    @property
    def lines(self) -> list[AnyLine]:
        """The lines of the present settings."""
        return list(self._lines.values())

    @property
    def all_lines(self) -> list[AnyLine]:
        """All lines, with those that a change of the settings removed."""
        return [*self._past, *self._lines.values()]

    @property
    def over(self) -> bool:
        """True if all lines have ended and none will start."""
        ended = all(line.outcome is not None for line in self._lines.values())
        return bool(self._lines) and ended and not self._tasks

    def start(self) -> None:
        """Begin to connect and to sync."""
        self._beat = asyncio.create_task(self._keep_durable())
        self._note_instruments()
        for key, line in self._lines.items():
            self._run(key, line)
        self._settle()

    def change(self, source: FeedSource, options: dict[str, Any], *, again: bool = False) -> None:
        """Record another selection of the same feed; what did not change is not touched.

        `again` starts the lines that had ended.
        """
        reconnect = _way(self.source) != _way(source)
        listed = source.listing != self.source.listing
        self._wiring = replace(self._wiring, feed=source.feed, options=options)
        self.source = source
        if listed:
            self._note_instruments()
        places = _places(source)
        for key in self._lines.keys() - places.keys():
            self._past.append(self._lines.pop(key))
            self._past[-1].stop(_REMOVED)
        for key, plan in places.items():
            line = self._lines.get(key)
            if line is not None and (line.outcome is None or not again):
                line.max_retries = source.settings.max_retries
                line.change(self._wiring, plan, self._budget(plan, key[-1]), reconnect=reconnect)
            else:
                self._begin(key, plan)
        self._settle()

    def stop(self, *, removed: bool = False) -> None:
        """Ask all lines to end: for good where the feed was `removed` from the settings."""
        self._settled.set()
        self._stopped.set()
        for line in self.all_lines:
            line.stop(_REMOVED if removed else "stopping")

    async def ended(self) -> None:
        """Wait until no line runs."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> int:
        """Make everything durable and release the feed; return what was lost, 0 if nothing.

        The lines must have ended, or be about to be cancelled with the loop.
        """
        if self._beat is not None:
            self._beat.cancel()
            await asyncio.gather(self._beat, return_exceptions=True)
        # The first sync, or if that fails the second, writes again what the disk refused: into
        # another journal, which the last rotation finishes.
        for _ in range(3):
            self.journal.rotate()
            await self._sync()
        if self.journal.trouble is not None:
            self._room.log.error(
                "frames were lost: the disk refused to the end",
                feed=self.source.name,
                why=self.journal.trouble,
                bytes=self.journal.spilled_bytes,
            )
        self._pool.shutdown(wait=True)
        os.close(self._lock)
        return self.journal.lost_frames + self.journal.spilled_bytes

    # -- building

    def _new_journal(self) -> Journal:
        room, log = self._room, self._room.log.bind(feed=self.source.name)
        return Journal(
            room.layout,
            self.source.name,
            ulid(room.clock.wall_ns(), os.urandom(10)),  # per feed: a stem is unique everywhere
            limits=Limits(
                int(room.settings.rotate_mb * 1e6),
                int(room.settings.rotate_seconds * NS),
                int(room.settings.buffer_mb * 1e6),
            ),
            clock=room.clock,
            about=self._about,
            reports=Reports(
                room.sealer.request,
                lambda text: log.error("recording into memory", why=text),
                lambda text: log.warning("the disk takes frames again", lost=text),
            ),
        )

    def _new_wiring(self, options: dict[str, Any]) -> Wiring:
        room = self._room
        return Wiring(
            feed=self.source.feed,
            name=self.source.name,
            journal=self.journal,
            clock=room.clock,
            redactor=room.redactor,
            log=room.log,
            about=self._about,
            options=options,
            stats_every=room.settings.stats_seconds,
            lag=room.lag.take,
            intake=room.intake,
            bounds=room.bounds,
        )

    def _new_line(self, plan: Plan, number: int) -> AnyLine:
        budget = self._budget(plan, number)
        if plan.every is not None:
            reach, retries = self.source.reach, self.source.settings.max_retries
            return PolledLine(self._wiring, plan, number, budget, reach, retries)
        return Line(self._wiring, plan, number, budget, self.source.settings.max_retries)

    def _budget(self, plan: Plan, number: int) -> Budget:
        """Return the budget of attempts that all lines and links to one endpoint share."""
        endpoint = urlsplit(plan.endpoint(number)).netloc
        return self._budgets.setdefault(endpoint, Budget(self.source.feed.retry))

    # -- running

    def _note_instruments(self) -> None:
        """Write the venue's list into the journal, which makes the record self-contained."""
        listing, room = self.source.listing, self._room
        if listing is not None:
            stream = Stream(ulid(room.clock.wall_ns(), os.urandom(10)))
            self.journal.mark(
                stream, frame.INSTRUMENTS, marker_payload(self.source.feed.kind, listing)
            )

    def _settle(self) -> None:
        """Keep the recording open even without a line: its channels wait for the venue's list."""
        waiting = missing(self.source)
        if waiting:
            self._room.log.warning("channels left out", feed=self.source.name, **waiting)
        if self._lines:
            self._settled.set()
        elif not self._tasks:
            self._keep(self._settled.wait())

    def _begin(self, key: _Key, plan: Plan) -> None:
        """Start a new line, in the place of one that has ended if there is one."""
        if key in self._lines:
            self._past.append(self._lines[key])
        self._lines[key] = self._new_line(plan, key[-1])
        self._run(key, self._lines[key])

    def _run(self, key: _Key, line: AnyLine) -> None:
        self._keep(self._run_line(key, line))

    def _keep(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_line(self, key: _Key, line: AnyLine) -> None:
        """Run a line to its end. Other lines stay connected."""
        outcome = await line.run()
        if outcome.code == CREDENTIALS and line is self._lines.get(key):
            for other in self._lines.values():  # they show the same key
                other.be_last(outcome)
        elif outcome.code and self._room.revive_seconds is not None:
            await self._revive(key, line, self._room.revive_seconds)

    async def _revive(self, key: _Key, line: AnyLine, seconds: float) -> None:
        """Start a line again that ended for a reason that can pass, unless it is not wanted."""
        log = self._room.log.bind(feed=self.source.name, group=line.plan.group, line=line.letter)
        log.warning("starts again later", seconds=seconds)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)
        if line is self._lines.get(key) and not self._stopped.is_set():
            self._begin(key, line.plan)

    async def _keep_durable(self) -> None:
        while True:
            await asyncio.sleep(self._room.settings.fsync_ms / 1000)
            await self._sync()

    async def _sync(self) -> None:
        """Run one pulse, shielded: a cancellation waits for the job to end."""
        task = asyncio.ensure_future(self._pulse())
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise

    async def _pulse(self) -> None:
        jobs = self.journal.pulse()
        if jobs:
            loop = asyncio.get_running_loop()
            self.journal.synced(jobs, await loop.run_in_executor(self._pool, sync.run, jobs))
        if not self.journal.losing:
            self.pulsed_ns = self._room.clock.mono_ns()


def _claim(layout: Layout, feed: str) -> int:
    lock = layout.journal_dir(feed) / ".lock"
    held = durable.claim(lock, f"capture of '{feed}'")
    for left_by_a_crash in lock.parent.glob(f"*{UNNAMED}"):
        left_by_a_crash.unlink()
    return held


def _places(source: FeedSource) -> dict[_Key, Plan]:
    """Return the lines of a source, each with its plan."""
    found: dict[_Key, Plan] = {}
    seen: Counter[tuple[str, int]] = Counter()
    for plan, number in source.places:
        found[plan.group, seen[plan.group, number], number] = plan
        seen[plan.group, number] += 1
    return found


def _way(source: FeedSource) -> tuple[object, ...]:
    """Return the settings that only a new connection can follow, beside the plans."""
    settings = source.settings
    return settings.proxy, settings.compression, settings.ca_file
