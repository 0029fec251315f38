"""The prices that a backtest fills at and values by, on two clocks.

A price happened at `happened_ns`, the exchange's time, or its receive time where the feed has none.
It was received at `recv_ns`. Orders meet the market by the first clock; decisions and values know
only the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

#: Kinds of prices, best first: trades, then prices that venues state, then those of liquidations.
KINDS = ("last", "mark", "mid", "index", "liquidation")

_COLUMNS = "recv_ns, event_ns, feed, exchange, symbol"
_SOUND = "backfill IS NOT TRUE AND price > 0 AND isfinite(price)"

# Every price in the tables, by kind, without past events that a feed sent later (`backfill`) and
# trades that were agreed outside the book (`off_book`). Of liquidations only the prices at which
# they were filled: nobody traded at a bankruptcy price or at an order's limit.
QUOTES = f"""
SELECT {_COLUMNS}, kind, price, connection, seq, item
FROM prices WHERE {_SOUND} AND off_book IS NOT TRUE
UNION ALL
SELECT {_COLUMNS}, 'liquidation', price, connection, seq, item FROM liquidations
WHERE {_SOUND} AND (price_kind IS NULL OR price_kind = 'average')
"""  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class TradedInstrument:
    """The instrument of a position: a symbol of an exchange, as one feed brings it."""

    feed: str
    exchange: str | None
    symbol: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A recorded price of an instrument, with its receive time and the time it happened, in ns."""

    recv_ns: int
    instrument: TradedInstrument
    kind: str
    price: float
    happened_ns: int = 0
    scale: float = 1.0
    """The coins of one unit of the price: 1000 for 1000PEPE."""
    rate: float = 1.0
    """One unit of the quote currency in dollars."""

    @property
    def usd(self) -> float:
        """The price of one coin in dollars."""
        return self.price * self.rate / self.scale


# Two branches, so that both find their rows by the times in the files' statistics.
_FIRST = f"""
SELECT happened_ns, recv_ns, feed, exchange, symbol, kind, price
FROM (
    SELECT *, event_ns AS happened_ns FROM ({QUOTES})
    WHERE event_ns >= $arrives AND event_ns <= $until
    UNION ALL
    SELECT *, recv_ns FROM ({QUOTES})
    WHERE event_ns IS NULL AND recv_ns >= $arrives AND recv_ns <= $until
)
WHERE list_contains($kinds, kind)
    AND CASE
        WHEN $asset IS NULL THEN symbol = $symbol
        ELSE asset_of(exchange, symbol) = coin_of($asset) AND in_dollars(exchange, symbol)
    END
    AND ($exchange IS NULL OR exchange = lower($exchange))
    AND ($feed IS NULL OR feed = $feed)
ORDER BY happened_ns, list_position($kinds, kind), recv_ns, feed, connection, seq, item
LIMIT 1
"""  # noqa: S608 - our own text


def first_price(connection: duckdb.DuckDBPyConnection, **wanted: Any) -> Quote | None:
    """Return the earliest price that happened from `arrives` to `until` (ns), or None.

    `kinds` are the allowed kinds: of two at the same time the kind that is named first. `symbol` or
    `asset`, `exchange` and `feed` choose the instrument. Its scale and rate are not yet known.
    """
    for happened, at, feed, exchange, symbol, kind, price in connection.execute(
        _FIRST, wanted
    ).fetchall():
        return Quote(at, TradedInstrument(feed, exchange, symbol), kind, price, happened)
    return None
