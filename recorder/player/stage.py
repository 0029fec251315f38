"""The replay at work: several feeds on one clock, each frame to every client that wants it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from recorder.clock import NS, Clock, iso
from recorder.player.client import Client
from recorder.player.merge import runs
from recorder.player.ready import Ready, stretches
from recorder.player.silence import nothing_recorded
from recorder.player.timeline import MAX, Timeline
from recorder.segment import Layout
from recorder.service import Service
from recorder.span import Span

#: Clients subscribe one message after another: the replay begins when they have said no more for
#: so long.
_SETTLED_SECONDS = 0.5

#: A client that took nothing for so long is too slow, where slow ones are closed.
_TOO_SLOW_SECONDS = 1.0


class Say(Protocol):
    """Where notes for people go: an event, and its fields."""

    def __call__(self, event: str, **fields: object) -> None:
        """Tell it."""


@dataclass(frozen=True, slots=True)
class Play:
    """What is played, and how."""

    layout: Layout
    services: Mapping[str, Service]  # by feed
    span: Span
    speed: float = MAX
    clients: int = 1  # the replay waits for so many
    loop: bool = False
    stay: bool = False  # keep the connections after the end
    drops: bool = False  # end connections where the recorded ones were lost
    close_slow: bool = False
    from_now: bool = False  # move the times that frames carry to the time of the replay


@dataclass(slots=True)
class _Track:
    """One feed's part of the stream, read ahead by one stretch in a thread."""

    feed: str
    source: Iterator[Ready]
    rows: Ready | None = None
    sent: int = 0
    _next: asyncio.Task[Ready | None] | None = None

    async def turn(self) -> None:
        """Go on to the next stretch; none after the last."""
        task = self._next or asyncio.create_task(asyncio.to_thread(next, self.source, None))
        self.rows, self.sent = await task, 0
        self._next = None
        if self.rows is not None:
            self._next = asyncio.create_task(asyncio.to_thread(next, self.source, None))

    @property
    def due(self) -> int:
        """When the next frame, note or stretch is due."""
        assert self.rows is not None
        first = self.rows.at[self.sent] if self.sent < len(self.rows.at) else self.rows.last
        return min(first, self.rows.notes[0][0]) if self.rows.notes else first

    async def leave(self) -> None:
        """Stop reading."""
        if self._next is not None:
            await asyncio.gather(self._next, return_exceptions=True)


@dataclass(slots=True)
class Stage:
    """Plays to the clients that joined; `run` ends with the record (unless it loops or stays)."""

    play: Play
    say: Say
    clock: Clock = field(default_factory=Clock)
    clients: set[Client] = field(default_factory=set)
    sent: int = 0
    state: str = "waiting"  # for clients; playing, paused, ended
    timeline: Timeline = field(init=False)
    first_ns: int = 0
    shift_ns: int = 0
    _tracks: list[_Track] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _seek: int | None = None

    def __post_init__(self) -> None:
        """The clock runs by the event loop's."""
        self.timeline = Timeline(lambda: self.clock.mono_ns() / NS, self.play.speed)

    # -- what others do to it

    def changed(self) -> None:
        """Something happened that the replay may wait for: a client, a command."""
        self._changed.set()

    def pause(self) -> None:
        """Stand still."""
        self.timeline.pause()
        self.changed()

    def resume(self) -> None:
        """Go on."""
        self.timeline.resume()
        self.changed()

    def go(self, speed: float) -> None:
        """Change the speed."""
        self.timeline.go(speed)
        self.changed()

    def seek(self, position: int) -> None:
        """Go on from another time of the record."""
        self._seek = position
        self.changed()

    # -- the play

    async def check(self) -> None:
        """Read the beginning, before anybody connects.

        Raises:
            DataError: nothing was recorded in the range, or it cannot be read.
        """
        await self._open(self.play.span)
        if not self._tracks:
            raise nothing_recorded(self.play.layout, list(self.play.services), self.play.span)
        self.first_ns = min(track.due for track in self._tracks)

    async def run(self) -> None:
        """Wait for the audience, then play to the end."""
        await self._audience()
        if self.play.from_now:
            self.shift_ns = self.clock.wall_ns() - self.first_ns
            await self._open(self.play.span)
        self.timeline.start(self.first_ns)
        while True:
            self.state = "playing"
            await self._all()
            self.state = "ended"
            self.say("the end of the range", frames=self.sent)
            if self.play.loop:
                self.say("and from the beginning again")
                self._seek = self.play.span.since_ns
            elif self.play.stay:
                await self._until(lambda: self._seek is not None)
            else:
                await self._leave()
                return
            await self._jump()

    async def _open(self, span: Span) -> None:
        await self._leave()
        for feed, service in self.play.services.items():
            found = runs(self.play.layout, [feed], span)
            track = _Track(feed, stretches(found, span, service, self.shift_ns))
            await track.turn()
            if track.rows is not None:
                self._tracks.append(track)

    async def _leave(self) -> None:
        tracks, self._tracks = self._tracks, []
        for track in tracks:
            await track.leave()

    async def _audience(self) -> None:
        """Wait until enough clients are there and have said what they want."""
        loop = asyncio.get_running_loop()
        while True:
            there = [client for client in self.clients if client.ready and client.open]
            settled = min((loop.time() - client.changed for client in there), default=0.0)
            if len(there) >= self.play.clients and settled >= _SETTLED_SECONDS:
                return
            enough = len(there) >= self.play.clients
            await self._woken(_SETTLED_SECONDS - settled if enough else math.inf)

    async def _woken(self, seconds: float) -> None:
        """Wait so long, or until something changes."""
        self._changed.clear()
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._woken(math.inf)

    async def _jump(self) -> None:
        """Play from where it was asked to, once it was."""
        if self._seek is None:
            return
        position, self._seek = self._seek, None
        end = self.play.span.until_ns
        await self._open(Span(min(max(position, self.play.span.since_ns), end - 1), end))
        first = min((track.due for track in self._tracks), default=position)
        self.timeline.start(first)
        self.say("playing from", time=iso(first))

    async def _all(self) -> None:
        """Play until the tracks end, or somebody wants to be elsewhere."""
        while self._tracks:
            if self._seek is not None:
                await self._jump()
                continue
            due = min(track.due for track in self._tracks)
            wait = self.timeline.wait(due)
            if wait > 0:
                self.state = "paused" if self.timeline.paused else "playing"
                await self._woken(wait)
                self.state = "playing"
                continue
            await self._step(self._reach(due))

    def _reach(self, due: int) -> int:
        """Up to which time frames go out now: the clock's, or as far as every track was read."""
        until = min(track.rows.last for track in self._tracks if track.rows is not None)
        if self.timeline.speed != MAX:
            until = min(until, max(due, self.timeline.position()))
        self.timeline.reach(until)
        return until

    async def _step(self, until: int) -> None:
        """Send what is due at a time, wait for the slow, and read on."""
        for track in self._tracks:
            rows = track.rows
            assert rows is not None
            while rows.notes and rows.notes[0][0] <= until:
                at = rows.notes[0][0]
                self._send(track, rows, rows.count(at - 1))
                await self._note(track, rows)
            self._send(track, rows, rows.count(until))
        await self._pressed()
        for track in list(self._tracks):
            if track.rows is not None and track.rows.last <= until:
                await track.turn()
            if track.rows is None:
                self._tracks.remove(track)

    def _send(self, track: _Track, rows: Ready, until: int) -> None:
        if until <= track.sent:
            return
        for client in tuple(self.clients):
            if client.feed == track.feed:
                client.send(rows, track.sent, until)
        self.sent += until - track.sent
        track.sent = until

    async def _note(self, track: _Track, rows: Ready) -> None:
        _, note = rows.notes.pop(0)
        if note.gap is not None:
            self.say("gap", what=str(note.gap))
        if note.lost is not None and self.play.drops:
            _, code, reason = note.lost
            self.say("connections dropped, as recorded", feed=track.feed, code=code, reason=reason)
            await self._drop(track.feed, code, reason)

    async def _drop(self, feed: str, code: int | None, reason: str) -> None:
        lost = [client for client in self.clients if client.feed == feed]
        for client in lost:
            client.ready = False
        if code is None or code in {1005, 1006, 1015}:  # codes that no close frame carries
            for client in lost:
                client.cut()
        else:
            short = reason.encode()[:123].decode("utf-8", "ignore")
            await asyncio.gather(*(client.close(code, short) for client in lost))

    async def _pressed(self) -> None:
        """Do not run ahead of who reads slowly; or close it as the service would."""
        slow = [client for client in self.clients if client.connection.paused]
        if not slow:
            if self.timeline.speed == MAX:
                await asyncio.sleep(0)  # let the others have their turn
            return
        if not self.play.close_slow:
            await asyncio.gather(*(client.drained() for client in slow))
            return
        waiting = [asyncio.ensure_future(client.drained()) for client in slow]
        _, late = await asyncio.wait(waiting, timeout=_TOO_SLOW_SECONDS)
        for client, task in zip(slow, waiting, strict=True):
            if task in late:
                task.cancel()
                self.say("client closed: too slow", feed=client.feed)
                client.ready = False
                asyncio.ensure_future(client.close(*client.service.too_slow))  # noqa: RUF006 - it ends by itself
