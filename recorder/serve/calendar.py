"""The calendar: condition and coverage per feed and day, and the gaps of a day."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from recorder.answers import canned
from recorder.clock import DAY_NS
from recorder.clock import day as iso_day
from recorder.times import parse_moment

MOST_DAYS = 366

# A feed's lines together: a moment is uncovered if no line was connected.
_DAYS = """
WITH lines AS (
    SELECT
        timezone('UTC', c.day)::DATE AS day, c.feed AS feed,
        max(c.connected_seconds) AS listened_seconds, sum(c.gap_seconds) AS gap_seconds,
        max(c.uncovered_seconds) AS uncovered_seconds, sum(c.gaps)::BIGINT AS gaps
    FROM found AS c
    GROUP BY ALL
)
SELECT
    strftime(day, '%Y-%m-%d') AS day, feed, listened_seconds, gap_seconds, uncovered_seconds, gaps,
    d.condition AS condition, d.bare_seconds AS bare_seconds, d.causes AS causes
FROM lines FULL JOIN judged AS d USING (day, feed)
ORDER BY feed, day
"""

_JUDGED = """
SELECT feed, day, condition, bare_seconds, json_extract_string(causes, '$[*].cause') AS causes
FROM conditions WHERE channel IS NULL AND day >= $since
"""

#: The same of tables that are older than the table `conditions`.
_NOT_JUDGED = """
SELECT NULL::VARCHAR AS feed, $since::DATE AS day, NULL::VARCHAR AS condition,
    NULL::DOUBLE AS bare_seconds, NULL::VARCHAR[] AS causes
WHERE false
"""

_GAPS = """
SELECT
    g.line, g.line_group, make_timestamptz(g.from_ns // 1000) AS "from",
    make_timestamptz(g.to_ns // 1000) AS "to",
    (coalesce(g.to_ns, $now) - g.from_ns) / 1e9 AS seconds, g.cause, g.frames_missing, g.covered,
    g.connection
FROM gaps AS g
WHERE g.feed = $feed AND g.from_ns < $end AND coalesce(g.to_ns, $now) >= $start
ORDER BY g.from_ns, g.line
LIMIT 1000
"""


def coverage(connection: duckdb.DuckDBPyConnection, days: int) -> pa.Table:
    """Return per feed and UTC day of the last `days` its condition, and its seconds in gaps."""
    since = datetime.now(UTC).date() - timedelta(days=days - 1)
    query = canned.load()["coverage"]
    found = canned.run(connection, query, {"since": since.isoformat()})
    connection.register("found", found)
    try:
        judged = connection.execute(_JUDGED, {"since": since}).to_arrow_table()
    except duckdb.CatalogException:
        judged = connection.execute(_NOT_JUDGED, {"since": since}).to_arrow_table()
    connection.register("judged", judged)
    return connection.execute(_DAYS).to_arrow_table()


def gaps(connection: duckdb.DuckDBPyConnection, feed: str, day: str) -> pa.Table:
    """Return the gaps of a feed that touch a UTC day, `YYYY-MM-DD`."""
    now = time.time_ns()
    start = parse_moment(day, now)
    given = {"feed": feed, "start": start, "end": start + DAY_NS, "now": now}
    return connection.execute(_GAPS, given).to_arrow_table()


def day_of(text: str) -> str:
    """Return the UTC day, `YYYY-MM-DD`, of a moment in the grammar of `recorder.times`.

    Raises:
        UsageError: it is not a time.
    """
    return iso_day(parse_moment(text, time.time_ns()))


def newest_ns(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Return the receive time of the newest ingested frame in ns, or None if there is none."""
    try:
        [(newest,)] = connection.execute("SELECT max(last_recv_ns) FROM ledger").fetchall()
    except duckdb.CatalogException:
        return None
    return None if newest is None else int(newest)


def shaped(answer: dict[str, Any], days: int, today: date) -> dict[str, Any]:
    """Return the calendar for the page: the last `days`, and each feed's rows of `coverage`."""
    names = [column["name"] for column in answer["columns"]]
    feeds: dict[str, list[dict[str, Any]]] = {}
    for row in answer["rows"]:
        values = dict(zip(names, row, strict=True))
        feeds.setdefault(values.pop("feed"), []).append(values)
    dates = [(today - timedelta(days=back)).isoformat() for back in reversed(range(days))]
    return {"days": dates, "feeds": [{"feed": f, "days": rows} for f, rows in feeds.items()]}
