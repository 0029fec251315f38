"""The scope of a rebuild, and where normalising has to start: pure decisions, no file is read.

The rows of a frame depend on earlier frames: counts of equal frames on two lines, tickers that send
changes only, events sent twice. So a rebuild of a part of the record starts at the last moment
before it at which no connection was open (`start_of`): no state reaches over that moment, and the
earlier rows are all that is needed. Where raw was pruned, there may be no such moment. Then the
rows of the connections that reach back stay as they were made, like all rows before them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from recorder.record.layout import order, run_of

#: Before and after every receive time (ns).
FIRST, LAST = -(1 << 62), 1 << 62


@dataclass(frozen=True, slots=True)
class Scope:
    """What to rebuild: some feeds or all, from one receive time up to before another (ns)."""

    feeds: tuple[str, ...] = ()
    from_ns: int | None = None
    to_ns: int | None = None
    wait_ns: int = LAST  # frames from then on are left for later
    reach_ns: int = 0  # rows depend on frames up to this long before, whatever their connection

    @property
    def whole(self) -> bool:
        """Whether the scope is the whole record."""
        return not self.feeds and self.from_ns is None and self.to_ns is None


class RawUnit(NamedTuple):
    """A sealed file or a journal, what it holds, and the times (ns) of its first and last frame."""

    stem: str
    held: tuple[str, ...]
    first_ns: int
    last_ns: int


class ConnectionSpan(NamedTuple):
    """A connection and the times (ns) between which other frames may depend on it."""

    connection: str
    first_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class RebuildPart:
    """The part of one feed to rebuild."""

    feed: str
    start_ns: int  # frames from here on are normalised ...
    from_ns: int  # ... and the rows from here on are taken ...
    to_ns: int  # ... up to before here
    units: tuple[RawUnit, ...]
    kept: frozenset[str] = frozenset()  # connections whose rows stay as they are
    wait_ns: int = LAST  # frames from here on are left for later

    @property
    def to_the_end(self) -> bool:
        """Whether ingest continues from the state that this part leaves."""
        return self.to_ns == LAST and not self.kept


def start_of(
    units: Sequence[RawUnit], lives: Sequence[ConnectionSpan], at: int, after: int = FIRST
) -> int:
    """Return the latest moment (ns) up to `at`, but after `after`, over which nothing reaches.

    It is the time of a unit's first frame. No unit and no connection reaches over it, and each unit
    before it in time is before it in its run, too. Return `FIRST` if there is no such moment.
    """
    for moment in sorted({u.first_ns for u in units if after < u.first_ns <= at}, reverse=True):
        before = [unit for unit in units if unit.first_ns < moment]
        behind = [unit for unit in units if unit.first_ns >= moment]
        last, first = _ends(before, max), _ends(behind, min)
        parted = all(unit.last_ns < moment for unit in before) and all(
            last[run] < first[run] for run in last.keys() & first.keys()
        )
        if parted and not any(life.first_ns < moment <= life.until_ns for life in lives):
            return moment
    return FIRST


def _ends(units: Sequence[RawUnit], end: Callable[[str, str], str]) -> dict[str, str]:
    """Return the place of each run's first or last unit; `end` is `min` or `max`."""
    result: dict[str, str] = {}
    for unit in units:
        run, place = run_of(unit.stem), order(unit.stem)
        result[run] = end(result.get(run, place), place)
    return result


def border_of(units: Sequence[RawUnit], gone: Sequence[RawUnit]) -> int:
    """Return the time (ns) up to which frames are gone; a unit that reaches over it counts as gone.

    Return `FIRST` if none are gone.
    """
    border = max((unit.last_ns for unit in gone), default=FIRST)
    while reaching := [u.last_ns for u in units if u.first_ns <= border < u.last_ns]:
        border = max(reaching)
    return border


def part_of(
    feed: str,
    units: Sequence[RawUnit],
    gone: Sequence[RawUnit],
    lives: Sequence[ConnectionSpan],
    scope: Scope,
) -> RebuildPart | None:
    """Return the part of a feed to rebuild; None if no raw is left within the scope."""
    border = border_of(units, gone)
    there = [unit for unit in units if unit.first_ns > border]
    from_ns = FIRST if scope.from_ns is None else scope.from_ns
    to_ns = LAST if scope.to_ns is None else scope.to_ns
    kept: frozenset[str] = frozenset()
    if not there:
        return None
    if border > FIRST:
        from_ns = max(from_ns, min(unit.first_ns for unit in there))
    start = start_of([*units, *gone], lives, from_ns - scope.reach_ns, border)
    if start == FIRST and border > FIRST:
        start = min(unit.first_ns for unit in there)
        kept = frozenset(o.connection for o in lives if o.first_ns < start <= o.until_ns)
    wanted = [unit for unit in there if unit.first_ns < to_ns and unit.last_ns >= from_ns]
    if not wanted:
        return None
    last = _ends(wanted, max)
    chosen = tuple(
        unit
        for unit in sorted(there, key=lambda unit: order(unit.stem))
        if unit.first_ns >= start
        and (unit.first_ns < to_ns or order(unit.stem) <= last.get(run_of(unit.stem), ""))
    )
    return RebuildPart(feed, start, from_ns, to_ns, chosen, kept, scope.wait_ns)


def taken(part: RebuildPart, known_in: str = "", table: str = "t") -> tuple[str, dict[str, Any]]:
    """Return the SQL condition for the rows of `table` that belong to the part, and its parameters.

    With `known_in`, the name of a database: only rows of frames that were ingested there.
    """
    sql = (
        f"{table}.feed = $feed AND {table}.recv_ns >= $from AND {table}.recv_ns < $to "
        f"AND NOT list_contains($kept, {table}.connection)"
    )
    if known_in:
        sql += (
            f" AND EXISTS (FROM {known_in}.connections AS c WHERE c.feed = {table}.feed"
            f" AND c.connection = {table}.connection AND {table}.seq <= c.last_seq)"
        )
    return sql, {
        "feed": part.feed,
        "from": part.from_ns,
        "to": part.to_ns,
        "kept": sorted(part.kept),
    }
