"""Trades, prices, funding and liquidations of one instrument at a time, as the formats need them.

Past events that a feed sent later (`backfill`) are left out: received late, they would be taken for
news, or would move into a past in which nobody knew them.
"""

from __future__ import annotations

from dataclasses import dataclass

from recorder.errors import UsageError
from recorder.export.job import Job

#: Where a feed does not name the venue, the feed stands for it.
_VENUE = "coalesce(exchange, feed) AS exchange"
_PLACE = "feed, recv_ns, connection, seq, item"

# A last price without a quantity is what a ticker states: no trade.
_PRICES = f"""
SELECT {_PLACE}, {_VENUE}, symbol, coalesce(event_ns, recv_ns) AS event_ns,
    event_ns IS NULL AS untimed, kind, price, quantity IS NOT NULL AS traded,
    CASE quantity_unit WHEN 'base' THEN quantity END AS quantity, side, trade_id AS id
FROM prices
WHERE price > 0 AND symbol IS NOT NULL AND backfill IS NOT TRUE AND {{where}}
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


@dataclass(frozen=True, slots=True, order=True)
class Instrument:
    """An instrument, as the venue spells it; `exchange` is the feed's name where none is told."""

    exchange: str
    symbol: str


def prepare(job: Job) -> None:
    """Make the views `x_prices`, `x_trades`, `x_funding`, `x_liquidations` and `x_interest`.

    A quantity is in base currency; that of a price is NULL where it is unknown, or no trade's.
    """
    for name, sql in VIEWS.items():
        job.view(name, sql)


def instruments(job: Job, view: str, where: str = "true") -> list[Instrument]:
    """The instruments of a view, sorted.

    Raises:
        UsageError: one of them comes from two feeds, so that its events would be there twice.
    """
    sql = f"SELECT exchange, symbol, list_sort(list(DISTINCT feed)) FROM {view} WHERE {where} "  # noqa: S608
    found = job.rows(sql + "GROUP BY ALL ORDER BY ALL")
    for exchange, symbol, feeds in found:
        if len(feeds) > 1:
            what = f"{symbol} of {exchange} comes from the feeds {' and '.join(feeds)}"
            raise UsageError(what, hint=f"choose one: --feed {feeds[0]}")
    return [Instrument(exchange, symbol) for exchange, symbol, _ in found]


def note_trades(job: Job) -> None:
    """Say how many trades have no known size in base currency."""
    [(unsized,)] = job.rows("SELECT count(*) FROM x_prices WHERE traded AND quantity IS NULL")
    if unsized:
        job.notes.append(
            f"{unsized:,} trades are of unknown size: they came in contracts, before the venue's "
            "list of instruments said what one is worth"
        )


def note_times(job: Job, view: str) -> None:
    """Say how many events had no time of their own."""
    [(untimed,)] = job.rows(f"SELECT count(*) FROM {view} WHERE untimed")  # noqa: S608
    if untimed:
        what = f"{untimed:,} events of {view[2:]} have no time of their own: their receive time"
        job.notes.append(f"{what} stands for it, as this format asks for one")
