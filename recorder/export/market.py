"""Views of trades, prices, funding, liquidations and open interest that the formats read.

The views leave out past events that a feed sent later (`backfill`). By receive time they would look
like news; by event time they would show a backtest what was not known then. They also leave out
trades that were agreed outside the book (`off_book`): nobody could have traded at their prices.
"""

from __future__ import annotations

from typing import NamedTuple

from recorder.errors import UsageError
from recorder.export.job import Job

#: The feed's name replaces a venue that the feed does not name.
_VENUE = "coalesce(exchange, feed) AS exchange"
_PLACE = "feed, recv_ns, connection, seq, item"

# A last price without a quantity is a ticker's statement, not a trade.
_PRICES = f"""
SELECT {_PLACE}, {_VENUE}, symbol, coalesce(event_ns, recv_ns) AS event_ns,
    event_ns IS NULL AS untimed, kind, price, quantity IS NOT NULL AS traded,
    CASE quantity_unit WHEN 'base' THEN quantity END AS quantity, side, trade_id AS id
FROM prices
WHERE price > 0 AND symbol IS NOT NULL AND backfill IS NOT TRUE AND off_book IS NOT TRUE
    AND {{where}}
"""  # noqa: S608 - our own text

_TRADES = "SELECT * EXCLUDE (kind, traded) FROM x_prices WHERE traded AND quantity > 0"

_FUNDING = f"""
SELECT {_PLACE}, {_VENUE}, symbol, coalesce(event_ns, recv_ns) AS event_ns,
    event_ns IS NULL AS untimed, rate, interval_hours, predicted_rate, next_funding_ns, mark_price,
    index_price
FROM funding
WHERE symbol IS NOT NULL AND backfill IS NOT TRUE AND {{where}}
"""  # noqa: S608

_LIQUIDATIONS = f"""
SELECT {_PLACE}, {_VENUE}, symbol, coalesce(event_ns, recv_ns) AS event_ns,
    event_ns IS NULL AS untimed, order_id AS id, position_side, price, price_kind, quantity,
    quantity_unit, notional_usd
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


class ExportedInstrument(NamedTuple):
    """A symbol of an exchange; of a feed that does not name the exchange, the feed's name."""

    exchange: str
    symbol: str


def create_views(job: Job) -> None:
    """Create the views `x_prices`, `x_trades`, `x_funding`, `x_liquidations` and `x_interest`.

    A trade's quantity is in base currency; a price's quantity is NULL if it is not known in base
    currency or the price is not a trade's.
    """
    for name, sql in VIEWS.items():
        job.view(name, sql)


def instruments(job: Job, view: str, where: str = "true") -> list[ExportedInstrument]:
    """Return the instruments of a view, sorted.

    Raises:
        UsageError: two feeds bring the same instrument, so its events would be exported twice.
    """
    sql = f"SELECT exchange, symbol, list_sort(list(DISTINCT feed)) FROM {view} WHERE {where} "  # noqa: S608
    rows = job.rows(sql + "GROUP BY ALL ORDER BY ALL")
    for exchange, symbol, feeds in rows:
        if len(feeds) > 1:
            what = f"{symbol} of {exchange} comes from the feeds {' and '.join(feeds)}"
            raise UsageError(what, hint=f"choose one: --feed {feeds[0]}")
    return [ExportedInstrument(exchange, symbol) for exchange, symbol, _ in rows]


def note_trades(job: Job) -> None:
    """Add a note of how many trades have no known size in base currency."""
    [(unsized,)] = job.rows("SELECT count(*) FROM x_prices WHERE traded AND quantity IS NULL")
    if unsized:
        job.notes.append(
            f"{unsized:,} trades are of unknown size: they were received in contracts before the "
            "venue's list of instruments stated the size of a contract"
        )


def note_times(job: Job, view: str) -> None:
    """Add a note of how many events have no event time."""
    [(untimed,)] = job.rows(f"SELECT count(*) FROM {view} WHERE untimed")  # noqa: S608
    if untimed:
        what = f"{untimed:,} events of {view[2:]} have no event time, which this format requires"
        job.notes.append(f"{what}: it is their receive time")
