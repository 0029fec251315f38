"""Deduplicate frames of overlapping connections: the first copy of a frame becomes rows.

Connections of one feed and group overlap where the group has redundant lines, and while one
connection takes over from another. Frames are deduplicated only within such an overlap, by counting
equal payloads. Payloads are equal if they differ at most in what the service stamps on each
connection's copy (`Feed.stamped`). The second arrival of a payload on one connection and its second
arrival on another are the same event. Two equal events on one connection stay two. Of each count
exactly one arrival is kept, so no event is lost.

Counts restart with each overlap, and when a payload has not arrived on any connection for a minute.
Otherwise an event that one connection missed would pair all later arrivals wrongly.

A copy may be in flight while a connection opens or closes. So the last arrival of a payload within
a second before an overlap counts as its first, and counting lasts until a second after the overlap.
"""

from __future__ import annotations

import duckdb

from recorder.clock import NS

#: Equal payloads further apart than this on all connections are different events.
QUIET_NS = 60 * NS

#: Copies of one frame arrive at most this long before an overlap begins or after it ends.
MARGIN_NS = NS

_FOR_EVER = 1 << 62

#: Up to this many overlaps in one batch, a plain join is faster than an ASOF join, which sorts.
_FEW = 50

#: How many times each payload arrived on each connection since its last quiet minute; private to
#: ingest. Outside of overlaps it holds the latest arrivals, counted once: the next frame may begin
#: an overlap.
STATE = """
CREATE TABLE IF NOT EXISTS arrivals (
    feed VARCHAR NOT NULL, hash UBIGINT NOT NULL, connection VARCHAR NOT NULL,
    times BIGINT NOT NULL, last_ns BIGINT NOT NULL
)
"""

# Most batches meet no overlap. This query finds those that might, in a tenth of the time that
# `_OVERLAPS` takes.
_MAY_OVERLAP = """
SELECT count(*)
FROM (
    FROM connections
    SELECT line_group
    WHERE feed = $feed AND opened_ns - $margin <= $last
        AND coalesce(closed_ns, last_heard_ns + $quiet, $for_ever) + $margin >= $first
    GROUP BY line_group
    HAVING count(*) > 1
)
"""

# The intervals in which two or more connections of a group were open, if the batch reaches into
# them. They are computed from all connections, so that the result does not depend on where a batch
# begins. A connection without an end counts as open until it has been silent for a minute.
_OVERLAPS = """
CREATE OR REPLACE TEMP TABLE overlapping AS
WITH lives AS (
    SELECT
        coalesce(line_group, '') AS line_group, opened_ns, connection,
        coalesce(closed_ns, last_heard_ns + $quiet, $for_ever) AS until_ns
    FROM connections
    WHERE feed = $feed AND opened_ns IS NOT NULL
), two AS (
    SELECT
        line_group, opened_ns AS from_ns,
        least(until_ns, max(until_ns) OVER (
            PARTITION BY line_group ORDER BY opened_ns, connection
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )) + $margin AS to_ns
    FROM lives
    QUALIFY to_ns >= from_ns + $margin AND row_number() OVER (
        PARTITION BY line_group ORDER BY opened_ns, connection
    ) > 1
), apart AS (
    SELECT
        *,
        from_ns - $margin > coalesce(max(to_ns) OVER (
            PARTITION BY line_group ORDER BY from_ns, to_ns
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), from_ns - $margin - 1) AS begins
    FROM two
), numbered AS (
    SELECT
        *,
        sum(begins::INTEGER) OVER (
            PARTITION BY line_group ORDER BY from_ns, to_ns ROWS UNBOUNDED PRECEDING
        ) AS number
    FROM apart
)
SELECT line_group, min(from_ns) - $margin AS margin_ns, min(from_ns) AS from_ns, max(to_ns) AS to_ns
FROM numbered
GROUP BY line_group, number
HAVING max(to_ns) >= $first AND min(from_ns) - $margin <= $last
"""

# The arrivals within overlaps, and the last arrival of each payload just before an overlap.
_ARRIVED = """
CREATE OR REPLACE TEMP TABLE arrived AS
WITH came AS (
    SELECT
        b.connection, b.seq, b.recv_ns, coalesce(c.line_group, '') AS line_group,
        hash(coalesce(c.line_group, ''), {key}) AS hash
    FROM batch AS b JOIN connections AS c ON c.feed = $feed AND c.connection = b.connection
    WHERE b.kind IN ('text', 'binary')
), within AS MATERIALIZED (
    SELECT b.connection, b.seq, b.recv_ns, b.hash, o.from_ns, b.recv_ns < o.from_ns AS early
    FROM came AS b
    ASOF JOIN overlapping AS o ON o.line_group = b.line_group AND b.recv_ns >= o.margin_ns
    WHERE b.recv_ns <= o.to_ns
)
FROM within WHERE NOT early
UNION ALL
(
    FROM within WHERE early
    QUALIFY row_number() OVER (PARTITION BY hash, connection, from_ns ORDER BY seq DESC) = 1
)
"""

# The arrivals in earlier batches, per overlap. A payload that arrived before the overlap counts
# once: here, or in this batch.
_KNOWN = """
CREATE OR REPLACE TEMP TABLE known AS
SELECT
    o.from_ns, a.hash, a.connection,
    max(CASE WHEN a.last_ns < o.from_ns THEN 1 ELSE a.times END) AS times,
    max(a.last_ns) AS last_ns
FROM arrivals AS a
JOIN connections AS c ON c.feed = $feed AND c.connection = a.connection
ASOF JOIN overlapping AS o ON o.line_group = coalesce(c.line_group, '') AND a.last_ns >= o.margin_ns
WHERE a.feed = $feed AND a.last_ns <= o.to_ns AND (o.from_ns, a.hash, a.connection) NOT IN (
    SELECT (from_ns, hash, connection) FROM arrived WHERE early
)
GROUP BY o.from_ns, a.hash, a.connection
"""

# Each arrival with its era (equal payloads without a quiet minute between them) and its count on
# its own connection within that era. Era 0 continues the counts of `known`.
_COUNTED = """
CREATE OR REPLACE TEMP TABLE counted AS
WITH spaced AS (
    SELECT
        b.*,
        b.recv_ns - coalesce(
            lag(b.recv_ns) OVER (
                PARTITION BY b.hash, b.from_ns ORDER BY b.recv_ns, b.connection, b.seq
            ),
            k.last_ns, b.recv_ns - $quiet - 1
        ) > $quiet AS begins
    FROM arrived AS b
    LEFT JOIN (
        SELECT hash, from_ns, max(last_ns) AS last_ns FROM known GROUP BY hash, from_ns
    ) AS k ON k.hash = b.hash AND k.from_ns = b.from_ns
), eras AS (
    SELECT
        *,
        sum(begins::INTEGER) OVER (
            PARTITION BY hash, from_ns ORDER BY recv_ns, connection, seq
        ) AS era
    FROM spaced
)
SELECT
    e.connection, e.seq, e.recv_ns, e.hash, e.from_ns, e.early, e.era,
    row_number() OVER (PARTITION BY e.hash, e.from_ns, e.era, e.connection ORDER BY e.seq)
        + CASE WHEN e.era = 0 THEN coalesce(k.times, 0) ELSE 0 END AS times
FROM eras AS e
LEFT JOIN known AS k
    ON k.hash = e.hash AND k.from_ns = e.from_ns AND k.connection = e.connection
"""

# All but the first arrival of each count, and those whose count an earlier batch had reached.
_REPEATED = """
CREATE OR REPLACE TEMP TABLE repeated AS
SELECT c.connection, c.seq
FROM counted AS c
LEFT JOIN (
    SELECT hash, from_ns, max(times) AS times FROM known GROUP BY hash, from_ns
) AS k ON k.hash = c.hash AND k.from_ns = c.from_ns AND c.era = 0
QUALIFY NOT c.early AND (
    c.times <= coalesce(k.times, 0) OR row_number() OVER (
        PARTITION BY c.hash, c.from_ns, c.era, c.times ORDER BY c.recv_ns, c.connection, c.seq
    ) > 1
)
"""

_REMEMBER = """
CREATE OR REPLACE TEMP TABLE remembered AS
WITH last_era AS (
    SELECT hash, max((from_ns, era)) AS era FROM counted GROUP BY hash
)
SELECT $feed AS feed, c.hash, c.connection, max(c.times) AS times, max(c.recv_ns) AS last_ns
FROM counted AS c JOIN last_era AS l ON l.hash = c.hash AND l.era = (c.from_ns, c.era)
GROUP BY c.hash, c.connection
UNION ALL
SELECT $feed AS feed, k.hash, k.connection, k.times, k.last_ns
FROM known AS k LEFT JOIN last_era AS l ON l.hash = k.hash
WHERE (l.era IS NULL OR l.era = (k.from_ns, 0))
    AND NOT EXISTS (FROM counted AS c WHERE c.hash = k.hash AND c.connection = k.connection)
"""

_FORGET = """
DELETE FROM arrivals WHERE feed = $feed
"""

_STORE = """
INSERT INTO arrivals
SELECT r.* FROM remembered AS r
WHERE r.hash IN (
    SELECT hash FROM remembered WHERE last_ns >= $last - $quiet
)
"""

_FORGET_EARLY = """
DELETE FROM arrivals WHERE feed = $feed AND last_ns < $last - $margin
"""

# The arrivals outside of overlaps that are recent enough to belong to the next overlap.
_STORE_EARLY = """
INSERT INTO arrivals
SELECT $feed, hash(coalesce(c.line_group, ''), {key}), b.connection, 1, b.recv_ns
FROM batch AS b JOIN connections AS c ON c.feed = $feed AND c.connection = b.connection
WHERE b.recv_ns >= $last - $margin AND b.kind IN ('text', 'binary')
"""

_OUTSIDE = """
AND NOT EXISTS (
    FROM overlapping AS o
    WHERE o.line_group = coalesce(c.line_group, '') AND b.recv_ns BETWEEN o.margin_ns AND o.to_ns
)
"""


#: The part of a payload that copies have in common; one that is not UTF-8 has it as a whole.
_KEY = "coalesce(encode(regexp_replace(TRY(decode({text})), {pattern}, '\\1', 'g')), {text})"


def key_sql(stamped: str | None, *, coded: bool = False) -> str:
    """Return the SQL of the part of `b.payload` by which copies are equal (`Feed.stamped`).

    If the frames were `coded`, it is a part of the text: equal texts may be packed differently.
    """
    text = "coalesce(b.decoded, b.payload)" if coded else "b.payload"
    if stamped is None:
        return text
    return _KEY.format(text=text, pattern="'" + stamped.replace("'", "''") + "'")


def apply(
    connection: duckdb.DuckDBPyConnection,
    feed: str,
    stamped: str | None = None,
    *,
    coded: bool = False,
) -> None:
    """Create the relation `fresh`: the frames of `batch` that no other connection brought before.

    `batch` holds frames of this feed. `stamped` is the pattern of `Feed.stamped`; the batch has a
    column `decoded` if the frames were `coded`. The counts are kept in the table `arrivals`.
    """
    key = key_sql(stamped, coded=coded)
    store_early = _STORE_EARLY.replace("{key}", key)
    span = connection.execute("SELECT min(recv_ns), max(recv_ns) FROM batch").fetchone()
    first, last = span or (None, None)
    recent = {"feed": feed, "last": last, "margin": MARGIN_NS}
    limits = {"first": first, "quiet": QUIET_NS, "for_ever": _FOR_EVER}
    if overlaps := _overlaps(connection, recent | limits):
        # Overlaps are disjoint, so both kinds of join find the same one.
        join = "JOIN" if overlaps <= _FEW else "ASOF JOIN"
        connection.execute(
            _ARRIVED.replace("{key}", key).replace("ASOF JOIN", join), {"feed": feed}
        )
        _count(connection, feed, last, join)
        connection.execute(store_early + _OUTSIDE, recent)
        connection.execute(
            "CREATE OR REPLACE TEMP VIEW fresh AS "
            "SELECT b.* FROM batch AS b ANTI JOIN repeated USING (connection, seq)"
        )
    else:
        connection.execute(_FORGET_EARLY, recent)
        connection.execute(store_early, recent)
        connection.execute("CREATE OR REPLACE TEMP VIEW fresh AS FROM batch")


def _overlaps(connection: duckdb.DuckDBPyConnection, limits: dict[str, object]) -> int:
    """Create the relation `overlapping`: the overlaps that the batch reaches into; return how many.

    Where there is none, the relation is left as it was.
    """
    if connection.execute(_MAY_OVERLAP, limits).fetchone() == (0,):
        return 0
    connection.execute(_OVERLAPS, limits)
    [(count,)] = connection.execute("SELECT count(*) FROM overlapping").fetchall()
    return int(count)


def _count(connection: duckdb.DuckDBPyConnection, feed: str, last: int | None, join: str) -> None:
    """Create the relation `repeated` (copies within overlaps) of `arrived`; store the counts."""
    name, quiet = {"feed": feed}, {"quiet": QUIET_NS}
    connection.execute(_KNOWN.replace("ASOF JOIN", join), name)
    connection.execute(_COUNTED, quiet)
    connection.execute(_REPEATED)
    connection.execute(_REMEMBER, name)
    connection.execute(_FORGET, name)
    connection.execute(_STORE, quiet | {"last": last})
