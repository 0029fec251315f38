"""The live connection `/api/live`: per client, one task that sends and one that receives."""

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
from recorder.serve.client import LiveClient, message
from recorder.serve.conflate import Allowance
from recorder.serve.hub import Hub
from recorder.serve.live_event import DEFAULT_TABLES, TABLES
from recorder.version import __version__

#: The least time in s between two batches: a screen shows no more of them.
BATCH_SECONDS = 0.033

#: The time in s after which a client that does not read a message is disconnected.
_SEND_SECONDS = 60.0

#: The longest message of a client, and the most messages per second.
_LONGEST, _A_SECOND = 16 << 10, 20


def endpoint(hub: Hub) -> Callable[[WebSocket], Awaitable[None]]:
    """Return the handler of a connection."""

    async def serve(socket: WebSocket) -> None:
        await socket.accept()
        client = LiveClient()
        _greet(hub, client)
        hub.clients.add(client)
        sending = asyncio.create_task(_send(socket, client))
        receiving = asyncio.create_task(_receive(socket, client, hub))
        try:
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hub.clients.discard(client)
            for task in (sending, receiving):
                task.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.close()

    return serve


def _greet(hub: Hub, client: LiveClient) -> None:
    client.enqueue(
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
    if hub.poller.latest is not None:
        client.enqueue(message("status", status=hub.poller.latest))


async def _send(socket: WebSocket, client: LiveClient) -> None:
    while True:
        await client.ready.wait()
        for text in client.take():
            await asyncio.wait_for(socket.send_text(text.decode()), _SEND_SECONDS)
        await asyncio.sleep(BATCH_SECONDS)


async def _receive(socket: WebSocket, client: LiveClient, hub: Hub) -> None:
    allowance = Allowance.full(_A_SECOND, 2 * _A_SECOND, time.monotonic())
    while True:
        text = await socket.receive_text()
        if len(text) > _LONGEST or allowance.room(time.monotonic()) < 1:
            await socket.close(1008, "too many or too long messages")
            return
        allowance.used(1)
        try:
            _handle(msgspec.json.decode(text), client, hub)
        except (msgspec.DecodeError, RecursionError):
            client.enqueue(message("error", error="not JSON"))
        except UsageError as error:
            client.enqueue(message("error", error=error.what, next=error.hint))


def _handle(received: Any, client: LiveClient, hub: Hub) -> None:
    """Handle a client's message, which has any of `filter`, `watch`, `paused` and `ping`.

    Raises:
        UsageError: the message or one of its values is wrong.
    """
    if not isinstance(received, dict):
        raise UsageError("a message must be an object", hint='e.g. {"filter": {"symbol": "BTC*"}}')
    if "ping" in received:
        client.enqueue(message("pong", ping=received["ping"], server_ns=str(time.time_ns())))
    if "watch" in received:
        client.watched = filters.tables_of(received["watch"])
    if "paused" in received:
        client.pause(received["paused"] is True)
    if "filter" in received:
        client.change(filters.parse(received["filter"]))
        client.enqueue(message("history", hub.recent(client.filter)))
