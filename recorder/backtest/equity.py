"""The equity curve of a backtest: cash plus each position at the last price received."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from recorder.backtest.fills import QUOTES, Fill, TradedInstrument
from recorder.stream.span import Span

if TYPE_CHECKING:
    import duckdb

#: The number of points of the curve, in addition to those at fills.
_GRID = 200

EQUITY = pa.schema(
    [
        ("time", pa.timestamp("us", "UTC")),
        ("recv_ns", pa.int64()),
        ("equity_usd", pa.float64()),  # cash, and positions at the last price received by then
        ("cash_usd", pa.float64()),
        ("exposure_usd", pa.float64()),  # sum of the positions' absolute values
    ]
)

_MARKS = f"""
SELECT p.at_ns, p.place, q.price
FROM points p
ASOF JOIN (
    SELECT h.place, q.recv_ns, arg_max(q.price, (q.connection, q.seq, q.item)) AS price
    FROM ({QUOTES}) q
    JOIN held h ON h.symbol = q.symbol AND h.feed = q.feed AND h.kind = q.kind
        AND h.exchange IS NOT DISTINCT FROM q.exchange
    GROUP BY ALL
) q ON q.place = p.place AND p.at_ns >= q.recv_ns
"""  # noqa: S608 - our own text


def equity(
    connection: duckdb.DuckDBPyConnection, within: Span, capital_usd: float, fills: Sequence[Fill]
) -> pa.Table:
    """Return the equity at every fill and at evenly spaced times between, as an EQUITY table.

    `fills` are sorted by the receive time of their price.
    """
    last = within.until_ns - 1
    width = max(1, (last - within.since_ns) // _GRID)
    times = {*range(within.since_ns, last, width), last}
    times |= {fill.quote.recv_ns for fill in fills}
    held: dict[TradedInstrument, str] = {}
    for fill in fills:
        held.setdefault(fill.quote.instrument, fill.quote.kind)
    marks = _marks(connection, held, sorted(times)) if held else {}
    rows: list[tuple[int, int, float, float, float]] = []
    cash, applied = capital_usd, 0
    positions: dict[int, float] = {}
    places = {instrument: place for place, instrument in enumerate(held)}
    for at in sorted(times):
        while applied < len(fills) and fills[applied].quote.recv_ns <= at:
            fill = fills[applied]
            cash -= fill.signed * fill.price + fill.fee_usd
            place = places[fill.quote.instrument]
            positions[place] = positions.get(place, 0.0) + fill.signed
            applied += 1
        values = [
            quantity * marks[at, place]
            for place, quantity in positions.items()
            if abs(quantity) > 1e-12
        ]
        rows.append((at // 1000, at, cash + sum(values), cash, sum(map(abs, values))))
    columns = list(zip(*rows, strict=True))
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, EQUITY, strict=True)], EQUITY)


def _marks(
    connection: duckdb.DuckDBPyConnection, held: dict[TradedInstrument, str], times: Sequence[int]
) -> dict[tuple[int, int], float]:
    """Return the last price of each held instrument at each time, by (time, instrument's index).

    A position is valued at prices of the kind that it was opened at.
    """
    columns = [
        (place, i.feed, i.exchange, i.symbol, kind) for place, (i, kind) in enumerate(held.items())
    ]
    names = ("place", "feed", "exchange", "symbol", "kind")
    types = (pa.int64(), pa.string(), pa.string(), pa.string(), pa.string())
    table = {
        name: pa.array(values, kind)
        for name, kind, values in zip(names, types, zip(*columns, strict=True), strict=True)
    }
    count = len(held)
    points = {
        "at_ns": pa.array([at for at in times for _ in range(count)], pa.int64()),
        "place": pa.array(list(range(count)) * len(times), pa.int64()),
    }
    cursor = connection.cursor()
    cursor.register("held", pa.table(table))
    cursor.register("points", pa.table(points))
    rows = cursor.execute(_MARKS).fetchall()
    return {(at, place): price for at, place, price in rows}
