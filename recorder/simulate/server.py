"""The server of every simulated service: sockets, pace of events, heartbeats and shutdown."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import msgspec
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.http11 import Request, Response

from recorder.simulate.faults import Faults
from recorder.simulate.peer import CLOSE_SECONDS, ConnectionLog, Logged, Peer, SimulatedConnection

__all__ = ["Behaviour", "Server", "ServiceOptions", "refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """The options that all simulated services share."""

    host: str = "127.0.0.1"
    port: int = 0
    """The port to listen on; 0 for a free one, which is then `Server.port`."""
    rate: float = 1.0
    """The average number of events per second, at random intervals; 0 for heartbeats only."""
    limit: int | None = None
    """The number of events that reached at least one client after which the events end."""
    seed: int = 0
    """The seed of the events: the same seed and subscriptions give the same events in order."""
    keys: frozenset[str] | None = None
    """The accepted keys; None for every well-formed one."""
    heartbeat_seconds: float = 30.0
    ping_seconds: float | None = 15.0
    """The interval of WebSocket pings; None for no pings."""
    pong_seconds: float = 30.0
    """The time that a client has to answer a ping before it is disconnected."""
    behind: int = 10
    """The number of buffered frames above which a client is closed with 1008 too_slow."""
    faults: Faults = field(default_factory=Faults)
    record: bool = False
    """True to keep the data frames of every connection in `Server.logs`."""
    record_limit: int | None = None
    """The number of last frames to keep per connection and direction; None for all."""
    clock: Callable[[], int] = time.time_ns

    def __post_init__(self) -> None:
        """Check the rate and the heartbeat interval.

        Raises:
            ValueError: one of them is out of range.
        """
        if self.rate < 0 or self.heartbeat_seconds <= 0:
            raise ValueError("rate must not be negative, heartbeat_seconds must be positive")


class Behaviour(Protocol):
    """A service's protocol: the path of its URL, text or binary frames, and its messages."""

    path: str
    text: bool

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return a response that refuses the handshake, or None to accept it."""

    async def converse(self, peer: Peer) -> None:
        """Welcome a client and answer its messages until its connection ends."""

    def emit(self) -> bool:
        """Send one event to the clients that want it; return True if there was one."""

    def heartbeat(self) -> None:
        """Send a heartbeat to every client; called every `heartbeat_seconds`."""


def refusal(connection: ServerConnection, status: int, body: dict[str, object]) -> Response:
    """Return an HTTP response that refuses the handshake, with a JSON body."""
    response = connection.respond(status, msgspec.json.encode(body).decode())
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response


class Server:
    """A running simulated service: `port`, `url`, the open `peers` and the `logs`.

    As an asynchronous context manager it closes itself at the end.
    """

    def __init__(self, behaviour: Behaviour, settings: ServiceOptions) -> None:
        self.peers: set[Peer] = set()
        self.logs: list[ConnectionLog] = []
        """With `record`: one log per connection, in the order in which they opened."""
        self.port = settings.port
        """The port that the server listens on; kept after `close`."""
        self.connections = 0
        """The number of connections opened since the start."""
        self.refused = 0
        """The number of handshakes refused since the start."""
        self._behaviour = behaviour
        self._settings = settings
        self._tasks: list[asyncio.Task[None]] = []
        self._server: WebSocketServer | None = None

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """The listening sockets."""
        return tuple(self._server.sockets) if self._server is not None else ()

    @property
    def url(self) -> str:
        """The URL for clients."""
        host = self._settings.host
        return f"ws://{f'[{host}]' if ':' in host else host}:{self.port}{self._behaviour.path}"

    async def start(self) -> Self:
        """Start to listen; return the server.

        Raises:
            OSError: the address is in use.
        """
        settings = self._settings
        self._server = await serve_websocket(
            self._handle,
            settings.host,
            settings.port,
            process_request=self._admit,
            create_connection=SimulatedConnection,
            compression=None,
            open_timeout=CLOSE_SECONDS,
            ping_interval=settings.ping_seconds,
            ping_timeout=settings.pong_seconds,
            close_timeout=CLOSE_SECONDS,
            write_limit=0,
        )
        self.port = int(self.sockets[0].getsockname()[1])
        self._tasks = [asyncio.create_task(self._pace()), asyncio.create_task(self._beat())]
        return self

    async def drop(self, code: int = 1001, reason: str = "") -> None:
        """Close every open connection, but continue to listen."""
        await asyncio.gather(*(peer.close(code, reason) for peer in tuple(self.peers)))

    async def serve_forever(self) -> None:
        """Run until cancelled, or until a task of the service fails with its error."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Stop listening and close every connection; a second call does nothing."""
        if self._server is None:
            return
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server.close(close_connections=False)
        await asyncio.gather(*(peer.shut_down() for peer in tuple(self.peers)))
        await self._server.wait_closed()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        faults = self._settings.faults
        if faults.refuse is not None and faults.affects(self.connections + self.refused):
            response = refusal(connection, faults.refuse, {"error": "unavailable"})
        else:
            admitted = self._behaviour.admit(connection, request)
            if admitted is None:
                return None
            response = admitted
        self.refused += 1
        return response

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, SimulatedConnection)
        peer = self._peer(connection)
        self.peers.add(peer)
        try:
            if peer.faults.accept_then_close:
                await peer.close(1001, "")
            else:
                await self._behaviour.converse(peer)
        finally:
            self.peers.discard(peer)

    def _peer(self, connection: SimulatedConnection) -> Peer:
        settings, number = self._settings, self.connections
        self.connections += 1
        log = None
        if settings.record:
            sent: deque[Logged] = deque(maxlen=settings.record_limit)
            log = ConnectionLog(number, sent, deque(maxlen=settings.record_limit))
            self.logs.append(log)
        return Peer(
            connection=connection,
            text=self._behaviour.text,
            faults=settings.faults if settings.faults.affects(number) else Faults(),
            behind_limit=settings.behind,
            clock=settings.clock,
            log=log,
        )

    async def _pace(self) -> None:
        """Emit events at random times, `rate` per second; after a stall, catch up at most 1 s."""
        settings, loop = self._settings, asyncio.get_running_loop()
        if not settings.rate:
            return
        rng = random.Random(settings.seed)
        due, emitted = loop.time(), 0
        while settings.limit is None or emitted < settings.limit:
            due = max(due + rng.expovariate(settings.rate), loop.time() - 1)
            await asyncio.sleep(max(0.0, due - loop.time()))
            emitted += self._behaviour.emit()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_seconds)
            self._behaviour.heartbeat()
