"""Connection limits of a service, applied to counts and times: pure, without sockets."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

__all__ = ["Admission", "ConnectionLimits", "Visitor"]


@dataclass(frozen=True, slots=True)
class Visitor:
    """The key and the address of a client that connects."""

    key: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """The limits on connections to an endpoint; the defaults are cryptolisting's."""

    new_per_minute: int = 10
    """The most new connections per address and minute."""
    per_address: int = 20
    """The most open connections per address."""
    addresses_per_key: int = 2
    per_key_and_address: int = 5
    per_key: int = 20
    cooldown_seconds: float = 5.0
    """The least time between two connections of a key from one address."""


@dataclass(slots=True)
class Admission:
    """Applies `limits`. The caller reads the clock: times are seconds of a monotonic clock."""

    limits: ConnectionLimits
    _tries: dict[str, deque[float]] = field(default_factory=dict)
    _last: dict[Visitor, float] = field(default_factory=dict)

    def refuse(
        self, visitor: Visitor, present: Collection[Visitor], now: float
    ) -> dict[str, object] | None:
        """Return the body of the response 429 to a visitor; None to admit and remember it."""
        error = self._over_rate(visitor.address, now) or self._over_count(visitor, present)
        if error is not None:
            return {"error": error}
        wait = self._last.get(visitor, -math.inf) + self.limits.cooldown_seconds - now
        if wait > 0:
            return {"error": "connection_cooldown", "retry_after_s": math.ceil(wait)}
        self._last[visitor] = now
        return None

    def _over_rate(self, address: str, now: float) -> str | None:
        tries = self._tries.setdefault(address, deque())
        while tries and tries[0] <= now - 60:
            tries.popleft()
        if len(tries) >= self.limits.new_per_minute:
            return "connection_rate_limit_exceeded"
        tries.append(now)
        return None

    def _over_count(self, visitor: Visitor, present: Collection[Visitor]) -> str | None:
        limits = self.limits
        if sum(other.address == visitor.address for other in present) >= limits.per_address:
            return "per_ip_concurrent_limit_reached"
        own = [other.address for other in present if other.key == visitor.key]
        if own.count(visitor.address) >= limits.per_key_and_address:
            return "per_ip_connection_limit_reached"
        if len({*own, visitor.address}) > limits.addresses_per_key:
            return "max_distinct_ips_reached"
        if len(own) >= limits.per_key:
            return "absolute_connection_cap_reached"
        return None
