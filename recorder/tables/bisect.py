"""Bisection of a batch: it finds the frames that break a feed's SQL."""

from __future__ import annotations

from collections.abc import Callable

#: This many broken rows before the first good one mean that the SQL is wrong.
_IN_A_ROW = 32


def broken(fails: Callable[[int, int], bool], rows: int) -> list[int] | None:
    """Return the places of the rows that fail by themselves, in order.

    Return None if 32 rows fail before any passes: then the SQL is wrong, not the rows.

    `fails(start, end)` tries the rows from `start` up to, not including, `end`. It is called in the
    order of the rows, with ever smaller halves of a range that failed.
    """
    failed: list[int] = []
    one_passed = False
    ahead = [(0, rows)] if rows else []
    while ahead:
        start, end = ahead.pop()
        if not fails(start, end):
            one_passed = True
        elif end - start > 1:
            middle = (start + end) // 2
            ahead += [(middle, end), (start, middle)]
        else:
            failed.append(start)
            if len(failed) >= _IN_A_ROW and not one_passed:
                return None
    return failed
