"""Runs where hftbacktest is installed: it fills market orders at the prices of recorded trades.

hftbacktest fills from a book, and the record has trades: between two trades the book stands at the
price of the next one, a tick below it for who sells. Prints each order's price and arrival.
"""

import json
import sys
from pathlib import Path

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    LOCAL_EVENT,
    MARKET,
    SELL_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.data import validate_event_order
from hftbacktest.types import event_dtype

told = json.loads(Path(sys.argv[1]).read_text())
tick, way_ns = told["tick"], told["way_ns"]
rows = []
shown = None
for (exch_ns, local_ns, _), (_, _, price) in zip(told["trades"], told["trades"][1:], strict=False):
    quotes = [(BUY_EVENT, price - tick, 1e6), (SELL_EVENT, price, 1e6)]
    if shown is not None:
        quotes = [(BUY_EVENT, shown - tick, 0.0), (SELL_EVENT, shown, 0.0), *quotes]
    if price != shown:
        rows += [
            (DEPTH_EVENT | side, exch_ns, local_ns, px, qty, 0, 0, 0.0) for side, px, qty in quotes
        ]
    shown = price
data = np.array(rows, event_dtype)
parts = []
for clock, flag in (("exch_ts", EXCH_EVENT), ("local_ts", LOCAL_EVENT)):
    part = data[np.argsort(data[clock], kind="stable")]
    part["ev"] |= flag
    parts.append(part)
data = np.concatenate(parts)
validate_event_order(data)
asset = (
    BacktestAsset()
    .data([data])
    .linear_asset(1.0)
    .constant_order_latency(way_ns, way_ns)
    .risk_adverse_queue_model()
    .no_partial_fill_exchange()
    .trading_value_fee_model(0.0, 0.0)
    .tick_size(tick)
    .lot_size(1.0)
)
backtest = HashMapMarketDepthBacktest([asset])
backtest.elapse(1)  # to the first event
for number, (decided_ns, side) in enumerate(told["orders"], start=1):
    backtest.elapse(decided_ns - backtest.current_timestamp)
    submit = backtest.submit_buy_order if side == "buy" else backtest.submit_sell_order
    submit(0, number, 0.0, 1.0, GTC, MARKET, False)
backtest.elapse(10 * way_ns)
orders = [backtest.orders(0).get(n) for n in range(1, len(told["orders"]) + 1)]
print(json.dumps([[float(o.exec_price), int(o.exch_timestamp)] for o in orders]))
