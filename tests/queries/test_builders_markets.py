"""Builders' markets (`xyz:GOLD`) in the queries: their coin is what follows the colon."""

from __future__ import annotations

from typing import Any

from .rows import HOUR, SECOND, Connection, ask, put

#: A builder's exchange is called xyz; a coin of another venue may be called so, too.
MARKETS: list[tuple[str, str, float]] = [
    ("hyperliquid", "xyz:GOLD", 4000.0),
    ("hyperliquid", "xyz:TSLA", 400.0),
    ("hyperliquid", "flx:TSLA", 401.0),
    ("bybit", "TSLAUSDT", 402.0),
    ("bybit", "XYZUSDT", 1.0),
    ("hyperliquid", "xyz:XYZ100", 25_000.0),
]


def test_a_listing_shows_its_coin_and_not_a_builder_s_exchange(database: Connection) -> None:
    for exchange, symbol, value in MARKETS:
        put(database, "prices", HOUR, exchange=exchange, symbol=symbol, kind="last", price=value)
    for at, ticker in enumerate(["XYZ", "TSLA", "GOLD", "XYZ100", "FLX"]):
        put(database, "listings", HOUR + at, ticker=ticker, exchange="upbit", feed="news")
    found: dict[str, set[Any]] = {}
    for row in ask(database, "listing_reaction", horizons="[1 second]"):
        found.setdefault(row["ticker"], set()).add(row["price_symbol"])
    assert found == {
        "XYZ": {"XYZUSDT"},
        "TSLA": {"TSLAUSDT", "xyz:TSLA", "flx:TSLA"},
        "GOLD": {"xyz:GOLD"},
        "XYZ100": {"xyz:XYZ100"},
        "FLX": {None},
    }


def test_a_spread_is_of_one_coin(database: Connection) -> None:
    rates = {"xyz:GOLD": -0.5, "xyz:TSLA": 0.0001, "TSLAUSDT": 0.0002, "XYZUSDT": 0.5}
    for exchange, symbol, _ in MARKETS:
        if symbol in rates:
            put(database, "funding", HOUR, exchange=exchange, symbol=symbol, rate=rates[symbol],
                interval_hours=1.0)  # fmt: skip
    [row] = ask(database, "funding_spread")
    assert (row["asset"], row["high_symbol"], row["low_symbol"]) == ("TSLA", "TSLAUSDT", "xyz:TSLA")


def test_a_whale_s_window_has_the_price_of_its_market(database: Connection) -> None:
    put(database, "whales", HOUR, exchange="hyperliquid", symbol="xyz:GOLD", asset="GOLD",
        kind="trade", side="sell", notional_usd=401_000.0)  # fmt: skip
    for exchange, symbol, value in MARKETS:
        put(database, "prices", HOUR - SECOND, exchange=exchange, symbol=symbol, kind="mark",
            price=value)  # fmt: skip
    [row] = ask(database, "event_window", kind="whales")
    assert (row["asset"], row["price_symbol"], row["price"]) == ("GOLD", "xyz:GOLD", 4000.0)
