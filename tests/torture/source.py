"""A server whose frames are numbered, and that knows which of them were received for certain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from random import Random

from kit.servers import Message
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .outcome import Talk


class Source:
    """Sends `batch` numbered frames, then waits for a pong and for `pause` seconds, and so on.

    A pong may leave the recorder just before the frames of its own read are written. So a pong
    acknowledges what was sent before the ping before it: that came with an earlier read.
    """

    def __init__(self, seed: int, *, batch: int = 20, pause: float = 0.002, size: int = 200):
        self.talks: list[Talk] = []
        self.live: set[ServerConnection] = set()
        self.accepted: list[float] = []  # monotonic, per connection
        self.port = 0
        self.batch, self.pause = batch, pause
        self.quiet = asyncio.Event()  # set it: nothing more is sent
        self._settled: set[int] = set()
        self._dice = Random(seed)
        self._filling = "".join(self._dice.choices("abcdefghij0123456789éß漢💥", k=4 * size))
        self._size = size

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Source]:
        async with serve(
            self._talk, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=1
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            try:
                yield self
            finally:
                self.quiet.set()

    async def settle(self, seconds: float = 10.0) -> None:
        """Send no more, and wait until the open connections' frames are all acknowledged."""
        self.quiet.set()
        async with asyncio.timeout(seconds):
            while len(self._settled) < len(self.live):  # noqa: ASYNC110 - short, and bounded
                await asyncio.sleep(0.01)

    def reset(self) -> None:
        """End all connections with a TCP reset."""
        for connection in list(self.live):
            sock = connection.transport.get_extra_info("socket")
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.transport.abort()

    async def _talk(self, connection: ServerConnection) -> None:
        talk = Talk(len(self.talks))
        self.talks.append(talk)
        self.accepted.append(time.monotonic())
        self.live.add(connection)
        try:
            with contextlib.suppress(ConnectionClosed):
                await self._say(talk, connection)
                await connection.wait_closed()
        finally:
            self.live.discard(connection)
            self._settled.discard(talk.number)

    async def _say(self, talk: Talk, connection: ServerConnection) -> None:
        before = 0
        while not self.quiet.is_set():
            for _ in range(self.batch):
                if self.quiet.is_set():
                    break
                kind, payload = self._next(talk)
                talk.times.append(time.monotonic())
                talk.sent.append((kind, payload))
                await connection.send(payload, text=kind == "text")
            sent = len(talk.sent)
            await (await connection.ping())
            talk.acknowledged, before = before, sent
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.quiet.wait(), self.pause)
        for _ in range(2):
            await (await connection.ping())
        talk.acknowledged = len(talk.sent)
        self._settled.add(talk.number)

    def _next(self, talk: Talk) -> Message:
        start = self._dice.randrange(2 * self._size)
        text = self._filling[start : start + self._dice.randrange(self._size)]
        told = {"talk": talk.number, "n": len(talk.sent), "x": text}
        payload = json.dumps(told, ensure_ascii=False).encode()
        return "binary" if len(talk.sent) % 5 == 4 else "text", payload
