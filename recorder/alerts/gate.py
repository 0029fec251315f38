"""The rate limit of one rule's alerts; it counts those that it holds back. Pure."""

from __future__ import annotations

from collections import deque


class Gate:
    """Admits at most `most` in any `seconds`; times are seconds of a monotonic clock."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._passed: deque[float] = deque()
        self._since: float | None = None  # when the first was held back
        self.held = 0

    def admit(self, now: float) -> bool:
        """Return True if one more may pass; else count it as held back."""
        while self._passed and now - self._passed[0] >= self._seconds:
            self._passed.popleft()
        if len(self._passed) < self._most:
            self._passed.append(now)
            return True
        self._since = now if self._since is None else self._since
        self.held += 1
        return False

    def due(self, now: float, *, everything: bool = False) -> int:
        """Return and reset the count of alerts held back, once the interval is over; before, 0.

        `everything` does not wait for the interval.
        """
        if self._since is None or not (everything or now - self._since >= self._seconds):
            return 0
        held, self.held, self._since = self.held, 0, None
        return held
