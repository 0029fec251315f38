"""The scratch database of a rebuild (`work/rebuild`), in which frames are normalised again.

A second ingest fills it while the private database stays unchanged. Readers see the published state
throughout.
"""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import duckdb

from recorder.errors import DataError, UsageError
from recorder.record.layout import Layout
from recorder.reporter import Reporter
from recorder.schema import duck
from recorder.schema.tables import TABLES
from recorder.tables import private
from recorder.tables.batch import transaction
from recorder.tables.ingest import Ingest
from recorder.tables.late_files import Hosts
from recorder.tables.rebuild import coverage
from recorder.tables.rebuild.rebuild_scope import FIRST, RebuildPart, Scope
from recorder.tables.rules import Rules


def _place(layout: Layout) -> Path:
    return layout.work / "rebuild"


def clear(layout: Layout) -> None:
    """Remove the scratch database, such as a killed rebuild left. The caller holds the claim."""
    shutil.rmtree(_place(layout), ignore_errors=True)


@contextmanager
def filled(
    layout: Layout, parts: Sequence[RebuildPart], rules: Callable[[str], Rules], reporter: Reporter
) -> Iterator[Path]:
    """Rebuild the parts in a scratch database; yield its path once it is closed."""
    clear(layout)
    # A part to the end includes frames that are recorded meanwhile.
    chosen = {
        part.feed: None if part.start_ns == FIRST and part.to_the_end
        else frozenset(unit.stem for unit in part.units)
        for part in parts
    }  # fmt: skip
    scratch = replace(layout, tables=_place(layout))
    try:
        until = {part.feed: part.wait_ns for part in parts}
        private.create(scratch).close()
        for part in parts:
            if part.start_ns > FIRST:
                _seed(layout, scratch, part)
        with closing(Ingest(scratch, rules, reporter, Hosts(until=until), chosen)) as work:
            work.run()
        yield private.database(scratch)
    finally:
        clear(layout)


@contextmanager
def rebuilt_in_scratch(
    layout: Layout, rules: Callable[[str], Rules], scope: Scope, reporter: Reporter
) -> Iterator[tuple[list[RebuildPart], Path]]:
    """Rebuild a scope in a scratch database; yield its parts and the closed database's path.

    The caller holds the claim.

    Raises:
        DataError: there are no tables yet, they are from another version, or segments that have
            rows cannot be rebuilt.
        UsageError: no raw is left within the scope.
    """
    with closing(private.connect(layout)) as db:
        parts = coverage.parts(db, layout, rules, scope, reporter)
        done = _sealed(db)
    if not parts:
        hint = "see what there is: recorder query coverage"
        raise UsageError("no raw frames to rebuild from", where=str(layout.root), hint=hint)
    with filled(layout, parts, rules, reporter) as fresh:
        _check_complete(layout, parts, done, fresh)
        yield parts, fresh


def _sealed(db: duckdb.DuckDBPyConnection) -> set[str]:
    return {row[0] for row in db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()}


def _check_complete(
    layout: Layout, parts: Sequence[RebuildPart], done: set[str], fresh: Path
) -> None:
    """Raise DataError if segments that have rows could not be rebuilt."""
    with closing(duck.connect(fresh)) as db:
        made = _sealed(db)
    for part in parts:
        if left := [u.stem for u in part.units if done.intersection(u.held) - made]:
            raise DataError(
                f"{len(left)} segments of '{part.feed}' cannot be rebuilt (see the warnings above);"
                " nothing was changed",
                where=layout.store.where(part.feed, left[0]),
                hint="restore damaged files, or move them away: then their rows stay as they are",
            )


def _seed(layout: Layout, scratch: Layout, part: RebuildPart) -> None:
    """Copy to the scratch database the feed's rows of the time before the part's start."""
    db = duck.connect()
    with closing(db):
        private.attach(db, private.database(layout), "old")
        private.attach(db, private.database(scratch), "work")
        db.execute("USE work")
        with transaction(db):
            known = {"feed": part.feed, "start": part.start_ns}
            for name in TABLES:
                db.execute(
                    f"INSERT INTO {name} BY NAME "  # our own names
                    f"FROM old.{name} WHERE feed = $feed AND recv_ns < $start",
                    known,
                )
            redone = [stem for unit in part.units for stem in unit.held]
            # A segment that was read from a journal and is not there any more has no rows any more.
            db.execute(
                "INSERT INTO ledger FROM old.ledger "
                "WHERE feed = $feed AND NOT list_contains($redone, segment) "
                "AND (sealed OR first_recv_ns < $from OR first_recv_ns >= $to)",
                {"feed": part.feed, "redone": redone, "from": part.from_ns, "to": part.to_ns},
            )
            if part.kept:
                _rewind(db, layout, part)
        db.execute("CHECKPOINT work")


def _rewind(db: duckdb.DuckDBPyConnection, layout: Layout, part: RebuildPart) -> None:
    """Set connections that reach back to the frame before the part, so that they continue there."""
    db.execute("CREATE TEMP TABLE begun (connection VARCHAR, seq BIGINT)")
    for unit in part.units:
        # One by one: of files fetched from a bucket only the last ones are sure to be cached.
        with suppress(FileNotFoundError):
            path = layout.store.fetch(part.feed, unit.stem)
            db.execute(
                """
                INSERT INTO begun SELECT connection, min(seq)
                FROM read_parquet($file, hive_partitioning = false) GROUP BY connection
                """,
                {"file": glob.escape(str(path))},
            )
    db.execute(
        """
        UPDATE connections AS c SET last_seq = f.first_seq - 1, closed_ns = NULL
        FROM (SELECT connection, min(seq) AS first_seq FROM begun GROUP BY connection) AS f
        WHERE c.feed = $feed AND c.connection = f.connection
            AND list_contains($kept, c.connection)
        """,
        {"feed": part.feed, "kept": sorted(part.kept)},
    )
    db.execute("DROP TABLE begun")
