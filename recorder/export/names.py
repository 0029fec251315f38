"""What other programs call an instrument and its market.

A market is what is traded (`kind`: perpetual, future, spot, margin, option) and how it is settled
(`contract_type`: linear, inverse, quanto). The venue's own list says both (table `instruments`).
Where the record has no list of it, the form of the symbol is asked, then what else the record
holds of it. Where none of them says it, the value stays unknown: a name is never a guess. The forms
and the names that other programs use belong to the feeds (`recorder.feed.Names`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from recorder.export.job import Job, quoted
from recorder.feed import Names
from recorder.feeds import KINDS, feed


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
    def names(self) -> Names:
        """What the venue's feed says of names; nothing, of a venue without a feed."""
        return names_of(self.exchange)

    @property
    def tardis_exchange(self) -> str | None:
        """Tardis's name of the exchange; None where it depends on a market that is not known."""
        names = self.names.tardis
        if not names:
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
        return f"{self._nautilus_symbol() or self.symbol}.{self.exchange.upper()}"

    @property
    def unnamed(self) -> bool:
        """True if nautilus_trader's id depends on a market that is not known."""
        return self._nautilus_symbol() is None

    def _nautilus_symbol(self) -> str | None:
        spell = self.names.nautilus
        return spell(self.symbol, self.kind, self.contract_type) if spell else self.symbol


def names_of(exchange: str) -> Names:
    """Return what the feed of a venue says of names; nothing where no feed is the venue's."""
    return feed(exchange).names if exchange in KINDS else Names()


_LISTED = """
SELECT kind, contract_type, tick_size, lot_size FROM instruments
WHERE exchange = {exchange} AND symbol = {symbol} ORDER BY recv_ns DESC LIMIT 1
"""

# Fundings, liquidations and mark prices exist of contracts only.
_CONTRACT = """
SELECT EXISTS (
        FROM funding WHERE exchange = {exchange} AND symbol = {symbol} AND rate IS NOT NULL
    ) AS funded,
    EXISTS (FROM liquidations WHERE exchange = {exchange} AND symbol = {symbol})
    OR EXISTS (FROM prices WHERE exchange = {exchange} AND symbol = {symbol} AND kind = 'mark')
"""


def instrument(job: Job, exchange: str, symbol: str) -> ExportedInstrument:
    """Return what the whole record says of an instrument, whichever part of it is exported."""
    asked = {"exchange": quoted(exchange), "symbol": quoted(symbol)}
    rows = job.rows(_LISTED.format(**asked))
    kind, contract_type, tick, lot = rows[0] if rows else (None, None, None, None)
    if kind is None:
        form = next((f for f in names_of(exchange).forms if re.search(f[0], symbol)), None)
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
