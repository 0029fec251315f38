"""State that a feed's SQL carries from one batch to the next, such as the last full ticker.

Where a service sends only changes, a frame depends on the earlier frames of its connection, back to
the last full state. Rows must not depend on where a batch ends. So a `-- state:` section of the
feed's SQL selects what to keep: rows of `connection`, `key`, `seq` and `state` (a struct). The next
batch reads them in the relation `carried` (`name`, `connection`, `key`, `seq`, `state` as JSON).

State of the whole feed has an empty `connection`; it outlives connections and runs. So have the
times of funding (`-- moments:`), which the next batch reads in the relation `known_moments`.
"""

from __future__ import annotations

import duckdb

#: Private to ingest.
STATE = """
CREATE TABLE IF NOT EXISTS carried_state (
    feed VARCHAR NOT NULL, name VARCHAR NOT NULL, connection VARCHAR NOT NULL,
    key VARCHAR NOT NULL, seq BIGINT NOT NULL, state JSON
)
"""

_CARRIED = """
CREATE OR REPLACE TEMP TABLE carried AS
SELECT name, connection, key, seq, state FROM carried_state WHERE feed = $feed
"""

_MOMENTS = """
SELECT
    name, key AS symbol, seq AS moment_ns, TRY_CAST(json_extract_string(state, '$.hours') AS DOUBLE)
        AS hours
FROM carried_state
WHERE feed = '{feed}' AND connection = ''
"""

_KEPT = """
CREATE OR REPLACE TEMP TABLE kept AS
SELECT connection, key, seq, to_json(state) AS state
FROM ({sql})
QUALIFY row_number() OVER (PARTITION BY connection, key ORDER BY seq DESC) = 1
"""

# A closed connection brings no more frames.
_FORGET = """
DELETE FROM carried_state AS s
WHERE s.feed = $feed AND (
    s.name = $name
        AND EXISTS (FROM kept AS k WHERE k.connection = s.connection AND k.key = s.key)
    OR s.connection IN (
        SELECT connection FROM connections WHERE feed = $feed AND closed_ns IS NOT NULL
    )
)
"""

_STORE = """
INSERT INTO carried_state
SELECT $feed, $name, k.connection, k.key, k.seq, k.state
FROM kept AS k
WHERE k.connection NOT IN (
    SELECT connection FROM connections WHERE feed = $feed AND closed_ns IS NOT NULL
)
"""


def moments_of(feed: str) -> str:
    """Return the SELECT of the relation `known_moments`; a feed's name has no quotes."""
    return _MOMENTS.format(feed=feed)


def recall(connection: duckdb.DuckDBPyConnection, feed: str) -> None:
    """Create the relation `carried`: the state that earlier batches of the feed kept."""
    connection.execute(_CARRIED, {"feed": feed})


def remember(connection: duckdb.DuckDBPyConnection, feed: str, name: str, sql: str) -> None:
    """Keep the rows of `sql` as the state `name`, in place of their connection's and key's."""
    connection.execute(_KEPT.format(sql=sql))
    connection.execute(_FORGET, {"feed": feed, "name": name})
    connection.execute(_STORE, {"feed": feed, "name": name})
