"""Following incrementally: events at once where that is exact, the state tables settled later.

While its connections neither begin nor end, a feed brings nothing but data, and one quick statement
gives the events (see `glance`). What the slow path would have noted of those frames (numbers, last
signs of life, what came lately) is owed: it is settled before the slow path is next taken, and
every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
from pyarrow import compute

from recorder.stream.event import Event
from recorder.stream.glance import LIFE, Glance, can
from recorder.stream.memory import MemoryTables
from recorder.tables import arrivals
from recorder.tables.rules import Rules

_SETTLE_SECONDS = 10.0
_MOST_OWED = 20_000

#: A look's part in the mean of what looks cost.
NEWEST_COUNTS = 0.03
_ORDINARY = {"text", "binary", "sent", "stats"}


@dataclass(slots=True)
class Life:
    """What is known of a connection."""

    line_group: str | None
    line: str | None
    opened_ns: int | None
    closed_ns: int | None
    clock_error_ns: int | None
    last_seq: int | None
    last_heard_ns: int | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a batch holds of one connection."""

    first_seq: int
    last_seq: int
    rows: int
    first_ns: int
    last_ns: int


def goes_on(batch: Mapping[str, Stretch], lives: Mapping[str, Life]) -> bool:
    """Return True if the frames are the very next of known connections."""
    for connection, part in batch.items():
        life = lives.get(connection)
        if life is None or life.last_seq is None or life.closed_ns is not None:
            return False
        whole = part.last_seq - part.first_seq + 1 == part.rows
        if not whole or part.first_seq != life.last_seq + 1:
            return False
    return True


def alone(batch: Mapping[str, Stretch], lives: Iterable[Life]) -> bool:
    """Return True if no two connections of a group may have lived at once while the batch came."""
    first = min(part.first_ns for part in batch.values())
    last = max(part.last_ns for part in batch.values())
    seen: set[str | None] = set()
    for life in lives:
        if life.opened_ns is None or life.opened_ns - arrivals.MARGIN_NS > last:
            continue
        until = life.closed_ns
        if until is None and life.last_heard_ns is not None:
            until = life.last_heard_ns + arrivals.QUIET_NS
        if until is None or until + arrivals.MARGIN_NS >= first:
            if life.line_group in seen:
                return False
            seen.add(life.line_group)
    return True


def stretches(table: pa.Table) -> dict[str, Stretch]:
    """Return what a batch holds, by connection."""
    wanted = [
        ("seq", "min"),
        ("seq", "max"),
        ("seq", "count"),
        ("recv_ns", "min"),
        ("recv_ns", "max"),
    ]
    found = table.group_by("connection", use_threads=False).aggregate(wanted).to_pylist()
    return {
        row["connection"]: Stretch(
            row["seq_min"], row["seq_max"], row["seq_count"], row["recv_ns_min"], row["recv_ns_max"]
        )
        for row in found
    }


def clock_errors(table: pa.Table) -> list[tuple[str, int]]:
    """Return the clock's errors in `stats` markers, by connection, in the order of the rows."""
    stats = table.filter(compute.equal(table["kind"], "stats")).select(["connection", "payload"])
    found = []
    for row in stats.to_pylist():
        try:
            clock = msgspec.json.decode(row["payload"], type=_Stats).clock
        except msgspec.DecodeError:  # as the SQL does: what cannot be read says nothing
            continue
        if clock is not None and clock.error_ns is not None:
            found.append((row["connection"], clock.error_ns))
    return found


class _Clock(msgspec.Struct):
    error_ns: int | None = None


class _Stats(msgspec.Struct):
    clock: _Clock | None = None


class Turns:
    """Whose turn it is, so that all looks together take about `share` of a core.

    A feed that is looked at seldom is looked at at once; a busy one waits, and brings more. Its
    looks wait for what they cost in the mean, so that an expensive one (state tables are settled
    now and then) is paid for by the next few dozen, a little each.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._clock = share, clock
        self._costs: dict[str, tuple[float, float]] = {}  # when, and seconds of a core in the mean
        self._next: dict[str, float] = {}

    def due(self, feed: str) -> bool:
        """Return True if a feed may be looked at now."""
        return self._clock() >= self._next.get(feed, 0.0)

    def took(self, feed: str, began: float, cost: float) -> None:
        """Note that a look that began then took `cost` seconds of a core."""
        _, mean = self._costs.get(feed, (began, 0.0))
        self._costs[feed] = (began, mean + NEWEST_COUNTS * (cost - mean))
        busy = sum(mean for at, mean in self._costs.values() if at > began - 1.0)
        self._next[feed] = began + busy / self._share


class Eager:
    """The state of all feeds; one thread's."""

    def __init__(
        self,
        memory: MemoryTables,
        rules: Callable[[str], Rules],
        tables: Sequence[str],
    ) -> None:
        self._memory, self._rules, self._tables = memory, rules, tables
        self._glances: dict[str, Glance | None] = {}
        self._lives: dict[str, dict[str, Life]] = {}
        self._owed: dict[str, list[pa.Table]] = {}
        self._settled: dict[str, float] = {}

    def events(self, feed: str, table: pa.Table) -> list[Event] | None:
        """Return the events of some new frames; None: take the slow path, nothing is owed."""
        found = self._events(feed, table)
        if found is None:
            self.settle(feed)
            self._lives.pop(feed, None)
        return found

    def _events(self, feed: str, table: pa.Table) -> list[Event] | None:
        if not set(table["kind"].unique().to_pylist()) <= _ORDINARY:
            return None
        glance = self._glance(feed)
        if glance is None:
            return None
        lives, batch = self._lives_of(feed), stretches(table)
        if not (goes_on(batch, lives) and alone(batch, lives.values())):
            return None
        for connection, error_ns in clock_errors(table):
            lives[connection].clock_error_ns = error_ns
        try:
            found = glance.events(_with_lives(table, lives, batch))
        except duckdb.Error:
            return None  # the slow path finds the frame that breaks the SQL
        for connection, part in batch.items():
            life = lives[connection]
            life.last_seq, life.last_heard_ns = part.last_seq, part.last_ns
        self._owed.setdefault(feed, []).append(table)
        self._settled.setdefault(feed, time.monotonic())
        return found

    def settle(self, feed: str) -> None:
        """Write what is owed of a feed into the state tables."""
        owed = self._owed.pop(feed, None)
        self._settled.pop(feed, None)
        if owed:
            self._memory.settle(feed, pa.concat_tables(owed))

    def tidy(self) -> None:
        """Settle one feed of which something has been owed for long."""
        old = time.monotonic() - _SETTLE_SECONDS
        for feed, since in list(self._settled.items()):
            if since < old or sum(map(len, self._owed[feed])) > _MOST_OWED:
                self.settle(feed)
                return  # one at a time: no look waits for all of them

    def close(self) -> None:
        """Close the connections of the quick statements."""
        for glance in self._glances.values():
            if glance is not None:
                glance.close()

    def _glance(self, feed: str) -> Glance | None:
        if feed not in self._glances:
            rules, made = self._rules(feed), None
            normaliser = rules.load()
            if normaliser is not None and can(normaliser):
                cursor = self._memory.db.cursor()
                made = Glance(cursor, normaliser, feed, self._tables, rules.whale_usd)
            self._glances[feed] = made
        return self._glances[feed]

    def _lives_of(self, feed: str) -> dict[str, Life]:
        if feed not in self._lives:
            sql = (
                "SELECT connection, line_group, line, opened_ns, closed_ns, clock_error_ns, "
                "last_seq, last_heard_ns FROM connections WHERE feed = $feed"
            )
            rows = self._memory.db.execute(sql, {"feed": feed}).fetchall()
            self._lives[feed] = {name: Life(*row) for name, *row in rows}
        return self._lives[feed]


def _with_lives(table: pa.Table, lives: Mapping[str, Life], batch: Collection[str]) -> pa.Table:
    """Return the frames, each with what is known of its connection."""
    names = None if len(batch) == 1 else table["connection"].to_pylist()
    for column, kind in LIFE:
        value: Any
        if names is None:
            value = pa.repeat(
                pa.scalar(getattr(lives[next(iter(batch))], column), kind), len(table)
            )
        else:
            value = pa.array([getattr(lives[name], column) for name in names], kind)
        table = table.append_column(column, value)
    return table
