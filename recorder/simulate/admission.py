"""Connection limits: who may connect now, decided from counts and times alone."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

__all__ = ["Admission", "AdmissionLimits", "Visitor"]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who connects: a key from an address."""

    key: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """How many connections are allowed; the defaults are cryptolisting's, per endpoint."""

    new_per_minute: int = 10
    """New connections per address and minute."""
    per_address: int = 20
    """Open connections per address."""
    addresses_per_key: int = 2
    per_key_and_address: int = 5
    per_key: int = 20
    cooldown_seconds: float = 5.0
    """Pause between two connections of a key from one address."""


@dataclass(slots=True)
class Admission:
    """Applies `limits`; times are seconds of a monotonic clock that the caller reads."""

    limits: AdmissionLimits
    _tries: dict[str, deque[float]] = field(default_factory=dict)
    _last: dict[Visitor, float] = field(default_factory=dict)

    def refuse(
        self, visitor: Visitor, present: Collection[Visitor], now: float
    ) -> dict[str, object] | None:
        """Return the body of the 429 that refuses a visitor, or None and remember the visit."""
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
