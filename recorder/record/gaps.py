"""Intervals in which a line had no connection: the only rule. Pure.

A line is covered while any of its connections lives. A connection lives from its first frame on,
not from its handshake: between them the service may not yet have granted what was asked. A first
frame that comes later than that takes shows a quiet stream, all of which came: such a connection
lives from its handshake. Connections of a line may overlap, when one takes over from another: an
interval without cover begins where the longest-lived of all before it ended, and ends where the
next one begins to cover. A connection ends with its last proof of life, and not after it closed:
what was heard later was heard before the wall clock was set back. Without an end, a connection may
live on, unless its line opened another one after its last proof of life. A connection that never
brought a frame covers nothing and ends nothing.

An interval is covered if another line of its group lived at each moment of it. There a connection
without a known end counts up to its last proof of life; for an interval that still lasts it counts
as open. A connection of which no line is known covers nothing, and nothing covers it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from recorder.clock import NS

#: The end of a connection that may still be open.
FOR_EVER = (1 << 63) - 1

#: A service grants what a connection asks for within this time. Its first frame may take longer
#: where nothing happens.
GRANTED_NS = 5 * NS

KILLED = "the recorder ended without closing"
STOPPED = "the recorder was stopped"

Line = tuple[str | None, str | None]
"""The group of channels and the letter."""


class Lifetime(NamedTuple):
    """One connection that was opened, as far as it is known. Times are ns since epoch."""

    line_group: str | None
    line: str | None
    connection: str
    opened_ns: int
    closed_ns: int | None = None
    last_heard_ns: int | None = None
    """The last proof of life."""
    reason: str | None = None
    """Why it closed."""
    lost: bool = False
    """True if its recorder ended without closing it."""
    first_frame_ns: int | None = None
    """When its first frame came, or the first pong in a marker; None if neither did."""

    @property
    def begins_ns(self) -> int:
        """Return when it began to cover; FOR_EVER if it has brought no frame."""
        first = self.first_frame_ns
        if first is None:
            return FOR_EVER
        return self.opened_ns if first - self.opened_ns > GRANTED_NS else max(first, self.opened_ns)

    @property
    def heard_ns(self) -> int:
        """The last proof of life before the end."""
        heard = self.opened_ns if self.last_heard_ns is None else self.last_heard_ns
        return heard if self.closed_ns is None else min(heard, self.closed_ns)

    @property
    def ended(self) -> bool:
        """True if it has ended."""
        return self.lost or self.closed_ns is not None

    @property
    def cause(self) -> str | None:
        """The reason why the line is without cover after it."""
        if self.closed_ns is None:
            return KILLED
        return STOPPED if self.reason == "stopping" else self.reason


class LineGap(NamedTuple):
    """An interval without cover on one line: after the connection `last`, before the `next` one."""

    last: Lifetime
    next: Lifetime | None
    covered: bool
    closed_ns: int | None = None
    """When the markers showed that no connection is left; None if none did before the next one."""
    first_opened: Lifetime | None = None
    """The line's first connection that opened in the interval, with or without a frame."""

    @property
    def key(self) -> Line:
        """The line that has no cover."""
        return self.last.line_group, self.last.line

    @property
    def from_ns(self) -> int:
        """The last proof of life before it."""
        return self.last.heard_ns

    @property
    def to_ns(self) -> int | None:
        """When the next connection began to cover; None while the interval lasts."""
        return None if self.next is None else self.next.begins_ns

    def seconds(self, from_ns: int, to_ns: int) -> float:
        """Return how much of the interval lies between two moments."""
        end = to_ns if self.next is None else min(self.next.begins_ns, to_ns)
        return max(end - max(self.last.heard_ns, from_ns), 0) / 1e9


class Longest:
    """The connection of a line that lasts longest, of those added so far, and its end."""

    __slots__ = ("last", "until_ns")

    def __init__(self) -> None:
        self.last: Lifetime | None = None
        self.until_ns = 0

    def see(self, life: Lifetime, until_ns: int) -> None:
        """Add a connection that ended at a time, or is still open (FOR_EVER)."""
        last = self.last
        if last is None or (until_ns, life.connection) > (self.until_ns, last.connection):
            self.last, self.until_ns = life, until_ns

    def before(self, begins_ns: int) -> Lifetime | None:
        """Return the connection after which the line has no cover until a time, if it has none."""
        return self.last if self.until_ns < begins_ns else None


def gaps(lives: Iterable[Lifetime]) -> list[LineGap]:
    """Return every interval without cover of one feed, by group and line, the oldest first.

    It takes as long as sorting the connections does.
    """
    groups: dict[str | None, dict[str | None, list[Lifetime]]] = {}
    for life in sorted(lives, key=_order):
        groups.setdefault(life.line_group, {}).setdefault(life.line, []).append(life)
    return [gap for lines in groups.values() for gap in _of_group(lines)]


def bare(lives: Iterable[Lifetime], from_ns: int, to_ns: int) -> list[tuple[int, int]]:
    """Return the intervals between two moments at which no connection of one group lived.

    The moments of a line's intervals without cover at which no other line lived are the same. A
    connection without a known end counts up to its last proof of life. A group of which no line
    is known is a line.
    """
    return _Union((life.begins_ns, life.heard_ns) for life in lives).outside(from_ns, to_ns)


def _order(life: Lifetime) -> tuple[int, str]:
    return life.opened_ns, life.connection


def _of_group(lines: dict[str | None, list[Lifetime]]) -> Iterator[LineGap]:
    """Yield a group's intervals without cover; the connections of each line are in order."""
    heard, alive = [], []
    without: list[LineGap] = []
    for line, opened in lines.items():
        lives = sorted((life for life in opened if life.begins_ns < FOR_EVER), key=_begins)
        opened_ns, longest = [life.opened_ns for life in opened], Longest()
        closed_ns: int | None = 0
        for life, following in zip(lives, [*lives[1:], None], strict=False):
            heard_ns = life.heard_ns
            until_ns = FOR_EVER if not life.ended and heard_ns >= opened_ns[-1] else heard_ns
            longest.see(life, until_ns)
            if closed_ns is not None:
                closed_ns = None if life.closed_ns is None else max(closed_ns, life.closed_ns)
            last = longest.before(FOR_EVER if following is None else following.begins_ns)
            if last is not None:
                place = bisect_right(opened_ns, longest.until_ns)
                first_opened = opened[place] if place < len(opened) else None
                without.append(LineGap(last, following, False, closed_ns, first_opened))
            if line is not None:
                heard.append((life.begins_ns, heard_ns))
                alive.append((life.begins_ns, until_ns))
    return _with_cover(without, _Union(heard), _Union(alive))


def _begins(life: Lifetime) -> tuple[int, str]:
    return life.begins_ns, life.connection


def _with_cover(without: Sequence[LineGap], heard: _Union, alive: _Union) -> Iterator[LineGap]:
    """Yield the intervals, each with its cover by the connections of all lines of the group.

    Within such an interval its own line has no connection, so that any that is there is another's.
    Where the wall clock was set back, several intervals may follow the same connection: they are
    covered together, or none is.
    """
    bare = {
        gap.last.connection
        for gap in without
        if gap.last.line is None
        or not (
            alive.holds(gap.from_ns, FOR_EVER)
            if gap.to_ns is None
            else heard.holds(gap.from_ns, gap.to_ns)
        )
    }
    for gap in without:
        yield gap._replace(covered=gap.last.connection not in bare)


class _Union:
    """The union of intervals; the end of each is excluded."""

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

    def holds(self, begin: int, end: int) -> bool:
        """Return True if it contains every moment from `begin` to before `end`."""
        index = bisect_right(self._begins, begin) - 1
        return index >= 0 and self._ends[index] >= end > begin

    def outside(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Return the intervals between two moments that it does not contain."""
        left, index = [], max(bisect_right(self._begins, begin) - 1, 0)
        for first, last in zip(self._begins[index:], self._ends[index:], strict=True):
            if first >= end:
                break
            if begin < first:
                left.append((begin, first))
            begin = max(begin, last)
        return [*left, (begin, end)] if begin < end else left
