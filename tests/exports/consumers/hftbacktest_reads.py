"""Runs where hftbacktest is installed: it checks an export and plays it from end to end."""

import json
import sys
from pathlib import Path

import numpy as np
from hftbacktest import BUY_EVENT, BacktestAsset, HashMapMarketDepthBacktest
from hftbacktest.data import validate_event_order

data = np.load(sys.argv[1])["data"]
validate_event_order(data)
asset = (
    BacktestAsset()
    .data([sys.argv[1]])
    .linear_asset(1.0)
    .constant_order_latency(1_000_000, 1_000_000)
    .risk_adverse_queue_model()
    .no_partial_fill_exchange()
    .trading_value_fee_model(0.0, 0.0)
    .tick_size(0.01)
    .lot_size(0.001)
    .last_trades_capacity(10_000)
)
backtest = HashMapMarketDepthBacktest([asset])
seen = []
while backtest.elapse(1_000_000_000) == 0:
    seen += [
        [float(t["px"]), float(t["qty"]), bool(t["ev"] & BUY_EVENT == BUY_EVENT),
         int(t["exch_ts"]), int(t["local_ts"])]
        for t in backtest.last_trades(0)
    ]  # fmt: skip
    backtest.clear_last_trades(0)
print(json.dumps({"rows": len(data), "file": Path(sys.argv[1]).name, "trades": seen}))
