"""A TCP proxy that can stop forwarding without closing: a half-open connection."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator


class Proxy:
    """Forwards to a port of loopback; `freeze()` leaves its present connections dead but open."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.accepted: list[float] = []  # wall clock, per connection
        self.froze_at = 0.0  # wall clock
        self.noticed_at = 0.0  # when the client ended a frozen connection
        self._to = port
        self._frozen: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Proxy]:
        listener = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self) -> None:
        self.froze_at = time.time()
        self._frozen.update(range(len(self.accepted)))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.accepted)
        self.accepted.append(time.time())
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        both = [
            asyncio.create_task(self._pump(number, reader, back)),
            asyncio.create_task(self._pump(number, there, writer)),
        ]
        self._tasks.update(both)
        await asyncio.wait([both[0]])
        if number in self._frozen:
            self.noticed_at = time.time()
        both[1].cancel()
        for one in (writer, back):
            one.close()

    async def _pump(
        self, number: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(1 << 16):
                if number not in self._frozen:
                    sink.write(data)
                    await sink.drain()
            if number not in self._frozen:
                sink.close()
