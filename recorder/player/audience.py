"""The clients of a replay as a group: when they are ready, and the treatment of slow ones."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from typing import Protocol

from recorder.player.client import Client

#: Clients may subscribe in several messages: the replay begins when none came for this long.
_SETTLED_SECONDS = 0.5

#: A client that read nothing for this long is too slow, if slow clients are closed.
_TOO_SLOW_SECONDS = 1.0

#: Codes that a close frame cannot carry: the TCP connection is cut instead.
_UNSENT = {1005, 1006, 1015}


class Say(Protocol):
    """The function that logs an event and its fields."""

    def __call__(self, event: str, **fields: object) -> None:
        """Log the event."""


def unsettled(clients: Collection[Client], enough: int) -> float:
    """Return the seconds until `enough` clients have finished subscribing; 0 if they have.

    Infinity while too few are connected.
    """
    there = [client for client in clients if client.ready and client.open]
    if len(there) < enough:
        return math.inf
    last = max(client.changed for client in there)
    return max(0.0, last + _SETTLED_SECONDS - asyncio.get_running_loop().time())


async def drop(clients: Collection[Client], feed: str, code: int | None, reason: str) -> None:
    """Close a feed's connections in the way the recorded one was lost."""
    lost = [client for client in clients if client.feed == feed]
    for client in lost:
        client.ready = False
    if code is None or code in _UNSENT:
        for client in lost:
            client.cut()
        return
    short = reason.encode()[:123].decode("utf-8", "ignore")
    await asyncio.gather(*(client.close(code, short) for client in lost))


async def pressed(slow: Collection[Client], say: Say, *, close: bool) -> None:
    """Wait for slow clients; with `close`, close those that read nothing, as the service does."""
    if not close:
        await asyncio.gather(*(client.drained() for client in slow))
        return
    waiting = [asyncio.ensure_future(client.drained()) for client in slow]
    _, late = await asyncio.wait(waiting, timeout=_TOO_SLOW_SECONDS)
    for client, task in zip(slow, waiting, strict=True):
        if task in late:
            task.cancel()
            say("client closed: too slow", feed=client.feed)
            client.ready = False
            asyncio.ensure_future(client.close(*client.service.too_slow))  # noqa: RUF006 - it ends by itself
