"""The fill model: when an order reaches the market, at which recorded price, at what cost."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from recorder.backtest.orders import Order
from recorder.errors import DataError, UsageError, did_you_mean
from recorder.stream.event import Event

if TYPE_CHECKING:
    import duckdb

#: Kinds of prices, best first: trades, then prices that venues state, then those of liquidations.
KINDS = ("last", "mark", "mid", "index", "liquidation")

# Every price in the tables, by kind, without past events that a feed sent later (`backfill`).
QUOTES = """
SELECT p.recv_ns, p.feed, p.exchange, p.symbol, p.kind, p.price, p.connection, p.seq, p.item
FROM prices p WHERE p.backfill IS NOT TRUE AND p.price > 0 AND isfinite(p.price)
UNION ALL
SELECT l.recv_ns, l.feed, l.exchange, l.symbol, 'liquidation', l.price, l.connection, l.seq, l.item
FROM liquidations l WHERE l.backfill IS NOT TRUE AND l.price > 0 AND isfinite(l.price)
"""


@dataclass(frozen=True, slots=True)
class Latency:
    """The time from an event's receipt to the order's arrival at the market.

    The feed's latency is in the record: a strategy sees an event at its receive time. `reaction` is
    the strategy's time to decide, `order` the order's time to the market. With `recorded="FEED"`
    the latter is drawn for each order from that feed's recorded latencies instead, reproducibly
    (`seed`). A recorded latency is the time from sending to receipt (from the event time where the
    feed has no send time); negative ones are left out.
    """

    reaction: timedelta = timedelta(milliseconds=1)
    order: timedelta = timedelta(milliseconds=50)
    recorded: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of a fill, in basis points: a fee on the notional, and slippage of the price."""

    fee_bps: float = 5.0
    slippage_bps: float = 0.0


@dataclass(frozen=True, slots=True)
class Market:
    """The fill model: latency, costs, kinds of prices, and how long an order waits for a price.

    An order is filled at the first price of its instrument that was received at or after its
    arrival, of the first of `kinds` that has one within `patience`; else it is missed.
    """

    latency: Latency = Latency()
    costs: Costs = Costs()
    kinds: tuple[str, ...] = KINDS
    patience: timedelta = timedelta(minutes=1)

    def check(self) -> None:
        """Check the values.

        Raises:
            UsageError: a kind of price is unknown, or a time or cost is negative.
        """
        for kind in self.kinds:
            if kind not in KINDS:
                raise UsageError(f"unknown kind of price '{kind}'", hint=did_you_mean(kind, KINDS))
        times = (self.latency.reaction, self.latency.order, self.patience)
        if min(times) < timedelta() or min(self.costs.fee_bps, self.costs.slippage_bps) < 0:
            raise UsageError("latencies, patience and costs must not be negative")


@dataclass(frozen=True, slots=True)
class TradedInstrument:
    """The instrument of a position: a symbol of an exchange, as one feed brings it."""

    feed: str
    exchange: str | None
    symbol: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A recorded price of an instrument, with its receive time in ns."""

    recv_ns: int
    instrument: TradedInstrument
    kind: str
    price: float


@dataclass(frozen=True, slots=True)
class SentOrder:
    """An order with the event that it was decided on and its arrival at the market, in ns."""

    order: Order
    event: Event
    arrives_ns: int
    number: int


@dataclass(frozen=True, slots=True)
class Fill:
    """A filled order. `price` includes slippage, but not the fee."""

    sent: SentOrder
    quote: Quote
    side: str
    price: float
    quantity: float
    fee_usd: float

    @property
    def signed(self) -> float:
        """The change of the position: positive for a buy."""
        return self.quantity if self.side == "buy" else -self.quantity


@dataclass(frozen=True, slots=True)
class Missed:
    """An order that was not filled, and the reason."""

    sent: SentOrder
    reason: str


def filled(sent: SentOrder, quote: Quote, side: str, quantity: float, costs: Costs) -> Fill:
    """Return the fill of an order at a recorded price."""
    slippage = costs.slippage_bps / 1e4
    price = quote.price * (1 + slippage if side == "buy" else 1 - slippage)
    return Fill(sent, quote, side, price, quantity, price * quantity * costs.fee_bps / 1e4)


def delays(connection: duckdb.DuckDBPyConnection, latency: Latency) -> Callable[[], int]:
    """Return a function that draws the time from an event's receipt to an order's arrival, in ns.

    Raises:
        DataError: the feed to draw from has no recorded latency.
    """
    reaction = latency.reaction // timedelta(microseconds=1) * 1000
    constant = latency.order // timedelta(microseconds=1) * 1000
    if latency.recorded is None:
        return lambda: reaction + constant
    [(quantiles,)] = _quantiles(connection, latency.recorded)
    if not quantiles:
        what = f"feed '{latency.recorded}' has no recorded latency"
        raise DataError(what, hint="set a constant: Latency(order=timedelta(milliseconds=50))")
    dice = random.Random(latency.seed)  # noqa: S311 - a simulation, to be repeated
    return lambda: reaction + int(dice.choice(quantiles))


def _quantiles(connection: duckdb.DuckDBPyConnection, feed: str) -> list[tuple[Any, ...]]:
    steps = ", ".join(str(i / 1000) for i in range(1001))
    return connection.execute(
        f"SELECT quantile_disc(coalesce(network_ns, total_ns), [{steps}]) FROM latency "  # noqa: S608 - numbers
        "WHERE feed = $feed AND coalesce(network_ns, total_ns) >= 0 AND backfill IS NOT TRUE",
        {"feed": feed},
    ).fetchall()


_FIRST = f"""
SELECT q.recv_ns, q.feed, q.exchange, q.symbol, q.kind, q.price
FROM ({QUOTES}) q
WHERE q.recv_ns >= $arrives AND q.recv_ns <= $until AND list_contains($kinds, q.kind)
    AND CASE WHEN $asset IS NULL THEN q.symbol = $symbol ELSE asset_of(q.symbol) = upper($asset) END
    AND ($exchange IS NULL OR q.exchange = lower($exchange))
    AND ($feed IS NULL OR q.feed = $feed)
ORDER BY list_position($kinds, q.kind), q.recv_ns, q.connection, q.seq, q.item
LIMIT 1
"""  # noqa: S608 - our own text


def first_price(
    connection: duckdb.DuckDBPyConnection, sent: SentOrder, market: Market
) -> Quote | None:
    """Return the first price at or after an order's arrival; None if there is none in time."""
    order = sent.order
    parameters = {
        "arrives": sent.arrives_ns,
        "until": sent.arrives_ns + market.patience // timedelta(microseconds=1) * 1000,
        "kinds": list(market.kinds),
        "asset": order.asset,
        "symbol": order.symbol,
        "exchange": order.exchange,
        "feed": order.feed,
    }
    rows = connection.execute(_FIRST, parameters).fetchall()
    for at, feed, exchange, symbol, kind, price in rows:
        return Quote(at, TradedInstrument(feed, exchange, symbol), kind, price)
    return None
