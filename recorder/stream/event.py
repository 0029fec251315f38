"""Events: the tables' rows as typed objects, in the order in which they were received.

There is one frozen class per table, made from `recorder.schema.tables`: its attributes are the
columns, and NULL becomes None. `recv_time` is computed from `recv_ns`; `extra` is JSON text.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from recorder.errors import UsageError, did_you_mean
from recorder.schema.tables import COMMON, EVENT_TABLES, TABLES
from recorder.stream.span import FOR_EVER, Span

if TYPE_CHECKING:
    import duckdb


#: By recv_ns, connection, seq and item, then table: no two events have the same place.
Place = tuple[int, str, int, int, int]


class Event(msgspec.Struct, frozen=True):
    """The common columns of all events, by which the raw frame can be found."""

    table: ClassVar[str]

    feed: str
    channel: str | None
    exchange: str | None
    symbol: str | None
    recv_ns: int
    event_ns: int | None
    connection: str
    seq: int
    item: int

    @property
    def recv_time(self) -> datetime:
        """The receive time in UTC, rounded down to a microsecond; `recv_ns` is exact."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.recv_ns // 1000)

    @property
    def place(self) -> Place:
        """The key by which events are ordered."""
        return (self.recv_ns, self.connection, self.seq, self.item, ORDER[self.table])


#: DuckDB's types as Python's.
_TYPES: dict[str, type] = {
    "VARCHAR": str,
    "JSON": str,
    "BIGINT": int,
    "INTEGER": int,
    "DOUBLE": float,
    "BOOLEAN": bool,
    "BLOB": bytes,
}

#: Tables whose rows never change once they are written, and the class of each.
_NAMES = {
    "whales": "Whale",
    "funding": "Funding",
    "liquidations": "Liquidation",
    "listings": "Listing",
    "open_interest": "OpenInterest",
    "flows": "Flow",
    "signals": "Signal",
    "alerts": "Alert",
    "system_status": "SystemStatus",
    "prices": "Price",
    "instruments": "Instrument",
    "latency": "Latency",
    "rejects": "Reject",
}
ORDER = {name: place for place, name in enumerate(_NAMES)}

#: Columns that an event does not store.
_LEFT_OUT = {"recv_time"}

#: The tables to read if none are named: market events, and prices.
DEFAULT_TABLES = (*EVENT_TABLES, "prices")


def columns(table: str) -> list[str]:
    """Return the columns of a table that its class has, in the class's order."""
    common = [column.name for column in COMMON]
    own = [c.name for c in TABLES[table].columns if c.name not in common]
    return [name for name in (*Event.__struct_fields__, *own) if name not in _LEFT_OUT]


def sorting(*, newest: bool = False) -> str:
    """Return the ORDER BY clause that orders a table's rows as `Event.place` does."""
    names = ("recv_ns", "connection", "seq", "item")
    return "ORDER BY " + ", ".join(f"{name} DESC" if newest else name for name in names)


def _class(table: str) -> type[Event]:
    types = TABLES[table].types
    own = columns(table)[len(Event.__struct_fields__) :]
    namespace = {"table": table, "__doc__": TABLES[table].comment}
    made = msgspec.defstruct(
        _NAMES[table],
        [(name, _TYPES[types[name]] | None) for name in own],
        bases=(Event,),
        namespace=namespace,
        module=__name__,
        frozen=True,
    )
    assert issubclass(made, Event)
    return made


#: The class of each table's rows.
CLASSES: dict[str, type[Event]] = {table: _class(table) for table in _NAMES}


def __getattr__(name: str) -> Any:
    for made in CLASSES.values():
        if made.__name__ == name:
            return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def checked(tables: Collection[str] | None) -> tuple[str, ...]:
    """Return the tables to read, in their order; the default ones for None.

    Raises:
        UsageError: a name is not a table of events; the hint is the nearest name.
    """
    if tables is None:
        return DEFAULT_TABLES
    if isinstance(tables, str):
        raise UsageError("tables is a list of names, not one", hint=f"tables=['{tables}']")
    for name in tables:
        if name not in _NAMES:
            raise UsageError(f"no table '{name}' of events", hint=did_you_mean(name, _NAMES))
    return tuple(name for name in _NAMES if name in tables)


# -- out of a database

#: At most this many rows of a table are in memory at once; a slice that holds more is halved.
_ROWS = 20_000
_FIRST_SLICE_NS = 60_000_000_000


class Filter(msgspec.Struct, frozen=True):
    """A filter of rows: by a range of receive time, and by feeds and symbols (None: all)."""

    span: Span = Span()
    feeds: tuple[str, ...] | None = None
    symbols: tuple[str, ...] | None = None

    @property
    def sql(self) -> str:
        """The SQL condition, with the parameters `$since` and `$until`."""
        more = "".join(
            f" AND {column} IN (SELECT unnest(${column}s))"
            for column, chosen in (("feed", self.feeds), ("symbol", self.symbols))
            if chosen is not None
        )
        return f"recv_ns >= $since AND recv_ns < $until{more}"

    def takes(self, event: Event) -> bool:
        """Return True if an event meets the condition."""
        return (
            self.span.since_ns <= event.recv_ns < self.span.until_ns
            and (self.feeds is None or event.feed in self.feeds)
            and (self.symbols is None or event.symbol in self.symbols)
        )

    @property
    def values(self) -> dict[str, Any]:
        """The values of the condition's parameters except the times."""
        given = {"feeds": self.feeds, "symbols": self.symbols}
        return {name: list(chosen) for name, chosen in given.items() if chosen is not None}


def wanted(
    span: Span, feeds: Sequence[str] | None = None, symbols: Sequence[str] | None = None
) -> Filter:
    """Return the filter for a range of time, feeds and symbols; None: all.

    Raises:
        UsageError: `feeds` or `symbols` is a single name, not a list.
    """
    for name, chosen in (("feeds", feeds), ("symbols", symbols)):
        if isinstance(chosen, str):
            raise UsageError(f"{name} is a list of names, not one", hint=f"{name}=['{chosen}']")
    given = (None if chosen is None else tuple(chosen) for chosen in (feeds, symbols))
    return Filter(span, *given)


def read(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[str], wanted: Filter
) -> Iterator[Event]:
    """Yield the events of the tables in receive order: by recv_ns, connection, seq and item.

    Memory does not grow with the record: each table is read in slices of time.
    """
    streams = [_rows(connection.cursor(), table, wanted) for table in tables]
    return heapq.merge(*streams, key=place)


def count(connection: duckdb.DuckDBPyConnection, tables: Sequence[str], wanted: Filter) -> int:
    """Return how many events `read` would yield."""
    span = {"since": wanted.span.since_ns, "until": wanted.span.until_ns}
    each = " UNION ALL ".join(f"SELECT recv_ns FROM {t} WHERE {wanted.sql}" for t in tables)  # noqa: S608 - the schema's names
    sql = f"SELECT count(*) FROM ({each})"  # noqa: S608
    return int(connection.execute(sql, span | wanted.values).fetchall()[0][0])


def place(event: Event) -> Place:
    """Return the key by which events are ordered."""
    return event.place


def _rows(cursor: duckdb.DuckDBPyConnection, table: str, wanted: Filter) -> Iterator[Event]:
    make = CLASSES[table]
    listed = ", ".join(columns(table))
    # The names are the schema's.
    sql = f"SELECT {listed} FROM {table} WHERE {wanted.sql} {sorting()}"  # noqa: S608
    cursor.execute("SET TimeZone = 'UTC'")
    for part in _slices(cursor, table, wanted):
        given = {"since": part.since_ns, "until": part.until_ns, **wanted.values}
        for row in cursor.execute(sql, given).fetchall():
            yield make(*row)


def _slices(cursor: duckdb.DuckDBPyConnection, table: str, wanted: Filter) -> Iterator[Span]:
    """Yield ranges of time that hold at most about _ROWS rows each; empty ones are skipped."""
    first = f"SELECT min(recv_ns) FROM {table} WHERE {wanted.sql}"  # noqa: S608
    count = f"SELECT count(*) FROM {table} WHERE {wanted.sql}"  # noqa: S608

    def ask(sql: str, since: int, until: int) -> Any:
        given = {"since": since, "until": until, **wanted.values}
        return cursor.execute(sql, given).fetchall()[0][0]

    start, width = ask(first, wanted.span.since_ns, wanted.span.until_ns), _FIRST_SLICE_NS
    while start is not None:
        end = min(start + width, wanted.span.until_ns)
        while (rows := ask(count, start, end)) > _ROWS and end - start > 1:
            width = (end - start) // 2
            end = start + width
        yield Span(start, end)
        if rows < _ROWS // 4:
            width = min(width * 4, FOR_EVER // 4)
        start = ask(first, end, wanted.span.until_ns) if end < wanted.span.until_ns else None
