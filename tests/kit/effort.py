"""How much a test does: the short form at each change, the long form in `make torture`."""

from __future__ import annotations

import os
from typing import TypeVar

Case = TypeVar("Case")

#: True if the long form runs.
FULL = bool(os.environ.get("RECORDER_TEST_FULL"))


def examples(full: int) -> int:
    """Return how many random examples a property is tried on: a quarter in the short form."""
    return full if FULL else -(-full // 4)


def cases(short: Case, *more: Case) -> tuple[Case, ...]:
    """Return the cases of a test whose cases are dear and alike: one in the short form."""
    return (short, *more) if FULL else (short,)
