"""Reads that cannot look ahead: they see only rows received up to the present of a replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from recorder.clock import iso
from recorder.errors import LookAheadError, UsageError, did_you_mean
from recorder.stream.event import CLASSES, Event, checked, columns, sorting
from recorder.times import exact, moment_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: The search for the newest row covers these ranges before the present, one after the other.
_BACK_NS = (60_000_000_000, 3_600_000_000_000, 86_400_000_000_000, 1 << 63)


class AsOf:
    """The tables of a database as they were at `clock()`, a receive time in ns since epoch UTC.

    A row is visible from its `recv_ns` on, so a past event that a feed sent later is visible from
    when it was received. Each read calls the clock, so the present may move.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, clock: Callable[[], int]) -> None:
        self._db, self._clock = db, clock

    @property
    def now_ns(self) -> int:
        """The present."""
        return self._clock()

    def latest(
        self, table: str, symbol: str | None = None, *, at_ns: int | None = None, **equal: Any
    ) -> Event | None:
        """Return the newest event of a table received at or before `at_ns`; None if there is none.

        `at_ns` is the present if left out. `symbol` None matches all symbols; `equal` are columns
        with the values they must have (`kind="mark"`).

        Raises:
            LookAheadError: `at_ns` is later than the present.
            UsageError: there is no such table or column.
        """
        until = self._past(at_ns)
        condition, given = _condition(table, symbol, equal)
        rest = f"{condition} {sorting(newest=True)} LIMIT 1"
        for back in _BACK_NS:
            for row in self._rows(table, rest, given, (until - back, until)):
                return row
        return None

    def window(
        self,
        table: str,
        symbol: str | None,
        span: timedelta | int,
        *,
        until_ns: int | None = None,
        **equal: Any,
    ) -> list[Event]:
        """Return the events of a table within `span` (a timedelta or ns), oldest first.

        They were received after `until_ns - span`, and at or before `until_ns`, which is the
        present if left out.

        Raises:
            LookAheadError: `until_ns` is later than the present.
            UsageError: there is no such table or column.
        """
        until = self._past(until_ns)
        width = span if isinstance(span, int) else span // timedelta(microseconds=1) * 1000
        condition, given = _condition(table, symbol, equal)
        rest = f"{condition} {sorting()}"
        return list(self._rows(table, rest, given, (until - width, until)))

    def query(self, name: str, /, **parameters: str | None) -> pa.Table:
        """Return a canned query's answer as of the present, rounded down to a microsecond.

        In a parameter, `1h` means an hour before the present.

        Raises:
            LookAheadError: `as_of` is given and later than the present.
            UsageError: there is no such query or parameter.
        """
        from recorder.answers import canned

        queries = canned.load()
        if name not in queries:
            raise UsageError(f"no query '{name}'", hint=did_you_mean(name, queries))
        given = parameters.pop("as_of", None)
        now = self._clock()
        moment = self._past(None if given is None else moment_of(given, now))
        chosen = {**parameters, "as_of": exact(moment)}
        return canned.run(self._db, queries[name], chosen, now_ns=now)

    def _past(self, at_ns: int | None) -> int:
        now = self._clock()
        if at_ns is not None and at_ns > now:
            raise LookAheadError(
                f"asked for {iso(at_ns)} ({at_ns}), but the present is {iso(now)} ({now})",
                hint="ask for what had been received by then: at_ns <= as_of.now_ns",
            )
        return now if at_ns is None else at_ns

    def _rows(
        self, table: str, rest: str, given: dict[str, Any], within: tuple[int, int]
    ) -> Iterator[Event]:
        # Names are the schema's; values are parameters.
        sql = (
            f"SELECT {', '.join(columns(table))} FROM {table} "  # noqa: S608
            f"WHERE recv_ns > $after AND recv_ns <= $until{rest}"
        )
        bounds = {"after": max(within[0], -(1 << 63)), "until": within[1]}
        make = CLASSES[table]
        return (make(*row) for row in self._db.execute(sql, given | bounds).fetchall())


def _condition(table: str, symbol: str | None, equal: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    checked([table])
    known = columns(table)
    for name in equal:
        if name not in known:
            raise UsageError(
                f"table {table} has no column '{name}'", hint=did_you_mean(name, known)
            )
    given = dict(equal) if symbol is None else {"symbol": symbol, **equal}
    return "".join(f" AND {name} = ${name}" for name in given), given
