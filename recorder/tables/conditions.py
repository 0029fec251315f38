"""The table `conditions`: the days of each feed and channel, judged when tables are published.

A day is judged again while it lasts and shortly after, and whenever ingest took something of it or
of a day beside it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import DAY_NS, NS
from recorder.errors import DataError, StoreError
from recorder.frame import DATA
from recorder.record import heads, read
from recorder.record.heads import Head, Segment
from recorder.record.known_heads import KnownHeads
from recorder.record.layout import Layout, day_of
from recorder.record.read import Reader
from recorder.tables import day_facts
from recorder.tables.condition import Bare, DayCondition, DayFacts, judge
from recorder.tables.day_facts import ChannelSums, DaySums, DayWindow, GapRow, Group, Lives

#: A channel without an event is still judged for this many days.
_EXPECTED_DAYS = 7

#: Seconds between two judgements, at least.
_EVERY = 10.0

#: A day that is over is judged again for this long: its last frames are on their way.
_SETTLED_NS = 600 * NS

#: A new ingest judges unverified days again for this many days: they may be sealed by then.
_DOUBTED_DAYS = 31

NO_FRAME = "no data frame"
NO_EVENT = "no event, and its cadence is not known"

#: A feed's cadences in seconds by group, None where a group has none; None: it is not configured.
Cadences = Mapping[str, float | None]

_EPOCH = date(1970, 1, 1)

_ROW = pa.schema(
    [
        ("channel", pa.string()),
        ("day", pa.date32()),
        ("condition", pa.string()),
        ("bare_seconds", pa.float64()),
        ("causes", pa.string()),
        ("frames", pa.int64()),
        ("frames_missing", pa.int64()),
        ("events", pa.int64()),
        ("first_ns", pa.int64()),
        ("last_ns", pa.int64()),
        ("line_groups", pa.list_(pa.string())),
        ("clock_error_ns", pa.int64()),
        ("judged_ns", pa.int64()),
    ]
)

_KNOWN = """
SELECT datediff('day', DATE '1970-01-01', day), coalesce(frames, 0), judged_ns,
    condition = 'unverified'
FROM conditions WHERE feed = $feed AND channel IS NULL
"""

_BEFORE = """
SELECT channel, line_groups FROM conditions
WHERE feed = $feed AND channel IS NOT NULL AND events > 0 AND day < $day AND day >= $since
QUALIFY row_number() OVER (PARTITION BY channel ORDER BY day DESC) = 1
ORDER BY channel
"""


class Conditions:
    """Judges the days of a record; remembers what it has seen of each.

    `cadences(feed)` returns a configured feed's cadences, and None for another feed.
    """

    def __init__(self, layout: Layout, cadences: Callable[[str], Cadences | None]) -> None:
        self._layout, self._cadences = layout, cadences
        self._seen: dict[tuple[str, int], DaySums] = {}
        self._heads = _Heads(layout)
        self._at = self._took = 0.0

    def due(self) -> bool:
        """Return True at first, then every 10 s if at most 2 % of the time goes into judging."""
        return not self._at or time.monotonic() - self._at >= max(_EVERY, 50 * self._took)

    def judge(self, db: duckdb.DuckDBPyConnection, now_ns: int) -> None:
        """Write the conditions of all days that may have changed into the current database."""
        start = time.monotonic()
        for (feed,) in db.execute("SELECT DISTINCT feed FROM ledger ORDER BY feed").fetchall():
            self._judge_feed(db, feed, now_ns)
        self._at = time.monotonic()
        self._took = self._at - start

    def _judge_feed(self, db: duckdb.DuckDBPyConnection, feed: str, now_ns: int) -> None:
        sources = _Sources(db, self._layout, self._heads)
        found = day_facts.sums(db, feed)
        cadences = self._cadences(feed)
        today = now_ns // DAY_NS
        last = max(found, default=today) if cadences is None else max(today, *found)
        span = range(min(found, default=today), last + 1)
        for day in self._days(db, feed, found, span, now_ns):
            window = DayWindow(feed, day, now_ns)
            rows = _Day(sources, window, found.get(day), cadences).rows()
            _write(db, window, rows)
        self._seen |= {(feed, day): one for day, one in found.items()}

    def _days(
        self,
        db: duckdb.DuckDBPyConnection,
        feed: str,
        found: Mapping[int, DaySums],
        span: range,
        now_ns: int,
    ) -> list[int]:
        """Return the days to judge, the oldest first."""
        rows = db.execute(_KNOWN, {"feed": feed}).fetchall()
        known = {day: (frames, judged_ns) for day, frames, judged_ns, _ in rows}
        doubted = {day for day, _, _, unverified in rows if unverified}
        first_look = not any(name == feed for name, _ in self._seen)
        today = now_ns // DAY_NS
        changed = {today - 1, *(day for day in doubted if day >= today - _DOUBTED_DAYS)}
        changed = changed if first_look else set()
        for day in span:
            frames, judged_ns = known.get(day, (-1, 0))
            now = found.get(day)
            seen = now if first_look else self._seen.get((feed, day))
            if frames != (now.rows if now else 0) or now != seen:
                lasts = frames > 0 and now_ns < (day + 1) * DAY_NS
                changed |= {day} if lasts else {day - 1, day, day + 1}
            elif judged_ns < (day + 1) * DAY_NS or now_ns < (day + 1) * DAY_NS + _SETTLED_NS:
                changed.add(day)
        return [day for day in span if day in changed]


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where the facts of days come from."""

    db: duckdb.DuckDBPyConnection
    layout: Layout
    heads: _Heads


class _Day:
    """One day of a feed: its facts, and the rows of its conditions."""

    def __init__(
        self, sources: _Sources, window: DayWindow, found: DaySums | None, cadences: Cadences | None
    ) -> None:
        self._db, self._layout = db, layout = sources.db, sources.layout
        self._window, self._found = window, found
        self._sums = day_facts.channels(db, window)
        self._lives: Lives = day_facts.lives(db, window)
        self._gaps: list[GapRow] = day_facts.gap_rows(db, window)
        self._silent = day_facts.silent(db, window, cadences or {})
        self._groups = day_facts.expected(self._lives, window, cadences)
        self._has_frames = self._any_frame()
        gone = {line.stem for line in heads.pruned(layout, window.feed)}
        mine = sources.heads.of_day(window.feed, window.day)
        self._faults, self._doubts = day_facts.of_heads(db, window, mine, gone)
        self._faults += day_facts.faults(self._gaps, window)
        self._doubts += day_facts.doubts(self._lives)
        self._faults += [] if self._has_frames else [NO_FRAME]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the row of the feed, then one for each channel."""
        yield self._row(None, self._groups, self._sums, self._facts(self._groups))
        by_channel: dict[str, list[ChannelSums]] = {}
        for one in self._sums:
            if one.channel is not None:
                by_channel.setdefault(one.channel, []).append(one)
        for channel, sums in by_channel.items():
            groups = sorted({one.group for one in sums}, key=str)
            yield self._row(channel, groups, sums, self._facts(groups))
        for channel, groups in self._expected_channels():
            if channel not in by_channel:
                paced = any(self._silent.get(group) for group in groups)
                doubts = () if paced or not self._has_frames else (NO_EVENT,)
                yield self._row(channel, groups, [], self._facts(groups, doubts))

    def _expected_channels(self) -> list[tuple[str, list[Group]]]:
        day = _EPOCH + timedelta(days=self._window.day)
        given = {"feed": self._window.feed, "day": day}
        since = {"since": day - timedelta(days=_EXPECTED_DAYS)}
        found = self._db.execute(_BEFORE, given | since).fetchall()
        return [(channel, groups) for channel, groups in found if {*groups} & {*self._groups}]

    def _facts(self, groups: Iterable[Group], doubts: tuple[str, ...] = ()) -> DayFacts:
        bare = tuple(chain.from_iterable(map(self._bare, groups)))
        return DayFacts(self._has_frames, bare, tuple(self._faults), (*self._doubts, *doubts))

    def _bare(self, group: Group) -> Iterator[Bare]:
        bare: list[Bare] = []
        if group in self._lives.first_ns:
            bare += day_facts.without_connection(group, self._lives, self._gaps, self._window)
        bare += day_facts.lost_frames(group, self._gaps, self._window)
        yield from bare
        yield from day_facts.outside(self._silent.get(group, []), bare)

    def _row(
        self, channel: str | None, groups: Iterable[Group], sums: list[ChannelSums], facts: DayFacts
    ) -> dict[str, Any]:
        judgement = judge(facts)
        window, whole = self._window, self._found if channel is None else None
        first = [one.first_ns for one in sums] if channel is not None else []
        last = [one.last_ns for one in sums] if channel is not None else []
        bare_seconds = judgement.bare_seconds
        if judgement.condition is DayCondition.MISSING:
            bare_seconds = (window.to_ns - window.from_ns) / 1e9
        return {
            "channel": channel,
            "day": _EPOCH + timedelta(days=window.day),
            "condition": str(judgement.condition),
            "bare_seconds": bare_seconds,
            "causes": json.dumps(
                [{"cause": cause, "seconds": seconds} for cause, seconds in judgement.causes]
            ),
            "frames": (whole.rows if whole else 0) if channel is None else None,
            "frames_missing": sum(
                row.missing or 0
                for row in self._gaps
                if window.from_ns <= row.recv_ns < window.to_ns
                and (channel is None or row.line_group in {*groups})
            ),
            "events": sum(one.events for one in sums),
            "first_ns": whole.first_ns if whole else min(first, default=None),
            "last_ns": whole.last_ns if whole else max(last, default=None),
            "line_groups": [group for group in groups if group is not None],
            "clock_error_ns": self._lives.clock_error_ns,
            "judged_ns": window.to_ns,
        }

    def _any_frame(self) -> bool:
        """Return True if a data frame was received on the day."""
        if self._sums:
            return True
        if self._found is None or not self._lives.has_frames:
            return False
        return _in_raw(self._layout, self._window)


def _in_raw(layout: Layout, window: DayWindow) -> bool:
    """Return True if raw has a data frame of the day, or is gone: then its connections had some."""
    day = (_EPOCH + timedelta(days=window.day)).isoformat()
    stems = [stem for stem in read.stems(layout, window.feed) if day_of(stem) == day]
    reader = Reader(layout, window.feed, columns=["kind"])
    data = pa.array(DATA)
    for stem in stems:
        with suppress(DataError, FileNotFoundError):
            for part in reader.parts(stem):
                if pc.any(pc.is_in(part["kind"], value_set=data)).as_py():
                    return True
    return not stems


def _write(
    db: duckdb.DuckDBPyConnection, window: DayWindow, rows: Iterable[dict[str, Any]]
) -> None:
    made = pa.Table.from_pylist(list(rows), schema=_ROW)
    day = _EPOCH + timedelta(days=window.day)
    db.execute("BEGIN")
    db.execute(
        "DELETE FROM conditions WHERE feed = $feed AND day = $day",
        {"feed": window.feed, "day": day},
    )
    db.register("judged", made)
    db.execute(
        "INSERT INTO conditions BY NAME SELECT $feed AS feed, * FROM judged",
        {"feed": window.feed},
    )
    db.unregister("judged")
    db.execute("COMMIT")


class _Heads:
    """The segments of each day that a record's heads know."""

    def __init__(self, layout: Layout) -> None:
        self._known = KnownHeads(layout, heads.parse)
        self._days: dict[str, dict[str, dict[str, Segment]]] = {}

    def of_day(self, feed: str, day: int) -> dict[str, Segment]:
        """Return the segments of a feed's day that heads know, by stem."""
        here, grew = self._known.here(feed)
        if grew or feed not in self._days:
            copies: list[Head] = []
            with suppress(StoreError):
                copies = self._known.copies(feed)
            self._days[feed] = _by_day([*copies, *here])
        return self._days[feed].get((_EPOCH + timedelta(days=day)).isoformat(), {})


def _by_day(known: Iterable[Head]) -> dict[str, dict[str, Segment]]:
    days: dict[str, dict[str, Segment]] = {}
    for head in known:
        for stem, one in head.stems.items():
            days.setdefault(day_of(stem), {})[stem] = one
    return days
