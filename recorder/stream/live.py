"""Events as they are recorded: new frames, normalised in memory by the very SQL that ingest runs.

It begins where the published database ends: the ledger says which frames are in the tables, and
what ingest carries from one batch to the next is copied from there. From then on it reads the
journals' tails by itself, so that an event is here as soon as its frame is on disk.
"""

from __future__ import annotations

import heapq
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import duckdb
import pyarrow as pa
from pyarrow import compute

from recorder.answers import database
from recorder.clock import Clock
from recorder.errors import DataError, UsageError, did_you_mean
from recorder.record.layout import Layout
from recorder.schema import duck
from recorder.schema.files import sql_directory
from recorder.schema.raw import RAW
from recorder.schema.tables import LEDGER, TABLES
from recorder.stream import event
from recorder.stream.asof import AsOf
from recorder.stream.event import Event, Filter, Place, columns
from recorder.stream.incremental import Eager, Turns
from recorder.stream.span import check_version
from recorder.stream.tail import Tail
from recorder.tables import arrivals, bisect, carried_state, instruments, markers, normalise
from recorder.tables.rules import Rules

#: The fault of the SQL itself, not of a frame.
_WRONG_SQL = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)

#: Tables of which the past counts however long ago it was.
_WHOLE = ("connections", "instruments", "gaps")

#: What is too old is dropped from memory so often.
_FORGET_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """`poll`: seconds between two looks. `hold`: seconds that an event waits for earlier ones of
    other feeds. `history`: how far back reads as of now can see. `share`: of a core, to be spent at
    most; with it events are told at a glance where that is exact (`eager`), what is old
    when following begins is passed over, and there are no reads as of now.
    """

    poll: float = 0.1
    hold: float = 0.25
    history: timedelta = timedelta(hours=1)
    share: float | None = None


class Follower:
    """Iterates over events in receive order, and waits for more; `as_of` reads what came so far.

    An event is held back for `pace.hold` seconds, so that the feeds, which are written one by one,
    come in one order. One that comes later still is given at once, and counted in `late`.

    Raises:
        DataError: the tables are of another version, or the SQL of a feed is wrong.
        UsageError: a feed that is not recorded here.
    """

    def __init__(  # noqa: PLR0913 - the last three by name
        self,
        layout: Layout,
        rules: Callable[[str], Rules],
        tables: Sequence[str] = event.DEFAULT_TABLES,
        wanted: Filter | None = None,
        *,
        pace: Pace | None = None,
        clock: Clock | None = None,
        warn: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.late = 0
        self.layout, self._rules, self._tables = layout, rules, tables
        self._wanted, self._warn = wanted or Filter(), warn
        self._pace, self._clock = pace or Pace(), clock or Clock()
        self._tail = Tail(layout, warn)
        self._waiting: list[tuple[Place, Event]] = []
        self._now_ns = self._forgot_ns = 0
        self._stopped = False
        self._wrong: set[str] = set()  # feeds whose SQL is wrong, where the others go on
        self._counts: dict[str, tuple[int, int]] = {}
        self._check_feeds()
        self._db = duck.connect()
        self._prepare()
        self._past = self._begin()
        self._turns: Turns | None = None
        self._eager: Eager | None = None
        if self._pace.share is not None:
            self._db.execute("SET threads = 1")
            self._turns = Turns(self._pace.share)
            self._eager = Eager(self._db, rules, tables)
            self._pass_over()

    @property
    def as_of(self) -> AsOf:
        """Reads as of the event given last; they see `pace.history` back."""
        if self._eager is not None:
            raise UsageError("who follows at a glance keeps no tables", hint="leave share out")
        return AsOf(self._db, lambda: self._now_ns)

    def stop(self) -> None:
        """End the iteration after what is there now; safe to call from a signal or a thread."""
        self._stopped = True

    def counted(self) -> dict[str, tuple[int, int]]:
        """Data frames and their bytes by feed, since the last call."""
        counts, self._counts = self._counts, {}
        return counts

    @property
    def pause(self) -> float:
        """Seconds to wait before the next look."""
        return self._pace.poll

    def close(self) -> None:
        """Give the memory free."""
        if self._eager is not None:
            self._eager.close()
        self._db.close()

    def __iter__(self) -> Iterator[Event]:
        while True:
            stopping = self._stopped
            yield from self.ready(everything=stopping)
            if stopping:
                return
            time.sleep(self._pace.poll)

    def ready(self, *, everything: bool = False) -> Iterator[Event]:
        """Look once: the events that need wait no longer, or all of them, in order."""
        horizon = self._clock.wall_ns() - int(self._pace.hold * 1e9)
        self._look()
        past, self._past = self._past, iter(())
        for found in heapq.merge(past, self._ripe(horizon, everything), key=event.place):
            self.late += found.recv_ns < self._now_ns
            self._now_ns = max(self._now_ns, found.recv_ns)
            yield found
        self._forget()
        if self._eager is not None:
            self._eager.tidy()

    def _ripe(self, horizon: int, everything: bool) -> Iterator[Event]:
        while self._waiting and (everything or self._waiting[0][0][0] <= horizon):
            yield heapq.heappop(self._waiting)[1]

    # -- where the published tables end

    def _check_feeds(self) -> None:
        known = self.layout.feeds()
        for feed in self._wanted.feeds or ():
            if feed not in known:
                hint = did_you_mean(feed, known) if known else "nothing is recorded here yet"
                raise UsageError(f"no feed '{feed}' in the record", hint=hint)

    def _prepare(self) -> None:
        for table in TABLES.values():
            self._db.execute(table.ddl)
        self._db.execute(arrivals.STATE)
        self._db.execute(carried_state.STATE)
        normalise.prepare(self._db)

    def _begin(self) -> Iterator[Event]:
        """Take over what was ingested; the wanted events that are in the tables already."""
        path = self.layout.database
        if not path.exists():
            return iter(())
        try:
            published = database.connect(path)
            check_version(published, str(path))
        except DataError as error:
            if self._pace.share is None:
                raise
            self._warn(f"following without the tables: {error}")
            return iter(())
        sql = f"SELECT segment, rows, journal_offset, sealed, last_recv_ns FROM {LEDGER.name}"  # noqa: S608
        ledger = published.execute(sql).fetchall()
        self._tail.begin({name: (rows, at, sealed) for name, rows, at, sealed, _ in ledger})
        newest = max((row[4] or 0 for row in ledger), default=0)
        self._copy(published, newest - self._history_ns)
        return event.read(published, self._tables, self._wanted)

    @property
    def _history_ns(self) -> int:
        return self._pace.history // timedelta(microseconds=1) * 1000

    def _copy(self, published: duckdb.DuckDBPyConnection, since_ns: int) -> None:
        """The recent rows, and what ingest carries from batch to batch."""
        there = {row[0] for row in published.execute("SHOW TABLES").fetchall()}
        mine = {row[0] for row in self._db.execute("SHOW TABLES").fetchall()}
        for name in sorted(there & mine):
            recent = name in TABLES and name not in _WHOLE
            condition = f" WHERE recv_ns >= {int(since_ns)}" if recent else ""
            # The names are of our own tables.
            rows = published.sql(f"FROM {name}{condition}").to_arrow_table()
            self._db.register("copied", rows)
            self._db.execute(f"INSERT INTO {name} BY NAME FROM copied")
        self._db.unregister("copied")

    # -- new frames

    def _look(self) -> None:
        for feed in self._wanted.feeds or self._tail.feeds():
            if feed not in self._wrong and (self._turns is None or self._turns.due(feed)):
                try:
                    self._look_at(feed)
                except DataError as error:
                    if self._pace.share is None:
                        raise
                    self._wrong.add(feed)
                    self._warn(f"'{feed}' is left out: {error}")

    def _look_at(self, feed: str) -> None:
        began, before, some = time.monotonic(), time.thread_time(), False
        for table in self._tail.new(feed):
            some = True
            self._count(feed, table)
            at_once = self._eager.events(feed, table) if self._eager is not None else None
            if at_once is None:
                self._take(feed, table)
            else:
                self._keep(found for found in at_once if self._wanted.takes(found))
        if some and self._turns is not None:
            self._turns.took(feed, began, time.thread_time() - before)

    def _count(self, feed: str, table: pa.Table) -> None:
        frames, size = self._counts.get(feed, (0, 0))
        self._counts[feed] = (frames + len(table), size + table["payload"].nbytes)

    def _keep(self, events: Iterable[Event]) -> None:
        for found in events:
            heapq.heappush(self._waiting, (found.place, found))

    def _pass_over(self) -> None:
        """Leave out sealed files that were over before the history begins."""
        for feed in self.layout.feeds():
            self._tail.pass_over(feed, self._clock.wall_ns() - self._history_ns)

    def _take(self, feed: str, table: pa.Table) -> None:
        """Normalise some frames and keep the events they make until they are due."""
        self._db.register("batch", table)
        if markers.overlaps(self._db, feed):
            table = markers.unseen(self._db, feed).cast(RAW)
        self._apply(feed, table)
        self._db.register("batch", table)
        given = {"since": 0, "until": 0, **self._wanted.values, "name": feed}
        # A row has its frame's time, so that old rows need not be looked through.
        times = compute.min_max(table["recv_ns"]).as_py()
        given["since"] = max(self._wanted.span.since_ns, times["min"] or 0)
        given["until"] = min(self._wanted.span.until_ns, (times["max"] or 0) + 1)
        for name in self._tables:
            sql = (
                f"SELECT {', '.join(columns(name))} FROM {name} "  # noqa: S608
                f"SEMI JOIN batch USING (connection, seq) WHERE feed = $name AND {self._wanted.sql}"
            )
            self._keep(event.CLASSES[name](*row) for row in self._db.execute(sql, given).fetchall())

    def _apply(self, feed: str, table: pa.Table) -> None:
        """As ingest does; where a frame breaks the SQL, by halves, until it stands alone."""
        if (
            bisect.broken(lambda start, end: self._breaks(feed, table, start, end), len(table))
            is None
        ):
            raise DataError("fails on frame after frame", where=f"the SQL that normalises '{feed}'")

    def _breaks(self, feed: str, table: pa.Table, start: int, end: int) -> bool:
        """Take these frames in; True if the SQL fails on some. One that is alone is rejected."""
        part = table.slice(start, end - start)
        try:
            self._transact(feed, part)
            return False
        except _WRONG_SQL as error:
            self._db.execute("ROLLBACK")
            why = str(error).splitlines()[0]
            raise DataError(why, where=f"the SQL that normalises '{feed}'") from error
        except duckdb.Error:
            self._db.execute("ROLLBACK")
        if len(part) == 1:
            self._transact(feed, part, broken=True)
        return True

    def _transact(self, feed: str, table: pa.Table, *, broken: bool = False) -> None:
        rules = self._rules(feed)
        self._db.execute("BEGIN")
        self._db.register("batch", table)
        markers.apply(self._db, feed)
        instruments.apply(self._db, feed)
        arrivals.apply(self._db, feed)
        if broken:
            normalise.reject(self._db, feed, "a frame that breaks this feed's SQL")
        elif rules.sql is not None:
            normaliser = normalise.load(sql_directory() / "normalise", rules.sql)
            normalise.apply(self._db, normaliser, feed, whale_usd=rules.whale_usd)
        self._db.execute("COMMIT")

    def _forget(self) -> None:
        """Drop rows that no read as of now can see, from time to time."""
        if self._now_ns - self._forgot_ns < _FORGET_NS:
            return
        self._forgot_ns = self._now_ns
        for name in TABLES:
            if name not in _WHOLE:
                oldest = self._now_ns - self._history_ns
                self._db.execute(f"DELETE FROM {name} WHERE recv_ns < $oldest", {"oldest": oldest})  # noqa: S608
