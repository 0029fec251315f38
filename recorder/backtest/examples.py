"""Two example strategies: buy announced listings, and trade against liquidation cascades."""

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

    Announcements that the service sends as history (`backfill`) are ignored.
    """

    tables: ClassVar[tuple[str, ...]] = ("listings",)

    usd: float = 1000.0
    hold: timedelta = timedelta(minutes=5)
    types: tuple[str, ...] = ("spot_listing", "futures_listing")
    bought: set[str] = field(default_factory=set)

    def on_event(self, event: Event, as_of: AsOf) -> list[Order]:
        """Return an entry and an exit order for a newly announced ticker, else nothing."""
        if event.table != "listings":
            return []
        listing: Any = event
        if listing.backfill or listing.listing_type not in self.types or not listing.ticker:
            return []
        if listing.ticker in self.bought:
            return []
        self.bought.add(listing.ticker)
        return [
            Order("buy", asset=listing.ticker, usd=self.usd, note="listed"),
            Order(asset=listing.ticker, close=True, after=self.hold, note="held long enough"),
        ]


def fade_cascades(
    *,
    count: int = 10,
    within: timedelta = timedelta(seconds=10),
    usd: float = 1000.0,
    hold: timedelta = timedelta(seconds=30),
) -> Callable[[Event, AsOf], list[Order]]:
    """Return a strategy that trades against cascades of liquidations.

    A cascade is `count` liquidations of one side of an instrument within the time `within`. Forced
    sales push the price down: when longs are liquidated the strategy buys, when shorts are, it
    sells. It ignores further cascades of the instrument until `hold` + `within` have passed.
    """
    ignored_until: dict[tuple[str, str | None, str | None], int] = {}  # receive time, ns
    pause = (hold + within) // timedelta(microseconds=1) * 1000

    def strategy(event: Event, as_of: AsOf) -> list[Order]:
        if event.table != "liquidations" or event.symbol is None:
            return []
        liquidation: Any = event
        instrument = (event.feed, event.exchange, event.symbol)
        if liquidation.backfill or liquidation.position_side is None:
            return []
        if event.recv_ns < ignored_until.get(instrument, 0):
            return []
        same = {"feed": event.feed, "position_side": liquidation.position_side}
        if event.exchange is not None:
            same["exchange"] = event.exchange
        if len(as_of.window("liquidations", event.symbol, within, **same)) < count:
            return []
        ignored_until[instrument] = event.recv_ns + pause
        where: dict[str, Any] = {
            "symbol": event.symbol, "exchange": event.exchange, "feed": event.feed
        }  # fmt: skip
        return [
            Order(
                "buy" if liquidation.position_side == "long" else "sell",
                usd=usd,
                note=f"{liquidation.position_side}s liquidated",
                **where,
            ),
            Order(close=True, after=hold, note="held long enough", **where),
        ]

    strategy.tables = ("liquidations",)  # type: ignore[attr-defined]  # mypy: functions have none
    return strategy
