"""Incremental following: events come from the fast path, and the state tables are updated later.

While no connection of a feed opens or closes, the feed brings only data, and one fast statement
returns the events (see `glance`). The slow path would also have updated the state tables (frame
numbers, last signs of life, recent arrivals). That update is owed: it is made before the slow path
is next taken, or after ten seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import duckdb
import msgspec
import pyarrow as pa
from pyarrow import compute

from recorder.stream.event import Event
from recorder.stream.glance import CONNECTION_COLUMNS, Glance, supports
from recorder.stream.memory import MemoryTables
from recorder.tables import arrivals
from recorder.tables.rules import Rules

_SETTLE_SECONDS = 10.0
_MOST_OWED = 20_000

#: The weight of the newest poll in the mean cost of a feed's polls.
NEWEST_COUNTS = 0.03
_ORDINARY = {"text", "binary", "sent", "stats"}


@dataclass(slots=True)
class KnownConnection:
    """The row of `connections` for one connection, as far as the fast path needs it."""

    line_group: str | None
    line: str | None
    opened_ns: int | None
    closed_ns: int | None
    clock_error_ns: int | None
    last_seq: int | None
    last_heard_ns: int | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """The numbers and times of one connection's frames in a batch."""

    first_seq: int
    last_seq: int
    rows: int
    first_ns: int
    last_ns: int


def is_contiguous(batch: Mapping[str, Stretch], connections: Mapping[str, KnownConnection]) -> bool:
    """Return True if the frames continue known connections without a missing number."""
    for connection, part in batch.items():
        known = connections.get(connection)
        if known is None or known.last_seq is None or known.closed_ns is not None:
            return False
        whole = part.last_seq - part.first_seq + 1 == part.rows
        if not whole or part.first_seq != known.last_seq + 1:
            return False
    return True


def without_overlap(batch: Mapping[str, Stretch], connections: Iterable[KnownConnection]) -> bool:
    """Return True if no two connections of a group can have been open at once in the batch."""
    first = min(part.first_ns for part in batch.values())
    last = max(part.last_ns for part in batch.values())
    seen: set[str | None] = set()
    for known in connections:
        if known.opened_ns is None or known.opened_ns - arrivals.MARGIN_NS > last:
            continue
        until = known.closed_ns
        if until is None and known.last_heard_ns is not None:
            until = known.last_heard_ns + arrivals.QUIET_NS
        if until is None or until + arrivals.MARGIN_NS >= first:
            if known.line_group in seen:
                return False
            seen.add(known.line_group)
    return True


def stretches(table: pa.Table) -> dict[str, Stretch]:
    """Return the numbers and times of a batch's frames, by connection."""
    wanted = [
        ("seq", "min"),
        ("seq", "max"),
        ("seq", "count"),
        ("recv_ns", "min"),
        ("recv_ns", "max"),
    ]
    rows = table.group_by("connection", use_threads=False).aggregate(wanted).to_pylist()
    return {
        row["connection"]: Stretch(
            row["seq_min"], row["seq_max"], row["seq_count"], row["recv_ns_min"], row["recv_ns_max"]
        )
        for row in rows
    }


class Measured(NamedTuple):
    """A measurement of the clock's error: the row of its `stats` marker, and the connection's."""

    row: int
    connection: str
    error_ns: int


def clock_errors(table: pa.Table) -> list[Measured]:
    """Return the clock errors (ns) in `stats` markers, in row order."""
    rows = compute.indices_nonzero(compute.equal(table["kind"], "stats"))
    stats = table.select(["connection", "payload"]).take(rows)
    errors = []
    for number, row in zip(rows.to_pylist(), stats.to_pylist(), strict=True):
        try:
            clock = msgspec.json.decode(row["payload"], type=_Stats).clock
        except msgspec.DecodeError:  # the SQL ignores markers that cannot be read, too
            continue
        if clock is not None and clock.error_ns is not None:
            errors.append(Measured(number, row["connection"], clock.error_ns))
    return errors


class _Clock(msgspec.Struct):
    error_ns: int | None = None


class _Stats(msgspec.Struct):
    clock: _Clock | None = None


class PollSchedule:
    """A schedule by which polling all feeds takes about `share` of a core.

    A quiet feed is polled as soon as it has frames; a busy one waits, and its polls then take more
    frames. The wait follows from the mean cost of its polls, so an expensive poll (one that also
    updates the state tables) delays the next few dozen a little each.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._clock = share, clock
        self._costs: dict[str, tuple[float, float]] = {}  # when, and seconds of a core in the mean
        self._next: dict[str, float] = {}

    def due(self, feed: str) -> bool:
        """Return True if a feed may be polled now."""
        return self._clock() >= self._next.get(feed, 0.0)

    def took(self, feed: str, began: float, cost: float) -> None:
        """Note that a poll that began at `began` took `cost` seconds of a core."""
        _, mean = self._costs.get(feed, (began, 0.0))
        self._costs[feed] = (began, mean + NEWEST_COUNTS * (cost - mean))
        busy = sum(mean for at, mean in self._costs.values() if at > began - 1.0)
        self._next[feed] = began + busy / self._share


class Incremental:
    """The fast path of all feeds, and the updates owed to the state tables; not thread-safe."""

    def __init__(
        self,
        memory: MemoryTables,
        rules: Callable[[str], Rules],
        tables: Sequence[str],
    ) -> None:
        self._memory, self._rules, self._tables = memory, rules, tables
        self._glances: dict[str, Glance | None] = {}
        self._connections: dict[str, dict[str, KnownConnection]] = {}
        self._owed: dict[str, list[pa.Table]] = {}
        self._settled: dict[str, float] = {}

    def events(self, feed: str, table: pa.Table) -> list[Event] | None:
        """Return the events of new frames; None if the caller has to take the slow path.

        The state tables are then up to date with all earlier frames.
        """
        events = self._events(feed, table)
        if events is None:
            self.settle(feed)
            self._connections.pop(feed, None)
        return events

    def _events(self, feed: str, table: pa.Table) -> list[Event] | None:
        if not set(table["kind"].unique().to_pylist()) <= _ORDINARY:
            return None
        glance = self._glance(feed)
        if glance is None:
            return None
        known, batch = self._connections_of(feed), stretches(table)
        if not (is_contiguous(batch, known) and without_overlap(batch, known.values())):
            return None
        measured = clock_errors(table)
        try:
            events = glance.events(_with_connections(table, known, batch, measured))
        except duckdb.Error:
            return None  # the slow path finds the frame that breaks the SQL
        for one in measured:
            known[one.connection].clock_error_ns = one.error_ns
        for name, part in batch.items():
            known[name].last_seq, known[name].last_heard_ns = part.last_seq, part.last_ns
        self._owed.setdefault(feed, []).append(table)
        self._settled.setdefault(feed, time.monotonic())
        return events

    def settle(self, feed: str) -> None:
        """Make the update that is owed for a feed to the state tables."""
        owed = self._owed.pop(feed, None)
        self._settled.pop(feed, None)
        if owed:
            self._memory.settle(feed, pa.concat_tables(owed))

    def tidy(self) -> None:
        """Make the update of one feed for which one has been owed for ten seconds."""
        old = time.monotonic() - _SETTLE_SECONDS
        for feed, since in list(self._settled.items()):
            if since < old or sum(map(len, self._owed[feed])) > _MOST_OWED:
                self.settle(feed)
                return  # one at a time: a poll never waits for all of them

    def close(self) -> None:
        """Close the connections of the fast path."""
        for glance in self._glances.values():
            if glance is not None:
                glance.close()

    def _glance(self, feed: str) -> Glance | None:
        if feed not in self._glances:
            rules, glance = self._rules(feed), None
            normaliser = rules.load()
            if normaliser is not None and supports(normaliser):
                cursor = self._memory.db.cursor()
                glance = Glance(cursor, normaliser, feed, self._tables, rules)
            self._glances[feed] = glance
        return self._glances[feed]

    def _connections_of(self, feed: str) -> dict[str, KnownConnection]:
        if feed not in self._connections:
            sql = (
                "SELECT connection, line_group, line, opened_ns, closed_ns, clock_error_ns, "
                "last_seq, last_heard_ns FROM connections WHERE feed = $feed"
            )
            rows = self._memory.db.execute(sql, {"feed": feed}).fetchall()
            self._connections[feed] = {name: KnownConnection(*row) for name, *row in rows}
        return self._connections[feed]


def _with_connections(
    table: pa.Table,
    known: Mapping[str, KnownConnection],
    batch: Collection[str],
    measured: Sequence[Measured],
) -> pa.Table:
    """Return the frames with the columns of `CONNECTION_COLUMNS`, from their connections.

    A frame's clock error is the one last measured before it on its connection.
    """
    names = None if len(batch) == 1 else table["connection"].to_pylist()
    for column, kind in CONNECTION_COLUMNS:
        value: Any
        if column == "clock_error_ns" and measured:
            own = [next(iter(batch))] * len(table) if names is None else names
            value = pa.array(list(_errors(own, known, measured)), kind)
        elif names is None:
            value = pa.repeat(
                pa.scalar(getattr(known[next(iter(batch))], column), kind), len(table)
            )
        else:
            value = pa.array([getattr(known[name], column) for name in names], kind)
        table = table.append_column(column, value)
    return table


def _errors(
    names: Sequence[str], known: Mapping[str, KnownConnection], measured: Sequence[Measured]
) -> Iterator[int | None]:
    """Yield the clock error (ns) that holds for each row; `names` are the rows' connections."""
    latest = {name: known[name].clock_error_ns for name in set(names)}
    error_at = {one.row: one.error_ns for one in measured}
    for row, name in enumerate(names):
        if row in error_at:
            latest[name] = error_at[row]
        yield latest[name]
