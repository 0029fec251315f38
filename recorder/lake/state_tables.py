"""A feed's state tables (connections, gaps, instruments), updated from the surveys of a batch.

The driver works on a few rows per file. If no file of a batch depends on another, the driver folds
the surveys into the state tables, with the statements that ingest uses. Tasks can then ingest the
files independently, given the state before each (`before`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

import pyarrow as pa

from recorder.lake import transfer
from recorder.lake.survey import Survey
from recorder.lake.tables import MARKED
from recorder.lake.waiting import LastHeard
from recorder.schema import duck
from recorder.schema.tables import TABLES
from recorder.tables import arrivals, instruments, markers, normalise

# The rows of several files merged per connection: `surveyed` has a row for each file (number
# `file`) and connection. First or last values are chosen as in `markers`, file after file.
_MERGED = """
SELECT
    connection,
    arg_min(first_ns, file) AS first_ns, max(last_seq) AS last_seq,
    arg_min(first_seq, file) AS first_seq, sum(rows)::BIGINT AS rows,
    sum(frames)::BIGINT AS frames, sum(bytes)::BIGINT AS bytes, max(heard_ns) AS heard_ns,
    min(first_data_ns) AS first_data_ns,
    list_sort(list_distinct(flatten(list(first_heard))))[:2] AS first_heard,
    arg_min(opened_ns, file) AS opened_ns, arg_max(closed_ns, file) AS closed_ns,
    arg_min(line, file) AS line, arg_min(line_group, file) AS line_group, arg_min(url, file) AS url,
    arg_max(code, file) AS code, arg_max(reason, file) AS reason, arg_max(rtt, file) AS rtt,
    arg_max(clock_error_ns, file) AS clock_error_ns
FROM surveyed
WHERE {condition}
GROUP BY connection
"""

_WITHIN = """
    file < $first
    AND connection IN (SELECT connection FROM surveyed WHERE list_contains($files, file))
"""

# Files that do not continue their connections: frame numbers are missing or repeated.
_BREAKS = """
SELECT count(*)
FROM (
    SELECT
        t.*,
        lag(t.last_seq, 1, coalesce(c.last_seq, -1))
            OVER (PARTITION BY t.connection ORDER BY t.file) AS before
    FROM surveyed AS t
    LEFT JOIN connections AS c ON c.connection = t.connection AND c.feed = $feed
)
WHERE last_seq - first_seq + 1 <> rows OR first_seq <> before + 1
"""

# Connections of a group that were open at the same time, as far as the batch reaches; see
# `arrivals`.
_OVERLAPS = """
SELECT count(*)
FROM (
    SELECT
        opened_ns,
        max(until_ns) OVER (
            PARTITION BY line_group ORDER BY opened_ns, connection
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS before_ns
    FROM (
        SELECT *, coalesce(closed_ns, last_heard_ns + $quiet, 1::BIGINT << 62) AS until_ns
        FROM connections
        WHERE feed = $feed AND opened_ns - $margin <= $last
    )
    WHERE until_ns + $margin >= $first
)
WHERE before_ns >= opened_ns
"""

# Files that came late: the lake already holds later frames of another line.
_LATE = """
SELECT DISTINCT t.file
FROM surveyed AS t
LEFT JOIN connections AS c ON c.connection = t.connection
JOIN connections AS o ON coalesce(o.line_group, '') = coalesce(t.line_group, c.line_group, '')
    AND o.line <> coalesce(t.line, c.line)
WHERE (c.connection IS NULL OR t.first_seq > c.last_seq)
    AND greatest(o.recv_ns, o.last_heard_ns, o.closed_ns) > t.first_ns + $margin
ORDER BY t.file
"""


class StateTables:
    """A feed's connections, gaps and instruments, and the surveys of its new files, in order.

    `known(table)` returns the rows of the lake; `stamped` is the pattern of `Feed.stamped`.
    """

    def __init__(
        self,
        feed: str,
        surveys: Sequence[Survey],
        known: Callable[[str], pa.Table],
        stamped: str | None = None,
    ) -> None:
        self._feed, self._surveys, self._stamped = feed, surveys, stamped
        self._db = duck.connect()
        normalise.prepare(self._db)
        for name in MARKED:
            self._db.execute(TABLES[name].ddl)
            self._db.register("known", known(name))
            self._db.execute(f"INSERT INTO {name} BY NAME FROM known")
            self._db.unregister("known")
        self._db.register("surveyed", _numbered(surveys))

    def __enter__(self) -> StateTables:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    @property
    def is_contiguous(self) -> bool:
        """Whether no frame number is missing or repeated."""
        return self._db.execute(_BREAKS, {"feed": self._feed}).fetchall() == [(0,)]

    @property
    def late(self) -> list[int]:
        """The files whose copies may have been ingested before; read it before `fold`."""
        rows = self._db.execute(_LATE, {"margin": arrivals.MARGIN_NS}).fetchall()
        return [file for (file,) in rows]

    def overlaps(self, ahead: Sequence[Survey]) -> bool:
        """Return True if two connections of a group are open at once in these files or `ahead`.

        Call it after `fold`; the tables stay unchanged.
        """
        span = {
            "feed": self._feed,
            "first": min(survey.first_ns for survey in self._surveys),
            "last": max(survey.last_ns for survey in self._surveys),
            "quiet": arrivals.QUIET_NS,
            "margin": arrivals.MARGIN_NS,
        }
        self._db.execute("BEGIN")
        if ahead:
            self._apply(ahead)
        overlaps = self._db.execute(_OVERLAPS, span).fetchall()
        self._db.execute("ROLLBACK")
        return overlaps != [(0,)]

    def connections(self, files: Sequence[int]) -> pa.Table:
        """Return the lake's rows of the connections in some files; call it before `fold`."""
        return self._db.sql(
            "FROM connections WHERE connection IN "
            "(SELECT connection FROM surveyed WHERE list_contains($files, file))",
            params={"files": list(files)},
        ).to_arrow_table()

    def before(self, files: Sequence[int]) -> pa.Table:
        """Return the rows of the connections in these files, from the files before them."""
        return self._db.sql(
            _MERGED.format(condition=_WITHIN),
            params={"files": list(files), "first": min(files)},
        ).to_arrow_table()

    def instruments(self, files: Sequence[int]) -> pa.Table:
        """Return the instruments up to the end of these files, without the files' own lists.

        Call it after `fold`.
        """
        own = pa.concat_tables([transfer.decoded(self._surveys[file].lists) for file in files])
        self._db.register("own", own)
        last = max(self._surveys[file].last_ns for file in files)
        return self._db.sql(
            "FROM instruments WHERE recv_ns <= $last "
            "AND (connection, seq) NOT IN (SELECT (connection, seq) FROM own)",
            params={"last": last},
        ).to_arrow_table()

    def fold(self) -> None:
        """Apply every file's markers and instrument lists to the tables."""
        self._apply(self._surveys)
        lists = [lists for s in self._surveys if (lists := transfer.decoded(s.lists)).num_rows]
        if lists:
            self._db.register("batch", pa.concat_tables(lists))
            instruments.apply(self._db, self._feed)
            self._db.unregister("batch")
        markers.apply_gaps(self._db, self._feed)

    def _apply(self, surveys: Sequence[Survey]) -> None:
        self._db.register("surveyed", _numbered(surveys))
        self._db.execute(f"CREATE OR REPLACE TEMP TABLE seen AS {_MERGED.format(condition='true')}")
        markers.take(self._db, self._feed, self._stamped)

    def last_heard(self) -> list[LastHeard]:
        """Return every connection's last sign of life; call it after `fold`."""
        rows = self._db.execute(
            """
            SELECT coalesce(line_group, ''), coalesce(line, ''), coalesce(reason, ''),
                greatest(recv_ns, last_heard_ns, closed_ns)
            FROM connections
            """
        ).fetchall()
        return [LastHeard(group, line, last_ns, reason) for group, line, reason, last_ns in rows]

    def rows(self, name: str) -> pa.Table:
        """Return all rows of one of the tables."""
        return self._db.sql(f"FROM {name}").to_arrow_table()  # our own names


def _numbered(surveys: Sequence[Survey]) -> pa.Table:
    """Return the connections in all surveys, each row with the number of its file."""
    parts = []
    for number, one in enumerate(surveys):
        seen = transfer.decoded(one.seen)
        parts.append(seen.append_column("file", pa.array([number] * len(seen), pa.int32())))
    return pa.concat_tables(parts)
