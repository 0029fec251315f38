"""Trades and lists of instruments, written into an empty database by hand."""

from __future__ import annotations

from typing import Any


def trade(connection: Any, at: int, price: float, size: float | None = 1.0, **more: Any) -> None:
    """A trade; without a size, what a ticker states."""
    row = {
        "feed": "f", "exchange": "x", "symbol": "S", "recv_ns": at, "event_ns": at - 5,
        "connection": "c", "seq": at, "item": 0, "kind": "last", "price": price, "quantity": size,
        "quantity_unit": "base", "side": "buy", **more,
    }  # fmt: skip
    names, marks = ", ".join(row), ", ".join(f"${name}" for name in row)
    connection.execute(
        f"INSERT INTO prices ({names}, recv_time) "
        f"VALUES ({marks}, make_timestamptz($recv_ns // 1000))", row
    )  # fmt: skip


def listed(
    connection: Any, symbol: str = "S", exchange: str = "x", at: int = 0, **facts: Any
) -> None:
    """What the venue's list says of an instrument from `at` on."""
    row = {"feed": "f", "exchange": exchange, "symbol": symbol, "recv_ns": at, "connection": "c",
           "seq": at, "item": 0, **facts}  # fmt: skip
    names, marks = ", ".join(row), ", ".join(f"${name}" for name in row)
    connection.execute(
        f"INSERT INTO instruments ({names}, recv_time) "
        f"VALUES ({marks}, make_timestamptz($recv_ns // 1000))", row
    )  # fmt: skip


LINEAR = {"kind": "perpetual", "contract_type": "linear"}
INVERSE = {"kind": "perpetual", "contract_type": "inverse", "contract_unit": "usd"}

#: Of each market: exchange, symbol, what the list says, price, size in base currency and dollars of
#: a trade; then the size as the venue states it, Tardis's exchange and nautilus_trader's id.
MARKETS = [
    ("binance", "ETHUSDT", {"kind": "spot"}, 2500.0, 0.173, 432.5,
     0.173, "binance", "ETHUSDT.BINANCE"),
    ("binance", "BTCUSDT", {**LINEAR, "contract_size": 1, "contract_unit": "base"}, 82650.0, 0.001,
     82.65, 0.001, "binance-futures", "BTCUSDT-PERP.BINANCE"),
    ("binance", "BTCUSD_PERP", {**INVERSE, "contract_size": 100}, 82650.0, 300 / 82650, 300.0,
     3.0, "binance-delivery", "BTCUSD-PERP.BINANCE"),
    ("binance", "BTCUSDT_261225", {**LINEAR, "kind": "future"}, 82650.0, 0.5, 41325.0,
     0.5, "binance-futures", "BTCUSDT_261225.BINANCE"),
    ("okx", "ETH-USDT-SWAP", {**LINEAR, "contract_size": 0.1, "contract_unit": "base"}, 2500.0, 5.0,
     12500.0, 50.0, "okex-swap", "ETH-USDT-SWAP.OKX"),
    ("okx", "BTC-USD-261225", {**INVERSE, "kind": "future", "contract_size": 100}, 82655.7,
     1700 / 82655.7, 1700.0, 17.0, "okex-futures", "BTC-USD-261225.OKX"),
    ("okx", "BTC-EUR", {"kind": "spot"}, 70000.0, 2.0, None, 2.0, "okex", "BTC-EUR.OKX"),
    ("deribit", "BTC-PERPETUAL", {**INVERSE, "contract_size": 1}, 9598.5, 0.2083658905037245,
     2000.0, 2000.0, "deribit", "BTC-PERPETUAL.DERIBIT"),
    ("bitmex", "XBTUSD", {**INVERSE, "contract_size": 1}, 32180.6, 0.0031074622599, 100.0,
     100.0, "bitmex", "XBTUSD.BITMEX"),
    ("bybit", "BTCUSD", {**INVERSE, "contract_size": 1}, 28560.5, 5823 / 28560.5, 5823.0,
     5823.0, "bybit", "BTCUSD-INVERSE.BYBIT"),
    ("bybit", "BTCUSDT", {"kind": "spot"}, 28560.5, 0.25, 7140.1,
     0.25, "bybit-spot", "BTCUSDT-SPOT.BYBIT"),
    ("htx", "BTC-USDT", {**LINEAR, "contract_size": 0.001, "contract_unit": "base"}, 82650.0, 0.5,
     41325.0, 500.0, "huobi-dm-linear-swap", "BTC-USDT.HTX"),
    ("gate", "BTC_USDT", {**LINEAR, "contract_size": 0.0001, "contract_unit": "base"}, 82650.0, 0.5,
     41325.0, 5000.0, "gate-io-futures", "BTC_USDT.GATE"),
    ("bitget", "BTCUSDT", {"kind": "spot"}, 82650.0, 0.5, 41325.0, 0.5, "bitget", "BTCUSDT.BITGET"),
    ("hyperliquid", "BTC", {**LINEAR, "contract_size": 1, "contract_unit": "base"}, 82650.0, 0.01,
     826.5, 0.01, "hyperliquid", "BTC-USD-PERP.HYPERLIQUID"),
]  # fmt: skip
