"""A stretch of the record: from when to when, of which feeds, and what is missing in it."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorder.clock import NS, iso
from recorder.errors import DataError, UsageError, did_you_mean
from recorder.schema.tables import SCHEMA_VERSION
from recorder.times import When, moment_of

if TYPE_CHECKING:
    import duckdb

FOR_EVER = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Span:
    """Frames received at or after `since_ns` and before `until_ns`."""

    since_ns: int = 0
    until_ns: int = FOR_EVER


@dataclass(frozen=True, slots=True)
class Gap:
    """An interval of a feed in which events may be missing; `to_ns` None: it lasts."""

    feed: str
    line: str | None
    from_ns: int
    to_ns: int | None
    cause: str | None

    def __str__(self) -> str:
        end = iso(self.to_ns) if self.to_ns is not None else "now"
        return f"{self.feed}: nothing from {iso(self.from_ns)} to {end} ({self.cause or 'unknown'})"


def span(since: When | None = None, until: When | None = None) -> Span:
    """Return the stretch from `since` to `until`, in the grammar of `recorder.times`; None is open.

    Raises:
        UsageError: nothing lies between the two, or one is not a time.
    """
    now_ns = time.time_ns()
    start, end = (None if at is None else moment_of(at, now_ns) for at in (since, until))
    return between(start, end)


def between(since_ns: int | None, until_ns: int | None) -> Span:
    """Return the stretch between two moments in ns since epoch; None is open.

    Raises:
        UsageError: nothing lies between the two.
    """
    start = 0 if since_ns is None else since_ns
    end = FOR_EVER if until_ns is None else until_ns
    if start >= end:
        what = f"an empty range: {iso(start)} is not before {iso(end)}"
        raise UsageError(what, hint="since is included, until is not")
    return Span(start, end)


def check_version(connection: duckdb.DuckDBPyConnection, where: str = "") -> None:
    """Refuse tables of another version.

    Raises:
        DataError: they were written by a newer recorder, or an older one, or by none.
    """
    import duckdb

    try:
        found = dict(connection.execute("SELECT name, value FROM about").fetchall())
        version = int(found["schema"])
    except (duckdb.Error, KeyError, ValueError) as error:
        hint = "make it with: recorder ingest"
        raise DataError("is no database of the recorder", where=where, hint=hint) from error
    if version > SCHEMA_VERSION:
        raise DataError(
            f"tables of version {version}, made by recorder {found.get('recorder', 'unknown')}; "
            f"this recorder reads version {SCHEMA_VERSION}",
            where=where,
            hint="read it with that recorder or a newer one",
        )
    if version < SCHEMA_VERSION:
        raise DataError(
            f"tables of version {version}; this recorder reads version {SCHEMA_VERSION}",
            where=where,
            hint="make them anew from the raw record: recorder ingest --rebuild",
        )


def check_feeds(connection: duckdb.DuckDBPyConnection, feeds: Collection[str]) -> None:
    """Refuse feeds that left nothing in the record.

    Raises:
        UsageError: the first such feed, with the nearest that is there.
    """
    known = {str(row[0]) for row in connection.execute("SELECT feed FROM ledger").fetchall()}
    for feed in feeds:
        if feed not in known:
            raise UsageError(f"no feed '{feed}' in the record", hint=did_you_mean(feed, known))


def recorded(connection: duckdb.DuckDBPyConnection) -> tuple[int, int] | None:
    """When the first and the last ingested frame were received; None of an empty record."""
    sql = "SELECT min(first_recv_ns), max(last_recv_ns) FROM ledger"
    [(first, last)] = connection.execute(sql).fetchall()
    return None if first is None else (int(first), int(last))


def check_recorded(connection: duckdb.DuckDBPyConnection, wanted: Span) -> None:
    """Refuse a range outside of what was recorded.

    Raises:
        DataError: nothing was recorded in it; the message says what was.
    """
    found = recorded(connection)
    if found is None:
        raise DataError("nothing was ingested yet", hint="recorder ingest")
    if wanted.until_ns <= found[0] or wanted.since_ns > found[1]:
        what = "nothing was recorded in this range"
        hint = f"the record goes from {iso(found[0])} to {iso(found[1])}"
        raise DataError(what, hint=hint)


_GAPS = """
SELECT feed, line, from_ns, to_ns, cause
FROM gaps
WHERE covered IS NOT TRUE AND from_ns < CASE WHEN to_ns IS NULL THEN $last ELSE $until END
    AND coalesce(to_ns, $for_ever) > $since
    AND ($feeds IS NULL OR list_contains($feeds, feed))
ORDER BY from_ns, feed, line
"""


def gaps(
    connection: duckdb.DuckDBPyConnection, wanted: Span, feeds: Collection[str] | None = None
) -> list[Gap]:
    """The uncovered gaps that the range lies over, of these feeds or of all."""
    found = recorded(connection)
    last = found[1] if found else 0
    given = {
        "since": wanted.since_ns,
        "until": wanted.until_ns,
        # That recording has ended at the record's end is no gap of an open range.
        "last": wanted.until_ns if wanted.until_ns < FOR_EVER else last - 60 * NS,
        "for_ever": FOR_EVER,
        "feeds": None if feeds is None else list(feeds),
    }
    return [Gap(*row) for row in connection.execute(_GAPS, given).fetchall()]
