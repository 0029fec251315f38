"""The clients of a replay together: when they are ready, how the slow and the lost are treated."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from typing import Protocol

from recorder.player.client import Client

#: Clients subscribe one message after another: the replay begins when they have said no more for
#: so long.
_SETTLED_SECONDS = 0.5

#: A client that took nothing for so long is too slow, where slow ones are closed.
_TOO_SLOW_SECONDS = 1.0

#: Codes that no close frame carries: a connection that was lost so is cut.
_UNSENT = {1005, 1006, 1015}


class Say(Protocol):
    """Where notes for people go: an event, and its fields."""

    def __call__(self, event: str, **fields: object) -> None:
        """Tell it."""


def unsettled(clients: Collection[Client], enough: int) -> float:
    """Seconds until so many clients will have said what they want: 0 if they have.

    Infinite while too few are there.
    """
    there = [client for client in clients if client.ready and client.open]
    if len(there) < enough:
        return math.inf
    last = max(client.changed for client in there)
    return max(0.0, last + _SETTLED_SECONDS - asyncio.get_running_loop().time())


async def drop(clients: Collection[Client], feed: str, code: int | None, reason: str) -> None:
    """End a feed's connections as the recorded one was lost."""
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
    """Wait for who reads slowly; or `close` who takes nothing, as the service would."""
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
