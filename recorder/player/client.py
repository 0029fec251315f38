"""One client of a replayed feed: its subscriptions, the frames it is sent, its limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from recorder.player.ready import Ready
from recorder.service import Service

#: Bytes in one write to the socket.
_WRITE = 1 << 16

#: A client that subscribes to no channel for this long gets all channels.
UNASKED_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Client:
    """An accepted connection; `wanted` None: all channels."""

    connection: ServerConnection
    feed: str
    service: Service
    key: str | None  # the one to show, where it is shown in a message; None: any
    wanted: set[str] | None = None
    ready: bool = False  # it may be sent frames
    shown: bool = False  # it may listen: it showed its key, or need not
    frames: int = 0
    changed: float = 0.0  # when it last asked for something, by the loop's clock
    _spoken: deque[float] = field(default_factory=deque)

    @property
    def open(self) -> bool:
        """True if frames can still be sent."""
        return self.connection.state is State.OPEN and not self.connection.transport.is_closing()

    def say(self, texts: Sequence[str]) -> None:
        """Send messages of the service itself, such as answers."""
        for text in texts:
            if self.open:
                broadcast([self.connection], text.encode(), text=self.service.text)

    def send(self, rows: Ready, first: int, last: int) -> None:
        """Send the wanted frames from `first` up to, but not including, `last`."""
        if not self.ready or not self.open or first == last:
            return
        if self.wanted is None:
            self._write(rows, first, last)
            return
        wanted, start = self.wanted, None
        for i, names in enumerate(rows.channels()[first:last], first):
            if not names or not wanted.isdisjoint(names):
                start = i if start is None else start
            elif start is not None:
                self._write(rows, start, i)
                start = None
        if start is not None:
            self._write(rows, start, last)

    def _write(self, rows: Ready, first: int, last: int) -> None:
        data, ends = rows.wire
        begin, end = ends[first], ends[last]
        for at in range(begin, end, _WRITE):
            self.connection.transport.write(data[at : min(at + _WRITE, end)])
        self.frames += last - first

    async def drained(self) -> None:
        """Wait until the client has read most of what was sent, or is gone."""
        while self.connection.paused and self.open:
            await self.connection.drain()

    def cut(self) -> None:
        """Abort the TCP connection without a close frame."""
        self.connection.transport.abort()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection as the service would; after five seconds cut it."""
        try:
            async with asyncio.timeout(5):
                await self.connection.close(code, reason)
        except TimeoutError:
            self.cut()

    async def converse(self, changed: Callable[[], None]) -> None:
        """Answer the client's messages until it is gone; call `changed` after each request."""
        try:
            async for message in self.connection:
                payload = message.encode() if isinstance(message, str) else bytes(message)
                end = self._violation(payload)
                if end is not None:
                    await self.close(*end)
                    return
                if await self._handle(payload):
                    changed()
        except (ConnectionClosed, ConnectionError):
            return

    def _violation(self, payload: bytes) -> tuple[int, str] | None:
        """Return the close code and reason if the client exceeds a limit, else None."""
        limit = self.service.limit
        if len(payload) > self.service.longest:
            return 1009, "frame_too_large"
        now = asyncio.get_running_loop().time()
        self._spoken.append(now)
        while self._spoken[0] <= now - limit.seconds:
            self._spoken.popleft()
        return (limit.code, limit.reason) if len(self._spoken) > limit.messages else None

    async def _handle(self, payload: bytes) -> bool:
        """Handle a message; return True if it was a request."""
        turn = self.service.turn(payload)
        if turn.key is not None:
            if self.key is not None and turn.key != self.key:
                text, code, reason = self.service.refused_key
                self.say([text] if text else [])
                await self.close(code, reason)
                return False
            self.shown = True
        self.say(turn.answers)
        if turn.subscribe or turn.unsubscribe:
            self.wanted = ((self.wanted or set()) | set(turn.subscribe)) - set(turn.unsubscribe)
        asked = bool(turn.subscribe or turn.unsubscribe or turn.key is not None)
        if asked:
            self.changed = asyncio.get_running_loop().time()
        if self.shown and self.wanted is not None:
            self.ready = True
        return asked

    async def unasked(self, changed: Callable[[], None]) -> None:
        """Send all channels to a client that did not subscribe in time."""
        if self.service.by_message and self.wanted is None:
            await asyncio.sleep(UNASKED_SECONDS)
        while not self.shown:  # noqa: ASYNC110 - no event exists
            await asyncio.sleep(0.05)
        self.ready = True
        changed()

    async def beat(self, wall_ns: Callable[[], int]) -> None:
        """Send the service's heartbeat in time, until cancelled."""
        while self.service.beat is not None:
            await asyncio.sleep(self.service.beat_seconds)
            if not self.connection.paused:  # a client that does not read gets no more
                self.say([self.service.beat(wall_ns())])
