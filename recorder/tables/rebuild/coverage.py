"""The part of a record that can be rebuilt: its files, its journals, and the ledger's rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import duckdb

from recorder.clock import NS, iso
from recorder.record.footers import files
from recorder.record.layout import Layout
from recorder.reporter import Reporter
from recorder.tables import arrivals
from recorder.tables.rebuild.rebuild_scope import (
    FIRST,
    LAST,
    ConnectionSpan,
    RawUnit,
    RebuildPart,
    Scope,
    part_of,
)
from recorder.tables.rules import Rules


@dataclass(slots=True)
class _Known:
    """A feed's segments and connections, as the private tables have them."""

    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    sealed: set[str] = field(default_factory=set)
    lives: list[ConnectionSpan] = field(default_factory=list)


def _known(db: duckdb.DuckDBPyConnection, feed: str) -> _Known:
    known = _Known()
    for stem, sealed, first, last in db.execute(
        "SELECT segment, sealed, first_recv_ns, last_recv_ns FROM ledger WHERE feed = $feed",
        {"feed": feed},
    ).fetchall():
        known.spans[stem] = (FIRST if first is None else first, LAST if last is None else last)
        if sealed:
            known.sealed.add(stem)
    lives = db.execute(
        """
        SELECT connection, least(recv_ns, opened_ns),
               coalesce(closed_ns, greatest(recv_ns, opened_ns, last_heard_ns) + $quiet)
        FROM connections WHERE feed = $feed
        """,
        {"feed": feed, "quiet": arrivals.QUIET_NS},
    ).fetchall()
    known.lives = [
        ConnectionSpan(name, first, last + arrivals.MARGIN_NS) for name, first, last in lives
    ]
    return known


def _units(layout: Layout, feed: str, known: _Known) -> tuple[list[RawUnit], list[RawUnit]]:
    """Return the feed's units on disk, and the segments that were ingested but are gone."""
    there = [(stem, tuple(held)) for stem, held in files(layout, feed)]
    names = {stem for stem, _ in there}
    there += [(stem, (stem,)) for stem in layout.active(feed) if stem not in names]
    units = []
    for stem, held in there:
        spans = [known.spans.get(one, (FIRST, LAST)) for one in held]
        if stem in known.spans and stem not in known.sealed:
            spans.append((known.spans[stem][0], LAST))  # it grows
        if stem not in known.spans:
            spans = [(_second(stem), LAST)]
        units.append(RawUnit(stem, held, min(s[0] for s in spans), max(s[1] for s in spans)))
    present = {one for _, held in there for one in held}
    gone = [
        RawUnit(stem, (stem,), *known.spans[stem])
        for stem in known.sealed - present
        if known.spans[stem][0] > FIRST
    ]
    return units, gone


def _second(stem: str) -> int:
    """Return the time (ns) in front of a stem: its first frame's, rounded down to a second."""
    time = datetime.strptime(stem[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(time.timestamp()) * NS


#: Two times of funding are at most this far apart (see the macro `hours_between`).
_REACH_NS = 48 * 3600 * NS


def parts(
    db: duckdb.DuckDBPyConnection,
    layout: Layout,
    rules: Callable[[str], Rules],
    scope: Scope,
    reporter: Reporter,
) -> list[RebuildPart]:
    """Return what to rebuild of a scope, feed by feed; warn of what cannot be rebuilt.

    Raises:
        DataError: the SQL of a feed is missing or wrong.
    """
    result = []
    for feed in scope.feeds or layout.feeds():
        known = _known(db, feed)
        units, gone = _units(layout, feed, known)
        normaliser = rules(feed).load()
        reach = _REACH_NS if normaliser and normaliser.remembers else 0
        part = part_of(feed, units, gone, known.lives, replace(scope, reach_ns=reach))
        if gone:
            since = iso(part.from_ns) if part else "none"
            reporter.warn(
                f"raw of {len(gone)} segments of '{feed}' is gone: rows before it stay as they "
                f"were made (rebuilt from: {since})"
            )
        if part and part.kept:
            reporter.warn(
                f"{len(part.kept)} connections of '{feed}' reach back to where raw is gone: "
                "their rows stay as they were made"
            )
        if part:
            result.append(part)
    return result
