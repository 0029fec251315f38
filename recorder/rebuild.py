"""Rebuilding: a feed's rows made anew from the raw record, and put in place in one transaction.

The frames are normalised by a second ingest into a scratch database (`work/rebuild`), which then
takes the place of the private one, or of some of its rows. Until then nothing has changed, and
readers see the published state throughout.

What a frame becomes depends on those before it: counts of equal frames on two lines, tickers that
send changes only, events sent again. So a part of the record is made anew from the last moment
before it at which no connection lived (`start_of`): there is nothing to know of the time before but
the rows themselves. Where raw was pruned and a connection lived then, that moment may be missing.
Then rows of the connections that reach back stay as they were made, like all rows before.
"""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from recorder import arrivals, duck, durable, merged, normalise, private
from recorder.canned import sql_directory
from recorder.clock import NS, iso
from recorder.errors import DataError, UsageError
from recorder.ingest import Ingest, Rules
from recorder.schema import SCHEMA_VERSION, TABLES
from recorder.segment import Layout, order

Warn = Callable[[str], None]
Tell = Callable[[int], None]

#: Our own markers make these, not a feed's SQL.
MARKED = ("connections", "gaps", "instruments")
#: A feed's SQL makes these.
MADE = tuple(name for name in TABLES if name not in MARKED)
#: What ingest goes on from, beside the ledger.
_STATE = (*MARKED, "arrivals", "carried_state")

_FIRST, _LAST = -(1 << 62), 1 << 62


@dataclass(frozen=True, slots=True)
class Scope:
    """What to make anew: some feeds or all, from one receive time up to before another (ns)."""

    feeds: tuple[str, ...] = ()
    from_ns: int | None = None
    to_ns: int | None = None

    @property
    def whole(self) -> bool:
        """True for everything there is."""
        return not self.feeds and self.from_ns is None and self.to_ns is None


class Unit(NamedTuple):
    """A sealed file or a journal, what it holds, and the times (ns) of its first and last frame."""

    stem: str
    held: tuple[str, ...]
    first_ns: int
    last_ns: int


class Life(NamedTuple):
    """A connection and the times (ns) between which it may matter."""

    connection: str
    first_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Part:
    """What of one feed is made anew."""

    feed: str
    start_ns: int  # frames from here on are normalised ...
    from_ns: int  # ... and the rows from here on are taken ...
    to_ns: int  # ... up to before here
    units: tuple[Unit, ...]
    kept: frozenset[str] = frozenset()  # connections whose rows stay as they are

    @property
    def to_the_end(self) -> bool:
        """True if ingest is to go on from what this leaves."""
        return self.to_ns == _LAST and not self.kept


# -- where to begin


def start_of(units: Sequence[Unit], lives: Sequence[Life], at: int, after: int = _FIRST) -> int:
    """The latest moment up to `at`, but after `after`, at which nothing was under way.

    That is the first frame of a unit, such that no unit and no connection reaches over it, and
    that every unit before it in time is before it in order too. The beginning of time if there is
    no such moment.
    """
    for moment in sorted({u.first_ns for u in units if after < u.first_ns <= at}, reverse=True):
        before = [unit for unit in units if unit.first_ns < moment]
        behind = [unit for unit in units if unit.first_ns >= moment]
        parted = all(unit.last_ns < moment for unit in before) and (
            not before
            or max(order(unit.stem) for unit in before) < min(order(unit.stem) for unit in behind)
        )
        if parted and not any(life.first_ns < moment <= life.until_ns for life in lives):
            return moment
    return _FIRST


def border_of(units: Sequence[Unit], gone: Sequence[Unit]) -> int:
    """Frames up to this time cannot be had any more; a unit that reaches over it is left too."""
    border = max((unit.last_ns for unit in gone), default=_FIRST)
    while reaching := [u.last_ns for u in units if u.first_ns <= border < u.last_ns]:
        border = max(reaching)
    return border


def part_of(
    feed: str, units: Sequence[Unit], gone: Sequence[Unit], lives: Sequence[Life], scope: Scope
) -> Part | None:
    """What of a feed to make anew; None if nothing of the scope can be had."""
    border = border_of(units, gone)
    there = [unit for unit in units if unit.first_ns > border]
    from_ns = _FIRST if scope.from_ns is None else scope.from_ns
    to_ns = _LAST if scope.to_ns is None else scope.to_ns
    kept: frozenset[str] = frozenset()
    if not there:
        return None
    if border > _FIRST:
        from_ns = max(from_ns, min(unit.first_ns for unit in there))
    start = start_of([*units, *gone], lives, from_ns, border)
    if start == _FIRST and border > _FIRST:
        start = min(unit.first_ns for unit in there)
        kept = frozenset(o.connection for o in lives if o.first_ns < start <= o.until_ns)
    wanted = [unit.stem for unit in there if unit.first_ns < to_ns and unit.last_ns >= from_ns]
    if not wanted:
        return None
    last = max(wanted, key=order)
    chosen = tuple(
        unit
        for unit in sorted(there, key=lambda unit: order(unit.stem))
        if unit.first_ns >= start and (to_ns == _LAST or order(unit.stem) <= order(last))
    )
    return Part(feed, start, from_ns, to_ns, chosen, kept)


# -- what there is


@dataclass(slots=True)
class _Known:
    """What the private tables say of a feed's segments and connections."""

    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    sealed: set[str] = field(default_factory=set)
    lives: list[Life] = field(default_factory=list)


def _known(db: duckdb.DuckDBPyConnection, feed: str) -> _Known:
    known = _Known()
    for stem, sealed, first, last in db.execute(
        "SELECT segment, sealed, first_recv_ns, last_recv_ns FROM ledger WHERE feed = $feed",
        {"feed": feed},
    ).fetchall():
        known.spans[stem] = (_FIRST if first is None else first, _LAST if last is None else last)
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
    known.lives = [Life(name, first, last + arrivals.MARGIN_NS) for name, first, last in lives]
    return known


def _units(layout: Layout, feed: str, known: _Known) -> tuple[list[Unit], list[Unit]]:
    """The feed's units on disk, and the segments that were ingested but are gone."""
    there = [(stem, tuple(held)) for stem, held in merged.files(layout, feed)]
    names = {stem for stem, _ in there}
    there += [(stem, (stem,)) for stem in layout.active(feed) if stem not in names]
    units = []
    for stem, held in there:
        spans = [known.spans.get(one, (_FIRST, _LAST)) for one in held]
        if stem in known.spans and stem not in known.sealed:
            spans.append((known.spans[stem][0], _LAST))  # it grows
        if stem not in known.spans:
            spans = [(_second(stem), _LAST)]
        units.append(Unit(stem, held, min(s[0] for s in spans), max(s[1] for s in spans)))
    present = {one for _, held in there for one in held}
    gone = [
        Unit(stem, (stem,), *known.spans[stem])
        for stem in known.sealed - present
        if known.spans[stem][0] > _FIRST
    ]
    return units, gone


def _second(stem: str) -> int:
    """The second of a stem's first frame."""
    time = datetime.strptime(stem[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(time.timestamp()) * NS


def _parts(db: duckdb.DuckDBPyConnection, layout: Layout, scope: Scope, warn: Warn) -> list[Part]:
    parts = []
    for feed in scope.feeds or layout.feeds():
        known = _known(db, feed)
        units, gone = _units(layout, feed, known)
        part = part_of(feed, units, gone, known.lives, scope)
        if gone:
            since = iso(part.from_ns) if part else "none"
            warn(
                f"raw of {len(gone)} segments of '{feed}' is gone: rows before it stay as they "
                f"were made (made anew from: {since})"
            )
        if part and part.kept:
            warn(
                f"{len(part.kept)} connections of '{feed}' reach back to where raw is gone: "
                "their rows stay as they were made"
            )
        if part:
            parts.append(part)
    return parts


# -- the scratch database


@dataclass(frozen=True, slots=True)
class _Scratch(Layout):
    """The same record, of some feeds and segments, with tables of its own."""

    chosen: Mapping[str, frozenset[str] | None] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return _place(self)

    @property
    def database(self) -> Path:
        return _place(self) / "recorder.duckdb"

    def feeds(self) -> list[str]:
        return sorted(self.chosen)

    def active(self, feed: str) -> list[str]:
        return self._of(feed, Layout.active(self, feed))

    def sealed(self, feed: str) -> list[str]:
        return self._of(feed, Layout.sealed(self, feed))

    def _of(self, feed: str, stems: list[str]) -> list[str]:
        chosen = self.chosen[feed]
        return stems if chosen is None else [stem for stem in stems if stem in chosen]


def _place(layout: Layout) -> Path:
    return layout.root / "work" / "rebuild"


def clear(layout: Layout) -> None:
    """Remove what a killed rebuild left. The caller holds the claim."""
    shutil.rmtree(_place(layout), ignore_errors=True)


@contextmanager
def _scratch(
    layout: Layout, parts: Sequence[Part], rules: Callable[[str], Rules], warn: Warn, tell: Tell
) -> Iterator[Path]:
    """The path of a database in which the parts are made anew, and closed."""
    clear(layout)
    # To the end means also what is recorded meanwhile.
    chosen = {
        part.feed: None if part.start_ns == _FIRST and part.to_the_end
        else frozenset(unit.stem for unit in part.units)
        for part in parts
    }  # fmt: skip
    scratch = _Scratch(layout.root, chosen)
    try:
        Ingest(scratch, rules, warn).close()
        for part in parts:
            if part.start_ns > _FIRST:
                _seed(layout, scratch, part)
        with closing(Ingest(scratch, rules, warn)) as work:
            work.run(tell)
        yield private.database(scratch)
    finally:
        clear(layout)


@contextmanager
def made_beside(
    layout: Layout, rules: Callable[[str], Rules], scope: Scope, warn: Warn, tell: Tell
) -> Iterator[tuple[list[Part], Path]]:
    """What can be made anew of a scope, and the closed scratch database that holds it.

    The caller holds the claim.

    Raises:
        DataError: there are no tables yet, they are from another version, or segments that have
            rows cannot be made anew.
        UsageError: nothing of the scope can be made anew.
    """
    with closing(private.connect(layout)) as db:
        parts = _parts(db, layout, scope, warn)
        done = _sealed(db)
    if not parts:
        hint = "see what there is: recorder query coverage"
        raise UsageError("nothing there to make anew", where=str(layout.root), hint=hint)
    with _scratch(layout, parts, rules, warn, tell) as fresh:
        _check_complete(layout, parts, done, fresh)
        yield parts, fresh


def _sealed(db: duckdb.DuckDBPyConnection) -> set[str]:
    return {row[0] for row in db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()}


def _check_complete(layout: Layout, parts: Sequence[Part], done: set[str], fresh: Path) -> None:
    """Refuse to go on if segments that have rows could not be made anew."""
    with closing(duck.connect(fresh)) as db:
        made = _sealed(db)
    for part in parts:
        if left := [u.stem for u in part.units if done.intersection(u.held) - made]:
            raise DataError(
                f"{len(left)} segments of '{part.feed}' cannot be made anew, as said before; "
                "nothing was changed",
                where=str(layout.parquet(part.feed, left[0])),
                hint="restore damaged files, or move them away: then their rows stay as they are",
            )


def _seed(layout: Layout, scratch: Layout, part: Part) -> None:
    """Give the scratch database what the time before the part's start left."""
    db = duck.connect()
    with closing(db):
        private.attach(db, private.database(layout), "old")
        private.attach(db, private.database(scratch), "work")
        db.execute("USE work")
        db.execute("BEGIN")
        known = {"feed": part.feed, "start": part.start_ns}
        for name in TABLES:
            db.execute(
                f"INSERT INTO {name} BY NAME "  # our own names
                f"FROM old.{name} WHERE feed = $feed AND recv_ns < $start",
                known,
            )
        redone = [stem for unit in part.units for stem in unit.held]
        db.execute(
            "INSERT INTO ledger FROM old.ledger WHERE feed = $feed AND NOT list_contains($redone, "
            "segment)",
            {"feed": part.feed, "redone": redone},
        )
        if part.kept:
            _rewind(db, layout, part)
        db.execute("COMMIT")
        db.execute("CHECKPOINT work")


def _rewind(db: duckdb.DuckDBPyConnection, layout: Layout, part: Part) -> None:
    """Let connections that reach back end where the part begins, so that they go on from there."""
    sealed = [layout.parquet(part.feed, unit.stem) for unit in part.units]
    files = [glob.escape(str(path)) for path in sealed if path.exists()]
    if not files:
        return
    db.execute(
        """
        UPDATE connections AS c SET last_seq = f.first_seq - 1, closed_ns = NULL
        FROM (
            SELECT connection, min(seq) AS first_seq
            FROM read_parquet($files, hive_partitioning = false) GROUP BY connection
        ) AS f
        WHERE c.feed = $feed AND c.connection = f.connection
            AND list_contains($kept, c.connection)
        """,
        {"files": files, "feed": part.feed, "kept": sorted(part.kept)},
    )


# -- rows of the part


def taken(part: Part, known_in: str = "", table: str = "t") -> tuple[str, dict[str, Any]]:
    """The condition, and its parameters, by which rows of `table` belong to the part.

    With `known_in`, a database: only rows of frames that were ingested there.
    """
    sql = (
        f"{table}.feed = $feed AND {table}.recv_ns >= $from AND {table}.recv_ns < $to "
        f"AND NOT list_contains($kept, {table}.connection)"
    )
    if known_in:
        sql += (
            f" AND EXISTS (FROM {known_in}.connections AS c WHERE c.feed = {table}.feed"
            f" AND c.connection = {table}.connection AND {table}.seq <= c.last_seq)"
        )
    return sql, {
        "feed": part.feed,
        "from": part.from_ns,
        "to": part.to_ns,
        "kept": sorted(part.kept),
    }


# -- rebuilding


def rebuild(
    layout: Layout,
    rules: Callable[[str], Rules],
    scope: Scope = Scope(),  # frozen
    warn: Warn = lambda text: None,
    tell: Tell = lambda frames: None,
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
            _all_anew(layout, rules, warn, tell)
            return
        with made_beside(layout, rules, scope, warn, tell) as (parts, fresh):
            if scope.whole and _make_up_all(layout, parts):
                _replace(layout, fresh)
            else:
                _put(layout, parts, fresh)


def _make_up_all(layout: Layout, parts: Sequence[Part]) -> bool:
    """True if no row of the tables has to stay."""
    with closing(private.connect(layout)) as db:
        known = {row[0] for row in db.execute("SELECT DISTINCT feed FROM ledger").fetchall()}
    complete = {part.feed for part in parts if part.start_ns == _FIRST and part.to_the_end}
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
    there = {s for feed in layout.feeds() for _, held in merged.files(layout, feed) for s in held}
    try:
        with duck.connect(path) as db:
            done = db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()
    except duckdb.Error:
        return 0
    return len({row[0] for row in done} - there)


def _all_anew(layout: Layout, rules: Callable[[str], Rules], warn: Warn, tell: Tell) -> None:
    """Everything, in a new database that then takes the old one's name."""
    parts = [Part(feed, _FIRST, _FIRST, _LAST, ()) for feed in layout.feeds()]
    with _scratch(layout, parts, rules, warn, tell) as fresh:
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
        db.execute("BEGIN")
        for part in parts:
            _put_part(db, part)
        db.execute("COMMIT")
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
    return _FIRST if last is None else int(last)


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
        sql = rules(feed).sql
        now = normalise.load(sql_directory() / "normalise", sql).fingerprint if sql else None
        if made_by != now:
            counts[feed] = counts.get(feed, 0) + segments
    return counts
