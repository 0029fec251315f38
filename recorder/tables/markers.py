"""The rows of `connections` and `gaps`, from the markers in the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from recorder.clock import LAST
from recorder.record import lost
from recorder.record.gaps import Lifetime, LineGap, gaps
from recorder.record.lost import LostJournal

#: Frame numbers per block of the relation `measured`.
BLOCK = 256

# One row per connection in a batch, which is then added to the connection's row in `connections`.
# Each field is the first or the last value in the markers: the result does not depend on where a
# batch ends. `first_heard` has two: the first one may be the handshake's.
_SEEN = """
CREATE OR REPLACE TEMP TABLE seen AS
WITH decoded AS (
    SELECT *, CASE WHEN json_valid(marker) THEN marker END AS text
    FROM (SELECT *, CASE WHEN kind IN ('open', 'closed', 'stats') THEN TRY(decode(payload)) END
          AS marker FROM batch WHERE kind <> 'instruments')
)
SELECT
    connection,
    min(recv_ns) AS first_ns,
    max(seq) AS last_seq,
    min(seq) AS first_seq,
    count(*) AS rows,
    count(*) FILTER (kind IN ('text', 'binary', 'polled')) AS frames,
    coalesce(sum(octet_length(payload)) FILTER (kind IN ('text', 'binary', 'polled')), 0) AS bytes,
    max(greatest(
        CASE WHEN kind IN ('text', 'binary', 'polled', 'open', 'answer') THEN recv_ns END,
        TRY_CAST(json_extract_string(text, '$.heard_ns') AS BIGINT)
    )) AS heard_ns,
    min(recv_ns) FILTER (kind IN ('text', 'binary', 'polled', 'answer')) AS first_data_ns,
    list_sort(list(DISTINCT TRY_CAST(json_extract_string(text, '$.heard_ns') AS BIGINT))
        FILTER (kind IN ('stats', 'closed')))[:2] AS first_heard,
    max(recv_ns) FILTER (kind = 'open') AS opened_ns,
    max(recv_ns) FILTER (kind = 'closed') AS closed_ns,
    arg_min(json_extract_string(text, '$.line'), seq) AS line,
    arg_min(json_extract_string(text, '$.group'), seq) AS line_group,
    arg_min(json_extract_string(text, '$.url'), seq) FILTER (kind <> 'stats') AS url,
    arg_max(TRY_CAST(json_extract_string(text, '$.code') AS INTEGER), seq)
        FILTER (kind = 'closed') AS code,
    arg_max(json_extract_string(text, '$.reason'), seq) FILTER (kind = 'closed') AS reason,
    arg_max(TRY_CAST(json_extract_string(text, '$.rtt') AS DOUBLE), seq)
        FILTER (kind = 'stats') AS rtt,
    arg_max(TRY_CAST(json_extract_string(text, '$.clock.error_ns') AS BIGINT), seq)
        FILTER (kind = 'stats') AS clock_error_ns
FROM decoded
GROUP BY connection
"""

_NEW = """
INSERT INTO connections BY NAME
SELECT
    $feed AS feed, line_group, first_ns AS recv_ns,
    make_timestamptz(first_ns // 1000) AS recv_time, connection, first_seq AS seq, 0 AS item,
    line, url, opened_ns, 0 AS frames, 0 AS bytes, $stamped AS stamped
FROM seen
WHERE connection NOT IN (SELECT connection FROM connections WHERE feed = $feed)
"""

# Missing frame numbers. Run it before `_UPDATE`, which moves `last_seq`.
_HOLES = """
INSERT INTO gaps BY NAME
SELECT
    $feed AS feed, c.line_group, h.recv_ns, make_timestamptz(h.recv_ns // 1000) AS recv_time,
    h.connection, h.seq, 0 AS item, c.line,
    coalesce(h.previous_ns, c.last_heard_ns) AS from_ns, h.recv_ns AS to_ns,
    CASE
        WHEN h.kind = 'gap'
            THEN coalesce(TRY(json_extract_string(decode(h.payload), '$.cause')), 'lost')
        ELSE 'the journal was damaged'
    END AS cause,
    h.seq - coalesce(h.previous, c.last_seq, -1) - 1 AS frames_missing,
    false AS covered
FROM (
    SELECT
        connection, seq, recv_ns, kind, payload,
        lag(seq) OVER (PARTITION BY connection ORDER BY seq) AS previous,
        lag(recv_ns) OVER (PARTITION BY connection ORDER BY seq) AS previous_ns
    FROM batch
) AS h
JOIN connections AS c ON c.connection = h.connection AND c.feed = $feed
WHERE h.seq > coalesce(h.previous, c.last_seq, -1) + 1
"""

_HAS_HOLES = """
SELECT count(*)
FROM seen AS s JOIN connections AS c ON c.connection = s.connection AND c.feed = $feed
WHERE s.first_seq > coalesce(c.last_seq, -1) + 1 OR s.last_seq - s.first_seq + 1 <> s.rows
"""

_OVERLAPS = """
SELECT count(*)
FROM (SELECT connection, min(seq) AS first_seq FROM batch GROUP BY connection) AS s
JOIN connections AS c ON c.connection = s.connection AND c.feed = $feed
WHERE s.first_seq <= c.last_seq
"""

_NOT_CONTIGUOUS = """
SELECT count(*)
FROM (
    SELECT connection, min(seq) AS first_seq, max(seq) AS last_seq, count(*) AS rows
    FROM batch WHERE kind <> 'instruments' GROUP BY connection
) AS s
LEFT JOIN connections AS c ON c.connection = s.connection AND c.feed = $feed
WHERE s.last_seq - s.first_seq + 1 <> s.rows OR s.first_seq <> coalesce(c.last_seq, -1) + 1
"""

# A number at or below the connection's last is new only where a hole was noted.
_UNSEEN = """
SELECT b.*
FROM batch AS b
LEFT JOIN connections AS c ON c.connection = b.connection AND c.feed = $feed
WHERE c.last_seq IS NULL OR b.seq > c.last_seq OR EXISTS (
    FROM gaps AS g
    WHERE g.feed = $feed AND g.connection = b.connection
        AND b.seq >= g.seq - g.frames_missing AND b.seq < g.seq
)
ORDER BY b.connection, b.seq
"""

_UPDATE = """
UPDATE connections AS c SET
    line = coalesce(c.line, s.line),
    line_group = coalesce(c.line_group, s.line_group),
    url = coalesce(c.url, s.url),
    opened_ns = coalesce(c.opened_ns, s.opened_ns),
    closed_ns = coalesce(s.closed_ns, c.closed_ns),
    code = coalesce(s.code, c.code),
    reason = coalesce(s.reason, c.reason),
    frames = c.frames + s.frames,
    bytes = c.bytes + s.bytes,
    last_seq = greatest(c.last_seq, s.last_seq),
    last_heard_ns = greatest(c.last_heard_ns, s.heard_ns),
    first_frame_ns = least(c.first_frame_ns, s.first_data_ns, list_min(list_filter(
        s.first_heard, lambda heard: heard > coalesce(c.opened_ns, s.opened_ns, 0)
    ))),
    rtt = coalesce(s.rtt, c.rtt),
    clock_error_ns = coalesce(s.clock_error_ns, c.clock_error_ns)
FROM seen AS s
WHERE c.connection = s.connection AND c.feed = $feed
"""

NOTHING_MEASURED = """
CREATE OR REPLACE TEMP TABLE measured (
    connection VARCHAR, block BIGINT, from_seq BIGINT, clock_error_ns BIGINT, to_seq BIGINT
)
"""

# The clock's error as it was last measured on a connection, per block of its frame numbers: what
# was known where the block begins, and each measurement within it. A frame before its connection's
# first measurement has none. Run it before `_UPDATE`, which moves `last_seq`.
_MEASURED = f"""
CREATE OR REPLACE TEMP TABLE measured AS
WITH errors AS (
    SELECT c.connection, c.last_seq AS seq, c.clock_error_ns
    FROM connections AS c
    WHERE c.feed = $feed AND c.clock_error_ns IS NOT NULL
        AND c.connection IN (SELECT connection FROM seen)
    UNION ALL
    SELECT
        connection, seq,
        TRY_CAST(json_extract_string(text, '$.clock.error_ns') AS BIGINT) AS clock_error_ns
    FROM (
        SELECT connection, seq, CASE WHEN json_valid(marker) THEN marker END AS text
        FROM (SELECT *, TRY(decode(payload)) AS marker FROM batch WHERE kind = 'stats')
    )
    WHERE clock_error_ns IS NOT NULL
), blocks AS (
    SELECT DISTINCT connection, seq // {BLOCK} AS block FROM batch
    WHERE kind IN ('text', 'binary', 'polled') AND connection IN (SELECT connection FROM errors)
), points AS (
    SELECT b.connection, b.block, b.block * {BLOCK} AS from_seq, e.clock_error_ns
    FROM blocks AS b
    ASOF JOIN errors AS e ON e.connection = b.connection AND e.seq < b.block * {BLOCK}
    UNION ALL
    SELECT connection, seq // {BLOCK}, seq, clock_error_ns FROM errors
)
SELECT
    *, lead(from_seq, 1, 9223372036854775807) OVER (
        PARTITION BY connection, block ORDER BY from_seq
    ) AS to_seq
FROM points
"""  # noqa: S608

# A row of `gaps` without frames_missing is an interval without cover. Of a connection whose opening
# was lost with a journal it is known that it lived from its first frame on.
_KNOWN = """
SELECT line_group, line, connection, coalesce(opened_ns, recv_ns), closed_ns, last_heard_ns, reason,
    false, first_frame_ns, recv_ns
FROM connections
WHERE feed = $feed AND (opened_ns IS NOT NULL OR (frames > 0 AND line IS NOT NULL))
"""

# The lines of a run that may have had frames in a lost journal, each with a connection.
_LINES = """
SELECT line_group, line,
    coalesce(min_by(connection, recv_ns) FILTER (recv_ns >= $from), max_by(connection, recv_ns)),
    coalesce(min(recv_ns) FILTER (recv_ns >= $from), max(recv_ns))
FROM connections
WHERE feed = $feed AND list_contains($names, connection) AND recv_ns <= $to
    AND (closed_ns IS NULL OR closed_ns >= $from)
GROUP BY ALL
ORDER BY ALL
"""

_ANY = """
SELECT NULL, NULL,
    coalesce(
        min_by(connection, recv_ns) FILTER (recv_ns >= $from), max_by(connection, recv_ns), ''
    ),
    coalesce(min(recv_ns) FILTER (recv_ns >= $from), max(recv_ns), $from)
FROM connections
WHERE feed = $feed
"""

_SPANS = """
SELECT segment, first_recv_ns, last_recv_ns FROM ledger
WHERE feed = $feed AND rows > 0 AND first_recv_ns IS NOT NULL
"""

_INTERVALS = """
INSERT INTO gaps BY NAME
SELECT
    $feed AS feed, *, make_timestamptz(recv_ns // 1000) AS recv_time, 0 AS seq
FROM intervals
"""

_INTERVAL = pa.schema(
    [
        ("line_group", pa.string()),
        ("line", pa.string()),
        ("recv_ns", pa.int64()),
        ("connection", pa.string()),
        ("from_ns", pa.int64()),
        ("to_ns", pa.int64()),
        ("cause", pa.string()),
        ("covered", pa.bool_()),
        ("item", pa.int32()),
    ]
)

_Row = dict[str, str | int | bool | None]


def overlaps(connection: duckdb.DuckDBPyConnection, feed: str) -> bool:
    """Return True if the relation `batch` repeats frame numbers of a connection."""
    return connection.execute(_OVERLAPS, {"feed": feed}).fetchall() != [(0,)]


def is_contiguous(connection: duckdb.DuckDBPyConnection, feed: str) -> bool:
    """Return True if the relation `batch` continues each connection without a missing number."""
    return connection.execute(_NOT_CONTIGUOUS, {"feed": feed}).fetchall() == [(0,)]


def unseen(connection: duckdb.DuckDBPyConnection, feed: str) -> pa.Table:
    """Return the rows of the relation `batch` that were never ingested."""
    return connection.sql(_UNSEEN, params={"feed": feed}).to_arrow_table()


def look(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the relation `seen` from the relation `batch`, a row per connection."""
    connection.execute(_SEEN)


def take(connection: duckdb.DuckDBPyConnection, feed: str, stamped: str | None = None) -> None:
    """Add the relation `seen`, made of frames without a missing number, to `connections`.

    `stamped` is the pattern of `Feed.stamped`.
    """
    connection.execute(_NEW, {"feed": feed, "stamped": stamped})
    connection.execute(_UPDATE, {"feed": feed})


def apply(connection: duckdb.DuckDBPyConnection, feed: str, stamped: str | None = None) -> None:
    """Add the relation `batch` to `connections`, and the frames missing in it to `gaps`.

    Create the relation `measured`: the clock's error that holds for each frame of the batch.
    `stamped` is the pattern of `Feed.stamped`.
    """
    name = {"feed": feed}
    look(connection)
    connection.execute(_MEASURED, name)
    connection.execute(_NEW, name | {"stamped": stamped})
    holes = connection.execute(_HAS_HOLES, name).fetchone()
    if holes and holes[0]:
        connection.execute(_HOLES, name)
    connection.execute(_UPDATE, name)


def apply_gaps(
    connection: duckdb.DuckDBPyConnection, feed: str, journals: Sequence[LostJournal] = ()
) -> None:
    """Compute the feed's intervals without cover again.

    They come from the rows of `connections`; those of lost `journals` from the ledger, too.
    """
    rows = connection.execute(_KNOWN, {"feed": feed}).fetchall()
    received = {row[2]: row[-1] for row in rows}
    intervals = [_row(gap, received) for gap in gaps(Lifetime(*row[:-1]) for row in rows)]
    intervals += _of_lost(connection, feed, journals) if journals else []
    connection.execute(
        "DELETE FROM gaps WHERE feed = $feed AND frames_missing IS NULL", {"feed": feed}
    )
    connection.register("intervals", pa.Table.from_pylist(intervals, schema=_INTERVAL))
    connection.execute(_INTERVALS, {"feed": feed})
    connection.unregister("intervals")


def _row(gap: LineGap, received: Mapping[str, int]) -> _Row:
    """Return a gap as a row of `_INTERVAL`, received when it became known.

    It became known by the connection's closing, or else by the next connection's opening.
    """
    name = (gap.first_opened or gap.last).connection
    known_ns = received[name]
    if gap.closed_ns is not None and (gap.first_opened is None or gap.closed_ns < known_ns):
        name, known_ns = gap.last.connection, gap.closed_ns
    return {
        "line_group": gap.last.line_group,
        "line": gap.last.line,
        "recv_ns": known_ns,
        "connection": name,
        "from_ns": gap.from_ns,
        "to_ns": gap.to_ns,
        "cause": gap.last.cause,
        "covered": gap.covered,
        "item": 0,
    }


def _of_lost(
    db: duckdb.DuckDBPyConnection, feed: str, journals: Sequence[LostJournal]
) -> list[_Row]:
    """Return the rows of `_INTERVAL` of lost journals: one for each line that they held."""
    spans = {row[0]: row[1:] for row in db.execute(_SPANS, {"feed": feed}).fetchall()}
    rows: list[_Row] = []
    for journal, from_ns, to_ns in lost.intervals(journals, spans):
        known = {"feed": feed, "from": from_ns}
        end = {"names": list(journal.connections), "to": LAST if to_ns is None else to_ns}
        lines = db.execute(_LINES, known | end).fetchall() or db.execute(_ANY, known).fetchall()
        for line_group, line, name, recv_ns in lines:
            row: _Row = {"line_group": line_group, "line": line, "connection": name}
            row |= {"from_ns": from_ns, "to_ns": to_ns, "cause": lost.CAUSE, "covered": False}
            rows.append(row | {"recv_ns": recv_ns, "item": 1 + len(rows)})
    return rows
