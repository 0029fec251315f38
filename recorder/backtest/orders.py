"""The interface of strategies, and the orders that they return."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol

from recorder.errors import StrategyError
from recorder.stream.asof import AsOf
from recorder.stream.event import Event


@dataclass(frozen=True, slots=True)
class Order:
    """A market order: `quantity` in coins of the base currency, or `usd` worth of it at the fill.

    A million PEPE is a quantity of 1e6, also in an instrument that is called 1000PEPE.

    `symbol` names an instrument as the venue spells it, `asset` any recorded instrument of a coin
    (see the macro `asset_of`). `exchange` and `feed` narrow the choice. `after` delays the order
    after the decision, so that a strategy can order an exit together with its entry. `close=True`
    closes the position and takes no side, quantity or usd.
    """

    side: Literal["buy", "sell"] | None = None
    symbol: str | None = None
    asset: str | None = None
    quantity: float | None = None
    usd: float | None = None
    exchange: str | None = None
    feed: str | None = None
    after: timedelta = timedelta()
    close: bool = False
    note: str = ""

    def check(self) -> None:
        """Check the order.

        Raises:
            StrategyError: the order has no instrument, side or size, two of them, or a wrong one.
        """
        if (self.symbol is None) == (self.asset is None):
            raise StrategyError("an order needs either a symbol or an asset", where=repr(self))
        sizes = [size for size in (self.quantity, self.usd) if size is not None]
        if self.close:
            if sizes or self.side:
                raise StrategyError("close takes neither side nor size", where=repr(self))
        elif self.side not in {"buy", "sell"}:
            raise StrategyError("an order's side must be buy or sell", where=repr(self))
        elif len(sizes) != 1 or not (math.isfinite(sizes[0]) and sizes[0] > 0):
            what = "an order needs either a quantity or usd, above zero"
            raise StrategyError(what, where=repr(self))
        if self.after < timedelta():
            raise StrategyError("an order cannot be sent before it is decided", where=repr(self))


class EventHandler(Protocol):
    """A strategy that is an object."""

    def on_event(self, event: Event, as_of: AsOf) -> Iterable[Order] | None:
        """Return the orders to send on an event; None or an empty list for no orders."""


Strategy = EventHandler | Callable[[Event, AsOf], Iterable[Order] | None]


def tables_of(strategy: Strategy) -> Sequence[str] | None:
    """Return the tables whose events a strategy wants (its attribute `tables`); None if not set.

    A backtest need not read the other tables; prices are most of a record.
    """
    tables: Sequence[str] | None = getattr(strategy, "tables", None)
    return tables


def decide(strategy: Strategy, event: Event, as_of: AsOf) -> list[Order]:
    """Return the strategy's orders on an event, checked.

    Raises:
        StrategyError: an order is invalid; also whatever the strategy raises.
    """
    on_event: Any = getattr(strategy, "on_event", strategy)
    orders: list[Any] = list(on_event(event, as_of) or ())
    for order in orders:
        if not isinstance(order, Order):
            raise StrategyError(f"a strategy must return Order objects; it returned {order!r}")
        order.check()
    return orders
