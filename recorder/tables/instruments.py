"""The rows of `instruments`, from the venues' lists in the record: contract sizes over time."""

from __future__ import annotations

import duckdb

# A list is long and seldom changes: only a difference from the last known values makes a row.
_CHANGES = """
INSERT INTO instruments BY NAME
WITH listed AS (
    SELECT
        connection, seq, recv_ns, exchange, unnest(range(len(list)))::INTEGER AS item,
        unnest(list) AS listed
    FROM (
        SELECT connection, seq, recv_ns, message.exchange, message.instruments AS list
        FROM (
            SELECT connection, seq, recv_ns, from_json(decode(payload), '{
                "exchange": "VARCHAR",
                "instruments": [{
                    "symbol": "VARCHAR", "contract_size": "DOUBLE", "contract_unit": "VARCHAR",
                    "funding_interval_hours": "DOUBLE"
                }]
            }') AS message
            FROM batch
            WHERE kind = 'instruments'
        )
    )
), known AS (
    SELECT
        exchange, symbol, recv_ns, connection, seq, item, true AS old,
        {'size': contract_size, 'unit': contract_unit, 'hours': funding_interval_hours} AS facts
    FROM instruments
    WHERE feed = $feed
    UNION ALL
    SELECT
        exchange, listed.symbol, recv_ns, connection, seq, item, false AS old,
        {'size': listed.contract_size, 'unit': listed.contract_unit,
         'hours': listed.funding_interval_hours} AS facts
    FROM listed
)
SELECT
    $feed AS feed, exchange, symbol, recv_ns, make_timestamptz(recv_ns // 1000) AS recv_time,
    connection, seq, item, facts.size AS contract_size, facts.unit AS contract_unit,
    facts.hours AS funding_interval_hours
FROM (
    SELECT *, lag(facts) OVER history AS before, row_number() OVER history AS place
    FROM known
    -- A list that is read again sorts behind its own first rows, so it changes nothing.
    WINDOW history AS (PARTITION BY symbol ORDER BY recv_ns, connection, seq, item, NOT old)
)
WHERE NOT old AND (place = 1 OR facts IS DISTINCT FROM before)
"""


def apply(connection: duckdb.DuckDBPyConnection, feed: str) -> None:
    """Insert the changes in the lists of the relation `batch` into the table `instruments`."""
    connection.execute(_CHANGES, {"feed": feed})
