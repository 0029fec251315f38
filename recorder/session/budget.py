"""The limit on connection attempts per endpoint."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from recorder.feed import RetryPolicy


@dataclass(slots=True)
class Budget:
    """Attempts at one endpoint, shared by all lines that connect there, in order of arrival."""

    policy: RetryPolicy
    attempts: deque[float] = field(default_factory=deque)
    queue: list[object] = field(default_factory=list)  # callers of `take` that wait, longest first
    held_until: float = 0.0  # the service limits this address until then

    def earliest(self, wanted: float) -> float:
        """Return the first time at or after `wanted` at which an attempt is allowed (seconds)."""
        wanted = max(wanted, self.held_until)
        if self.attempts:
            wanted = max(wanted, self.attempts[-1] + self.policy.spacing)
        if len(self.attempts) >= self.policy.attempts_per_minute:
            wanted = max(wanted, self.attempts[-self.policy.attempts_per_minute] + 60.0)
        return wanted

    def take(self, who: object, at: float) -> bool:
        """Take an attempt; return False if none is allowed yet or another caller is first."""
        if who not in self.queue:
            self.queue.append(who)
        if self.queue[0] is not who or at < self.earliest(at):
            return False
        self.leave(who)
        self.attempts.append(at)
        while len(self.attempts) > self.policy.attempts_per_minute:
            self.attempts.popleft()
        return True

    def hold(self, until: float) -> None:
        """Allow no attempt before this time (seconds): asking on lengthens a ban."""
        self.held_until = max(self.held_until, until)

    def leave(self, who: object) -> None:
        """Remove a caller from the queue."""
        if who in self.queue:
            self.queue.remove(who)
