"""Funding in a backtest: what a position paid or received at the recorded settlements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorder.backtest.prices import QUOTES, TradedInstrument

if TYPE_CHECKING:
    import duckdb

    from recorder.backtest.fills import Fill

#: A realised rate and an expected one this near (ns) are of one settlement.
_SAME = 60_000_000_000

# The settlements of an instrument: rates that the venue says it exchanged (one per interval; a rate
# that is stated all the time, as one over the last hours, is not a settlement), else for each time
# of the next funding the last rate that was stated for it before.
_SETTLEMENTS = f"""
WITH stated AS (
    SELECT * FROM funding
    WHERE symbol = $symbol AND exchange IS NOT DISTINCT FROM $exchange AND isfinite(rate)
),
realised AS (
    SELECT
        event_ns AS at_ns, arg_max(rate, (recv_ns, connection, seq, item)) AS rate,
        NULL::DOUBLE AS mark, any_value(interval_hours) AS hours
    FROM stated
    WHERE basis = 'realised' AND event_ns IS NOT NULL
    GROUP BY event_ns
),
apart AS (
    SELECT at_ns, rate, mark FROM realised
    QUALIFY coalesce(at_ns - lag(at_ns) OVER (ORDER BY at_ns) > hours * 1800e9, true)
        AND coalesce(lead(at_ns) OVER (ORDER BY at_ns) - at_ns > hours * 1800e9, true)
        AND hours IS NOT NULL
),
expected AS (
    SELECT
        next_funding_ns AS at_ns, arg_max(rate, (recv_ns, connection, seq, item)) AS rate,
        arg_max(mark_price, (recv_ns, connection, seq, item)) FILTER (mark_price > 0) AS mark
    FROM stated
    WHERE basis IS DISTINCT FROM 'realised' AND backfill IS NOT TRUE
        AND next_funding_ns >= coalesce(event_ns, recv_ns)
    GROUP BY next_funding_ns
)
SELECT at_ns, rate, mark FROM apart WHERE at_ns >= $since AND at_ns < $until
UNION ALL
SELECT e.at_ns, e.rate, e.mark FROM expected e
WHERE e.at_ns >= $since AND e.at_ns < $until
    AND NOT EXISTS (FROM apart a WHERE abs(a.at_ns - e.at_ns) <= {_SAME})
ORDER BY 1
"""  # noqa: S608 - our own text

_MARK = f"""
SELECT price FROM ({QUOTES})
WHERE symbol = $symbol AND exchange IS NOT DISTINCT FROM $exchange AND recv_ns <= $at
    AND list_contains($kinds, kind)
ORDER BY kind <> 'mark', recv_ns DESC, connection DESC, seq DESC, item DESC
LIMIT 1
"""  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class Paid:
    """One settlement of one position: `usd` is what it brought, negative if it was paid."""

    at_ns: int
    instrument: TradedInstrument
    quantity: float
    """The position in coins, negative if short."""
    rate: float
    price: float
    """The mark price as the venue states it."""
    usd: float


def payments(
    connection: duckdb.DuckDBPyConnection,
    fills: Sequence[Fill],
    kinds: Sequence[str],
    until_ns: int,
) -> list[Paid]:
    """Return what positions paid and received at the settlements before `until_ns`, by time.

    A position that an order opened at or after a settlement's time takes no part in it.
    """
    paid: list[Paid] = []
    for instrument in dict.fromkeys(fill.quote.instrument for fill in fills):
        own = [fill for fill in fills if fill.quote.instrument == instrument]
        names = {"symbol": instrument.symbol, "exchange": instrument.exchange}
        since = min(fill.quote.happened_ns for fill in own)
        rows = connection.execute(
            _SETTLEMENTS, {**names, "since": since, "until": until_ns}
        ).fetchall()
        for at, rate, mark in rows:
            held = [fill for fill in own if fill.quote.happened_ns < at]
            quantity = sum(fill.signed for fill in held)
            if not held or abs(quantity) < 1e-12:
                continue
            given = {**names, "at": at, "kinds": [*kinds]}
            price = mark or (connection.execute(_MARK, given).fetchone() or (None,))[0]
            if price is None:
                continue
            quote = held[-1].quote
            usd = -quantity * price * quote.rate / quote.scale * rate
            paid.append(Paid(at, instrument, quantity, rate, price, usd))
    return sorted(paid, key=lambda each: each.at_ns)
