"""Bisection of a batch: it finds the frames that break a feed's SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

#: This many broken rows before the first good one mean that the SQL is wrong.
_IN_A_ROW = 32


class Bisection(NamedTuple):
    """The rows that fail by themselves, and the ranges (start, end) of all others, in order."""

    bad: list[int]
    good: list[tuple[int, int]]


def broken(fails: Callable[[int, int], bool], rows: int) -> list[int] | None:
    """Return the places of the rows that fail by themselves, in order.

    Return None if 32 rows fail before any passes: then the SQL is wrong, not the rows.

    `fails` as for `parts`.
    """
    found = parts(fails, [(0, rows)] if rows else [], _IN_A_ROW)
    return None if found is None else found.bad


def parts(
    fails: Callable[[int, int], bool], ranges: Sequence[tuple[int, int]], in_a_row: int | None
) -> Bisection | None:
    """Divide ranges of rows until each passes, or is one row that fails.

    Return None if `in_a_row` rows fail before any range passes; None: however many fail.

    `fails(start, end)` tries the rows from `start` up to, not including, `end`. It is called in the
    order of the rows, with ever smaller halves of a range that failed.
    """
    found = Bisection([], [])
    ahead = [*reversed(ranges)]
    while ahead:
        start, end = ahead.pop()
        if not fails(start, end):
            found.good.append((start, end))
        elif end - start > 1:
            middle = (start + end) // 2
            ahead += [(middle, end), (start, middle)]
        else:
            found.bad.append(start)
            if len(found.bad) == in_a_row and not found.good:
                return None
    return found
