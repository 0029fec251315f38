"""A simulated market: events with plausible prices, sizes, wallets and funding rates.

The caller passes in the clock and the random numbers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["EXCHANGES", "SYMBOLS", "MarketEvent", "SimulatedMarket", "latency_ns", "power_law"]

Fields = dict[str, object]

SYMBOLS: dict[str, float] = {
    "BTC": 85_300.0,
    "ETH": 3_120.0,
    "SOL": 148.0,
    "XRP": 2.21,
    "DOGE": 0.162,
    "BNB": 905.0,
    "ADA": 0.545,
    "AVAX": 17.4,
    "LINK": 14.6,
    "SUI": 1.98,
    "LTC": 96.5,
    "PEPE": 0.0000052,
}
"""The known symbols, busiest first, with their opening prices in USD."""

EXCHANGES: dict[str, tuple[int, float]] = {
    "binance": (8, 0.00010),
    "bybit": (8, 0.00009),
    "okx": (8, 0.00007),
    "bitget": (8, 0.00011),
    "hyperliquid": (1, 0.0000125),
}
"""The funding interval in hours, and the usual funding rate per interval as a fraction."""

_BUSY = list(accumulate(1 / rank for rank in range(1, len(SYMBOLS) + 1)))
_SIGNALS = ("accumulation", "distribution", "whale_cluster", "funding_extreme", "cascade_risk")
_ALERTS = {"price_move": "info", "volume_spike": "warning", "liquidation_cascade": "critical"}


@dataclass(frozen=True, slots=True)
class MarketEvent:
    """One event of a channel.

    `fields` are those that the vendor documents, `extra` invented ones, among them `timestamp`: the
    event time in ms since the epoch.
    """

    type: str
    channel: str
    fields: Fields
    extra: Fields


def latency_ns(rng: random.Random, median_ms: float, sigma: float) -> int:
    """Draw a log-normal latency in ns with this median; `sigma` sets the length of its tail."""
    return round(rng.lognormvariate(math.log(median_ms), sigma) * 1_000_000)


def power_law(rng: random.Random, least: float, alpha: float, most: float) -> float:
    """Draw a Pareto-distributed amount from `least` to `most`, rounded to cents."""
    return round(min(least * rng.paretovariate(alpha), most), 2)


def significant(value: float, digits: int = 6) -> float:
    """Round to significant digits, which suits prices of any magnitude."""
    return float(f"{value:.{digits}g}")


class SimulatedMarket:
    """A market whose prices are random walks; each call of `event` makes one event."""

    def __init__(self, rng: random.Random, clock: Callable[[], int]) -> None:
        self._rng = rng
        self._clock = clock
        self._prices = dict(SYMBOLS)
        self._rates = {exchange: usual for exchange, (_, usual) in EXCHANGES.items()}
        self._wallets = [f"0x{rng.getrandbits(160):040x}" for _ in range(300)]
        self._makers: dict[str, Callable[[str], MarketEvent]] = {
            "derivatives:funding": self._funding,
            "derivatives:liquidations": self._liquidation,
            "derivatives:openinterest": self._open_interest,
            "onchain:flows": self._flow,
            "signals:confirmation": self._signal,
            "market:alerts": self._alert,
            "system:status": self._status,
        }

    @property
    def channels(self) -> frozenset[str]:
        """The channels with a fixed name; `whales:<SYMBOL>` exists for any symbol too."""
        return frozenset(self._makers)

    def event(self, channel: str) -> MarketEvent:
        """Return the next event of a channel.

        Raises:
            KeyError: there is no such channel.
        """
        if channel.startswith("whales:"):
            return self._whale(channel)
        return self._makers[channel](channel)

    def price(self, symbol: str) -> float:
        """Move a symbol's price one step and return it; an unknown symbol starts at 1 USD."""
        moved = self._prices.get(symbol, 1.0) * math.exp(self._rng.gauss(0, 0.0004))
        self._prices[symbol] = moved
        return significant(moved)

    def _whale(self, channel: str) -> MarketEvent:
        rng, asset = self._rng, channel.partition(":")[2]
        wallet = self._wallets[int(len(self._wallets) * rng.random() ** 2)]
        size = power_law(rng, 100_000, 1.2, 250_000_000)
        extra: Fields = {
            "action": rng.choice(("open", "increase", "reduce", "close")),
            "side": rng.choice(("long", "short")),
            "entry_price": self.price(asset),
        }
        fields: Fields = {"wallet": wallet, "asset": asset, "size_usd": size}
        return self._made("whale_update", channel, fields, extra)

    def _funding(self, channel: str) -> MarketEvent:
        exchange = self._rng.choice(tuple(EXCHANGES))
        hours, usual = EXCHANGES[exchange]
        rate = self._rates[exchange]
        rate += 0.05 * (usual - rate) + self._rng.gauss(0, usual / 3)
        self._rates[exchange] = rate
        fields: Fields = {"symbol": self._symbol(), "rate": round(rate, 8), "exchange": exchange}
        return self._made("funding_rate", channel, fields, {"interval_hours": hours})

    def _liquidation(self, channel: str) -> MarketEvent:
        symbol = self._symbol()
        price, size = self.price(symbol), power_law(self._rng, 400, 0.9, 30_000_000)
        extra: Fields = {
            "exchange": self._exchange(),
            "side": self._rng.choice(("long", "short")),
            "quantity": significant(size / price),
        }
        fields: Fields = {"symbol": symbol, "price": price, "size_usd": size}
        return self._made("liquidation", channel, fields, extra)

    def _open_interest(self, channel: str) -> MarketEvent:
        symbol = self._symbol()
        fields: Fields = {
            "symbol": symbol,
            "exchange": self._exchange(),
            "open_interest_usd": power_law(self._rng, 5_000_000, 0.8, 12_000_000_000),
            "change_pct": round(self._rng.gauss(0, 1.5), 3),
        }
        return self._made("open_interest", channel, fields, {"price": self.price(symbol)})

    def _flow(self, channel: str) -> MarketEvent:
        asset = self._symbol()
        usd = power_law(self._rng, 50_000, 1.1, 400_000_000)
        fields: Fields = {
            "asset": asset,
            "exchange": self._exchange(),
            "direction": self._rng.choice(("inflow", "outflow")),
            "amount": significant(usd / self.price(asset)),
            "amount_usd": usd,
        }
        extra: Fields = {"tx_hash": f"0x{self._rng.getrandbits(256):064x}"}
        return self._made("exchange_flow", channel, fields, extra)

    def _signal(self, channel: str) -> MarketEvent:
        fields: Fields = {"symbol": self._symbol(), "signal_type": self._rng.choice(_SIGNALS)}
        score = round(100 * self._rng.betavariate(4, 3), 1)
        extra: Fields = {"score": score, "direction": "bullish" if score >= 50 else "bearish"}
        return self._made("signal", channel, fields, extra)

    def _alert(self, channel: str) -> MarketEvent:
        symbol, kind = self._symbol(), self._rng.choice(tuple(_ALERTS))
        fields: Fields = {
            "symbol": symbol,
            "alert_type": kind,
            "severity": _ALERTS[kind],
            "message": f"{symbol} {kind.replace('_', ' ')} at {self.price(symbol):,.10g} USD",
        }
        return self._made("alert", channel, fields, {})

    def _status(self, channel: str) -> MarketEvent:
        fields: Fields = {"status": "operational", "message": "all systems operational"}
        return self._made("status", channel, fields, {"component": "websocket"})

    def _made(self, type_: str, channel: str, fields: Fields, extra: Fields) -> MarketEvent:
        happened_ns = self._clock() - latency_ns(self._rng, 35, 0.6)
        return MarketEvent(type_, channel, fields, {**extra, "timestamp": happened_ns // 1_000_000})

    def _symbol(self) -> str:
        return self._rng.choices(tuple(SYMBOLS), cum_weights=_BUSY)[0]

    def _exchange(self) -> str:
        return self._rng.choice(tuple(EXCHANGES))
