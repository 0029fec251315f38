"""One client of a replayed feed: its subscriptions, the frames it is sent, its limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from recorder.coding import encoded
from recorder.player.ready import Ready
from recorder.player.recorded import Recorded
from recorder.player.wire import BINARY, TEXT, head
from recorder.service import Service, Turn
from recorder.verdict import words

#: Bytes in one write to the socket.
_WRITE = 1 << 16

#: A client that subscribes to no channel for this long gets all channels.
UNASKED_SECONDS = 1.0


#: Names in one line of the log.
_NAMED = 8


def _unreported(event: str, **fields: object) -> None:
    """Log nothing."""


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return words(", ".join(names[:_NAMED]), 400) + more


@dataclass(eq=False, slots=True)
class Client:
    """An accepted connection; `wanted` None: all channels."""

    connection: ServerConnection
    feed: str
    service: Service
    key: str | None  # the one to show, where it is shown in a message; None: any
    record: Recorded = field(default_factory=Recorded)
    report: Callable[..., None] = _unreported  # logs an event and its fields
    form: str = ""  # of the frames, where the client's path decides it
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
                message = encoded(self.service.coding, text.encode())
                broadcast([self.connection], message, text=self.service.text)

    def send(self, rows: Ready, first: int, last: int) -> None:
        """Send the wanted frames from `first` up to, but not including, `last`."""
        if not self.ready or not self.open or first == last:
            return
        if self.wanted is None and not self.form:
            self._write(rows, first, last)
            return
        start = None
        for i in self._wanted(rows, first, last):
            shaped = self._shaped(rows, i)
            if start is not None and (shaped is not None or i != start[1]):
                self._write(rows, *start)
                start = None
            if shaped is not None:
                self._say(shaped)
            else:
                start = (i if start is None else start[0], i + 1)
        if start is not None:
            self._write(rows, *start)

    def _wanted(self, rows: Ready, first: int, last: int) -> Iterator[int]:
        """Yield the frames that this client asked for, by number."""
        wanted = self.wanted
        if wanted is None or self.service.channels is None:
            yield from range(first, last)
            return
        for i, names in enumerate(rows.channels()[first:last], first):
            if not wanted.isdisjoint(names):
                yield i

    def _shaped(self, rows: Ready, number: int) -> Sequence[bytes] | None:
        """Return what this client gets for a frame, if not the frame itself."""
        if self.service.shape is None:
            return None
        return self.service.shape(rows.text(number), self.form, self.wanted)

    def _say(self, messages: Sequence[bytes]) -> None:
        first = TEXT if self.service.text else BINARY
        for message in messages:
            self.connection.transport.write(head(len(message), first) + message)
        self.frames += len(messages)

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
        turn, asked = self._turn(payload)
        if turn.key is not None:
            if self.key is not None and turn.key != self.key:
                text, code, reason = self.service.refused_key
                self.say([text] if text else [])
                await self.close(code, reason)
                return False
            self.shown = True
        self.say(turn.answers)
        if asked or turn.unsubscribe:
            self.wanted = ((self.wanted or set()) | set(turn.subscribe)) - set(turn.unsubscribe)
        request = bool(asked or turn.unsubscribe or turn.key is not None)
        if request:
            self.changed = asyncio.get_running_loop().time()
        if self.shown and self.wanted is not None:
            self.ready = True
        return request

    def _turn(self, payload: bytes) -> tuple[Turn, bool]:
        """Return the effects of a message, and whether it asks for channels.

        Channels that the record does not have are refused, where the service has a word for it.
        """
        turn = self.service.turn(payload)
        missing = self.check(turn.subscribe)
        if missing and self.record.certain and self.service.refuse is not None:
            return self.service.refuse(payload, missing), True
        return turn, bool(turn.subscribe)

    def check(self, asked: Sequence[str]) -> frozenset[str]:
        """Return the channels that the record does not have, and report them."""
        there, serves = self.record.channels, self.service.serves
        if not there:  # not known
            return frozenset()
        missing = [name for name in asked if not any(serves(one, name) for one in there)]
        if missing:
            self.report(
                "a client asks for what the record does not have",
                feed=self.feed,
                asked=_some(missing),
                recorded=_some(sorted(there)),
            )
        return frozenset(missing)

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
