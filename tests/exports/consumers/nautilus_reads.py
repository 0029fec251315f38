"""Runs where nautilus_trader is installed: its catalogue reads an export, its engine replays it."""

import json
import sys
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from nautilus_liquidation import RecorderLiquidation
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import FundingRateUpdate, MarkPriceUpdate, TradeTick
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

catalog = ParquetDataCatalog(sys.argv[1])
# nautilus_trader's own definition: the engine refuses ticks of another precision.
instrument = TestInstrumentProvider.btcusdt_perp_binance()
trades = catalog.query(TradeTick, identifiers=[instrument.id.value])
marks = catalog.query(MarkPriceUpdate)
funding = catalog.query(FundingRateUpdate)
liquidations = [item.data for item in catalog.query(RecorderLiquidation)]


class Counts(Strategy):
    """Counts the trades that the engine gives it."""

    seen = 0

    def on_start(self) -> None:
        self.subscribe_trade_ticks(instrument.id)

    def on_trade_tick(self, tick: TradeTick) -> None:
        self.seen += 1


def run() -> int:
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("BINANCE"), OmsType.NETTING, AccountType.MARGIN, [Money(1000, USDT)], USDT
    )
    engine.add_instrument(instrument)
    engine.add_data(trades)
    strategy = Counts()
    engine.add_strategy(strategy)
    engine.run()
    return strategy.seen


found = {
    "trades": [
        [str(t.price), str(t.size), t.aggressor_side.name, t.trade_id.value, t.ts_event, t.ts_init]
        for t in trades
    ],
    "marks": [[str(m.value), m.ts_event, m.ts_init] for m in marks],
    "funding": [[str(Decimal(f.rate)), f.next_funding_ns, f.ts_init] for f in funding],
    "liquidations": [
        [x.instrument_id.value, x.position_side, x.price, x.quantity, x.ts_event, x.ts_init]
        for x in liquidations
    ],
    "replayed": run(),
}
print(json.dumps(found))
