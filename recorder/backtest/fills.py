"""How orders are filled: when they reach the market, at which recorded price, at what cost."""

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

#: Kinds of prices, the best first: trades, then what venues state, then what liquidations tell.
KINDS = ("last", "mark", "mid", "index", "liquidation")

# Every price that the tables hold, by kind; past events that were sent later are no prices of now.
QUOTES = """
SELECT p.recv_ns, p.feed, p.exchange, p.symbol, p.kind, p.price, p.connection, p.seq, p.item
FROM prices p WHERE p.backfill IS NOT TRUE AND p.price > 0 AND isfinite(p.price)
UNION ALL
SELECT l.recv_ns, l.feed, l.exchange, l.symbol, 'liquidation', l.price, l.connection, l.seq, l.item
FROM liquidations l WHERE l.backfill IS NOT TRUE AND l.price > 0 AND isfinite(l.price)
"""


@dataclass(frozen=True, slots=True)
class Latency:
    """From an event's receipt to the order's arrival at the market.

    The feed's own latency is in the record: an event is there when it was received. `reaction` is
    the strategy's time to decide, `order` the way to the market. `order` may be drawn from what was
    recorded instead: `recorded="mine"` draws from that feed's latencies (sent by the service to
    received by us; from the event's own time where it does not say; negative ones left out), anew
    for every order, from `seed`.
    """

    reaction: timedelta = timedelta(milliseconds=1)
    order: timedelta = timedelta(milliseconds=50)
    recorded: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Costs:
    """`fee_bps` of the notional per fill; `slippage_bps` worse than the recorded price."""

    fee_bps: float = 5.0
    slippage_bps: float = 0.0


@dataclass(frozen=True, slots=True)
class Market:
    """The fill model: latency, costs, which prices count, and how long an order waits for one.

    An order is filled at the first price of its instrument received at or after its arrival, of the
    first of `kinds` that has one within `patience`; else it is missed.
    """

    latency: Latency = Latency()
    costs: Costs = Costs()
    kinds: tuple[str, ...] = KINDS
    patience: timedelta = timedelta(minutes=1)

    def check(self) -> None:
        """Refuse a model that cannot be.

        Raises:
            UsageError: an unknown kind of price, or a negative time or cost.
        """
        for kind in self.kinds:
            if kind not in KINDS:
                raise UsageError(f"no kind of price '{kind}'", hint=did_you_mean(kind, KINDS))
        times = (self.latency.reaction, self.latency.order, self.patience)
        if min(times) < timedelta() or min(self.costs.fee_bps, self.costs.slippage_bps) < 0:
            raise UsageError("latencies, patience and costs are not negative")


@dataclass(frozen=True, slots=True)
class Instrument:
    """What one position is in."""

    feed: str
    exchange: str | None
    symbol: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A recorded price."""

    recv_ns: int
    instrument: Instrument
    kind: str
    price: float


@dataclass(frozen=True, slots=True)
class Sent:
    """An order on its way: decided on an event, at the market at `arrives_ns`."""

    order: Order
    event: Event
    arrives_ns: int
    number: int


@dataclass(frozen=True, slots=True)
class Fill:
    """A filled order. `price` has the slippage in it, `fee_usd` comes on top."""

    sent: Sent
    quote: Quote
    side: str
    price: float
    quantity: float
    fee_usd: float

    @property
    def signed(self) -> float:
        """The change of the position."""
        return self.quantity if self.side == "buy" else -self.quantity


@dataclass(frozen=True, slots=True)
class Missed:
    """An order that was not filled, and why."""

    sent: Sent
    reason: str


def filled(sent: Sent, quote: Quote, side: str, quantity: float, costs: Costs) -> Fill:
    """The fill of an order at a recorded price."""
    worse = costs.slippage_bps / 1e4
    price = quote.price * (1 + worse if side == "buy" else 1 - worse)
    return Fill(sent, quote, side, price, quantity, price * quantity * costs.fee_bps / 1e4)


def delays(connection: duckdb.DuckDBPyConnection, latency: Latency) -> Callable[[], int]:
    """Draws the time from decision to arrival, ns.

    Raises:
        DataError: no latency was recorded of the feed to draw from.
    """
    reaction = latency.reaction // timedelta(microseconds=1) * 1000
    constant = latency.order // timedelta(microseconds=1) * 1000
    if latency.recorded is None:
        return lambda: reaction + constant
    [(drawn,)] = _quantiles(connection, latency.recorded)
    if not drawn:
        what = f"no latency of feed '{latency.recorded}' is recorded"
        raise DataError(what, hint="give a constant: Latency(order=timedelta(milliseconds=50))")
    dice = random.Random(latency.seed)  # noqa: S311 - a simulation, to be repeated
    return lambda: reaction + int(dice.choice(drawn))


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


def first_price(connection: duckdb.DuckDBPyConnection, sent: Sent, market: Market) -> Quote | None:
    """The price an order meets: the first at or after its arrival; None within `patience`."""
    order = sent.order
    given = {
        "arrives": sent.arrives_ns,
        "until": sent.arrives_ns + market.patience // timedelta(microseconds=1) * 1000,
        "kinds": list(market.kinds),
        "asset": order.asset,
        "symbol": order.symbol,
        "exchange": order.exchange,
        "feed": order.feed,
    }
    rows = connection.execute(_FIRST, given).fetchall()
    for at, feed, exchange, symbol, kind, price in rows:
        return Quote(at, Instrument(feed, exchange, symbol), kind, price)
    return None
