"""Which events are shown when more come than a screen can show. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


def newest(waiting: Sequence[deque[T]], room: int) -> tuple[list[T], int]:
    """At most `room` of the waiting events, and how many are left out; nothing waits afterwards.

    `waiting` is by rank, each oldest first: what matters more goes first, and of each rank the
    newest. The order among those chosen of one rank stays.
    """
    chosen: list[T] = []
    left_out = 0
    for rank in waiting:
        over = max(0, len(rank) - max(0, room - len(chosen)))
        left_out += over
        for _ in range(over):
            rank.popleft()
        chosen += rank
        rank.clear()
    return chosen, left_out


def drop_oldest(waiting: Sequence[deque[T]], most: int) -> int:
    """Keep at most `most` events, dropping the oldest of those that matter least; how many."""
    over = total = sum(map(len, waiting)) - most
    for rank in reversed(waiting):
        while over > 0 and rank:
            rank.popleft()
            over -= 1
    return max(0, total)


@dataclass(slots=True)
class Allowance:
    """How many events may be shown now: `rate` a second, and at most `burst` at once."""

    rate: float
    burst: int
    left: float
    at: float

    @classmethod
    def full(cls, rate: float, burst: int, at: float) -> Allowance:
        """One that was not used yet; `at` is a monotonic time in seconds."""
        return cls(rate, burst, burst, at)

    def room(self, now: float) -> int:
        """How many may be shown at `now`."""
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        return int(self.left)

    def used(self, count: int) -> None:
        """So many were shown."""
        self.left -= count
