"""Back-off, the only one of the recorder: exponential, with full jitter.

https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay between 0 and `first` seconds after one failure, and at most `most` after many.

    `least`, from 0 to 1, is the part of the delay that is fixed; the rest is jitter.
    """

    first: float = 1.0
    most: float = 60.0
    least: float = 0.0

    def delay(self, failures: int, dice: Callable[[], float]) -> float:
        """Return the seconds to wait after this many failures in a row (1: the first).

        `dice` returns random numbers in [0, 1).
        """
        longest = min(self.most, self.first * 2.0 ** min(failures - 1, 32))
        return (self.least + (1.0 - self.least) * dice()) * longest
