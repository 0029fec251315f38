"""Which frames break a feed's SQL: found by halving, until each stands alone."""

from __future__ import annotations

from collections.abc import Callable

#: So many broken frames before the first sound one: then it is the SQL that is wrong.
_IN_A_ROW = 32


def broken(fails: Callable[[int, int], bool], rows: int) -> list[int] | None:
    """The rows that fail by themselves, in order; None if it is frame after frame.

    `fails(start, end)` tries the rows from `start` to before `end`. It is called in the order of
    the rows, with ever smaller parts of what failed.
    """
    found: list[int] = []
    sound = False
    ahead = [(0, rows)] if rows else []
    while ahead:
        start, end = ahead.pop()
        if not fails(start, end):
            sound = True
        elif end - start > 1:
            middle = (start + end) // 2
            ahead += [(middle, end), (start, middle)]
        else:
            found.append(start)
            if len(found) >= _IN_A_ROW and not sound:
                return None
    return found
