"""The choice of events to show when there are more than a screen can show. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


def newest(waiting: Sequence[deque[T]], room: int) -> tuple[list[T], int]:
    """Return at most `room` of the waiting events and the number left out; empty the queues.

    `waiting` has one queue per rank, the most important first, each with its oldest event first.
    Events of a more important rank are chosen first; of each rank the newest, in their order.
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
    """Drop the oldest events of the least important ranks until `most` are left; return a count."""
    over = total = sum(map(len, waiting)) - most
    for rank in reversed(waiting):
        while over > 0 and rank:
            rank.popleft()
            over -= 1
    return max(0, total)


@dataclass(slots=True)
class Allowance:
    """A token bucket: `rate` events per second, and at most `burst` at once."""

    rate: float
    burst: int
    left: float
    at: float

    @classmethod
    def full(cls, rate: float, burst: int, at: float) -> Allowance:
        """Return an unused allowance; `at` is a monotonic time in s."""
        return cls(rate, burst, burst, at)

    def room(self, now: float) -> int:
        """Return how many events may be shown at `now`."""
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        return int(self.left)

    def used(self, count: int) -> None:
        """Deduct `count` events that were shown."""
        self.left -= count
