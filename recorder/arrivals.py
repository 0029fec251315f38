"""Redundant lines: the same frame arrives on each of them, and only the first becomes rows.

Which arrivals are the same frame? Equal payloads, counted: the second time that line A brings some
bytes and the second time that line B brings them are one event; two equal events on one connection
stay two. Counting begins anew when some bytes have not come for a minute on any line, so that an
event repeated later, or missed by one line, cannot pair with the wrong arrival for ever. Of every
count exactly one arrival is kept: an event is never dropped by both lines.
"""

from __future__ import annotations

import duckdb

from recorder.clock import NS

#: Equal payloads further apart than this on all lines are different events.
QUIET_NS = 60 * NS

#: How often each payload came on each connection since it last was quiet; private to ingest.
STATE = """
CREATE TABLE IF NOT EXISTS arrivals (
    feed VARCHAR NOT NULL, hash UBIGINT NOT NULL, connection VARCHAR NOT NULL,
    times BIGINT NOT NULL, last_ns BIGINT NOT NULL
)
"""

_LINES = """
SELECT count(DISTINCT line) FROM connections WHERE feed = $feed AND opened_ns IS NOT NULL
"""

# Each arrival with its era (equal payloads without a quiet minute between them) and its count on
# its own connection within that era. Era 0 goes on from what is stored.
_COUNTED = """
CREATE OR REPLACE TEMP TABLE counted AS
WITH known AS (
    SELECT hash, max(last_ns) AS last_ns FROM arrivals WHERE feed = $feed GROUP BY hash
), spaced AS (
    SELECT
        b.connection, b.seq, b.recv_ns, b.hash,
        b.recv_ns - coalesce(
            lag(b.recv_ns) OVER (PARTITION BY b.hash ORDER BY b.recv_ns, b.connection, b.seq),
            k.last_ns, b.recv_ns - $quiet - 1
        ) > $quiet AS begins
    FROM (
        SELECT connection, seq, recv_ns, hash(payload) AS hash
        FROM batch WHERE kind IN ('text', 'binary')
    ) AS b
    LEFT JOIN known AS k ON k.hash = b.hash
), eras AS (
    SELECT
        *,
        sum(begins::INTEGER) OVER (PARTITION BY hash ORDER BY recv_ns, connection, seq) AS era
    FROM spaced
)
SELECT
    e.connection, e.seq, e.recv_ns, e.hash, e.era,
    row_number() OVER (PARTITION BY e.hash, e.era, e.connection ORDER BY e.seq)
        + CASE WHEN e.era = 0 THEN coalesce(a.times, 0) ELSE 0 END AS times
FROM eras AS e
LEFT JOIN arrivals AS a ON a.feed = $feed AND a.hash = e.hash AND a.connection = e.connection
"""

# The first arrival of each count, unless an earlier batch had it already.
_FRESH = """
CREATE OR REPLACE TEMP TABLE first_arrivals AS
SELECT c.connection, c.seq
FROM counted AS c
LEFT JOIN (
    SELECT hash, max(times) AS times FROM arrivals WHERE feed = $feed GROUP BY hash
) AS a ON a.hash = c.hash AND c.era = 0
WHERE c.times > coalesce(a.times, 0)
QUALIFY row_number() OVER (
    PARTITION BY c.hash, c.era, c.times ORDER BY c.recv_ns, c.connection, c.seq
) = 1
"""

_REMEMBER = """
CREATE OR REPLACE TEMP TABLE remembered AS
WITH last_era AS (SELECT hash, max(era) AS era, max(recv_ns) AS last_ns FROM counted GROUP BY hash)
SELECT $feed AS feed, c.hash, c.connection, max(c.times) AS times, max(c.recv_ns) AS last_ns
FROM counted AS c JOIN last_era AS l ON l.hash = c.hash AND l.era = c.era
GROUP BY c.hash, c.connection
UNION ALL
SELECT a.*
FROM arrivals AS a LEFT JOIN last_era AS l ON l.hash = a.hash
WHERE a.feed = $feed AND coalesce(l.era, 0) = 0
    AND NOT EXISTS (FROM counted AS c WHERE c.hash = a.hash AND c.connection = a.connection)
"""

_FORGET = """
DELETE FROM arrivals WHERE feed = $feed
"""

_STORE = """
INSERT INTO arrivals
SELECT r.* FROM remembered AS r
WHERE r.last_ns >= (SELECT max(recv_ns) FROM batch) - $quiet
    OR r.hash IN (
        SELECT hash FROM remembered WHERE last_ns >= (SELECT max(recv_ns) FROM batch) - $quiet
    )
"""


def apply(connection: duckdb.DuckDBPyConnection, feed: str) -> None:
    """Make the relation `fresh`: the frames of `batch` that no other line has brought before."""
    lines = connection.execute(_LINES, {"feed": feed}).fetchone()
    if not lines or lines[0] < 2:
        connection.execute("CREATE OR REPLACE TEMP VIEW fresh AS FROM batch")
        return
    both = {"feed": feed, "quiet": QUIET_NS}
    connection.execute(_COUNTED, both)
    connection.execute(_FRESH, {"feed": feed})
    connection.execute(_REMEMBER, {"feed": feed})
    connection.execute(_FORGET, {"feed": feed})
    connection.execute(_STORE, {"quiet": QUIET_NS})
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW fresh AS "
        "SELECT b.* FROM batch AS b SEMI JOIN first_arrivals USING (connection, seq)"
    )
