"""Runs where nautilus_trader is installed: its loader of Tardis's files reads all trades."""

import json
import sys
from pathlib import Path

from nautilus_trader.adapters.tardis.loaders import TardisCSVDataLoader

loader = TardisCSVDataLoader()
found = []
for path in sorted(Path(sys.argv[1]).glob("*_trades_*.csv.gz")):
    exchange, _, rest = path.name.removesuffix(".csv.gz").partition("_trades_")
    _, _, symbol = rest.partition("_")
    [trade] = loader.load_trades(path)
    assert trade.instrument_id.symbol.value == symbol
    found.append([f"{exchange} {symbol}", float(trade.size)])
print(json.dumps(found))
