"""Export to CSV in Tardis's layout: its names, its columns, its units and microseconds.

    <exchange>_<data type>_<day>_<symbol>.csv.gz

`exchange` is Tardis's name of it: `binance` is spot, USD-M contracts are `binance-futures`. Amounts
are in the venue's own unit, a liquidation's price is that of its order, and a funding rate is the
current one where the venue sends that too (Deribit).

The format requires a time for every event: where the venue sent none, both time columns hold the
receive time, as in Tardis's own files. Days are those of the receive time. Rows are in receive
order. https://docs.tardis.dev/downloadable-csv-files
"""

from __future__ import annotations

from collections.abc import Sequence

from recorder.export import market
from recorder.export.job import Job, quoted, safe
from recorder.export.names import ExportedInstrument, instrument

TYPES = ("trades", "liquidations", "derivative_ticker")

_TRADES = """
SELECT exchange, symbol, event_ns // 1000 AS timestamp, recv_ns // 1000 AS local_timestamp, id,
    coalesce(side, 'unknown') AS side, price, amount,
    recv_ns, connection, seq, item
FROM x_trades
"""

# A long position is closed by a sell, a short position by a buy.
_LIQUIDATIONS = """
SELECT exchange, symbol, event_ns // 1000 AS timestamp, recv_ns // 1000 AS local_timestamp, id,
    CASE position_side WHEN 'long' THEN 'sell' WHEN 'short' THEN 'buy' ELSE 'unknown' END AS side,
    coalesce((extra ->> '$.order_price')::DOUBLE, price) AS price, quantity AS amount,
    recv_ns, connection, seq, item
FROM x_liquidations
WHERE price IS NOT NULL AND quantity IS NOT NULL
"""

# One row per frame with news of an instrument; the other columns hold their last known values.
_TICKER = """
SELECT
    exchange, symbol, event_ns // 1000 AS timestamp, recv_ns // 1000 AS local_timestamp,
    last_value(next_funding_ns // 1000 IGNORE NULLS) OVER sofar AS funding_timestamp,
    last_value(rate IGNORE NULLS) OVER sofar AS funding_rate,
    last_value(predicted_rate IGNORE NULLS) OVER sofar AS predicted_funding_rate,
    last_value(open_interest IGNORE NULLS) OVER sofar AS open_interest,
    last_value(last_price IGNORE NULLS) OVER sofar AS last_price,
    last_value(index_price IGNORE NULLS) OVER sofar AS index_price,
    last_value(mark_price IGNORE NULLS) OVER sofar AS mark_price,
    recv_ns, connection, seq, 0 AS item
FROM (
    SELECT exchange, symbol, recv_ns, connection, seq, max(event_ns) AS event_ns,
        arg_max(next_funding_ns, item) AS next_funding_ns, arg_max(rate, item) AS rate,
        arg_max(predicted_rate, item) AS predicted_rate,
        arg_max(open_interest, item) AS open_interest,
        arg_max(last_price, item) AS last_price, arg_max(index_price, item) AS index_price,
        arg_max(mark_price, item) AS mark_price
    FROM (
        SELECT exchange, symbol, recv_ns, connection, seq, item, event_ns, next_funding_ns,
            coalesce((extra ->> '$.current_funding')::DOUBLE, rate) AS rate,
            predicted_rate, index_price, mark_price
        FROM x_funding
        UNION ALL BY NAME
        SELECT exchange, symbol, recv_ns, connection, seq, item, event_ns,
            CASE kind WHEN 'last' THEN price END AS last_price,
            CASE kind WHEN 'index' THEN price END AS index_price,
            CASE kind WHEN 'mark' THEN price END AS mark_price
        FROM x_prices WHERE kind IN ('last', 'index', 'mark')
        UNION ALL BY NAME
        SELECT exchange, symbol, recv_ns, connection, seq, item, event_ns, open_interest
        FROM x_interest
    )
    GROUP BY exchange, symbol, recv_ns, connection, seq
)
WINDOW sofar AS (
    PARTITION BY exchange, symbol ORDER BY recv_ns, connection, seq ROWS UNBOUNDED PRECEDING
)
"""

_SELECTS = {"trades": _TRADES, "liquidations": _LIQUIDATIONS, "derivative_ticker": _TICKER}


def export(job: Job, types: Sequence[str] = TYPES) -> None:
    """Write one file per data type, instrument and day."""
    market.create_views(job)
    unknown: set[str] = set()
    for name in types:
        view = f"x_{name}_rows"
        job.connection.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS {_SELECTS[name]}")
        market.instruments(job, {"derivative_ticker": "x_funding"}.get(name, f"x_{name}"))
        for one, day in _files(job, view):
            if one.tardis_exchange is None:
                unknown.add(f"{one.symbol} of {one.exchange}")
            exchange = one.tardis_exchange or one.exchange
            where = f"exchange = {quoted(one.exchange)} AND symbol = {quoted(one.symbol)}"
            select = (
                "SELECT * EXCLUDE (recv_ns, connection, seq, item) "  # noqa: S608
                f"REPLACE ({quoted(exchange)} AS exchange) FROM {view} WHERE {where} "
                f"AND recv_ns // 86400000000000 = {day} ORDER BY recv_ns, connection, seq, item"
            )
            [(date,)] = job.rows(f"SELECT strftime(make_date({int(day)}), '%Y-%m-%d')")
            file = f"{safe(exchange)}_{name}_{date}_{safe(one.symbol)}.csv.gz"
            job.copy(select, job.out / file, "FORMAT csv, HEADER, COMPRESSION gzip")
    market.note_unknown(job, unknown, "files have our name of the exchange, which Tardis")
    for view in ("x_trades", "x_liquidations"):
        if view[2:] in types:
            market.note_times(job, view)


def _files(job: Job, view: str) -> list[tuple[ExportedInstrument, int]]:
    sql = f"SELECT DISTINCT exchange, symbol, recv_ns // 86400000000000 FROM {view} ORDER BY ALL"  # noqa: S608
    return [(instrument(job, str(e), str(s)), int(day)) for e, s, day in job.rows(sql)]
