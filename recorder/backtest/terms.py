"""What an instrument's price means in dollars: its quote currency and the coins of one unit.

The venue's list says it (table `instruments`), else the spelling of the symbol; what neither says
is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recorder.backtest.prices import QUOTES

if TYPE_CHECKING:
    import duckdb

    from recorder.backtest.prices import TradedInstrument

#: Currencies that count as US dollars.
DOLLARS = frozenset(
    (
        "USD",
        "USDT",
        "USDC",
        "FDUSD",
        "BUSD",
        "TUSD",
        "USDP",
        "DAI",
        "USDE",
        "USD1",
        "RLUSD",
        "PYUSD",
    )
)
_SCALES = {"1000000": 1e6, "1M": 1e6, "10000": 1e4, "1000": 1e3, "k": 1e3}
_SCALED = re.compile(r"(1000000|1M|10000|1000|k)(?=[A-Z])")
_CONTRACT = re.compile(r"[-_]?(PERPETUAL|PERP|SWAP|\d{6,8}|\d{1,2}[A-Z]{3}\d{2})$")
_QUOTED = re.compile(
    r"^(.+?)[-_/]?(FDUSD|USDT|USDC|USD|BTC|XBT|ETH|BNB|EUR|GBP|JPY|KRW|TRY|BRL|AUD)$"
)
#: A rate of a currency older than this is unknown, in ns.
_RATE_AGE = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """How an instrument is priced; `quote` and `wrong` say what is unknown or not modelled."""

    quote: str | None = "USD"
    scale: float = 1.0
    """The coins of one unit of the price: 1000 for 1000PEPE."""
    wrong: str | None = None
    """Why an order in it cannot be filled."""


def spelled(symbol: str, coins: frozenset[str] = frozenset()) -> Terms:
    """Return the terms that a symbol's spelling says.

    `coins` are the record's assets: ETHBTC is a pair of bitcoin if ETH is one of them. A name that
    is a coin and nothing else (Hyperliquid's) is priced in dollars.
    """
    name = symbol.rpartition(":")[2]
    scaled = _SCALED.match(name)
    scale = _SCALES[scaled[1]] if scaled else 1.0
    name = (
        (name[scaled.end() :] if scaled else name).upper().removeprefix("PF_").removeprefix("PI_")
    )
    shape = _CONTRACT.sub("", name)
    if pair := _QUOTED.fullmatch(shape):
        base, quote = pair[1], pair[2].replace("XBT", "BTC")
        apart = len(base) + len(pair[2]) < len(shape)
        if quote in DOLLARS or apart or base in coins:
            return Terms(quote, scale)
        return Terms(None, scale, f"the quote currency of {symbol} is unknown")
    if shape.isalnum():
        return Terms("USD", scale)
    return Terms(None, scale, f"the quote currency of {symbol} is unknown")


def listed(row: dict[str, Any], symbol: str) -> Terms | None:
    """Return the terms that a row of `instruments` says; None if it says no quote currency."""
    quote = row.get("quote")
    if not quote:
        return None
    if row.get("contract_type") == "quanto":
        settle = row.get("settle") or "a third currency"
        return Terms(
            quote, 1.0, f"{symbol} is a quanto contract, settled in {settle}: not modelled"
        )
    scale = row.get("multiplier") or spelled(symbol).scale
    return Terms(str(quote).upper().replace("XBT", "BTC"), float(scale))


class Book:
    """The terms of instruments, and currencies' rates in dollars, from the record."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, kinds: tuple[str, ...]) -> None:
        self._db, self._kinds = connection.cursor(), list(kinds)
        self._terms: dict[TradedInstrument, Terms] = {}
        self._pairs: dict[str, list[TradedInstrument]] = {}
        self._known: list[TradedInstrument] | None = None
        self._assets: dict[TradedInstrument, str] = {}

    def terms(self, instrument: TradedInstrument) -> Terms:
        """Return an instrument's terms, by the venue's newest list, else by its spelling."""
        if instrument not in self._terms:
            row = self._listed(instrument)
            found = listed(row, instrument.symbol) if row else None
            self._terms[instrument] = found or spelled(instrument.symbol, self._coins())
        return self._terms[instrument]

    def pair(self, instrument: TradedInstrument, at_ns: int) -> TradedInstrument | None:
        """Return the instrument that converts the quote currency to dollars.

        None if it is in dollars, or nothing recorded converts it at that time (see `rate`).
        """
        quote = self.terms(instrument).quote
        if quote is None or quote in DOLLARS:
            return None
        for pair in self._dollar_pairs(quote, instrument.exchange):
            if self._price(pair, at_ns) is not None:
                return pair
        return None

    def rate(self, instrument: TradedInstrument, at_ns: int) -> float | None:
        """Return what one unit of the quote currency is worth in dollars, as of a receive time."""
        quote = self.terms(instrument).quote
        if quote is None or quote in DOLLARS:
            return None if quote is None else 1.0
        pair = self.pair(instrument, at_ns)
        return None if pair is None else self._price(pair, at_ns)

    def _listed(self, instrument: TradedInstrument) -> dict[str, Any] | None:
        self._db.execute(
            "FROM instruments WHERE symbol = $symbol AND exchange IS NOT DISTINCT FROM $exchange "
            "ORDER BY recv_ns DESC, connection DESC, seq DESC, item DESC LIMIT 1",
            {"symbol": instrument.symbol, "exchange": instrument.exchange},
        )
        names = [column[0] for column in self._db.description or ()]
        row = self._db.fetchone()
        return None if row is None else dict(zip(names, row, strict=True))

    def _priced(self) -> list[TradedInstrument]:
        """Return every instrument that has prices, and learn its asset."""
        from recorder.backtest.prices import TradedInstrument

        if self._known is None:
            rows = self._db.execute(
                "SELECT feed, exchange, symbol, asset_of(exchange, symbol) FROM ("
                "SELECT DISTINCT feed, exchange, symbol FROM prices WHERE symbol IS NOT NULL)"
            ).fetchall()
            self._assets = {TradedInstrument(*row[:3]): row[3] for row in rows}
            self._known = sorted(self._assets, key=lambda i: (i.exchange or "", i.symbol, i.feed))
        return self._known

    def _coins(self) -> frozenset[str]:
        self._priced()
        return frozenset(self._assets.values())

    def _dollar_pairs(self, currency: str, exchange: str | None) -> list[TradedInstrument]:
        """Return the instruments whose price is a currency's in dollars, of its exchange first."""
        if currency not in self._pairs:
            self._pairs[currency] = [
                i
                for i in self._priced()
                if self._assets[i] == currency
                and (terms := self.terms(i)).quote in DOLLARS
                and terms.scale == 1.0
                and terms.wrong is None
            ]
        return sorted(self._pairs[currency], key=lambda i: i.exchange != exchange)

    def _price(self, instrument: TradedInstrument, at_ns: int) -> float | None:
        sql = f"""
            SELECT price FROM ({QUOTES})
            WHERE symbol = $symbol AND feed = $feed AND exchange IS NOT DISTINCT FROM $exchange
                AND recv_ns <= $at AND recv_ns > $at - {_RATE_AGE} AND list_contains($kinds, kind)
            ORDER BY recv_ns DESC, connection DESC, seq DESC, item DESC, list_position($kinds, kind)
            LIMIT 1
        """  # noqa: S608 - our own text
        given = {
            "symbol": instrument.symbol,
            "feed": instrument.feed,
            "exchange": instrument.exchange,
            "at": at_ns,
            "kinds": self._kinds,
        }
        rows = self._db.execute(sql, given).fetchall()
        return rows[0][0] if rows else None
