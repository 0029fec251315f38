"""The rows of `instruments`, from the venues' lists in the record: names and units over time."""

from __future__ import annotations

import duckdb

from recorder.schema.tables import COMMON, TABLES

_OWN = tuple(c for c in TABLES["instruments"].columns if c not in COMMON)

#: What a list says of an instrument. A venue's name for a coin may carry a multiplier.
_LISTED = {column.name: column.type for column in _OWN if column.name != "multiplier"}
_FACTS = {
    name: {"base": "coin_of(listed.base)", "multiplier": "scale_of(listed.base)"}.get(
        name, f"listed.{name}"
    )
    for name in (column.name for column in _OWN)
}
_FIELDS = ", ".join(
    f'"{name}": "{kind}"' for name, kind in {"symbol": "VARCHAR", **_LISTED}.items()
)

# A list is long and seldom changes: only a difference from the last known values makes a row.
_CHANGES = f"""
INSERT INTO instruments BY NAME
WITH listed AS (
    SELECT
        connection, seq, recv_ns, exchange, unnest(range(len(list)))::INTEGER AS item,
        unnest(list) AS listed
    FROM (
        SELECT connection, seq, recv_ns, message.exchange, message.instruments AS list
        FROM (
            SELECT connection, seq, recv_ns, from_json(decode(payload), '{{
                "exchange": "VARCHAR", "instruments": [{{{_FIELDS}}}]
            }}') AS message
            FROM batch
            WHERE kind = 'instruments'
        )
    )
), known AS (
    SELECT
        exchange, symbol, recv_ns, connection, seq, item, true AS old,
        {{{", ".join(f"'{name}': {name}" for name in _FACTS)}}} AS facts
    FROM instruments
    WHERE feed = $feed
    UNION ALL
    SELECT
        exchange, listed.symbol, recv_ns, connection, seq, item, false AS old,
        {{{", ".join(f"'{name}': {value}" for name, value in _FACTS.items())}}} AS facts
    FROM listed
)
SELECT
    $feed AS feed, exchange, symbol, recv_ns, make_timestamptz(recv_ns // 1000) AS recv_time,
    connection, seq, item, facts.*
FROM (
    SELECT *, lag(facts) OVER history AS before, row_number() OVER history AS place
    FROM known
    -- A list that is read again sorts behind its own first rows, so it changes nothing.
    WINDOW history AS (PARTITION BY symbol ORDER BY recv_ns, connection, seq, item, NOT old)
)
WHERE NOT old AND (place = 1 OR facts IS DISTINCT FROM before)
"""  # noqa: S608 - the names are the schema's


def apply(connection: duckdb.DuckDBPyConnection, feed: str) -> None:
    """Insert the changes in the lists of the relation `batch` into the table `instruments`."""
    connection.execute(_CHANGES, {"feed": feed})
