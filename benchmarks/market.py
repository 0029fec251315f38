"""A synthetic market, made by SQL: tables like those of a month of recording."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from recorder.record.layout import Layout
from recorder.tables import publish

#: Each table's share of all rows.
SHARES = {
    "prices": 0.45,
    "latency": 0.35,
    "funding": 0.10,
    "liquidations": 0.03,
    "whales": 0.03,
    "open_interest": 0.03,
    "flows": 0.005,
    "signals": 0.003,
    "alerts": 0.001,
    "listings": 0.001,
}

END = 1_767_225_600  # 2026-01-01T00:00:00Z, in seconds
DAYS = 30

# Pseudo-random numbers in 0 .. 1 that are the same in every run, and so are all rows.
_MACROS = """
CREATE OR REPLACE TEMP MACRO dice(i, salt) AS (hash(i, salt) % 1000003)::DOUBLE / 1000003;
CREATE OR REPLACE TEMP MACRO heavy(i, salt) AS exp(-ln(1 - dice(i, salt)) / 2);
CREATE OR REPLACE TEMP MACRO asset_no(i) AS (300 * dice(i, 'asset') * dice(i, 'asset2'))::INTEGER;
CREATE OR REPLACE TEMP MACRO spelled(venue, asset) AS CASE venue
    WHEN 'okx' THEN asset || '-USDT-SWAP'
    WHEN 'hyperliquid' THEN asset
    WHEN 'deribit' THEN asset || '-PERPETUAL'
    ELSE asset || 'USDT'
END;
"""

# The common columns of row i of n: bursts of eight on one instrument, spread over the days.
_COMMON = """
    SELECT
        *, spelled(feed, asset) AS symbol, make_timestamptz(recv_ns // 1000) AS recv_time,
        recv_ns - 50000000 AS event_ns, feed || recv_ns // 86400000000000 AS connection, i AS seq,
        0 AS item
    FROM (
        SELECT
            i, i // 8 AS burst, ($end - $days * 86400) * 1000000000::BIGINT
                + ($days * 86400000000000::HUGEINT * (i - i % 8) // $n)::BIGINT
                + i % 8 * 20000000 AS recv_ns,
            ['binance', 'bybit', 'okx', 'hyperliquid', 'deribit'][1 + burst % 5] AS feed,
            feed AS exchange, '{table}:' || burst % 3 AS channel, 'C' || asset_no(burst) AS asset
        FROM range($n) AS r(i)
    )
"""

_OWN = {
    "prices": """['last', 'mark', 'index', 'mid'][1 + i % 2 * (1 + burst % 3)] AS kind,
        100 * (1 + 0.1 * sin(i / 1e5) + 0.01 * dice(i, 'price')) AS price""",
    "latency": """
        CASE WHEN i % 4 > 0 THEN event_ns END AS publish_ns,
        CASE WHEN i % 2 > 0 THEN publish_ns + (2e7 * heavy(i, 'd'))::BIGINT END AS detected_ns,
        CASE WHEN i % 3 > 0 THEN recv_ns - (4e6 * heavy(i, 'n'))::BIGINT END AS dispatch_ns,
        recv_ns - event_ns + (1e7 * heavy(i, 't'))::BIGINT AS total_ns,
        recv_ns - dispatch_ns AS network_ns, ['A', 'B'][1 + i % 2] AS line, i % 50 = 0 AS backfill,
        CASE WHEN i % 7 > 0 THEN 200000 + i // 100000 % 13 * 10000 END AS clock_error_ns""",
    "funding": """0.0002 * (dice(i, 'rate') - 0.4) AS rate, 8.0 AS interval_hours,
        recv_ns // 28800000000000 * 28800000000000 + 28800000000000 AS next_funding_ns,
        100 * (1 + 0.1 * sin(i / 1e4)) AS mark_price""",
    "liquidations": """['long', 'short'][1 + burst // 5 % 2] AS position_side, 100.0 AS price,
        'average' AS price_kind, heavy(i, 'q') AS quantity, 'base' AS quantity_unit,
        CASE WHEN i % 9 > 0 THEN 100 * heavy(i, 'q') END AS notional_usd""",
    "whales": """['trade', 'position'][1 + i % 2] AS kind, '0x' || i % 997 AS wallet,
        ['open', 'close', 'increase'][1 + i % 3] AS action,
        CASE WHEN i % 2 = 0 THEN 'buy' ELSE 'long' END AS side, 100.0 AS price,
        1000 * heavy(i, 'q') AS quantity, 100000 * heavy(i, 'q') AS notional_usd""",
    "open_interest": """1e6 * (1 + dice(i, 'oi')) AS open_interest,
        1e8 * (1 + dice(i, 'oi')) AS open_interest_usd""",
    "flows": "'inflow' AS direction, heavy(i, 'a') AS amount, 1e5 AS amount_usd",
    "signals": "'confirmation' AS signal_type, 'bullish' AS direction, dice(i, 's') AS score",
    "alerts": "'volume' AS alert_type, 'high' AS severity, 'Volume of ' || asset AS title",
    "listings": """'venue' AS publisher, asset AS ticker,
        ['spot_listing', 'futures_listing', 'spot_delisting'][1 + i % 3] AS listing_type,
        'Venue Will List ' || asset AS title, event_ns AS publish_ns""",
}

# One connection per day and line of each feed, and a gap of 30 s between two connections.
_RECORDING = """
CREATE OR REPLACE TEMP TABLE renewed AS
SELECT
    feed, line, 'all' AS line_group, day, $end * 1000000000::BIGINT - day * 86400000000000 AS to_ns
FROM (VALUES ('binance'), ('bybit'), ('okx'), ('hyperliquid'), ('deribit')) AS f(feed),
    (VALUES ('A'), ('B')) AS l(line), range($days) AS d(day);
INSERT INTO connections BY NAME
SELECT
    feed, line, line_group, to_ns - 86400000000000 AS recv_ns,
    make_timestamptz(recv_ns // 1000) AS recv_time, feed || line || day AS connection, 0 AS seq,
    0 AS item, recv_ns AS opened_ns, to_ns - 30000000000 AS closed_ns, 100000 AS frames,
    30000000 AS bytes, closed_ns AS last_heard_ns
FROM renewed;
INSERT INTO gaps BY NAME
SELECT
    feed, line, line_group, to_ns AS recv_ns, make_timestamptz(recv_ns // 1000) AS recv_time,
    feed || line || day AS connection, 0 AS seq, 0 AS item, to_ns - 30000000000 AS from_ns, to_ns,
    'closed 1006' AS cause, line = 'A' AS covered
FROM renewed;
INSERT INTO rejects BY NAME
SELECT
    feed, line AS channel, to_ns AS recv_ns, make_timestamptz(recv_ns // 1000) AS recv_time,
    feed || line || day AS connection, 1 AS seq, 0 AS item, 'no JSON' AS reason,
    '{'::BLOB AS payload
FROM renewed;
"""

# The raw files of one feed's last day: both lines, with B slightly later.
_RAW = """
COPY (
    SELECT
        ($end - 86400) * 1000000000::BIGINT + (86400000000000::HUGEINT * i // $n)::BIGINT
            + late AS recv_ns,
        recv_ns AS mono_ns,
        i AS seq, 'binance' || line || 0 AS connection, 'text' AS kind,
        repeat(md5(i::VARCHAR), 10)::BLOB AS payload
    FROM range($n) AS r(i), (VALUES ('A', 0), ('B', 700000)) AS l(line, late)
    ORDER BY recv_ns
) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""


def build(folder: Path, rows: int, raw_frames: int) -> Path:
    """Make a `recorder.duckdb` of `rows` rows and its raw files below `folder`; return its path."""
    layout = Layout(folder)
    date = datetime.fromtimestamp(END - 1, UTC).date()
    raw = layout.raw / "feed=binance" / f"date={date}" / "one.parquet"
    raw.parent.mkdir(parents=True)
    times = {"end": END, "days": DAYS}
    with duckdb.connect(str(layout.database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_MACROS)
        sql = _RAW.replace("$end", str(END)).replace("$n", str(raw_frames))
        connection.execute(sql.format(path=raw))
        publish.define(connection, layout)
        for table, share in SHARES.items():
            fill(connection, table, int(rows * share))
        for statement in _RECORDING.split(";\n"):
            if statement.strip():
                used = {name: value for name, value in times.items() if f"${name}" in statement}
                connection.execute(statement, used)
        connection.execute("CHECKPOINT")
    return layout.database


def fill(connection: duckdb.DuckDBPyConnection, table: str, rows: int) -> None:
    """Add `rows` rows to a table of a database made by `publish.define`."""
    connection.execute(_MACROS)
    common = _COMMON.format(table=table)
    names = [n for (n, *_) in connection.execute(f"DESCRIBE {table}").fetchall()]
    made = f"SELECT *, {_OWN[table]} FROM ({common})"
    values = {"n": max(rows, 1), "end": END, "days": DAYS}
    kept = ", ".join(n for n in connection.sql(made, params=values).columns if n in names)
    connection.execute(f"INSERT INTO {table} BY NAME SELECT {kept} FROM ({made})", values)
