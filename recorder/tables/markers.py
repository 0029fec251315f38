"""What our own markers tell: the rows of `connections` and `gaps`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa

# One row per connection seen in a batch: what its markers and frames add to what is known. Each
# field is the first or last that is told, so that it does not matter where a batch ends.
_SEEN = """
CREATE OR REPLACE TEMP TABLE seen AS
WITH told AS (
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
    count(*) FILTER (kind IN ('text', 'binary')) AS frames,
    coalesce(sum(octet_length(payload)) FILTER (kind IN ('text', 'binary')), 0) AS bytes,
    max(greatest(
        CASE WHEN kind IN ('text', 'binary', 'open') THEN recv_ns END,
        TRY_CAST(json_extract_string(text, '$.heard_ns') AS BIGINT)
    )) AS heard_ns,
    max(recv_ns) FILTER (kind = 'open') AS opened_ns,
    max(recv_ns) FILTER (kind = 'closed') AS closed_ns,
    arg_min(json_extract_string(text, '$.line'), seq) FILTER (kind <> 'stats') AS line,
    arg_min(json_extract_string(text, '$.group'), seq) FILTER (kind <> 'stats') AS line_group,
    arg_min(json_extract_string(text, '$.url'), seq) FILTER (kind <> 'stats') AS url,
    arg_max(TRY_CAST(json_extract_string(text, '$.code') AS INTEGER), seq)
        FILTER (kind = 'closed') AS code,
    arg_max(json_extract_string(text, '$.reason'), seq) FILTER (kind = 'closed') AS reason,
    arg_max(TRY_CAST(json_extract_string(text, '$.rtt') AS DOUBLE), seq)
        FILTER (kind = 'stats') AS rtt,
    arg_max(TRY_CAST(json_extract_string(text, '$.clock.error_ns') AS BIGINT), seq)
        FILTER (kind = 'stats') AS clock_error_ns
FROM told
GROUP BY connection
"""

_NEW = """
INSERT INTO connections BY NAME
SELECT
    $feed AS feed, line_group, first_ns AS recv_ns,
    make_timestamptz(first_ns // 1000) AS recv_time, connection, first_seq AS seq, 0 AS item,
    line, url, opened_ns, 0 AS frames, 0 AS bytes
FROM seen
WHERE connection NOT IN (SELECT connection FROM connections WHERE feed = $feed)
"""

# Frames that the sequence says are missing, before their rows are counted in.
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

_GOES_ON = """
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
    rtt = coalesce(s.rtt, c.rtt),
    clock_error_ns = coalesce(s.clock_error_ns, c.clock_error_ns)
FROM seen AS s
WHERE c.connection = s.connection AND c.feed = $feed
"""

# Between the last proof of life of a line and the opening of its next connection. A row without
# frames_missing is such an interval; it is made anew from `connections` each time.
# Connections of a line may overlap, when one takes over from another: the line lives as long as any
# of them, so that an interval begins where the longest-lived of all before it ended. Without an
# end, a connection may live on, unless its line opened another after its last sign of life. What
# was heard after the end was heard before the wall clock was set back.
# An interval is covered if no moment of it is bare: neither its beginning, nor the end of another
# line's connection within it, may lie outside every other line's connections. A connection of which
# no end is known counts up to its last sign of life, but for a gap that still lasts it counts as
# open.
_INTERVALS = """
INSERT INTO gaps BY NAME
WITH opened AS (
    SELECT
        *,
        least(coalesce(last_heard_ns, opened_ns), closed_ns) AS heard_ns,
        max(opened_ns) OVER (PARTITION BY line_group, line) AS last_opened_ns
    FROM connections
    WHERE feed = $feed AND opened_ns IS NOT NULL
), lives AS (
    SELECT
        *,
        CASE WHEN closed_ns IS NULL AND heard_ns >= last_opened_ns THEN $for_ever ELSE heard_ns END
            AS until_ns
    FROM opened
), ends AS (
    SELECT
        *,
        max({'until_ns': until_ns, 'connection': connection}) OVER so_far AS latest,
        lead(opened_ns) OVER line AS next_opened_ns,
        lead(connection) OVER line AS next_connection,
        lead(recv_ns) OVER line AS next_recv_ns
    FROM lives
    WINDOW
        line AS (PARTITION BY line_group, line ORDER BY opened_ns, connection),
        so_far AS (
            PARTITION BY line_group, line ORDER BY opened_ns, connection ROWS UNBOUNDED PRECEDING
        )
), without AS (
    SELECT
        l.*, e.next_opened_ns, e.next_connection, e.next_recv_ns,
        e.next_opened_ns IS NULL AS lasts, coalesce(e.next_opened_ns, $for_ever) AS to_ns
    FROM ends AS e
    JOIN lives AS l ON l.connection = e.latest.connection
    WHERE e.latest.until_ns < to_ns
), moments AS (
    SELECT connection, line_group, line, lasts, heard_ns AS at_ns FROM without
    UNION ALL
    SELECT w.connection, w.line_group, w.line, w.lasts, if(w.lasts, o.until_ns, o.heard_ns) AS at_ns
    FROM without AS w
    JOIN lives AS o ON o.line_group IS NOT DISTINCT FROM w.line_group AND o.line <> w.line
    WHERE at_ns >= w.heard_ns AND at_ns < w.to_ns
), bare AS (
    SELECT DISTINCT connection
    FROM moments AS m
    WHERE NOT EXISTS (
        FROM lives AS o
        WHERE o.line_group IS NOT DISTINCT FROM m.line_group AND o.line <> m.line
            AND o.opened_ns <= m.at_ns AND if(m.lasts, o.until_ns, o.heard_ns) > m.at_ns
    )
)
SELECT
    feed, line_group, coalesce(next_recv_ns, recv_ns) AS recv_ns,
    make_timestamptz(coalesce(next_recv_ns, recv_ns) // 1000) AS recv_time,
    coalesce(next_connection, connection) AS connection, 0 AS seq, 0 AS item, line,
    heard_ns AS from_ns, next_opened_ns AS to_ns,
    CASE
        WHEN closed_ns IS NULL THEN 'the recorder ended without closing'
        WHEN reason = 'stopping' THEN 'the recorder was stopped'
        ELSE reason
    END AS cause,
    connection NOT IN (SELECT connection FROM bare) AS covered
FROM without
"""

_FOR_EVER = (1 << 63) - 1


def overlaps(connection: duckdb.DuckDBPyConnection, feed: str) -> bool:
    """True if the relation `batch` has frame numbers that lie behind what is known."""
    return connection.execute(_OVERLAPS, {"feed": feed}).fetchall() != [(0,)]


def goes_on(connection: duckdb.DuckDBPyConnection, feed: str) -> bool:
    """True if the frames of the relation `batch` are the very next of their connections."""
    return connection.execute(_GOES_ON, {"feed": feed}).fetchall() == [(0,)]


def unseen(connection: duckdb.DuckDBPyConnection, feed: str) -> pa.Table:
    """The rows of the relation `batch` that were never ingested."""
    return connection.sql(_UNSEEN, params={"feed": feed}).to_arrow_table()


def look(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the relation `seen`: what the relation `batch` says of each connection."""
    connection.execute(_SEEN)


def take(connection: duckdb.DuckDBPyConnection, feed: str) -> None:
    """Bring `connections` up to date with the relation `seen`, of frames without a hole."""
    connection.execute(_NEW, {"feed": feed})
    connection.execute(_UPDATE, {"feed": feed})


def apply(connection: duckdb.DuckDBPyConnection, feed: str) -> None:
    """Bring `connections` and the counted gaps up to date with the relation `batch`."""
    name = {"feed": feed}
    look(connection)
    connection.execute(_NEW, name)
    holes = connection.execute(_HAS_HOLES, name).fetchone()
    if holes and holes[0]:
        connection.execute(_HOLES, name)
    connection.execute(_UPDATE, name)


def apply_gaps(connection: duckdb.DuckDBPyConnection, feed: str) -> None:
    """Make the feed's intervals without cover anew, from `connections`."""
    connection.execute(
        "DELETE FROM gaps WHERE feed = $feed AND frames_missing IS NULL", {"feed": feed}
    )
    connection.execute(_INTERVALS, {"feed": feed, "for_ever": _FOR_EVER})
