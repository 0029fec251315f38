"""Runs where pandas and backtesting are installed: candles and tables become frames and a test."""

import json
import sys
import warnings
from pathlib import Path

import pandas as pd

warnings.simplefilter("ignore")
from backtesting import Backtest, Strategy  # noqa: E402 - after the filter: it warns on import


class Hold(Strategy):
    """Buys the first candle that it may."""

    def init(self) -> None:
        """Nothing to prepare."""

    def next(self) -> None:
        """Buy once."""
        if not self.position:
            self.buy()


folder = Path(sys.argv[1])
[csv] = folder.glob("*BTCUSDT*.csv")
[parquet] = folder.glob("*BTCUSDT*.parquet")
candles = pd.read_csv(csv, parse_dates=["time"], index_col="time")
same = pd.read_parquet(parquet).set_index("time")
shown = candles.rename(columns=str.capitalize)
stats = Backtest(shown, Hold, cash=10_000, finalize_trades=True).run()
found = {
    "candles": [
        [int(at.value), *map(float, row)]
        for at, *row in candles[["open", "high", "low", "close", "volume"]].itertuples()
    ],
    "same": bool((candles.index == same.index).all() and candles["close"].equals(same["close"])),
    "trades": int(stats["# Trades"]),
    "tables": {
        path.stem: len(pd.read_parquet(path)) for path in Path(sys.argv[2]).glob("*.parquet")
    },
}
print(json.dumps(found))
