"""How many alerts of one rule are let through: so many in so long, the rest is counted. Pure."""

from __future__ import annotations

from collections import deque


class Gate:
    """At most `most` in any `seconds`; times are seconds of a clock that only goes forward."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._passed: deque[float] = deque()
        self._since: float | None = None  # the first that is held back
        self.held = 0

    def admit(self, now: float) -> bool:
        """True if one more may pass; else it is counted as held back."""
        while self._passed and now - self._passed[0] >= self._seconds:
            self._passed.popleft()
        if len(self._passed) < self._most:
            self._passed.append(now)
            return True
        self._since = now if self._since is None else self._since
        self.held += 1
        return False

    def due(self, now: float, *, everything: bool = False) -> int:
        """How many were held back, once it is time to say so; 0 if there is nothing to say.

        `everything`: now, whatever the time.
        """
        if self._since is None or not (everything or now - self._since >= self._seconds):
            return 0
        held, self.held, self._since = self.held, 0, None
        return held
