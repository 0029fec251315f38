"""Intervals without cover, from what is known of connections: as the table `gaps` has them. Pure.

`markers.py` says the rules in SQL; a property test holds the two together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

#: The end of a life that goes on.
FOR_EVER = (1 << 63) - 1

Key = tuple[str | None, str | None]
"""A line: its group of channels, its letter."""


class Life(NamedTuple):
    """One connection that was opened."""

    line_group: str | None
    line: str | None
    connection: str
    opened_ns: int
    heard_ns: int
    """The last proof of life, not after its end."""
    ended: bool
    """It closed, or its recorder is gone."""


class Gap(NamedTuple):
    """A line without a connection; `to_ns` is None while that lasts."""

    line_group: str | None
    line: str | None
    from_ns: int
    to_ns: int | None
    covered: bool

    def seconds(self, from_ns: int, to_ns: int) -> float:
        """How much of it lies between two moments."""
        end = to_ns if self.to_ns is None else min(self.to_ns, to_ns)
        return max(end - max(self.from_ns, from_ns), 0) / 1e9


def gaps(lives: Iterable[Life]) -> list[Gap]:
    """Every interval between two lives of a line, and from the last one's end on."""
    lines: dict[Key, list[Life]] = defaultdict(list)
    for life in sorted(lives, key=lambda life: (life.opened_ns, life.connection)):
        lines[life.line_group, life.line].append(life)
    found: list[Gap] = []
    for (line_group, line), own in lines.items():
        others = [
            (life, _until(life, mates[-1].opened_ns))
            for (group, letter), mates in lines.items()
            if group == line_group and letter != line
            for life in mates
        ]
        heard = _Cover((life.opened_ns, life.heard_ns) for life, _ in others)
        alive = _Cover((life.opened_ns, until) for life, until in others)
        for last, to_ns in _without(own):
            cover = alive if to_ns is None else heard
            covered = cover.whole(last.heard_ns, FOR_EVER if to_ns is None else to_ns)
            found.append(Gap(line_group, line, last.heard_ns, to_ns, covered))
    return found


def _until(life: Life, last_opened_ns: int) -> int:
    """Without an end a connection may live on, unless its line opened another since."""
    goes_on = not life.ended and life.heard_ns >= last_opened_ns
    return FOR_EVER if goes_on else life.heard_ns


def _without(own: Sequence[Life]) -> Iterable[tuple[Life, int | None]]:
    """Each life that outlived all before it, and when the next one began, where that is later."""
    latest, longest = own[0], -1
    for index, life in enumerate(own):
        until = _until(life, own[-1].opened_ns)
        if (until, life.connection) > (longest, latest.connection):
            latest, longest = life, until
        following = own[index + 1].opened_ns if index + 1 < len(own) else None
        if longest < (FOR_EVER if following is None else following):
            yield latest, following


class _Cover:
    """The union of intervals, their ends left out."""

    def __init__(self, intervals: Iterable[tuple[int, int]]) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []
        for begin, end in sorted(intervals):
            if end <= begin:
                continue
            if self._ends and begin <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._begins.append(begin)
                self._ends.append(end)

    def whole(self, begin: int, end: int) -> bool:
        """True if no moment between the two is bare; the first one always counts."""
        index = bisect_right(self._begins, begin) - 1
        return index >= 0 and self._ends[index] > begin and self._ends[index] >= end
