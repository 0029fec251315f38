"""Events as they are recorded: new frames, normalised in memory by the same SQL as in ingest.

A follower starts where the published database ends: the ledger lists the frames in the tables, and
the follower copies the state that ingest carries from batch to batch. From then on it reads the
journals' tails, so an event is available as soon as its frame is on disk.
"""

from __future__ import annotations

import heapq
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import duckdb
import pyarrow as pa

from recorder.answers import database
from recorder.clock import Clock
from recorder.errors import DataError, UsageError, did_you_mean
from recorder.record.follow import Follow
from recorder.record.layout import Layout
from recorder.record.read import Position
from recorder.reporter import Reporter
from recorder.schema.state import LEDGER
from recorder.stream import event
from recorder.stream.asof import AsOf
from recorder.stream.event import Event, Filter, Place
from recorder.stream.incremental import Incremental, PollSchedule
from recorder.stream.memory import MemoryTables
from recorder.stream.span import check_version
from recorder.tables.rules import Rules

#: Interval of the record's time at which rows that are too old are dropped from memory.
_FORGET_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """The intervals and limits of a follower.

    `poll`: seconds between two polls. `hold`: seconds that an event waits for earlier ones of other
    feeds. `history`: how far back reads through `as_of` can see. `share`: the largest share of a
    core to use. With a share, events come from the fast path where that is exact (see
    `incremental`), frames older than `history` are skipped at the start, and there is no `as_of`.
    """

    poll: float = 0.1
    hold: float = 0.25
    history: timedelta = timedelta(hours=1)
    share: float | None = None

    @property
    def history_ns(self) -> int:
        """The history in ns."""
        return self.history // timedelta(microseconds=1) * 1000


@dataclass(frozen=True, slots=True)
class Begun:
    """The start of a follower: tables, the frames after them, and events from the tables."""

    layout: Layout
    memory: MemoryTables
    tail: Follow
    past: Iterator[Event]
    incremental: Incremental | None = None
    schedule: PollSchedule | None = None


class Follower:
    """Iterates over events in receive order, and waits for more; create one with `open`.

    `as_of` reads the events up to the last one yielded. An event is held back for `pace.hold`
    seconds, so that events of several feeds, written separately, come in one order. An event that
    arrives even later is yielded at once, and counted in `late`.
    """

    def __init__(
        self, begun: Begun, wanted: Filter, pace: Pace, clock: Clock, reporter: Reporter
    ) -> None:
        self.late = 0
        self.layout = begun.layout
        self._memory, self._tail, self._past = begun.memory, begun.tail, begun.past
        self._incremental, self._schedule = begun.incremental, begun.schedule
        self._wanted, self._pace, self._clock, self._reporter = wanted, pace, clock, reporter
        self._waiting: list[tuple[Place, Event]] = []
        self._now_ns = self._forgot_ns = 0
        self._stopped = False
        self._wrong: set[str] = set()  # feeds left out because their SQL is wrong
        self._counts: dict[str, tuple[int, int]] = {}

    @classmethod
    def open(  # noqa: PLR0913 - the last three by name
        cls,
        layout: Layout,
        rules: Callable[[str], Rules],
        tables: Sequence[str] = event.DEFAULT_TABLES,
        wanted: Filter | None = None,
        *,
        pace: Pace | None = None,
        clock: Clock | None = None,
        reporter: Reporter = Reporter(warnings.warn),  # noqa: B008 - frozen
    ) -> Follower:
        """Copy the published tables into memory, and follow the record from there on.

        `reporter` takes warnings of files and feeds that are left out.

        Raises:
            DataError: the tables are of another version.
            UsageError: a feed is not recorded here.
        """
        wanted, pace, clock = wanted or Filter(), pace or Pace(), clock or Clock()
        _check_feeds(layout, wanted)
        past: Iterator[Event] = iter(())
        published = _published(layout, pace, reporter)
        memory, tail = MemoryTables(rules, tables, wanted), Follow(layout, reporter)
        if published is not None:
            _begin_behind(published, memory, tail, pace.history_ns)
            past = event.read(published, tables, wanted)
        begun = Begun(layout, memory, tail, past)
        if pace.share is not None:
            memory.db.execute("SET threads = 1")
            incremental = Incremental(memory, rules, tables)
            begun = replace(begun, incremental=incremental, schedule=PollSchedule(pace.share))
            for feed in layout.feeds():
                tail.skip_before(feed, clock.wall_ns() - pace.history_ns)
        return cls(begun, wanted, pace, clock, reporter)

    @property
    def as_of(self) -> AsOf:
        """Reads as of the event yielded last; they see back as far as `pace.history`.

        Raises:
            UsageError: a follower with a share of a core keeps no tables to read.
        """
        if self._incremental is not None:
            what = "a follower with a share of a core keeps no tables"
            raise UsageError(what, hint="leave share out")
        return AsOf(self._memory.db, lambda: self._now_ns)

    def stop(self) -> None:
        """End the iteration after the events that are there now.

        It is safe to call this from a signal handler or another thread.
        """
        self._stopped = True

    def counted(self) -> dict[str, tuple[int, int]]:
        """Return the numbers of frames and payload bytes by feed, since the last call."""
        counts, self._counts = self._counts, {}
        return counts

    @property
    def pause(self) -> float:
        """Seconds to wait before the next poll."""
        return self._pace.poll

    def close(self) -> None:
        """Release the memory."""
        if self._incremental is not None:
            self._incremental.close()
        self._memory.close()

    def __iter__(self) -> Iterator[Event]:
        while True:
            stopping = self._stopped
            yield from self.ready(everything=stopping)
            if stopping:
                return
            time.sleep(self._pace.poll)

    def ready(self, *, everything: bool = False) -> Iterator[Event]:
        """Poll once; yield the events that need not wait any longer, in order.

        With `everything`, yield those that would have to wait, too.

        Raises:
            DataError: the SQL of a feed is wrong; with a share of a core such a feed is left out.
        """
        horizon = self._clock.wall_ns() - int(self._pace.hold * 1e9)
        self._look()
        past, self._past = self._past, iter(())
        for found in heapq.merge(past, self._ripe(horizon, everything), key=event.place):
            self.late += found.recv_ns < self._now_ns
            self._now_ns = max(self._now_ns, found.recv_ns)
            yield found
        self._forget()
        if self._incremental is not None:
            self._incremental.tidy()

    def _ripe(self, horizon: int, everything: bool) -> Iterator[Event]:
        while self._waiting and (everything or self._waiting[0][0][0] <= horizon):
            yield heapq.heappop(self._waiting)[1]

    # -- new frames

    def _look(self) -> None:
        for feed in self._wanted.feeds or self._tail.feeds():
            if feed not in self._wrong and (self._schedule is None or self._schedule.due(feed)):
                try:
                    self._look_at(feed)
                except DataError as error:
                    if self._pace.share is None:
                        raise
                    self._wrong.add(feed)
                    self._reporter.warn(f"'{feed}' is left out: {error}")

    def _look_at(self, feed: str) -> None:
        began, before, some = time.monotonic(), time.thread_time(), False
        for table in self._tail.new(feed):
            some = True
            self._count(feed, table)
            fast = self._incremental.events(feed, table) if self._incremental is not None else None
            if fast is None:
                self._keep(self._memory.take(feed, table))
            else:
                self._keep(found for found in fast if self._wanted.takes(found))
        if some and self._schedule is not None:
            self._schedule.took(feed, began, time.thread_time() - before)

    def _count(self, feed: str, table: pa.Table) -> None:
        frames, size = self._counts.get(feed, (0, 0))
        self._counts[feed] = (frames + len(table), size + table["payload"].nbytes)

    def _keep(self, events: Iterable[Event]) -> None:
        for found in events:
            heapq.heappush(self._waiting, (found.place, found))

    def _forget(self) -> None:
        """Drop rows older than `pace.history`, once per minute of the record's time."""
        if self._now_ns - self._forgot_ns >= _FORGET_NS:
            self._forgot_ns = self._now_ns
            self._memory.forget(self._now_ns - self._pace.history_ns)


# -- where the published tables end


def _check_feeds(layout: Layout, wanted: Filter) -> None:
    known = layout.feeds()
    for feed in wanted.feeds or ():
        if feed not in known:
            hint = did_you_mean(feed, known) if known else "nothing is recorded here yet"
            raise UsageError(f"no feed '{feed}' in the record", hint=hint)


def _published(layout: Layout, pace: Pace, reporter: Reporter) -> duckdb.DuckDBPyConnection | None:
    """Open the published tables; return None if there are none.

    With a share of a core, return None and warn if they cannot be read.

    Raises:
        DataError: the tables cannot be read, and there is no share of a core.
    """
    if not layout.database.exists():
        return None
    try:
        published = database.connect(layout.database)
        check_version(published, str(layout.database))
    except DataError as error:
        if pace.share is None:
            raise
        reporter.warn(f"following without the tables: {error}")
        return None
    return published


def _begin_behind(
    published: duckdb.DuckDBPyConnection, memory: MemoryTables, tail: Follow, history_ns: int
) -> None:
    """Copy the published tables, and start the tail after the frames that are in them."""
    names = "feed, segment, rows, journal_offset, sealed, last_recv_ns"
    ledger = published.execute(f"SELECT {names} FROM {LEDGER.name}").fetchall()  # noqa: S608
    for feed, stem, *position, _ in ledger:
        tail.begin(feed, {stem: Position(*position)})
    newest = max((row[-1] or 0 for row in ledger), default=0)
    memory.copy(published, newest - history_ns)
