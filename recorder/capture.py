"""Capture: every line of every feed, their journals, and the child that seals."""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any
from urllib.parse import urlsplit

from recorder import __version__, durable
from recorder.clock import NS, Clock, ulid
from recorder.config import Settings
from recorder.drift import ClockSteps, LoopLag
from recorder.feed import CREDENTIALS
from recorder.journal import sync
from recorder.journal.writer import UNNAMED, Journal, Limits, Reports
from recorder.redact import Redactor
from recorder.sealer import Sealer
from recorder.segment import Layout
from recorder.session.budget import Budget
from recorder.session.line import Line, Wiring
from recorder.session.machine import NOT_CONNECTED, Machine
from recorder.sources import Source, connect_options


@dataclass(slots=True)
class Capture:
    """One run of the recorder: build it, then `await run()`."""

    settings: Settings
    sources: list[Source]
    redactor: Redactor
    log: Any
    clock: Clock = field(default_factory=Clock)
    lines: list[Line] = field(default_factory=list)
    journals: dict[str, Journal] = field(default_factory=dict)
    started_ns: int = 0
    _locks: list[int] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Ask for a clean end: close the connections, sync, seal."""
        self._stop.set()

    async def run(
        self, *, duration: float | None = None, connect_timeout: float | None = None
    ) -> int:
        """Record until stopped; the exit code.

        `duration` and `connect_timeout` are seconds.

        Raises:
            BusyError: another process records one of these feeds here.
        """
        layout = Layout(self.settings.data_dir)
        self.started_ns = self.clock.wall_ns()
        for source in self.sources:
            lock = layout.journal_dir(source.name) / ".lock"
            self._locks.append(durable.claim(lock, f"capture of '{source.name}'"))
            for left_by_a_crash in lock.parent.glob(f"*{UNNAMED}"):
                left_by_a_crash.unlink()
        sealer = Sealer(self.settings.data_dir, self.log)
        lag = LoopLag()
        for source in self.sources:
            self._open(source, layout, sealer, lag)
        sealer.request()  # orphans of an earlier crash first
        gc.collect()
        gc.freeze()  # what is loaded stays; collections then look only at what is new
        gc.set_threshold(50_000, 20, 50)  # frames make no cycles: look seldom
        pool = ThreadPoolExecutor(max(2, len(self.journals)), "sync")
        beats = [
            asyncio.create_task(self._keep_durable(journal, pool))
            for journal in self.journals.values()
        ]
        watcher = asyncio.gather(lag.watch(), self._watch_clock())
        try:
            await self._record(duration, connect_timeout)
        finally:
            watcher.cancel()
            for beat in beats:
                beat.cancel()
            await asyncio.gather(watcher, *beats, return_exceptions=True)
            lost = await self._finish(pool)
            await sealer.drain()
            for lock_fd in self._locks:
                os.close(lock_fd)
        return 1 if lost or sealer.failed else self._exit_code()

    # -- building

    def _open(self, source: Source, layout: Layout, sealer: Sealer, lag: LoopLag) -> None:
        capture, log = self.settings.capture, self.log.bind(feed=source.name)
        about: dict[str, object] = {
            "recorder": __version__,
            "host": platform.node(),
            "kind": source.feed.kind,
        }
        journal = Journal(
            layout,
            source.name,
            ulid(self.started_ns, os.urandom(10)),  # per feed: a stem is unique everywhere
            limits=Limits(
                int(capture.rotate_mb * 1e6),
                int(capture.rotate_seconds * NS),
                int(capture.buffer_mb * 1e6),
            ),
            clock=self.clock,
            about=about,
            reports=Reports(
                sealer.request,
                lambda text: log.error("recording into memory", why=text),
                lambda text: log.warning("the disk takes frames again", lost=text),
            ),
        )
        self.journals[source.name] = journal
        wiring = Wiring(
            feed=source.feed,
            name=source.name,
            journal=journal,
            clock=self.clock,
            redactor=self.redactor,
            log=self.log,
            about=about,
            options=connect_options(source, capture.max_frame_mb),
            stats_every=capture.stats_seconds,
            lag=lag.take,
        )
        self._open_lines(source, wiring)

    def _open_lines(self, source: Source, wiring: Wiring) -> None:
        budgets: dict[str, Budget] = {}
        now = self.clock.mono_ns() / NS
        for plan in source.plans:
            for number in range(source.settings.lines):
                url = plan.urls[number % len(plan.urls)]
                budget = budgets.setdefault(urlsplit(url).netloc, Budget(source.feed.pace))
                machine = Machine(
                    plan,
                    budget,
                    random.SystemRandom().random,
                    start_at=now,
                    max_retries=source.settings.max_retries,
                )
                self.lines.append(Line(wiring, plan, ascii_uppercase[number], url, machine))

    # -- running

    async def _record(self, duration: float | None, connect_timeout: float | None) -> None:
        tasks = [asyncio.create_task(self._run_line(line)) for line in self.lines]
        loop = asyncio.get_running_loop()
        if duration is not None:
            loop.call_later(duration, self._stop.set)
        if connect_timeout is not None:
            loop.call_later(connect_timeout, self._check_connected)
        everything = asyncio.gather(*tasks)
        everything.add_done_callback(lambda _: self._stop.set())
        await self._stop.wait()
        for line in self.lines:
            line.stop()
        await everything

    async def _run_line(self, line: Line) -> None:
        outcome = await line.run()
        if outcome.code:  # a fatal reason ends its feed; the others go on
            for other in self.lines:
                if other.wiring.name == line.wiring.name and other.outcome is None:
                    other.stop()

    def _check_connected(self) -> None:
        if not any(line.connections for line in self.lines):
            self.log.error("nothing connected in time")
            self._stop.set()

    async def _watch_clock(self) -> None:
        steps = ClockSteps(self.clock)
        while True:
            step = steps.look()
            if step is not None:
                self.log.warning("the wall clock was stepped", seconds=round(step / NS, 3))
                for line in self.lines:
                    line.mark_clock_step(step)
            await asyncio.sleep(1.0)

    async def _keep_durable(self, journal: Journal, pool: ThreadPoolExecutor) -> None:
        every = self.settings.capture.fsync_ms / 1000
        while True:
            await asyncio.sleep(every)
            await _sync(journal, pool)

    async def _finish(self, pool: ThreadPoolExecutor) -> int:
        """Make everything durable; how many frames could not be kept."""
        lost = 0
        for name, journal in self.journals.items():
            # What a disk refused until now is written again by the first sync, or, if that fails
            # in turn, by the second: into a journal of its own, which is to be finished too.
            for _ in range(3):
                journal.rotate()
                await _sync(journal, pool)
            if journal.trouble is not None:
                self.log.error(
                    "frames were lost: the disk refused to the end",
                    feed=name,
                    why=journal.trouble,
                    bytes=journal.spilled_bytes,
                )
            lost += journal.lost_frames + journal.spilled_bytes
        pool.shutdown(wait=True)
        return lost

    def _exit_code(self) -> int:
        codes = {line.outcome.code for line in self.lines if line.outcome is not None}
        if CREDENTIALS in codes:
            return CREDENTIALS
        if NOT_CONNECTED in codes or not any(line.connections for line in self.lines):
            return NOT_CONNECTED
        return max(codes, default=0)


async def _sync(journal: Journal, pool: ThreadPoolExecutor) -> None:
    """One pulse. Shielded: a job under way is always heard to its end."""

    async def beat() -> None:
        jobs = journal.pulse()
        if jobs:
            loop = asyncio.get_running_loop()
            journal.synced(jobs, await loop.run_in_executor(pool, sync.run, jobs))

    task = asyncio.ensure_future(beat())
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
