"""Views of trades, prices, funding, liquidations and open interest that the formats read.

The views leave out past events that a feed sent later (`backfill`). By receive time they would look
like news; by event time they would show a backtest what was not known then. They also leave out
trades that were agreed outside the book (`off_book`): nobody could have traded at their prices.
"""

from __future__ import annotations

from collections.abc import Collection

from recorder.errors import UsageError
from recorder.export.job import Job, quoted
from recorder.export.names import ExportedInstrument, instrument, names_of

#: The feed's name replaces a venue that the feed does not name.
_VENUE = "coalesce(exchange, feed) AS exchange"
_PLACE = "feed, recv_ns, connection, seq, item"

# A last price without a quantity is a ticker's statement, not a trade.
_PRICES = f"""
SELECT {_PLACE}, {_VENUE}, symbol, channel, coalesce(event_ns, recv_ns) AS event_ns,
    event_ns IS NULL AS untimed, kind, price, quantity IS NOT NULL AS traded,
    CASE quantity_unit WHEN 'base' THEN quantity END AS quantity, quantity AS stated, quantity_unit,
    notional_usd, side, trade_id AS id, {{stream}} AS stream
FROM prices
WHERE price > 0 AND symbol IS NOT NULL AND backfill IS NOT TRUE AND off_book IS NOT TRUE
    AND {{where}}
"""  # noqa: S608 - our own text

# Where a venue has two streams of the same trades, the preferred one of each minute counts.
_ONE_STREAM = """
FROM ({prices})
QUALIFY stream IS NULL OR stream = min(stream) OVER (
    PARTITION BY feed, exchange, symbol, recv_ns // 60000000000
)
"""
_TWO_STREAMS = """
SELECT EXISTS (
    SELECT feed FROM ({prices}) GROUP BY feed, exchange, symbol HAVING count(DISTINCT stream) > 1
)
"""

# The tables state sizes in base currency. The venue's own size comes back by the contract's value
# as its list stated it at that time; 12 digits take away what the division adds.
_TRADES = """
SELECT t.* EXCLUDE (kind, traded, channel, stream, stated, quantity_unit, notional_usd),
    CASE
        WHEN quantity_unit = 'base' AND contract_unit = 'usd'
            THEN printf('%.12g', notional_usd / contract_size)::DOUBLE
        WHEN quantity_unit = 'base' AND contract_unit = 'base'
            THEN printf('%.12g', stated / contract_size)::DOUBLE
        ELSE stated
    END AS amount
FROM (FROM x_prices WHERE traded AND stated > 0) AS t
ASOF LEFT JOIN (
    SELECT exchange, symbol, recv_ns, contract_size, contract_unit FROM instruments
) AS i
    ON i.exchange = t.exchange AND i.symbol = t.symbol AND i.recv_ns <= t.recv_ns
"""

_FUNDING = f"""
SELECT {_PLACE}, {_VENUE}, symbol, coalesce(event_ns, recv_ns) AS event_ns,
    event_ns IS NULL AS untimed, rate, interval_hours, predicted_rate, next_funding_ns, mark_price,
    index_price, extra
FROM funding
WHERE symbol IS NOT NULL AND backfill IS NOT TRUE AND {{where}}
"""  # noqa: S608

_LIQUIDATIONS = f"""
SELECT {_PLACE}, {_VENUE}, symbol, coalesce(event_ns, recv_ns) AS event_ns,
    event_ns IS NULL AS untimed, order_id AS id, position_side, price, price_kind, quantity,
    quantity_unit, notional_usd, extra
FROM liquidations
WHERE symbol IS NOT NULL AND backfill IS NOT TRUE AND {{where}}
"""  # noqa: S608

_INTEREST = f"""
SELECT {_PLACE}, {_VENUE}, symbol, coalesce(event_ns, recv_ns) AS event_ns,
    event_ns IS NULL AS untimed, open_interest
FROM open_interest
WHERE symbol IS NOT NULL AND backfill IS NOT TRUE AND {{where}}
"""  # noqa: S608

VIEWS = {
    "x_prices": _PRICES,
    "x_trades": _TRADES,
    "x_funding": _FUNDING,
    "x_liquidations": _LIQUIDATIONS,
    "x_interest": _INTEREST,
}


def create_views(job: Job) -> None:
    """Create the views `x_prices`, `x_trades`, `x_funding`, `x_liquidations` and `x_interest`.

    A `quantity` is in base currency; NULL if it is not known so, or the price is not a trade's.
    Of two streams of the same trades (single and aggregated ones), one counts at a time.
    A trade's `amount` is in the unit in which the venue states it: contracts, dollars or coins.
    """
    for name, sql in VIEWS.items():
        job.view(name, _one_stream(job, sql) if name == "x_prices" else sql)


def _one_stream(job: Job, sql: str) -> str:
    """Return the SQL of the prices with one stream of trades for each instrument at a time."""
    venues = [exchange for (exchange,) in job.rows("SELECT DISTINCT exchange FROM prices")]
    ranks = [
        f"WHEN exchange = {quoted(venue)} AND regexp_matches(channel, {quoted(stream)}) THEN {rank}"
        for venue in venues
        if venue is not None
        for rank, stream in enumerate(names_of(venue).streams)
    ]
    prices = sql.replace("{stream}", f"CASE WHEN quantity IS NULL THEN NULL {' '.join(ranks)} END")
    [(two,)] = job.rows(job.where(_TWO_STREAMS.format(prices=prices))) if ranks else [(False,)]
    return _ONE_STREAM.format(prices=prices) if two else prices


def instruments(job: Job, view: str, where: str = "true") -> list[ExportedInstrument]:
    """Return the instruments of a view, sorted by exchange and symbol.

    Raises:
        UsageError: two feeds bring the same instrument, so its events would be exported twice.
    """
    sql = f"SELECT exchange, symbol, list_sort(list(DISTINCT feed)) FROM {view} WHERE {where} "  # noqa: S608
    rows = job.rows(sql + "GROUP BY ALL ORDER BY ALL")
    for exchange, symbol, feeds in rows:
        if len(feeds) > 1:
            what = f"{symbol} of {exchange} comes from the feeds {' and '.join(feeds)}"
            raise UsageError(what, hint=f"choose one: --feed {feeds[0]}")
    return [instrument(job, exchange, symbol) for exchange, symbol, _ in rows]


def note_trades(job: Job) -> None:
    """Add a note of how many trades have no known size in base currency."""
    [(unsized,)] = job.rows("SELECT count(*) FROM x_trades WHERE quantity IS NULL")
    if unsized:
        job.notes.append(
            f"{unsized:,} trades are of unknown size: they were received in contracts before the "
            "venue's list of instruments stated the size of a contract"
        )


def note_unknown(job: Job, unknown: Collection[str], what: str) -> None:
    """Add a note of the instruments whose market is unknown, and of what follows from it."""
    if unknown:
        some = ", ".join(sorted(unknown)[:3]) + (", …" if len(unknown) > 3 else "")
        job.notes.append(
            f"the market of {len(unknown):,} instruments is unknown ({some}): the record has no "
            f"list of the venue's instruments, so the {what} may use for another market"
        )


def note_times(job: Job, view: str) -> None:
    """Add a note of how many events have no event time."""
    [(untimed,)] = job.rows(f"SELECT count(*) FROM {view} WHERE untimed")  # noqa: S608
    if untimed:
        what = f"{untimed:,} events of {view[2:]} have no event time, which this format requires"
        job.notes.append(f"{what}: it is their receive time")
