"""What other programs call an instrument and its market.

A market is what is traded (`kind`: perpetual, future, spot, margin, option) and how it is settled
(`contract_type`: linear, inverse, quanto). The venue's own list says both (table `instruments`).
Where the record has no list of it, the form of the symbol is asked, then what else the record
holds of it. Where none of them says it, the value stays unknown: a name is never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from recorder.export.job import Job, quoted

#: Symbols whose form alone says the market, by exchange: pattern, kind, contract type.
_FORMS: dict[str, list[tuple[str, str, str | None]]] = {
    "binance": [
        (r"USD_PERP$", "perpetual", "inverse"),
        (r"USD_\d{6}$", "future", "inverse"),
        (r"_\d{6}$", "future", "linear"),
        (r"-\d{6}-\d+(\.\d+)?-[CP]$", "option", None),
    ],
    "bybit": [
        (r"-[CP](-[A-Z]+)?$", "option", None),
        (r"PERP$", "perpetual", "linear"),
        (r"USD$", "perpetual", "inverse"),
        (r"USD[HMUZ]\d{2}$", "future", "inverse"),
        (r"-\d{1,2}[A-Z]{3}\d{2}$", "future", "linear"),
    ],
    "okx": [
        (r"-SWAP$", "perpetual", None),
        (r"-[CP]$", "option", None),
        (r"-\d{6}$", "future", None),
        (r"^[^-]+-[^-]+$", "spot", None),
    ],
    "deribit": [
        (r"-PERPETUAL$", "perpetual", None),
        (r"-[CP]$", "option", None),
        (r"-\d{1,2}[A-Z]{3}\d{2}$", "future", None),
    ],
    "hyperliquid": [
        (r"^@\d+$|/", "spot", None),
        (r"^", "perpetual", "linear"),
    ],
}

#: Tardis's names of exchanges: the first line that a market fits; None fits every market that is
#: known. https://docs.tardis.dev/historical-data-details
_TARDIS: dict[str, list[tuple[str | None, str | None, str]]] = {
    "binance": [
        ("spot", None, "binance"),
        ("option", None, "binance-european-options"),
        (None, "inverse", "binance-delivery"),
        (None, None, "binance-futures"),
    ],
    "bybit": [
        ("spot", None, "bybit-spot"),
        ("option", None, "bybit-options"),
        (None, None, "bybit"),
    ],
    "okx": [
        ("spot", None, "okex"),
        ("option", None, "okex-options"),
        ("future", None, "okex-futures"),
        ("perpetual", None, "okex-swap"),
    ],
    "gate": [("spot", None, "gate-io"), (None, None, "gate-io-futures")],
    "bitget": [("spot", None, "bitget"), (None, None, "bitget-futures")],
    "kraken": [("spot", None, "kraken"), (None, None, "cryptofacilities")],
    "bitfinex": [("spot", None, "bitfinex"), (None, None, "bitfinex-derivatives")],
    "htx": [
        ("spot", None, "huobi"),
        (None, "linear", "huobi-dm-linear-swap"),
        ("perpetual", "inverse", "huobi-dm-swap"),
        ("future", "inverse", "huobi-dm"),
    ],
    "dydx": [(None, None, "dydx-v4")],
}


@dataclass(frozen=True, slots=True)
class ExportedInstrument:
    """One instrument as the venue's list describes it; None for what nothing says."""

    exchange: str
    symbol: str
    kind: str | None = None
    contract_type: str | None = None
    tick_size: float | None = None
    lot_size: float | None = None

    @property
    def tardis_exchange(self) -> str | None:
        """Tardis's name of the exchange; None where it depends on a market that is not known."""
        names = _TARDIS.get(self.exchange)
        if names is None:
            return self.exchange
        kind = "spot" if self.kind == "margin" else self.kind
        if kind is None:
            return names[0][2] if len(names) == 1 else None
        for wanted, contract_type, name in names:
            if wanted in {None, kind} and contract_type in {None, self.contract_type}:
                return name
        return None

    @property
    def nautilus_id(self) -> str:
        """nautilus_trader's id, `<SYMBOL>.<VENUE>`; the symbol may contain dots."""
        return f"{self._nautilus_symbol()}.{self.exchange.upper()}"

    def _nautilus_symbol(self) -> str:
        match self.exchange, self.kind:
            case "binance", "perpetual":
                return re.sub("_PERP$", "", self.symbol) + "-PERP"
            case "bybit", "spot" | "margin":
                return f"{self.symbol}-SPOT"
            case "bybit", "option":
                return f"{self.symbol}-OPTION"
            case "bybit", "perpetual" | "future" if self.contract_type:
                return f"{self.symbol}-{self.contract_type.upper()}"
            case "hyperliquid", "perpetual":
                return f"{self.symbol}-USD-PERP"
            case "hyperliquid", "spot":
                return f"{self.symbol.replace('/', '-')}-SPOT"
            case "dydx", "perpetual":
                return f"{self.symbol}-PERP"
        return self.symbol


_LISTED = """
SELECT kind, contract_type, tick_size, lot_size FROM instruments
WHERE exchange = {exchange} AND symbol = {symbol} ORDER BY recv_ns DESC LIMIT 1
"""

# Fundings, liquidations and mark prices exist of contracts only.
_CONTRACT = """
SELECT EXISTS (FROM funding WHERE exchange = {exchange} AND symbol = {symbol}) AS funded,
    EXISTS (FROM liquidations WHERE exchange = {exchange} AND symbol = {symbol})
    OR EXISTS (FROM prices WHERE exchange = {exchange} AND symbol = {symbol} AND kind = 'mark')
"""


def instrument(job: Job, exchange: str, symbol: str) -> ExportedInstrument:
    """Return what the whole record says of an instrument, whichever part of it is exported."""
    asked = {"exchange": quoted(exchange), "symbol": quoted(symbol)}
    rows = job.rows(_LISTED.format(**asked))
    kind, contract_type, tick, lot = rows[0] if rows else (None, None, None, None)
    if kind is None:
        form = next((f for f in _FORMS.get(exchange, []) if re.search(f[0], symbol)), None)
        if form is not None:
            _, kind, contract_type = form
    if kind is None:
        [(funded, margined)] = job.rows(_CONTRACT.format(**asked))
        kind = "perpetual" if funded else "contract" if margined else None
    return ExportedInstrument(exchange, symbol, kind, contract_type, tick, lot)


def decimals(step: float | None) -> int | None:
    """Return how many decimals the multiples of a step have; None without a step."""
    if step is None or not step > 0:
        return None
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent
    return max(0, -int(exponent))
