"""A scripted exchange: a real WebSocket server on a free port, and a capture of it in process.

An exchange's rules are a subclass: `hear` answers what the client says, `keep_up` sends heartbeats
and ends connections that misbehave. What happened is kept for the test to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from recorder import log
from recorder.capture.capture import Capture
from recorder.capture.sources import sources
from recorder.redact import Redactor
from recorder.settings.config import load

PATIENCE = 30.0


@dataclass(eq=False)
class Talk:
    """One connection, seen from the exchange."""

    socket: ServerConnection
    path: str  # of the handshake, query included
    heard: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    subscribed: set[str] = field(default_factory=set)
    ended: str = ""  # why the exchange ended it; empty if it did not

    async def send(self, *messages: str) -> None:
        """Say something, in order."""
        for message in messages:
            self.sent.append(message)
            await self.socket.send(message)

    async def end(self, why: str, code: int = 1008) -> None:
        """End the connection for misbehaviour."""
        self.ended = self.ended or why
        await self.socket.close(code, why)

    def reset(self) -> None:
        """Lose the connection without a word."""
        self.socket.transport.abort()


class Exchange:
    """The connections of one exchange; subclasses know its rules."""

    def __init__(self) -> None:
        self.talks: list[Talk] = []
        self.url = ""

    async def hear(self, talk: Talk, message: str) -> None:
        """Answer a message of the client's."""

    async def keep_up(self, talk: Talk) -> None:
        """Run beside each connection until it ends: heartbeats, data, limits."""

    @contextlib.asynccontextmanager
    async def open(self, path: str = "") -> AsyncIterator[None]:
        """Serve on a free port of loopback."""
        async with serve(self._talk, "127.0.0.1", 0, ping_interval=None) as server:
            port = server.sockets[0].getsockname()[1]
            self.url = f"ws://127.0.0.1:{port}{path}"
            yield

    async def _talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        talk = Talk(socket, socket.request.path)
        self.talks.append(talk)
        beside = asyncio.create_task(self.keep_up(talk))
        try:
            async for message in socket:
                assert isinstance(message, str)
                talk.heard.append(message)
                await self.hear(talk, message)
        except ConnectionClosed:
            pass
        finally:
            beside.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await beside

    @property
    def complaints(self) -> list[str]:
        """Why the exchange ended connections for misbehaviour."""
        return [talk.ended for talk in self.talks if talk.ended]


async def until(condition: Callable[[], Any], patience: float = PATIENCE) -> None:
    """Wait for something to become true; who waits in vain hears what everybody else does."""
    try:
        async with asyncio.timeout(patience):
            while not condition():  # noqa: ASYNC110 - the condition may look at anything
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        error.add_note(_doings())
        raise


def _doings() -> str:
    """Where every task of the loop stands."""
    told = io.StringIO()
    for task in asyncio.all_tasks():
        task.print_stack(file=told, limit=6)
    return told.getvalue()


@contextlib.asynccontextmanager
async def capturing(
    where: Path, name: str, settings: str, **hasty: float
) -> AsyncIterator[Capture]:
    """Record one feed in this process while the block runs, into `where/data`.

    `settings` is the inside of its table in TOML; `hasty` replaces times of its plans, such as
    `ping_every`, so that a test sees in a second what takes minutes.
    """
    config = where / "recorder.toml"
    config.write_text(f"[feeds.{name}]\n{settings}", "utf-8")
    loaded = load(config, data_dir=where / "data")
    [source] = sources(loaded, {name: "key:secret"})
    plans: Any = tuple(replace(plan, **hasty) for plan in source.plans)
    run = Capture(loaded, [replace(source, plans=plans)], Redactor(["key:secret"]), log.logger())
    task = asyncio.create_task(run.run())
    try:
        yield run
    finally:
        run.stop()
        async with asyncio.timeout(PATIENCE):
            await task
