"""Capture: the recordings of all feeds, and the child that seals."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from recorder.capture.drift import ClockSteps, LoopLag
from recorder.capture.notify import Beat, Notifier, keep
from recorder.capture.recording import AnyLine, Recording, Room
from recorder.capture.sealer import Sealer
from recorder.capture.sources import FeedSource, connect_options
from recorder.capture.uploader import Uploader
from recorder.clock import NS, Clock
from recorder.errors import BusyError
from recorder.feed import CREDENTIALS
from recorder.record.journal.writer import Journal
from recorder.record.layout import Layout
from recorder.redact import Redactor
from recorder.session.bounds import Bounds, Intake
from recorder.session.machine import NOT_CONNECTED
from recorder.settings.config import Settings

#: A journal not in order for this long makes capture unhealthy: a sync hangs or frames are lost.
_BEAT_NS = 10 * NS


@dataclass(slots=True)
class Capture:
    """One run of the recorder: build it, then `await run()`."""

    settings: Settings
    sources: Sequence[FeedSource]
    redactor: Redactor
    log: Any
    clock: Clock = field(default_factory=Clock)
    notifier: Notifier = field(default_factory=lambda: Notifier({}))
    recordings: dict[str, Recording] = field(default_factory=dict)
    revive_seconds: float | None = None
    """How long after a line gave up it starts again; None: never. A dead key is never revived."""
    past: list[AnyLine] = field(default_factory=list)
    """Lines of feeds that are no longer recorded."""
    _room: Room | None = None
    _lost: int = 0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _applying: asyncio.Lock = field(default_factory=asyncio.Lock)
    _watchers: set[asyncio.Task[None]] = field(default_factory=set)
    _failures: list[Exception] = field(default_factory=list)

    @property
    def lines(self) -> list[AnyLine]:
        """The lines of all feeds being recorded."""
        return [line for recording in self.recordings.values() for line in recording.lines]

    @property
    def all_lines(self) -> list[AnyLine]:
        """The lines of all feeds, with those that a change of the settings removed."""
        there = [line for one in self.recordings.values() for line in one.all_lines]
        return [*self.past, *there]

    @property
    def journals(self) -> dict[str, Journal]:
        """The journal of each feed being recorded."""
        return {name: recording.journal for name, recording in self.recordings.items()}

    def stop(self) -> None:
        """Stop cleanly: close the connections, sync, seal."""
        self._stop.set()

    async def run(
        self, *, duration: float | None = None, connect_timeout: float | None = None
    ) -> int:
        """Record until stopped; return the exit code.

        `duration` and `connect_timeout` are seconds.

        Raises:
            BusyError: another process records one of these feeds here.
            ConfigError: a feed's `ca_file` cannot be used.
            StoreError, CredentialsError: the bucket does not take objects; nothing was recorded.
        """
        uploader = Uploader(self.settings, self.log)
        await uploader.check()
        level = self.settings.capture.zstd_level
        sealer = Sealer(self.settings.data_dir, level, self.log, uploader.request)
        lag = LoopLag()
        self._room = Room(
            Layout(self.settings.data_dir),
            self.settings.capture,
            self.redactor,
            self.log,
            self.clock,
            sealer,
            lag,
            Intake(),
            Bounds(),
            self.revive_seconds,
        )
        notify = keep(self.notifier, self.beat)
        watcher = asyncio.gather(lag.watch(), self._watch_clock(), notify)
        try:
            for source in self._here(self.sources):
                self._open(source)
            sealer.request()  # orphans of an earlier crash first
            uploader.start()
            gc.collect()
            gc.freeze()  # what is loaded stays; collections then look only at what is new
            gc.set_threshold(50_000, 20, 50)  # frames make no cycles: look seldom
            await self._record(duration, connect_timeout)
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            for recording in self.recordings.values():
                self._lost += await recording.close()
            await sealer.drain()
            await uploader.drain()
        return 1 if self._lost or sealer.failed else self._exit_code()

    async def apply(self, sources: Sequence[FeedSource]) -> None:
        """Record these feeds from now on, without interrupting those that did not change.

        Feeds are added, removed and changed; one that had ended starts again. A feed that another
        process records is left out, with a line in the log.

        Raises:
            ConfigError: a feed's `ca_file` cannot be used; then nothing changed.
        """
        options = {source.name: self._options(source) for source in sources}
        async with self._applying:
            if self._stop.is_set():
                return
            wanted = {source.name: source for source in self._here(sources)}
            leaving = {n: r for n, r in self.recordings.items() if not _stays(r, wanted.get(n))}
            for name, source in wanted.items():
                if name not in self.recordings:
                    self._add(source)
                elif name not in leaving:
                    self.recordings[name].change(source, options[name], again=True)
            await asyncio.gather(*map(self._remove, leaving.values()))
            for name in leaving.keys() & wanted.keys():
                if not self._stop.is_set():
                    self._add(wanted[name])
            self.sources = list(sources)

    def update(self, source: FeedSource) -> None:
        """Record a feed with another list of instruments; a feed that has ended stays ended."""
        recording = self.recordings.get(source.name)
        if self._stop.is_set():
            return
        if recording is None and not source.elsewhere and not self._applying.locked():
            self._add(source)  # the list has the feed's first channel in this host's share
        elif recording is not None and not recording.over:
            recording.change(source, self._options(source))

    def beat(self) -> Beat:
        """Return the health: well while each journal is synced, or its frames are buffered.

        The call itself shows that the event loop runs.
        """
        there, now = self.recordings.values(), self.clock.mono_ns()
        pulses = [one.pulsed_ns for one in there if one.pulsed_ns is not None]
        trouble = next((one.journal.trouble for one in there if one.journal.trouble), None)
        live = sum(line.live for line in self.lines)
        return Beat(
            ready=len(pulses) == len(there),
            well=all(now - pulsed < _BEAT_NS for pulsed in pulses),
            status=trouble or f"{live} of {len(self.lines)} lines connected",
        )

    # -- adding and removing feeds

    def _here(self, sources: Sequence[FeedSource]) -> list[FeedSource]:
        """Return the feeds with channels in this host's share; log the others."""
        for source in sources:
            if source.elsewhere:
                why = f"none of its channels is in the share {source.shard}: others record it"
                self.log.info("not recorded here", feed=source.name, why=why)
        return [source for source in sources if not source.elsewhere]

    @property
    def _idle(self) -> bool:
        """True if this host's share is empty, and was empty before."""
        elsewhere = [source.elsewhere for source in self.sources]
        return bool(elsewhere) and all(elsewhere) and not self.all_lines

    def _options(self, source: FeedSource) -> dict[str, Any]:
        return connect_options(source, self.settings.capture.max_frame_mb)

    def _open(self, source: FeedSource) -> Recording:
        assert self._room is not None, "not running"
        recording = Recording(self._room, source, self._options(source))
        self.recordings[source.name] = recording
        return recording

    def _add(self, source: FeedSource) -> None:
        try:
            self._begin(self._open(source))
        except BusyError as error:
            self.log.error("not recorded", feed=source.name, why=error.what, where=error.where)

    def _begin(self, recording: Recording) -> None:
        recording.start()
        watcher = asyncio.create_task(self._watch(recording))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _remove(self, recording: Recording) -> None:
        """End a feed that was removed from the settings or has to start again."""
        name = recording.source.name
        self.log.info("no longer recorded", feed=name)
        self.past += self.recordings.pop(name).all_lines
        recording.stop(removed=True)
        await recording.ended()
        self._lost += await recording.close()

    # -- running

    async def _record(self, duration: float | None, connect_timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        if duration is not None:
            loop.call_later(duration, self._stop.set)
        if connect_timeout is not None:
            loop.call_later(connect_timeout, self._check_connected)
        for recording in self.recordings.values():
            self._begin(recording)
        await self._stop.wait()
        self.notifier.say(STOPPING=1, STATUS="stopping")
        for recording in self.recordings.values():
            recording.stop()
        async with self._applying:  # wait for feeds that are being removed
            while self._watchers:
                await asyncio.gather(*self._watchers)
        for failure in self._failures:
            raise failure

    async def _watch(self, recording: Recording) -> None:
        """Stop the capture when all lines of all feeds have ended by themselves, or one failed."""
        try:
            await recording.ended()
        except Exception as error:
            self._failures.append(error)
            self._stop.set()
        there = self.recordings.values()
        if recording in there and all(one.over for one in there):
            self._stop.set()

    def _check_connected(self) -> None:
        if not self._idle and not any(line.tally.connections for line in self.all_lines):
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

    def _exit_code(self) -> int:
        codes = {line.outcome.code for line in self.lines if line.outcome is not None}
        if CREDENTIALS in codes:
            return CREDENTIALS
        if self._idle:
            return 0
        connected = any(line.tally.connections for line in self.all_lines)
        if NOT_CONNECTED in codes or not connected:
            return NOT_CONNECTED
        return max(codes, default=0)


def _stays(recording: Recording, source: FeedSource | None) -> bool:
    """Return True if a recording can continue under these settings, changed or not."""
    if source is None or recording.over:
        return False
    return source.feed.kind == recording.source.feed.kind
