"""Runs where nautilus_trader is installed: its loader of Tardis's files reads an export."""

import json
import sys
from pathlib import Path

from nautilus_trader.adapters.tardis.loaders import TardisCSVDataLoader

loader = TardisCSVDataLoader()
folder = Path(sys.argv[1])
[trades] = folder.glob("*_trades_*_BTCUSDT.csv.gz")
[ticker] = folder.glob("*_derivative_ticker_*_BTCUSDT.csv.gz")
found = {
    "trades": [
        [float(t.price), float(t.size), t.aggressor_side.name, t.ts_event, t.ts_init]
        for t in loader.load_trades(trades)
    ],
    "funding": [[float(f.rate), f.ts_event] for f in loader.load_funding_rates(ticker)],
}
print(json.dumps(found))
