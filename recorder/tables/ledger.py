"""The table `ledger`, which lists the ingested frames; written in the transaction of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from recorder.clock import LAST
from recorder.record.footers import Held
from recorder.record.layout import day_of, number_of, run_of
from recorder.record.read import Position
from recorder.tables.ingest_order import SegmentSpan

# -- reading


def states(db: duckdb.DuckDBPyConnection, feed: str) -> dict[str, bool]:
    """Return a feed's segments in the ledger; the value is True if a sealed file is done whole."""
    return dict(
        db.execute(
            "SELECT segment, sealed FROM ledger WHERE feed = $feed", {"feed": feed}
        ).fetchall()
    )


def known(db: duckdb.DuckDBPyConnection, stem: str) -> Position:
    """Return the position up to which a segment was ingested."""
    rows = db.execute(
        "SELECT rows, journal_offset FROM ledger WHERE segment = $stem", {"stem": stem}
    ).fetchall()
    return Position(*rows[0]) if rows else Position()


_BEFORE = """
SELECT max(last_recv_ns) FROM ledger
WHERE feed = $feed AND contains(segment, $run) AND substr(segment, 45)::BIGINT <= $number
"""


def latest_of(db: duckdb.DuckDBPyConnection, feed: str, stem: str) -> int:
    """Return the latest receive time (ns) ingested of a segment's run, up to this segment.

    Return `-LAST` if nothing of it was ingested.
    """
    values = {"feed": feed, "run": run_of(stem), "number": number_of(stem)}
    [(latest,)] = db.execute(_BEFORE, values).fetchall()
    return -LAST if latest is None else int(latest)


_RUNS = """
SELECT substr(segment, 18, 26) AS run, max(last_recv_ns) FROM ledger WHERE feed = $feed GROUP BY run
"""


def latest_of_runs(db: duckdb.DuckDBPyConnection, feed: str) -> dict[str, int]:
    """Return the latest receive time (ns) ingested of each of a feed's runs."""
    return dict(db.execute(_RUNS, {"feed": feed}).fetchall())


_SINCE = """
SELECT segment, first_recv_ns, last_recv_ns FROM ledger
WHERE feed = $feed AND last_recv_ns >= $since
"""


def spans_since(db: duckdb.DuckDBPyConnection, feed: str, since_ns: int) -> list[SegmentSpan]:
    """Return the spans of a feed's ingested segments that end at `since_ns` or later."""
    rows = db.execute(_SINCE, {"feed": feed, "since": since_ns}).fetchall()
    return [SegmentSpan(*row) for row in rows]


# -- writing

_FRAMES = """
INSERT INTO ledger
VALUES ($feed, $stem, $day, $rows, $offset, false, $first, $last, $sql)
ON CONFLICT (segment) DO UPDATE SET
    rows = excluded.rows, journal_offset = excluded.journal_offset,
    first_recv_ns = least(first_recv_ns, excluded.first_recv_ns),
    last_recv_ns = greatest(last_recv_ns, excluded.last_recv_ns),
    normaliser = excluded.normaliser
"""


def note_frames(
    db: duckdb.DuckDBPyConnection, feed: str, span: SegmentSpan, known: Position, sql: str | None
) -> None:
    """Write that a segment is ingested up to `known`; the new frames have the times of `span`.

    `sql` is the fingerprint of the SQL that normalised them.
    """
    db.execute(
        _FRAMES,
        {
            "feed": feed,
            "stem": span.stem,
            "day": day_of(span.stem),
            "rows": known.rows,
            "offset": known.offset,
            "first": span.first_ns,
            "last": span.last_ns,
            "sql": sql,
        },
    )


_FILE = """
INSERT INTO ledger
SELECT
    $feed, $stem, $day, count(*), 0, true, min(recv_ns), max(recv_ns), $sql
FROM read_parquet($path, hive_partitioning = false)
"""


def note_file(
    db: duckdb.DuckDBPyConnection, feed: str, path: Path, held: Sequence[Held], sql: str | None
) -> None:
    """Write that a sealed file, which holds these segments, was ingested as a whole."""
    stem = path.stem
    values = {"feed": feed, "stem": stem, "day": day_of(stem), "sql": sql, "path": str(path)}
    db.execute(_FILE, values)
    _note_held(db, stem, held)


def note_end(db: duckdb.DuckDBPyConnection, stem: str, rows: int, held: Sequence[Held]) -> None:
    """Write that a sealed file, which holds these segments, was ingested to its end."""
    db.execute(
        "UPDATE ledger SET sealed = true, rows = $rows WHERE segment = $stem",
        {"rows": rows, "stem": stem},
    )
    _note_held(db, stem, held)


_FIRST = """
UPDATE ledger SET rows = $rows, first_recv_ns = $first_ns, last_recv_ns = $last_ns
WHERE segment = $stem
"""

_OTHER = """
INSERT INTO ledger BY NAME
SELECT
    feed, $stem AS segment, $day AS day, $rows AS rows, 0 AS journal_offset, true AS sealed,
    $first_ns AS first_recv_ns, $last_ns AS last_recv_ns, normaliser
FROM ledger WHERE segment = $file
ON CONFLICT (segment) DO UPDATE SET
    rows = excluded.rows, sealed = true, first_recv_ns = excluded.first_recv_ns,
    last_recv_ns = excluded.last_recv_ns, normaliser = excluded.normaliser
"""


def _note_held(db: duckdb.DuckDBPyConnection, stem: str, held: Sequence[Held]) -> None:
    """Write a row for each segment in the merged file `stem`; do nothing for other files."""
    for one in held:
        if one.stem == stem:
            db.execute(_FIRST, one._asdict())
        else:
            db.execute(_OTHER, one._asdict() | {"day": day_of(one.stem), "file": stem})
