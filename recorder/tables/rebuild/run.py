"""Rebuild: it makes a feed's rows from the raw record again and replaces them in one transaction.

`rebuild_scope` decides what to rebuild and where to start, `coverage` finds the raw that is there,
and `scratch` makes the rows in a scratch database. That database then replaces the private one, or
its rows replace some of those in the private one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import duckdb

from recorder import durable
from recorder.errors import DataError
from recorder.record.footers import files
from recorder.record.layout import Layout
from recorder.reporter import QUIET, Reporter
from recorder.schema import duck
from recorder.schema.tables import SCHEMA_VERSION, TABLES
from recorder.schema.versions import of_another_version
from recorder.tables import private
from recorder.tables.batch import transaction
from recorder.tables.rebuild.rebuild_scope import (
    FIRST,
    LAST,
    ConnectionSpan,
    RawUnit,
    RebuildPart,
    Scope,
    border_of,
    start_of,
    taken,
)
from recorder.tables.rebuild.scratch import clear, filled, rebuilt_in_scratch
from recorder.tables.rules import Rules

__all__ = [
    "MADE",
    "MARKED",
    "ConnectionSpan",
    "RawUnit",
    "RebuildPart",
    "Scope",
    "border_of",
    "clear",
    "outdated",
    "rebuild",
    "rebuilt_in_scratch",
    "start_of",
    "taken",
]

#: The tables made from the recorder's own markers, not by a feed's SQL.
MARKED = ("connections", "gaps", "instruments")
#: The tables that a feed's SQL makes.
MADE = tuple(name for name in TABLES if name not in MARKED)
#: The tables whose state ingest continues from, beside the ledger.
_STATE = (*MARKED, "arrivals", "carried_state")

_EVERYTHING = Scope()


def rebuild(
    layout: Layout,
    rules: Callable[[str], Rules],
    scope: Scope = _EVERYTHING,
    reporter: Reporter = QUIET,
) -> None:
    """Rebuild rows from raw. Readers see the result when the database is next published.

    Raises:
        BusyError: an ingest works in this data directory.
        DataError: segments that have rows cannot be rebuilt (damaged, wrong SQL); or rows of
            pruned raw would have to be carried over from another version's tables.
        UsageError: no raw is left within the scope.
    """
    with private.claimed(layout):
        if not _has_rows_to_keep(layout, scope):
            _rebuild_all(layout, rules, reporter)
            return
        with rebuilt_in_scratch(layout, rules, scope, reporter) as (parts, fresh):
            if scope.whole and _are_complete(layout, parts):
                _replace(layout, fresh)
            else:
                _put(layout, parts, fresh)


def _are_complete(layout: Layout, parts: Sequence[RebuildPart]) -> bool:
    """Return True if the parts replace all rows, so that no row of the tables has to stay."""
    with closing(private.connect(layout)) as db:
        known = {row[0] for row in db.execute("SELECT DISTINCT feed FROM ledger").fetchall()}
    complete = {part.feed for part in parts if part.start_ns == FIRST and part.to_the_end}
    return known <= complete and len(complete) == len(parts)


def _has_rows_to_keep(layout: Layout, scope: Scope) -> bool:
    """Return True if there are tables whose rows may have to stay.

    Raises:
        DataError: the tables are from another version, or cannot be opened, and rows of them would
            have to stay.
    """
    path = private.database(layout)
    try:
        found = private.version(layout)
    except DataError as error:
        if scope.whole:
            return False
        error.hint = "only all of it can be rebuilt: recorder ingest --rebuild"
        raise
    if found == str(SCHEMA_VERSION):
        return True
    if not scope.whole and found is not None:
        raise of_another_version(found, path)
    if found is not None and (gone := _gone(path, layout)):
        raise DataError(
            f"raw of {gone} segments was removed, and their rows are in tables of version {found}",
            where=str(path),
            hint="restore their files; or, to do without their rows, move this file away, then "
            "recorder ingest",
        )
    return False


def _gone(path: Path, layout: Layout) -> int:
    """Return how many ingested segments are no longer in raw; the tables may be of any version."""
    there = {s for feed in layout.feeds() for _, held in files(layout, feed) for s in held}
    try:
        with duck.connect(path) as db:
            done = db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()
    except duckdb.Error:
        return 0
    return len({row[0] for row in done} - there)


def _rebuild_all(layout: Layout, rules: Callable[[str], Rules], reporter: Reporter) -> None:
    """Ingest the whole record into a new database, which then replaces the private one."""
    parts = [RebuildPart(feed, FIRST, FIRST, LAST, ()) for feed in layout.feeds()]
    with filled(layout, parts, rules, reporter) as fresh:
        _replace(layout, fresh)


def _replace(layout: Layout, fresh: Path) -> None:
    """Replace the private database by the finished database `fresh`."""
    target = private.database(layout)
    _keep_marks(target, fresh)
    # DuckDB would apply the old database's log to the new one.
    target.with_name(f"{target.name}.wal").unlink(missing_ok=True)
    durable.publish(fresh, target)


def _keep_marks(old: Path, fresh: Path) -> None:
    """Copy the rows of `pruned` to the new database, and write the old one's log into its file."""
    if not old.exists():
        return
    with closing(duck.connect()) as db:
        private.attach(db, fresh, "work")
        with suppress(duckdb.Error):  # the old database is damaged
            private.attach(db, old, "old")
            db.execute("CHECKPOINT old")
            with suppress(duckdb.CatalogException):  # it is older than the table `pruned`
                db.execute("INSERT INTO work.pruned BY NAME FROM old.pruned")
        db.execute("CHECKPOINT work")


def _put(layout: Layout, parts: Sequence[RebuildPart], fresh: Path) -> None:
    """Replace the parts' rows in the private tables, in one transaction."""
    with closing(private.connect(layout)) as db:
        private.attach(db, fresh, "fresh")
        with transaction(db):
            for part in parts:
                _put_part(db, part)
        db.execute("CHECKPOINT work")


def _put_part(db: duckdb.DuckDBPyConnection, part: RebuildPart) -> None:
    known_in = "" if part.to_the_end else "work"
    condition, values = taken(part, known_in)
    for name in MADE:
        db.execute(f"DELETE FROM {name} AS t WHERE {condition}", values)  # noqa: S608
        db.execute(f"INSERT INTO {name} FROM fresh.{name} AS t WHERE {condition}", values)
    feed = {"feed": part.feed}
    db.execute("DELETE FROM conditions WHERE feed = $feed", feed)  # judged again when published
    if part.to_the_end:
        for name in _STATE:
            db.execute(f"DELETE FROM {name} WHERE feed = $feed", feed)  # noqa: S608
            db.execute(f"INSERT INTO {name} FROM fresh.{name} WHERE feed = $feed", feed)
        db.execute(
            "DELETE FROM ledger WHERE feed = $feed "
            "AND segment NOT IN (SELECT segment FROM fresh.ledger)",
            feed,
        )
        db.execute(_LEDGER, values)
    else:
        db.execute(_FINGERPRINTS, values | {"kept_until": _kept_until(db, part)})


def _kept_until(db: duckdb.DuckDBPyConnection, part: RebuildPart) -> int:
    """Return the last time (ns) of the connections whose rows stay as they were made."""
    [(last,)] = db.execute(
        "SELECT max(greatest(recv_ns, closed_ns, last_heard_ns)) FROM connections "
        "WHERE feed = $feed AND list_contains($kept, connection)",
        {"feed": part.feed, "kept": sorted(part.kept)},
    ).fetchall()
    return FIRST if last is None else int(last)


# A segment of which some rows were not rebuilt keeps the older SQL's fingerprint.
_LEDGER = """
INSERT OR REPLACE INTO ledger
SELECT n.* REPLACE (
    CASE WHEN o.segment IS NULL OR n.first_recv_ns >= $from THEN n.normaliser ELSE o.normaliser END
    AS normaliser)
FROM fresh.ledger AS n LEFT JOIN ledger AS o USING (segment)
WHERE n.feed = $feed AND $to IS NOT NULL AND $kept IS NOT NULL
"""

_FINGERPRINTS = """
UPDATE ledger AS o SET normaliser = n.normaliser
FROM fresh.ledger AS n
WHERE n.segment = o.segment AND o.feed = $feed AND $kept IS NOT NULL
    AND o.first_recv_ns >= $from AND o.last_recv_ns < $to AND o.first_recv_ns > $kept_until
"""


# -- rows of an older SQL


def outdated(layout: Layout, rules: Callable[[str], Rules]) -> dict[str, int]:
    """Return, for each feed, how many segments of the published tables an older SQL normalised.

    Segments whose raw was removed are left out: they cannot be rebuilt.
    """
    with duck.connect(layout.database, read_only=True) as db:
        rows = db.execute(
            """
            SELECT feed, normaliser, count(*) FROM ledger
            WHERE segment NOT IN (SELECT segment FROM pruned) GROUP BY ALL ORDER BY feed
            """
        ).fetchall()
    counts: dict[str, int] = {}
    for feed, made_by, segments in rows:
        normaliser = rules(feed).load()
        if made_by != (normaliser.fingerprint if normaliser else None):
            counts[feed] = counts.get(feed, 0) + segments
    return counts
