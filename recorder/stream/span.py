"""Ranges of the record: their bounds and feeds, and the gaps in them."""

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
    """An interval of a feed in which events may be missing; `to_ns` None: it has not ended."""

    feed: str
    line: str | None
    from_ns: int
    to_ns: int | None
    cause: str | None

    def __str__(self) -> str:
        end = iso(self.to_ns) if self.to_ns is not None else "now"
        return f"{self.feed}: nothing from {iso(self.from_ns)} to {end} ({self.cause or 'unknown'})"


def span(since: When | None = None, until: When | None = None) -> Span:
    """Return the range from `since` to `until`, in the grammar of `recorder.times`; None is open.

    Raises:
        UsageError: nothing lies between the two, or one is not a time.
    """
    now_ns = time.time_ns()
    start, end = (None if at is None else moment_of(at, now_ns) for at in (since, until))
    return between(start, end)


def between(since_ns: int | None, until_ns: int | None) -> Span:
    """Return the range between two times in ns since epoch; None is open.

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
    """Check that the tables are of this version.

    Raises:
        DataError: a newer or older recorder wrote them, or they are not a recorder's.
    """
    import duckdb

    try:
        found = dict(connection.execute("SELECT name, value FROM about").fetchall())
        version = int(found["schema"])
    except (duckdb.Error, KeyError, ValueError) as error:
        hint = "make it with: recorder ingest"
        raise DataError("not a database of the recorder", where=where, hint=hint) from error
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
            hint="rebuild them from the raw record: recorder ingest --rebuild",
        )


def check_feeds(connection: duckdb.DuckDBPyConnection, feeds: Collection[str]) -> None:
    """Check that each feed is in the record.

    Raises:
        UsageError: a feed is not; the hint is the nearest name that is.
    """
    known = {str(row[0]) for row in connection.execute("SELECT feed FROM ledger").fetchall()}
    for feed in feeds:
        if feed not in known:
            raise UsageError(f"no feed '{feed}' in the record", hint=did_you_mean(feed, known))


def recorded(connection: duckdb.DuckDBPyConnection) -> tuple[int, int] | None:
    """Return the receive times (ns) of the first and last ingested frame; None if there is none."""
    sql = "SELECT min(first_recv_ns), max(last_recv_ns) FROM ledger"
    [(first, last)] = connection.execute(sql).fetchall()
    return None if first is None else (int(first), int(last))


def check_recorded(connection: duckdb.DuckDBPyConnection, wanted: Span) -> None:
    """Check that a range overlaps the recorded time.

    Raises:
        DataError: nothing was recorded in the range; the hint names the recorded time.
    """
    times = recorded(connection)
    if times is None:
        raise DataError("nothing was ingested yet", hint="recorder ingest")
    if wanted.until_ns <= times[0] or wanted.since_ns > times[1]:
        what = "nothing was recorded in this range"
        hint = f"the record goes from {iso(times[0])} to {iso(times[1])}"
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
    """Return the uncovered gaps within or across the range, of these feeds or of all."""
    times = recorded(connection)
    last = times[1] if times else 0
    given = {
        "since": wanted.since_ns,
        "until": wanted.until_ns,
        # In an open range, the end of the recording does not count as a gap.
        "last": wanted.until_ns if wanted.until_ns < FOR_EVER else last - 60 * NS,
        "for_ever": FOR_EVER,
        "feeds": None if feeds is None else list(feeds),
    }
    return [Gap(*row) for row in connection.execute(_GAPS, given).fetchall()]
