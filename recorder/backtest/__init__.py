"""Backtests over the record: strategies, fills at recorded prices, a report.

    from recorder import backtest

    result = backtest.run(backtest.BuyListings(usd=1000), since="30d ago")
    print(result.summary())
    result.fills, result.equity        # Arrow tables
    result.plot("equity.png")

A strategy is a function `(event, as_of) -> orders`, or an object with `on_event(event, as_of)`.
"""

from recorder.backtest.examples import BuyListings, fade_cascades
from recorder.backtest.fills import Costs, Fill, Latency, Market, Missed
from recorder.backtest.harness import live, run
from recorder.backtest.orders import Order, Strategy
from recorder.backtest.report import Result

__all__ = [
    "BuyListings",
    "Costs",
    "Fill",
    "Latency",
    "Market",
    "Missed",
    "Order",
    "Result",
    "Strategy",
    "fade_cascades",
    "live",
    "run",
]
