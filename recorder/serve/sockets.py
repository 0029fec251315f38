"""The live connection: `/api/live`, one task that sends and one that listens per client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from recorder.errors import UsageError
from recorder.serve import filters
from recorder.serve.client import Client, message
from recorder.serve.conflate import Allowance
from recorder.serve.hub import Hub
from recorder.serve.shown import DEFAULT_TABLES, TABLES
from recorder.version import __version__

#: Batches follow each other no closer: a screen shows no more of them.
BATCH_SECONDS = 0.033

#: Who does not read one message for so long is gone, or asleep.
_SEND_SECONDS = 60.0

#: A client has little to say; more is refused.
_LONGEST, _A_SECOND = 16 << 10, 20


def endpoint(hub: Hub) -> Callable[[WebSocket], Awaitable[None]]:
    """The handler of one connection."""

    async def serve(socket: WebSocket) -> None:
        await socket.accept()
        client = Client()
        _greet(hub, client)
        hub.clients.add(client)
        sending = asyncio.create_task(_send(socket, client))
        listening = asyncio.create_task(_listen(socket, client, hub))
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hub.clients.discard(client)
            for task in (sending, listening):
                task.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.close()

    return serve


def _greet(hub: Hub, client: Client) -> None:
    client.tell(
        message(
            "hello",
            hub.recent(client.filter),
            version=__version__,
            server_ns=str(time.time_ns()),
            tables=list(TABLES),
            default_tables=list(DEFAULT_TABLES),
            feeds=hub.feeds(),
            exchanges=hub.exchanges(),
        )
    )
    if hub.lookout.told is not None:
        client.tell(message("status", status=hub.lookout.told))


async def _send(socket: WebSocket, client: Client) -> None:
    while True:
        await client.ready.wait()
        for text in client.take():
            await asyncio.wait_for(socket.send_text(text.decode()), _SEND_SECONDS)
        await asyncio.sleep(BATCH_SECONDS)


async def _listen(socket: WebSocket, client: Client, hub: Hub) -> None:
    allowance = Allowance.full(_A_SECOND, 2 * _A_SECOND, time.monotonic())
    while True:
        text = await socket.receive_text()
        if len(text) > _LONGEST or allowance.room(time.monotonic()) < 1:
            await socket.close(1008, "too much was said")
            return
        allowance.used(1)
        try:
            _heard(msgspec.json.decode(text), client, hub)
        except (msgspec.DecodeError, RecursionError):
            client.tell(message("error", error="not JSON"))
        except UsageError as error:
            client.tell(message("error", error=error.what, next=error.hint))


def _heard(told: Any, client: Client, hub: Hub) -> None:
    """One message of a client: any of `filter`, `watch`, `paused`, `ping`."""
    if not isinstance(told, dict):
        raise UsageError("a message is an object", hint='e.g. {"filter": {"symbol": "BTC*"}}')
    if "ping" in told:
        client.tell(message("pong", ping=told["ping"], server_ns=str(time.time_ns())))
    if "watch" in told:
        client.watched = filters.tables_of(told["watch"])
    if "paused" in told:
        client.pause(told["paused"] is True)
    if "filter" in told:
        client.change(filters.parse(told["filter"]))
        client.tell(message("history", hub.recent(client.filter)))
