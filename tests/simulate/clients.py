"""What a client does in these tests: connect, read with a limit, decode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from recorder.simulate import cryptolisting, smartmoney
from recorder.simulate.server import Server

KEY = "dsk_" + "0123456789abcdef" * 4
PATIENCE = 5.0


def listings(**options: Any) -> Any:
    """Serve cryptolisting without connection limits, unless the test wants them."""
    return cryptolisting.serve(cryptolisting.CryptolistingOptions(**{"limits": None, **options}))


def money(**options: Any) -> Any:
    return smartmoney.serve(smartmoney.SmartMoneyOptions(**options))


def hear(server: Server, *, key: str | None = KEY, query: str = "", **options: Any) -> connect:
    headers = {} if key is None else {"X-API-Key": key}
    options = {"additional_headers": headers, "close_timeout": 0.2, "proxy": None} | options
    return connect(server.url + query, **options)


def talk(server: Server, **options: Any) -> connect:
    return connect(server.url, **{"close_timeout": 0.2, "proxy": None} | options)


async def receive(client: ClientConnection) -> Any:
    """Read one frame as JSON."""
    async with asyncio.timeout(PATIENCE):
        return json.loads(await client.recv())


async def until(client: ClientConnection, type_: str) -> dict[str, Any]:
    """Read frames until one has this type."""
    while True:
        frame = await receive(client)
        if frame["type"] == type_:
            return dict(frame)


async def say(client: ClientConnection, **message: Any) -> None:
    await client.send(json.dumps(message))


async def subscribed(client: ClientConnection, *channels: str) -> None:
    """Authenticate and subscribe; leaves the socket right behind the last acknowledgement."""
    await say(client, type="auth", api_key="key")
    for channel in channels:
        await say(client, type="subscribe", channel=channel)
    for _ in channels:
        await until(client, "subscribed")


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(PATIENCE / 500)
    raise AssertionError("it never happened")


async def drained(client: ClientConnection) -> list[str | bytes]:
    """Read everything until the connection ends."""
    frames: list[str | bytes] = []
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                frames.append(await client.recv())
        except Exception:
            await client.wait_closed()
            return frames
