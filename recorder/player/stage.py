"""The running replay: several feeds on one clock, each frame to every subscribed client."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from recorder.clock import NS, Clock, iso
from recorder.player import audience
from recorder.player.audience import Say
from recorder.player.client import Client
from recorder.player.ready import Ready, stretches
from recorder.player.recorded import Recorded, recorded
from recorder.player.run import runs
from recorder.player.silence import nothing_recorded
from recorder.player.timeline import MAX, Timeline
from recorder.player.track import Track
from recorder.record.layout import Layout
from recorder.service import Service
from recorder.stream.span import Span


@dataclass(frozen=True, slots=True)
class Play:
    """The feeds, range and options of a replay."""

    layout: Layout
    services: Mapping[str, Service]  # by feed
    span: Span
    speed: float = MAX
    clients: int = 1  # the replay waits for this many
    loop: bool = False
    stay: bool = False  # keep the connections after the end
    drops: bool = False  # end connections where the recorded ones were lost
    close_slow: bool = False
    from_now: bool = False  # move the times that frames carry to the time of the replay


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
    recorded: dict[str, Recorded] = field(default_factory=dict)  # by feed
    _tracks: list[Track] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _seek: int | None = None

    def __post_init__(self) -> None:
        """Create the timeline on the stage's monotonic clock."""
        self.timeline = Timeline(lambda: self.clock.mono_ns() / NS, self.play.speed)

    # -- control

    def changed(self) -> None:
        """Wake the replay after a change: a client, a command."""
        self._changed.set()

    def pause(self) -> None:
        """Pause the replay."""
        self.timeline.pause()
        self.changed()

    def resume(self) -> None:
        """Resume the replay."""
        self.timeline.resume()
        self.changed()

    def go(self, speed: float) -> None:
        """Change the speed."""
        self.timeline.go(speed)
        self.changed()

    def seek(self, position: int) -> None:
        """Continue from another time of the record (ns)."""
        self._seek = position
        self.changed()

    # -- the play

    async def check(self) -> None:
        """Read the beginning before any client connects.

        Raises:
            DataError: nothing was recorded in the range, or it cannot be read.
        """
        await self._open(self.play.span)
        await asyncio.to_thread(self._look)
        if not self._tracks:
            raise nothing_recorded(self.play.layout, list(self.play.services), self.play.span)
        self.first_ns = min(track.due for track in self._tracks)

    def _look(self) -> None:
        """Read which channels the record has, of feeds whose frames name any."""
        for feed, service in self.play.services.items():
            if service.channels is not None:
                found = runs(self.play.layout, [feed], self.play.span)
                self.recorded[feed] = recorded(self.play.layout, feed, found)

    async def run(self) -> None:
        """Wait for the clients, then play to the end."""
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
            track = Track(feed, stretches(found, span, service, self.shift_ns))
            await track.turn()
            if track.rows is not None:
                self._tracks.append(track)

    async def _leave(self) -> None:
        tracks, self._tracks = self._tracks, []
        for track in tracks:
            await track.leave()

    async def _audience(self) -> None:
        """Wait until enough clients are connected and have subscribed."""
        while True:
            wait = audience.unsettled(self.clients, self.play.clients)
            if wait <= 0:
                return
            await self._woken(wait)

    async def _woken(self, seconds: float) -> None:
        """Wait `seconds` or until a change; a plain timer is faster than a timeout's exception."""
        self._changed.clear()
        if seconds == math.inf:
            await self._changed.wait()
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._woken(math.inf)

    async def _jump(self) -> None:
        """Continue from the requested position, if one was requested."""
        if self._seek is None:
            return
        position, self._seek = self._seek, None
        end = self.play.span.until_ns
        await self._open(Span(min(max(position, self.play.span.since_ns), end - 1), end))
        first = min((track.due for track in self._tracks), default=position)
        self.timeline.start(first)
        self.say("playing from", time=iso(first))

    async def _all(self) -> None:
        """Play until the tracks end; follow requests to seek."""
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
        """Return the time up to which frames are sent now; all tracks were read up to it."""
        until = min(track.rows.last for track in self._tracks if track.rows is not None)
        if self.timeline.speed != MAX:
            until = min(until, max(due, self.timeline.position()))
        self.timeline.reach(until)
        return until

    async def _step(self, until: int) -> None:
        """Send what is due, wait for slow clients, and read on."""
        for track in self._tracks:
            rows = track.rows
            assert rows is not None
            while rows.notes and rows.notes[0][0] <= until:
                at = rows.notes[0][0]
                self._send(track, rows, rows.count(at - 1))
                await self._note(track, rows)
            self._send(track, rows, rows.count(until))
        slow = [client for client in self.clients if client.connection.paused]
        if slow:
            await audience.pressed(slow, self.say, close=self.play.close_slow)
        elif self.timeline.speed == MAX:
            await asyncio.sleep(0)  # let the others have their turn
        for track in list(self._tracks):
            if track.rows is not None and track.rows.last <= until:
                await track.turn()
            if track.rows is None:
                self._tracks.remove(track)

    def _send(self, track: Track, rows: Ready, until: int) -> None:
        if until <= track.sent:
            return
        for client in tuple(self.clients):
            if client.feed == track.feed:
                client.send(rows, track.sent, until)
        self.sent += until - track.sent
        track.sent = until

    async def _note(self, track: Track, rows: Ready) -> None:
        _, note = rows.notes.pop(0)
        if note.gap is not None:
            self.say("gap", what=str(note.gap))
        if note.lost is not None and self.play.drops:
            _, code, reason = note.lost
            self.say("connections dropped, as recorded", feed=track.feed, code=code, reason=reason)
            await audience.drop(self.clients, track.feed, code, reason)
