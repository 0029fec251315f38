"""The fill model: when an order reaches the market, at which recorded price, at what cost."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from recorder.backtest.orders import Order
from recorder.backtest.prices import KINDS, Quote
from recorder.errors import DataError, UsageError, did_you_mean
from recorder.stream.event import Event

if TYPE_CHECKING:
    import duckdb

#: At most about this many recorded latencies are kept to draw from.
_DRAWN = 1_000_000


@dataclass(frozen=True, slots=True)
class Latency:
    """The time from an event's receipt to the order's arrival at the market.

    The feed's latency is in the record: a strategy sees an event at its receive time. `reaction` is
    the strategy's time to decide, `order` the order's time to the market. With `recorded="FEED"`
    the latter is drawn for each order from that feed's recorded latencies instead, reproducibly
    (`seed`): each recorded latency is drawn equally often. It is the time from sending to receipt
    (from the event time where the feed has no send time); negative ones are left out.
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

    An order is filled at the first price of its instrument, of any of `kinds`, that happened at or
    after its arrival, by the exchange's time, or by receipt where the feed has none. Of two prices
    at the same time the kind that is named first counts. Without one within `patience` the order is
    missed.
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
class SentOrder:
    """An order with the event that it was decided on and its arrival at the market, in ns."""

    order: Order
    event: Event
    arrives_ns: int
    number: int


@dataclass(frozen=True, slots=True)
class Fill:
    """A filled order: `quantity` coins at `price`, which includes slippage, but not the fee."""

    sent: SentOrder
    quote: Quote
    side: str
    price: float
    quantity: float
    fee_usd: float

    @property
    def signed(self) -> float:
        """The change of the position in coins: positive for a buy."""
        return self.quantity if self.side == "buy" else -self.quantity

    @property
    def usd(self) -> float:
        """The price of one coin in dollars, with slippage."""
        return self.price * self.quote.rate / self.quote.scale


@dataclass(frozen=True, slots=True)
class Missed:
    """An order that was not filled, and the reason."""

    sent: SentOrder
    reason: str


def filled(sent: SentOrder, quote: Quote, side: str, quantity: float, costs: Costs) -> Fill:
    """Return the fill of an order at a recorded price; `quantity` is in coins."""
    slippage = costs.slippage_bps / 1e4
    price = quote.price * (1 + slippage if side == "buy" else 1 - slippage)
    usd = price * quote.rate / quote.scale * quantity
    return Fill(sent, quote, side, price, quantity, usd * costs.fee_bps / 1e4)


def delays(connection: duckdb.DuckDBPyConnection, latency: Latency) -> Callable[[], int]:
    """Return a function that draws the time from an event's receipt to an order's arrival, in ns.

    Raises:
        DataError: the feed to draw from has no recorded latency.
    """
    reaction = latency.reaction // timedelta(microseconds=1) * 1000
    constant = latency.order // timedelta(microseconds=1) * 1000
    if latency.recorded is None:
        return lambda: reaction + constant
    rows = _recorded(connection, latency.recorded)
    if not rows:
        what = f"feed '{latency.recorded}' has no recorded latency"
        raise DataError(what, hint="set a constant: Latency(order=timedelta(milliseconds=50))")
    dice = random.Random(latency.seed)  # noqa: S311 - a simulation, to be repeated
    return lambda: reaction + rows[dice.randrange(len(rows))]


def _recorded(connection: duckdb.DuckDBPyConnection, feed: str) -> list[int]:
    """Return a feed's recorded latencies in order, each as often as it was recorded.

    Of more than `_DRAWN` every k-th one stands for k, the middle one of them.
    """
    rows = connection.execute(
        "SELECT ns FROM (SELECT coalesce(network_ns, total_ns) AS ns FROM latency "
        "WHERE feed = $feed AND coalesce(network_ns, total_ns) >= 0 AND backfill IS NOT TRUE) "
        "QUALIFY (row_number() OVER (ORDER BY ns) - 1) % greatest(1, count(*) OVER () // $most) "
        "= greatest(1, count(*) OVER () // $most) // 2 ORDER BY ns",
        {"feed": feed, "most": _DRAWN},
    ).fetchall()
    return [int(ns) for (ns,) in rows]
