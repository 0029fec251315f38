"""The facts of a feed's days: from the tables, and from the heads of its runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import duckdb

from recorder.clock import DAY_NS, NS
from recorder.record import gaps, lost
from recorder.record.gaps import GRANTED_NS, Lifetime
from recorder.record.heads import Segment
from recorder.schema.tables import EVENT_TABLES
from recorder.tables.condition import Bare

#: A connection that was heard this recently is taken to live: its markers are on their way.
RECENT_NS = 120 * NS

#: From this error of our clock on, the times of a day are not verified.
_CLOCK_NS = NS

_MINUTE_NS = 60 * NS

NOT_YET = "recording began later"
NOTHING_AFTER = "nothing was recorded after it"
SILENT = "connected, and silent"

Group = str | None
"""The name of a group of channels."""


class DaySums(NamedTuple):
    """What the ledger has of a day; `unsealed` counts segments that are not sealed yet."""

    rows: int
    unsealed: int
    first_ns: int | None
    last_ns: int | None


class ChannelSums(NamedTuple):
    """The rows that a connection's frames of a channel became on a day."""

    channel: str | None
    group: Group
    events: int
    first_ns: int
    last_ns: int


class GapRow(NamedTuple):
    """A row of `gaps`."""

    line_group: Group
    line: str | None
    from_ns: int | None
    to_ns: int | None
    recv_ns: int
    cause: str
    covered: bool
    missing: int | None

    @property
    def counted(self) -> bool:
        """True if frames are missing although a line was connected."""
        return self.missing is not None or self.cause == lost.CAUSE


@dataclass(frozen=True, slots=True)
class DayWindow:
    """A day of a feed, up to its end or to now, in ns since epoch."""

    feed: str
    day: int
    """Days since epoch."""
    now_ns: int

    @property
    def from_ns(self) -> int:
        """When the day begins."""
        return self.day * DAY_NS

    @property
    def to_ns(self) -> int:
        """The day's end, or now."""
        return min(self.from_ns + DAY_NS, self.now_ns)

    @property
    def ended(self) -> bool:
        """True if the day is over."""
        return self.now_ns >= self.from_ns + DAY_NS

    @property
    def given(self) -> dict[str, str | int]:
        """The window as the parameters of a query."""
        return {"feed": self.feed, "from": self.from_ns, "to": self.to_ns}


@dataclass(slots=True)
class Lives:
    """The connections of a feed about a day, by group, and when each group first connected."""

    by_group: dict[Group, list[Lifetime]] = field(default_factory=dict)
    first_ns: dict[Group, int] = field(default_factory=dict)
    last_ns: dict[Group, int] = field(default_factory=dict)
    has_frames: bool = False
    clock_error_ns: int | None = None


_OPENED = "coalesce(opened_ns, CASE WHEN frames > 0 THEN recv_ns END)"

#: `covers_from`, where the macros are not at hand.
_COVERS = (
    f"CASE WHEN first_frame_ns - {_OPENED} > {GRANTED_NS} THEN {_OPENED} "
    f"ELSE greatest({_OPENED}, first_frame_ns) END"
)

_LIVES = f"""
SELECT line_group, line, connection, {_OPENED} AS opened_ns, closed_ns, last_heard_ns, reason,
    false, first_frame_ns, frames, clock_error_ns
FROM connections
WHERE feed = $feed AND {_OPENED} < $to
    AND coalesce(closed_ns, last_heard_ns, opened_ns, recv_ns) >= $from
"""  # noqa: S608

_GROUPS = f"""
SELECT line_group,
    coalesce(
        min({_COVERS}) FILTER (first_frame_ns IS NOT NULL),
        min({_OPENED})
    ),
    max(greatest({_OPENED}, last_heard_ns, closed_ns))
FROM connections WHERE feed = $feed AND {_OPENED} IS NOT NULL GROUP BY ALL
"""  # noqa: S608

_GAPS = """
SELECT line_group, line, from_ns, to_ns, recv_ns, coalesce(cause, 'unknown'),
    covered IS TRUE, frames_missing
FROM gaps
WHERE feed = $feed AND coalesce(from_ns, to_ns, recv_ns) < $to
    AND coalesce(to_ns, 9223372036854775807) >= $from
ORDER BY from_ns
"""

_TIMED = " UNION ALL ".join(
    f"SELECT channel, connection, recv_ns, {int(name != 'latency')} AS event FROM {name} "  # noqa: S608
    "WHERE feed = $feed AND recv_ns >= $from AND recv_ns < $to"
    for name in (*EVENT_TABLES, "prices", "latency")
)

_CHANNELS = f"""
SELECT t.channel, c.line_group, sum(t.events)::BIGINT, min(t.first_ns), max(t.last_ns)
FROM (
    SELECT channel, connection, sum(event) AS events, min(recv_ns) AS first_ns,
        max(recv_ns) AS last_ns
    FROM ({_TIMED}) GROUP BY ALL
) AS t
LEFT JOIN connections AS c ON c.feed = $feed AND c.connection = t.connection
GROUP BY ALL ORDER BY ALL
"""  # noqa: S608

_MINUTES = f"""
SELECT DISTINCT c.line_group, t.minute
FROM (SELECT DISTINCT connection, recv_ns // {_MINUTE_NS} AS minute FROM ({_TIMED})) AS t
JOIN connections AS c ON c.feed = $feed AND c.connection = t.connection
"""  # noqa: S608

_SUMS = """
SELECT datediff('day', DATE '1970-01-01', day), sum(rows)::BIGINT, count(*) FILTER (NOT sealed),
    min(first_recv_ns), max(last_recv_ns)
FROM ledger WHERE feed = $feed AND rows > 0 GROUP BY ALL
"""

_SEGMENTS = """
SELECT segment, rows, sealed FROM ledger
WHERE feed = $feed AND day = DATE '1970-01-01' + $day::INTEGER AND rows > 0
"""


def sums(db: duckdb.DuckDBPyConnection, feed: str) -> dict[int, DaySums]:
    """Return what the ledger has of each day of a feed, by days since epoch."""
    return {row[0]: DaySums(*row[1:]) for row in db.execute(_SUMS, {"feed": feed}).fetchall()}


def channels(db: duckdb.DuckDBPyConnection, window: DayWindow) -> list[ChannelSums]:
    """Return the rows of a day by channel and group."""
    return [ChannelSums(*row) for row in db.execute(_CHANNELS, window.given).fetchall()]


def lives(db: duckdb.DuckDBPyConnection, window: DayWindow) -> Lives:
    """Return the connections about a day; one that was heard just now lives until now."""
    result = Lives()
    for *row, frames, error in db.execute(_LIVES, window.given).fetchall():
        life = Lifetime(*row)
        if life.closed_ns is None and life.heard_ns >= window.now_ns - RECENT_NS:
            life = life._replace(last_heard_ns=window.now_ns)
        result.by_group.setdefault(life.line_group, []).append(life)
        result.has_frames |= bool(frames)
        if error is not None:
            result.clock_error_ns = max(error, result.clock_error_ns or 0)
    for group, first_ns, last_ns in db.execute(_GROUPS, {"feed": window.feed}).fetchall():
        result.first_ns[group], result.last_ns[group] = first_ns, last_ns
    return result


def gap_rows(db: duckdb.DuckDBPyConnection, window: DayWindow) -> list[GapRow]:
    """Return the gaps that touch a day, the oldest first."""
    return [GapRow(*row) for row in db.execute(_GAPS, window.given).fetchall()]


# -- bare intervals


def expected(
    lives: Lives, window: DayWindow, configured: Mapping[str, float | None] | None
) -> list[Group]:
    """Return the groups of channels that ought to be connected on a day.

    Those that were connected that day, or before and after it; and those of the settings.
    """
    named = {} if configured is None else configured
    return [
        group
        for group, first_ns in lives.first_ns.items()
        if first_ns < window.to_ns
        and (lives.last_ns[group] >= window.from_ns or _base(group) in {*map(_base, named)})
    ]


def _base(group: Group) -> str:
    """Return a group's name without the number of its part."""
    name, _, number = (group or "").rpartition(" ")
    return name if name and number.isdigit() else group or ""


def without_connection(
    group: Group, lives: Lives, rows: Iterable[GapRow], window: DayWindow
) -> Iterator[Bare]:
    """Yield when no line of a group was connected, each with the cause of its gap."""
    mine = lives.by_group.get(group, [])
    named = [life for life in mine if life.line is not None] or mine
    own = [row for row in rows if row.line_group == group and not row.covered and not row.counted]
    first_ns = lives.first_ns[group]
    for begin, end in gaps.bare(named, window.from_ns, window.to_ns):
        if begin < first_ns:
            yield Bare(begin, min(end, first_ns), NOT_YET)
        if end > first_ns:
            yield from _with_cause(max(begin, first_ns), end, own)


def _with_cause(begin: int, end: int, rows: Iterable[GapRow]) -> Iterator[Bare]:
    """Yield an interval in parts, each with the cause of the newest gap that touches it."""
    causes = [row for row in rows if row.from_ns is not None and row.from_ns < end]
    for row in reversed(causes):
        if row.to_ns is None or row.to_ns > begin:
            yield Bare(begin, end, row.cause)
            return
    yield Bare(begin, end, NOTHING_AFTER)


def lost_frames(group: Group, rows: Iterable[GapRow], window: DayWindow) -> Iterator[Bare]:
    """Yield when frames of a group were lost although a line was connected."""
    for row in rows:
        if (
            row.counted
            and not row.covered
            and row.from_ns is not None
            and row.line_group in (group, None)
        ):
            begin = max(row.from_ns, window.from_ns)
            end = window.to_ns if row.to_ns is None else min(row.to_ns, window.to_ns)
            if begin < end:
                yield Bare(begin, end, row.cause)


def silent(
    db: duckdb.DuckDBPyConnection, window: DayWindow, cadences: Mapping[str, float | None]
) -> dict[Group, list[Bare]]:
    """Return when groups with a known cadence (seconds) brought nothing for longer than that.

    In whole minutes, more than one after the other: a frame may come a little late.
    """
    known = {_base(group): cadence for group, cadence in cadences.items() if cadence is not None}
    if not known:
        return {}
    minutes: dict[Group, set[int]] = {}
    for group, minute in db.execute(_MINUTES, window.given).fetchall():
        minutes.setdefault(group, set()).add(minute)
    last = min(window.to_ns, window.now_ns - RECENT_NS) // _MINUTE_NS
    groups = db.execute(_GROUPS, {"feed": window.feed}).fetchall()
    return {
        group: list(_quiet(minutes.get(group, set()), -(-max(window.from_ns, first) // _MINUTE_NS),
                           last, math.ceil(known[_base(group)] / 60)))
        for group, first, _ in groups
        if _base(group) in known
    }  # fmt: skip


def _quiet(heard: set[int], first: int, last: int, patience: int) -> Iterator[Bare]:
    begin = first
    for minute in [*sorted(one for one in heard if first <= one < last), last]:
        if minute - begin > patience:
            yield Bare(begin * _MINUTE_NS, minute * _MINUTE_NS, SILENT)
        begin = minute + 1


def outside(intervals: Iterable[Bare], others: Iterable[Bare]) -> Iterator[Bare]:
    """Yield the parts of intervals that are in none of the others."""
    known = sorted(others)
    for from_ns, to_ns, cause in intervals:
        begin = from_ns
        for other in known:
            if other.from_ns >= to_ns:
                break
            if begin < other.from_ns:
                yield Bare(begin, other.from_ns, cause)
            begin = max(begin, other.to_ns)
        if begin < to_ns:
            yield Bare(begin, to_ns, cause)


# -- faults and doubts


def faults(rows: Iterable[GapRow], window: DayWindow) -> Iterator[str]:
    """Yield the cause of each gap of the day in which a number of frames is missing."""
    for row in rows:
        if row.missing and window.from_ns <= row.recv_ns < window.to_ns:
            yield row.cause


def doubts(lives: Lives) -> Iterator[str]:
    """Yield why the times of a day's frames cannot be relied on."""
    error = lives.clock_error_ns
    if error is not None and error >= _CLOCK_NS:
        yield f"our clock may have been wrong by {error / NS:,.0f} s"


def of_heads(
    db: duckdb.DuckDBPyConnection, window: DayWindow, heads: Mapping[str, Segment], pruned: set[str]
) -> tuple[list[str], list[str]]:
    """Return the faults and the doubts about a day's segments; `heads` are the day's, by stem."""
    found = db.execute(_SEGMENTS, {"feed": window.feed, "day": window.day}).fetchall()
    ledger = {stem: (rows, sealed) for stem, rows, sealed in found}
    fault: list[str] = []
    settled = [one for one in heads.values() if (one.last_ns or 0) < window.now_ns - 5 * RECENT_NS]
    left = [
        one for one in settled
        if one.rows and one.stem not in pruned and one.rows > ledger.get(one.stem, (0, False))[0]
    ]  # fmt: skip
    if left:
        frames = sum(one.rows - ledger.get(one.stem, (0, False))[0] for one in left)
        fault.append(f"sealed frames that are not in the tables: {frames:,}")
    if damaged := sum(one.damaged for one in heads.values()):
        fault.append(f"damaged bytes in journals: {damaged:,}")
    doubt: list[str] = []
    unproven = [stem for stem, (_, sealed) in ledger.items() if sealed and stem not in heads]
    if unproven:
        doubt.append(f"sealed segments without a digest in a head: {len(unproven)}")
    waiting = [stem for stem, (_, sealed) in ledger.items() if not sealed]
    if waiting and window.ended:
        doubt.append(f"segments that are not sealed yet: {len(waiting)}")
    return fault, doubt
