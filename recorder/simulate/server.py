"""The shell around every simulated service: sockets, pace, heartbeats and shutdown."""

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

__all__ = ["Behaviour", "Server", "ServerOptions", "refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What every simulated service lets its caller choose."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free port; `Server.port` tells which."""
    rate: float = 1.0
    """Events per second on average, at random intervals; 0 sends heartbeats only."""
    limit: int | None = None
    """Stop after so many events that reached at least one client."""
    seed: int = 0
    """The same seed tells the same events in the same order to clients that subscribe alike."""
    keys: frozenset[str] | None = None
    """The keys that are accepted; None accepts every well formed one."""
    heartbeat_seconds: float = 30.0
    ping_seconds: float | None = 15.0
    """Interval of WebSocket pings; None sends none."""
    pong_seconds: float = 30.0
    """A client that leaves a ping unanswered for so long is disconnected."""
    behind: int = 10
    """A client with more frames than this waiting for it is closed with 1008 too_slow."""
    faults: Faults = field(default_factory=Faults)
    record: bool = False
    """Keep every data frame of every connection in `Server.logs`."""
    record_limit: int | None = None
    """Keep only the last so many frames per connection and direction."""
    clock: Callable[[], int] = time.time_ns

    def __post_init__(self) -> None:
        """Refuse what could never run."""
        if self.rate < 0 or self.heartbeat_seconds <= 0:
            raise ValueError("rate must not be negative, heartbeat_seconds must be positive")


class Behaviour(Protocol):
    """What makes one service differ from another; `path` and `text` shape URL and frames."""

    path: str
    text: bool

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return the response that refuses a handshake, or None to accept it."""

    async def converse(self, peer: Peer) -> None:
        """Greet a client and answer it until its connection ends."""

    def occur(self) -> bool:
        """Let one event happen and tell the clients; return whether anyone heard it."""

    def beat(self) -> None:
        """Send the heartbeat, once every `heartbeat_seconds`."""


def refusal(connection: ServerConnection, status: int, body: dict[str, object]) -> Response:
    """Build an HTTP response that refuses the handshake with a JSON body."""
    response = connection.respond(status, msgspec.json.encode(body).decode())
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response


class Server:
    """A running simulated service: `port`, `url`, the open `peers` and the `logs`.

    An asynchronous context manager that closes itself; `serve_forever` suits a command line.
    """

    def __init__(self, behaviour: Behaviour, settings: ServerOptions) -> None:
        self.peers: set[Peer] = set()
        self.logs: list[ConnectionLog] = []
        """With `record`: one log per connection, in the order in which they opened."""
        self.port = settings.port
        """The port that is listened on; it is kept after `close`."""
        self.connections = 0
        """How many connections were opened since the start."""
        self.refused = 0
        """How many handshakes were refused since the start."""
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
        """Where a client connects."""
        host = self._settings.host
        return f"ws://{f'[{host}]' if ':' in host else host}:{self.port}{self._behaviour.path}"

    async def start(self) -> Self:
        """Listen; raises OSError when the address is taken."""
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
        """Close every open connection and go on listening."""
        await asyncio.gather(*(peer.close(code, reason) for peer in tuple(self.peers)))

    async def serve_forever(self) -> None:
        """Run until cancelled; raises whatever else ends the service."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Stop listening, close every connection and wait for both; may be called again."""
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
        if faults.refuse is not None and faults.strike(self.connections + self.refused):
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
            faults=settings.faults if settings.faults.strike(number) else Faults(),
            behind_limit=settings.behind,
            clock=settings.clock,
            log=log,
        )

    async def _pace(self) -> None:
        """Let events happen at random, `rate` a second; a stall of over a second is forgotten."""
        settings, loop = self._settings, asyncio.get_running_loop()
        if not settings.rate:
            return
        gaps = random.Random(settings.seed)
        due, heard = loop.time(), 0
        while settings.limit is None or heard < settings.limit:
            due = max(due + gaps.expovariate(settings.rate), loop.time() - 1)
            await asyncio.sleep(max(0.0, due - loop.time()))
            heard += self._behaviour.occur()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_seconds)
            self._behaviour.beat()
