"""Connections of clients that have not asked yet, or do not read: limited in time and number.

uvicorn has no time limit for a request. Here a request has to arrive whole within
`REQUEST_SECONDS`, and a connection without a request, or whose answer nobody reads, ends. At most
`MOST_CONNECTIONS` are open: beyond, the one that has waited longest without a request is closed, so
that a new client is always heard, however many idle ones there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: s from the connection, or from the first byte of a further request, to its last byte.
REQUEST_SECONDS = 15.0
#: s from a request's last byte to the answer: more than a query and its wait for a turn take.
ANSWER_SECONDS = 120.0
#: s after an answer, in which the client reads it and may ask again.
IDLE_SECONDS = 60.0

#: The most connections of HTTP; those of the page's live connection are counted by the guard.
MOST_CONNECTIONS = 256

#: The states of a client whose request is not complete.
_ASKING = (h11.IDLE, h11.SEND_BODY)


class OpenConnections:
    """The connections of one server, and those without a complete request, the oldest first."""

    def __init__(self, most: int = MOST_CONNECTIONS) -> None:
        self._most = most
        self._all: set[BoundedProtocol] = set()
        self._waiting: dict[BoundedProtocol, None] = {}

    def add(self, one: BoundedProtocol) -> None:
        """Add a new connection; close the one that has waited longest if there are too many."""
        self._all.add(one)
        self.waits(one)
        if len(self._all) > self._most and self._waiting:
            oldest = next(iter(self._waiting))
            self.remove(oldest)
            oldest.abort()

    def waits(self, one: BoundedProtocol) -> None:
        """Note that a connection has no complete request."""
        self._waiting.setdefault(one)

    def works(self, one: BoundedProtocol) -> None:
        """Note that a connection's request is being answered."""
        self._waiting.pop(one, None)

    def remove(self, one: BoundedProtocol) -> None:
        """Remove a connection that ended or became a WebSocket."""
        self._all.discard(one)
        self._waiting.pop(one, None)


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol of one connection, with limits of time."""

    def __init__(self, connections: OpenConnections, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._open = connections
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the time of the first request."""
        super().connection_made(transport)
        self._limit(REQUEST_SECONDS)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._limit(None)
        self._open.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what arrived; the time of a further request begins with its first byte."""
        if self.conn.their_state is h11.IDLE and self._idle:
            self._idle = False
            self._limit(REQUEST_SECONDS)
        super().data_received(data)
        if self.conn.their_state not in _ASKING and self._asking:
            self._asking = False
            self._open.works(self)
            self._limit(ANSWER_SECONDS)

    def on_response_complete(self) -> None:
        """Begin the time in which the client reads the answer and may ask again."""
        self._asking = self._idle = True
        self._open.waits(self)
        self._limit(IDLE_SECONDS)
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to the WebSocket protocol, whose limits are others."""
        self._limit(None)
        self._asking = False
        self._open.remove(self)
        super().handle_websocket_upgrade(event)

    def abort(self) -> None:
        """Close the connection at once, whatever was not sent yet."""
        self.transport.abort()

    #: True until a request is complete; and True while not a byte of the next one has arrived.
    _asking = True
    _idle = False

    def _limit(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.abort)


def protocol(most: int = MOST_CONNECTIONS) -> Callable[..., BoundedProtocol]:
    """Return the class of a server's connections, as uvicorn's setting `http` wants it."""
    connections = OpenConnections(most)

    class _Protocol(BoundedProtocol):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(connections, *given, **named)

    return _Protocol
