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


def spelled(
    database: duckdb.DuckDBPyConnection, symbol: str, coins: frozenset[str] = frozenset()
) -> Terms:
    """Return the terms that a symbol's spelling says.

    `coins` are the record's assets: ETHBTC is a pair of bitcoin if ETH is one of them. A name that
    is a coin and nothing else (Hyperliquid's) is priced in dollars. `database` has the macros that
    say what a multiplier and a dollar are.
    """
    name = symbol.rpartition(":")[2]
    shape = _CONTRACT.sub("", name.upper().removeprefix("PF_").removeprefix("PI_"))
    pair = _QUOTED.fullmatch(shape)
    base = name[: pair.end(1)] if pair and name.upper().startswith(shape) else name
    quote = pair[2].replace("XBT", "BTC") if pair else "USD"
    asked = {"base": base, "quote": quote}
    rows = database.execute(
        "SELECT scale_of($base), coin_of($base), is_dollar($quote)", asked
    ).fetchall()
    scale, coin, in_dollars = rows[0]
    if pair:
        apart = pair.end(1) + len(pair[2]) < len(shape)
        if in_dollars or apart or coin in coins:
            return Terms(quote, scale)
    elif shape.isalnum():
        return Terms("USD", scale)
    return Terms(None, scale, f"the quote currency of {symbol} is unknown")


def listed(row: dict[str, Any], symbol: str, scale: float) -> Terms | None:
    """Return the terms that a row of `instruments` says; None if it says no quote currency.

    `scale` counts where the list does not name the coin, and so has no multiplier.
    """
    quote = row.get("quote")
    if not quote:
        return None
    if row.get("contract_type") == "quanto":
        settle = row.get("settle") or "a third currency"
        return Terms(
            quote, 1.0, f"{symbol} is a quanto contract, settled in {settle}: not modelled"
        )
    scale = row.get("multiplier") or scale
    return Terms(str(quote).upper().replace("XBT", "BTC"), float(scale))


class Book:
    """The terms of instruments, and currencies' rates in dollars, from the record."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, kinds: tuple[str, ...]) -> None:
        self._db, self._kinds = connection.cursor(), list(kinds)
        self._terms: dict[TradedInstrument, Terms] = {}
        self._dollars: dict[str | None, bool] = {}
        self._pairs: dict[str, list[TradedInstrument]] = {}
        self._known: list[TradedInstrument] | None = None
        self._assets: dict[TradedInstrument, str] = {}

    def terms(self, instrument: TradedInstrument) -> Terms:
        """Return an instrument's terms, by the venue's newest list, else by its spelling."""
        if instrument not in self._terms:
            said = spelled(self._db, instrument.symbol, self._coins())
            row = self._listed(instrument)
            found = listed(row, instrument.symbol, said.scale) if row else None
            self._terms[instrument] = found or said
        return self._terms[instrument]

    def pair(self, instrument: TradedInstrument, at_ns: int) -> TradedInstrument | None:
        """Return the instrument that converts the quote currency to dollars.

        None if it is in dollars, or nothing recorded converts it at that time (see `rate`).
        """
        quote = self.terms(instrument).quote
        if quote is None or self._is_dollar(quote):
            return None
        for pair in self._dollar_pairs(quote, instrument.exchange):
            if self._price(pair, at_ns) is not None:
                return pair
        return None

    def rate(self, instrument: TradedInstrument, at_ns: int) -> float | None:
        """Return what one unit of the quote currency is worth in dollars, as of a receive time."""
        quote = self.terms(instrument).quote
        if quote is None or self._is_dollar(quote):
            return None if quote is None else 1.0
        pair = self.pair(instrument, at_ns)
        return None if pair is None else self._price(pair, at_ns)

    def _is_dollar(self, currency: str | None) -> bool:
        if currency not in self._dollars:
            [(found,)] = self._db.execute("SELECT is_dollar($1)", [currency]).fetchall()
            self._dollars[currency] = bool(found)
        return self._dollars[currency]

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
                and self._is_dollar((terms := self.terms(i)).quote)
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
