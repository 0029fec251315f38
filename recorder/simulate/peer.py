"""One client of a simulated service: the only door through which frames leave it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from recorder.simulate.faults import Fault, Faults, OrderlyClose

__all__ = ["ConnectionLog", "Logged", "Peer", "SimulatedConnection"]

CLOSE_SECONDS = 5.0
"""How long a client may take to answer a close before its TCP connection is cut."""


class Logged(NamedTuple):
    """One data frame: `kind` is 'text' or 'binary', `time_ns` is when it was sent or read."""

    kind: str
    payload: bytes
    time_ns: int


@dataclass(frozen=True, slots=True)
class ConnectionLog:
    """Every data frame of one connection, in order; `number` counts connections from 0."""

    number: int
    sent: deque[Logged]
    received: deque[Logged]


class SimulatedConnection(ServerConnection):
    """A connection that can be muted: it then stays open and writes nothing, not even pongs."""

    muted = False

    def mute(self) -> None:
        """Fall silent for good; the client's silence is no longer punished either."""
        self.muted = True
        if self.keepalive_task is not None:
            self.keepalive_task.cancel()

    def send_data(self) -> None:
        """Write what the protocol has to say, unless muted."""
        if self.muted:
            self.protocol.data_to_send()
        else:
            super().send_data()


@dataclass(eq=False, slots=True, kw_only=True)
class Peer:
    """A connected client: sends frames to it, counts them, logs them and commits the faults."""

    connection: SimulatedConnection
    text: bool
    faults: Faults
    behind_limit: int
    clock: Callable[[], int]
    log: ConnectionLog | None = None
    frames: int = 0
    events: int = 0
    behind: int = 0
    _closing: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def open(self) -> bool:
        """Whether frames can still be sent."""
        return (
            self.connection.state is State.OPEN
            and self._closing is None
            and not self.connection.muted
            and not self.connection.transport.is_closing()
        )

    def send(self, message: dict[str, object]) -> None:
        """Send one message that is no event: a welcome, an answer, a heartbeat."""
        self._write(msgspec.json.encode(message))

    def send_event(self, payload: bytes) -> None:
        """Send one event, or the garbage that its faults put in its place."""
        if self.open:
            self.events += 1
            self._write(self.faults.spoil(payload, self.events, text=self.text))

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield the client's messages until the connection ends, however it ends."""
        try:
            async for message in self.connection:
                payload = message.encode() if isinstance(message, str) else bytes(message)
                if self.log is not None:
                    kind = "text" if isinstance(message, str) else "binary"
                    self.log.received.append(Logged(kind, payload, self.clock()))
                yield payload
        except ConnectionClosed:
            return

    async def close(self, code: int, reason: str) -> None:
        """Close the connection; one that does not answer in time is cut."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.connection.close(code, reason)
        except TimeoutError:
            self.connection.transport.abort()

    def close_soon(self, code: int, reason: str) -> None:
        """Begin to close the connection: nothing more is sent."""
        if self.open:
            self._closing = asyncio.create_task(self.close(code, reason))

    async def shut_down(self) -> None:
        """Close the connection because the service ends."""
        if self.connection.muted:
            self.connection.transport.abort()
        elif self._closing is None:
            await self.close(1001, "")
        else:
            await self._closing

    def reset(self) -> None:
        """Cut the TCP connection with a reset and without a close frame."""
        raw = self.connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.transport.abort()

    def _write(self, payload: bytes) -> None:
        """Hand a frame to the transport at once, so that order and log agree."""
        if not self.open:
            return
        if self._too_slow():
            self.close_soon(1008, "too_slow")
            return
        if self.log is not None:
            kind = "text" if self.text else "binary"
            self.log.sent.append(Logged(kind, payload, self.clock()))
        broadcast([self.connection], payload, text=self.text)
        self.frames += 1
        self._commit(self.faults.after(self.frames))

    def _too_slow(self) -> bool:
        """Count the frames that wait in our buffer because the client does not read."""
        self.behind = self.behind + 1 if self.connection.paused else 0
        return self.behind > self.behind_limit

    def _commit(self, fault: Fault | None) -> None:
        if isinstance(fault, OrderlyClose):
            self.close_soon(fault.code, fault.reason)
        elif fault == "reset":
            self.reset()
        elif fault == "silence":
            self.connection.mute()
