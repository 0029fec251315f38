"""How long to wait before the next try: exponential, with full jitter.

https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Between 0 and `first` seconds after one failure, up to `most` after many."""

    first: float = 1.0
    most: float = 60.0

    def delay(self, failures: int, dice: Callable[[], float]) -> float:
        """Seconds to wait after so many failures in a row (1: the first); dice are in [0, 1)."""
        return dice() * min(self.most, self.first * 2.0 ** min(failures - 1, 32))
