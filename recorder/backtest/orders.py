"""What a strategy is, and what it orders."""

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
    """A market order: `quantity` in base currency, or `usd` worth of it at the fill's price.

    `symbol` is an instrument as the venue spells it; or `asset` any recorded instrument of the coin
    (see the macro `asset_of`). `exchange` and `feed` narrow it. `after` sends the order so much
    later than the decision: an exit may be ordered with its entry. `usd` and `quantity` may be left
    out together with `close=True`, which trades whatever position there is back to nothing.
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
        """Refuse what cannot be ordered.

        Raises:
            StrategyError: the order names no instrument or two, no size or two, or a wrong one.
        """
        if (self.symbol is None) == (self.asset is None):
            raise StrategyError("an order names either a symbol or an asset", where=repr(self))
        sizes = [size for size in (self.quantity, self.usd) if size is not None]
        if self.close:
            if sizes or self.side:
                raise StrategyError("close takes neither side nor size", where=repr(self))
        elif self.side not in {"buy", "sell"}:
            raise StrategyError("an order's side is buy or sell", where=repr(self))
        elif len(sizes) != 1 or not (math.isfinite(sizes[0]) and sizes[0] > 0):
            raise StrategyError("an order has a quantity or usd, above zero", where=repr(self))
        if self.after < timedelta():
            raise StrategyError("an order cannot be sent before it is decided", where=repr(self))


class Decides(Protocol):
    """An object that decides."""

    def on_event(self, event: Event, as_of: AsOf) -> Iterable[Order] | None:
        """The orders that an event leads to; None or empty: none."""


Strategy = Decides | Callable[[Event, AsOf], Iterable[Order] | None]


def tables_of(strategy: Strategy) -> Sequence[str] | None:
    """The tables whose events a strategy asks for (its attribute `tables`); None: it does not say.

    What it never looks at need not be read: prices are most of a record.
    """
    named: Sequence[str] | None = getattr(strategy, "tables", None)
    return named


def decide(strategy: Strategy, event: Event, as_of: AsOf) -> list[Order]:
    """The strategy's orders on an event, checked.

    Raises:
        StrategyError: an order that cannot be; anything else that the strategy raises.
    """
    act: Any = getattr(strategy, "on_event", strategy)
    orders: list[Any] = list(act(event, as_of) or ())
    for order in orders:
        if not isinstance(order, Order):
            raise StrategyError(f"is no Order: {order!r}")
        order.check()
    return orders
