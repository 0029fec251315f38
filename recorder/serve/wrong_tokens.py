"""Wrong tokens, counted per client: guessing is slow, and nobody locks out anybody else."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeVar

V = TypeVar("V")

#: The most wrong tokens of a client per minute.
_MOST_WRONG, _MINUTE = 10, 60.0
#: For this time (s) after the right token its client is not refused for wrong ones.
_TRUSTED = 3600.0
#: The most clients that are remembered; the longest unseen are forgotten.
_MOST_CLIENTS = 10_000


class WrongTokens:
    """The times of each client's last wrong tokens, and when it last had the right one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._right: OrderedDict[str, float] = OrderedDict()

    def exhausted(self, client: str) -> bool:
        """Return True while every token of a client is refused."""
        now, wrong = self._clock(), self._wrong.get(client)
        if now - self._right.get(client, -_TRUSTED) < _TRUSTED:
            return False
        return wrong is not None and len(wrong) == _MOST_WRONG and now - wrong[0] < _MINUTE

    def add(self, client: str) -> None:
        """Count a client's wrong token."""
        self._wrong.setdefault(client, deque(maxlen=_MOST_WRONG)).append(self._clock())
        _bound(self._wrong, client)

    def right(self, client: str) -> None:
        """Note that a client had the right token."""
        self._right[client] = self._clock()
        _bound(self._right, client)


def client_of(host: str) -> str:
    """Return who a peer's address counts as: itself, or the /64 network of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _bound(clients: OrderedDict[str, V], client: str) -> None:
    clients.move_to_end(client)
    if len(clients) > _MOST_CLIENTS:
        clients.popitem(last=False)
