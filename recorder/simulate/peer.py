"""One client of a simulated service: every frame to the client is sent here."""

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

from recorder.simulate.faults import CloseFault, Fault, Faults

__all__ = ["ConnectionLog", "Logged", "Peer", "SimulatedConnection"]

CLOSE_SECONDS = 5.0
"""The time in s that a client has to answer a close before its TCP connection is cut."""


class Logged(NamedTuple):
    """One data frame, 'text' or 'binary', with the time at which it was sent or read."""

    kind: str
    payload: bytes
    time_ns: int


@dataclass(frozen=True, slots=True)
class ConnectionLog:
    """The data frames of one connection, in order; connections are numbered from 0."""

    number: int
    sent: deque[Logged]
    received: deque[Logged]


class SimulatedConnection(ServerConnection):
    """A connection that can be muted: it stays open but writes nothing, not even pongs."""

    muted = False

    def mute(self) -> None:
        """Write nothing from now on, and no longer disconnect a silent client."""
        self.muted = True
        if self.keepalive_task is not None:
            self.keepalive_task.cancel()

    def send_data(self) -> None:
        """Write the protocol's pending data unless muted."""
        if self.muted:
            self.protocol.data_to_send()
        else:
            super().send_data()


@dataclass(eq=False, slots=True, kw_only=True)
class Peer:
    """A connected client: sends frames to it, counts and logs them, and makes the faults."""

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
        """True while frames can be sent."""
        return (
            self.connection.state is State.OPEN
            and self._closing is None
            and not self.connection.muted
            and not self.connection.transport.is_closing()
        )

    def send(self, message: dict[str, object]) -> None:
        """Send a message other than an event: a welcome, an answer, a heartbeat."""
        self._write(msgspec.json.encode(message))

    def send_event(self, payload: bytes) -> None:
        """Send an event, or the garbage that a fault replaces it with."""
        if self.open:
            self.events += 1
            self._write(self.faults.corrupted(payload, self.events, text=self.text))

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield the client's messages until the connection ends; a failed connection just ends."""
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
        """CloseFault the connection; cut it if the client does not answer in time."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.connection.close(code, reason)
        except TimeoutError:
            self.connection.transport.abort()

    def close_soon(self, code: int, reason: str) -> None:
        """Start to close the connection; no more frames are sent."""
        if self.open:
            self._closing = asyncio.create_task(self.close(code, reason))

    async def shut_down(self) -> None:
        """CloseFault the connection because the service is shutting down."""
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
        """Pass a frame to the transport at once, so that the log has the order of sending."""
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
        self._make(self.faults.after(self.frames))

    def _too_slow(self) -> bool:
        """Return True if too many frames are buffered because the client does not read."""
        self.behind = self.behind + 1 if self.connection.paused else 0
        return self.behind > self.behind_limit

    def _make(self, fault: Fault | None) -> None:
        if isinstance(fault, CloseFault):
            self.close_soon(fault.code, fault.reason)
        elif fault == "reset":
            self.reset()
        elif fault == "silence":
            self.connection.mute()
