"""State that a feed's SQL carries from one batch to the next, such as the last full ticker.

A service that sends changes only is understood per connection: what came before on it, since its
last whole state. Where a batch ends must not matter, so a `-- state:` section of the feed's SQL
says what to remember: rows of `connection`, `key`, `seq` and `state` (a struct). In the next batch
the relation `carried` gives them back (`name`, `connection`, `key`, `seq`, `state` as JSON).
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

_KEPT = """
CREATE OR REPLACE TEMP TABLE kept AS
SELECT connection, key, seq, to_json(state) AS state
FROM ({sql})
QUALIFY row_number() OVER (PARTITION BY connection, key ORDER BY seq DESC) = 1
"""

# A connection that was closed brings nothing more.
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


def recall(connection: duckdb.DuckDBPyConnection, feed: str) -> None:
    """Make the relation `carried`: what the batches before this one left."""
    connection.execute(_CARRIED, {"feed": feed})


def remember(connection: duckdb.DuckDBPyConnection, feed: str, name: str, sql: str) -> None:
    """Keep the rows of `sql`, in place of what was known of the same connection and key."""
    connection.execute(_KEPT.format(sql=sql))
    connection.execute(_FORGET, {"feed": feed, "name": name})
    connection.execute(_STORE, {"feed": feed, "name": name})
