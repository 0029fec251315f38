"""A replay server within the test: port 0, real clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from recorder.player.iterate import chosen, services, speed_of
from recorder.player.server import Address, listening
from recorder.player.stage import Play, Stage
from recorder.record.layout import Layout
from recorder.service import Service
from recorder.stream.span import span

PATIENCE = 20.0


@dataclass
class Served:
    """A running replay."""

    stage: Stage
    port: int
    playing: asyncio.Task[None]
    said: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def client(self, path: str = "/", **options: Any) -> connect:
        """A client that reads as much as there is."""
        defaults = {"max_queue": None, "compression": None, "ping_interval": None}
        return connect(f"ws://127.0.0.1:{self.port}{path}", **defaults | options)

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.playing


@contextlib.asynccontextmanager
async def serving(
    root: Path,
    feeds: Sequence[str] | None = None,
    *,
    speed: str | float = "max",
    key: str | None = None,
    start: int | None = None,
    end: int | None = None,
    services_of: Mapping[str, Service] | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """Serve these feeds (all) on a free port until the block ends."""
    layout = Layout(root)
    names = chosen(layout, feeds)
    said: list[tuple[str, dict[str, object]]] = []
    play = Play(
        layout,
        services_of or services(layout, names),
        span(start, end),
        speed=speed_of(speed),
        **options,
    )
    stage = Stage(play, lambda event, **fields: said.append((event, fields)))
    await stage.check()
    async with listening(stage, [Address("127.0.0.1", 0, names)], key) as [place]:
        playing = asyncio.create_task(stage.run())
        yield Served(stage, place.port, playing, said)
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing
        for client in tuple(stage.clients):
            client.cut()


async def everything(client: ClientConnection, count: int) -> list[str | bytes]:
    """The next messages."""
    async with asyncio.timeout(PATIENCE):
        return [await client.recv() for _ in range(count)]


async def closing(client: ClientConnection) -> tuple[int | None, str | None, list[str | bytes]]:
    """Read to the end: its code and reason, and what came before."""
    found: list[str | bytes] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                found.append(await client.recv())
    except ConnectionClosed:
        return client.close_code, client.close_reason, found


async def eventually(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for sends no event
            await asyncio.sleep(0.01)
