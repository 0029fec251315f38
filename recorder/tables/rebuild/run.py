"""Rebuilding: a feed's rows made anew from the raw record, and put in place in one transaction.

`scope` decides what is made anew and from where on, `extent` finds what there is,
and `scratch` makes the rows in a database beside. It then takes the place of the private
one, or of some of its rows.
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
from recorder.tables import private
from recorder.tables.batch import transaction
from recorder.tables.rebuild.rebuild_scope import (
    FIRST,
    LAST,
    Life,
    Part,
    Scope,
    Unit,
    border_of,
    start_of,
    taken,
)
from recorder.tables.rebuild.scratch import clear, filled, made_beside
from recorder.tables.rules import Rules

__all__ = [
    "MADE",
    "MARKED",
    "Life",
    "Part",
    "Scope",
    "Unit",
    "border_of",
    "clear",
    "made_beside",
    "outdated",
    "rebuild",
    "start_of",
    "taken",
]

#: Our own markers make these, not a feed's SQL.
MARKED = ("connections", "gaps", "instruments")
#: A feed's SQL makes these.
MADE = tuple(name for name in TABLES if name not in MARKED)
#: What ingest goes on from, beside the ledger.
_STATE = (*MARKED, "arrivals", "carried_state")

_EVERYTHING = Scope()


def rebuild(
    layout: Layout,
    rules: Callable[[str], Rules],
    scope: Scope = _EVERYTHING,
    reporter: Reporter = QUIET,
) -> None:
    """Make rows anew from raw. What readers see changes with the next publishing.

    Raises:
        BusyError: an ingest works here.
        DataError: segments that have rows cannot be made anew (damaged, wrong SQL); or rows of
            pruned raw would have to be carried over from another version's tables.
        UsageError: nothing of the scope can be made anew.
    """
    with private.claimed(layout):
        if not _carries(layout, scope):
            _all_anew(layout, rules, reporter)
            return
        with made_beside(layout, rules, scope, reporter) as (parts, fresh):
            if scope.whole and _make_up_all(layout, parts):
                _replace(layout, fresh)
            else:
                _put(layout, parts, fresh)


def _make_up_all(layout: Layout, parts: Sequence[Part]) -> bool:
    """True if no row of the tables has to stay."""
    with closing(private.connect(layout)) as db:
        known = {row[0] for row in db.execute("SELECT DISTINCT feed FROM ledger").fetchall()}
    complete = {part.feed for part in parts if part.start_ns == FIRST and part.to_the_end}
    return known <= complete and len(complete) == len(parts)


def _carries(layout: Layout, scope: Scope) -> bool:
    """True if there are tables whose rows may have to stay."""
    path = private.database(layout)
    try:
        found = private.version(layout)
    except DataError:
        found = "damaged"
    if found == str(SCHEMA_VERSION):
        return True
    if not scope.whole and found is not None:
        raise private.of_another_version(found, path)
    if found not in (None, "damaged") and (gone := _gone(path, layout)):
        raise DataError(
            f"raw of {gone} segments was removed, and their rows are in tables of version {found}",
            where=str(path),
            hint="restore their files, or go on without their rows: move this file away, then "
            "recorder ingest",
        )
    return False


def _gone(path: Path, layout: Layout) -> int:
    """How many ingested segments are no longer in raw, by tables of any version."""
    there = {s for feed in layout.feeds() for _, held in files(layout, feed) for s in held}
    try:
        with duck.connect(path) as db:
            done = db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()
    except duckdb.Error:
        return 0
    return len({row[0] for row in done} - there)


def _all_anew(layout: Layout, rules: Callable[[str], Rules], reporter: Reporter) -> None:
    """Everything, in a new database that then takes the old one's name."""
    parts = [Part(feed, FIRST, FIRST, LAST, ()) for feed in layout.feeds()]
    with filled(layout, parts, rules, reporter) as fresh:
        _replace(layout, fresh)


def _replace(layout: Layout, fresh: Path) -> None:
    """Let a finished database take the private one's name."""
    target = private.database(layout)
    _keep_marks(target, fresh)
    # The old one's log must not be taken for the new one's.
    target.with_name(f"{target.name}.wal").unlink(missing_ok=True)
    durable.publish(fresh, target)


def _keep_marks(old: Path, fresh: Path) -> None:
    """Carry over what was pruned, and bring the old tables' log into their file."""
    if not old.exists():
        return
    with closing(duck.connect()) as db:
        private.attach(db, fresh, "work")
        with suppress(duckdb.Error):  # damaged
            private.attach(db, old, "old")
            db.execute("CHECKPOINT old")
            with suppress(duckdb.CatalogException):  # from before there was pruning
                db.execute("INSERT INTO work.pruned BY NAME FROM old.pruned")
        db.execute("CHECKPOINT work")


def _put(layout: Layout, parts: Sequence[Part], fresh: Path) -> None:
    """Put the parts into the private tables, in one transaction."""
    with closing(private.connect(layout)) as db:
        private.attach(db, fresh, "fresh")
        with transaction(db):
            for part in parts:
                _put_part(db, part)
        db.execute("CHECKPOINT work")


def _put_part(db: duckdb.DuckDBPyConnection, part: Part) -> None:
    known_in = "" if part.to_the_end else "work"
    condition, values = taken(part, known_in)
    for name in MADE:
        db.execute(f"DELETE FROM {name} AS t WHERE {condition}", values)  # noqa: S608
        db.execute(f"INSERT INTO {name} FROM fresh.{name} AS t WHERE {condition}", values)
    feed = {"feed": part.feed}
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


def _kept_until(db: duckdb.DuckDBPyConnection, part: Part) -> int:
    """The last moment of which rows stay as they were made."""
    [(last,)] = db.execute(
        "SELECT max(greatest(recv_ns, closed_ns, last_heard_ns)) FROM connections "
        "WHERE feed = $feed AND list_contains($kept, connection)",
        {"feed": part.feed, "kept": sorted(part.kept)},
    ).fetchall()
    return FIRST if last is None else int(last)


# A segment of which some rows were not made anew keeps the older SQL's fingerprint.
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


# -- what an older SQL made


def outdated(layout: Layout, rules: Callable[[str], Rules]) -> dict[str, int]:
    """For each feed, how many segments of the published tables an older SQL normalised.

    Those whose raw was removed are left out: they cannot be made anew.
    """
    with duck.connect(layout.database, read_only=True) as db:
        found = db.execute(
            """
            SELECT feed, normaliser, count(*) FROM ledger
            WHERE segment NOT IN (SELECT segment FROM pruned) GROUP BY ALL ORDER BY feed
            """
        ).fetchall()
    counts: dict[str, int] = {}
    for feed, made_by, segments in found:
        normaliser = rules(feed).load()
        if made_by != (normaliser.fingerprint if normaliser else None):
            counts[feed] = counts.get(feed, 0) + segments
    return counts
