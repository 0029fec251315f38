"""Two worked examples: buy what is announced, and trade against a cascade of liquidations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from recorder.backtest.orders import Order
from recorder.stream.asof import AsOf
from recorder.stream.event import Event


@dataclass(slots=True)
class BuyListings:
    """Buy every announced ticker once, and sell it `hold` later.

    A past announcement that was sent after a subscription is no news.
    """

    tables: ClassVar[tuple[str, ...]] = ("listings",)

    usd: float = 1000.0
    hold: timedelta = timedelta(minutes=5)
    types: tuple[str, ...] = ("spot_listing", "futures_listing")
    bought: set[str] = field(default_factory=set)

    def on_event(self, event: Event, as_of: AsOf) -> list[Order]:
        """Two orders on news: in, and out again."""
        if event.table != "listings":
            return []
        told: Any = event
        if told.backfill or told.listing_type not in self.types or not told.ticker:
            return []
        if told.ticker in self.bought:
            return []
        self.bought.add(told.ticker)
        return [
            Order("buy", asset=told.ticker, usd=self.usd, note="listed"),
            Order(asset=told.ticker, close=True, after=self.hold, note="held long enough"),
        ]


def fade_cascades(
    *,
    count: int = 10,
    within: timedelta = timedelta(seconds=10),
    usd: float = 1000.0,
    hold: timedelta = timedelta(seconds=30),
) -> Callable[[Event, AsOf], list[Order]]:
    """Trade against a cascade: `count` liquidations of one side of an instrument `within` a time.

    Forced sales push the price down, so that closed longs are bought, closed shorts sold. The next
    cascade of the instrument counts once the position is closed.
    """
    resting: dict[tuple[str, str | None, str | None], int] = {}
    pause = (hold + within) // timedelta(microseconds=1) * 1000

    def strategy(event: Event, as_of: AsOf) -> list[Order]:
        if event.table != "liquidations" or event.symbol is None:
            return []
        told: Any = event
        place = (event.feed, event.exchange, event.symbol)
        if told.backfill or told.position_side is None or event.recv_ns < resting.get(place, 0):
            return []
        same = {"feed": event.feed, "position_side": told.position_side}
        if event.exchange is not None:
            same["exchange"] = event.exchange
        if len(as_of.window("liquidations", event.symbol, within, **same)) < count:
            return []
        resting[place] = event.recv_ns + pause
        where: dict[str, Any] = {
            "symbol": event.symbol, "exchange": event.exchange, "feed": event.feed
        }  # fmt: skip
        return [
            Order(
                "buy" if told.position_side == "long" else "sell",
                usd=usd,
                note=f"{told.position_side}s liquidated",
                **where,
            ),
            Order(close=True, after=hold, note="held long enough", **where),
        ]

    strategy.tables = ("liquidations",)  # type: ignore[attr-defined]  # mypy: functions have none
    return strategy
