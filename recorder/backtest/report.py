"""What a backtest comes to: fills and equity as Arrow tables, a summary, a plot."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recorder.backtest.fills import QUOTES, Fill, Instrument, Missed
from recorder.clock import iso
from recorder.span import Gap, Span, recorded

if TYPE_CHECKING:
    import duckdb

#: Points of the equity curve besides those at fills.
_GRID = 200

_TIME = pa.timestamp("us", "UTC")
FILLS = pa.schema(
    [
        ("time", _TIME),  # of the price's receipt, to the microsecond; recv_ns is the truth
        ("recv_ns", pa.int64()),
        ("feed", pa.string()),
        ("exchange", pa.string()),
        ("symbol", pa.string()),
        ("side", pa.string()),
        ("quantity", pa.float64()),  # base currency
        ("price", pa.float64()),  # with slippage
        ("quoted", pa.float64()),  # the recorded price
        ("price_kind", pa.string()),
        ("notional_usd", pa.float64()),
        ("fee_usd", pa.float64()),
        ("decided_ns", pa.int64()),  # receive time of the event that was decided on
        ("arrived_ns", pa.int64()),  # when the order reached the market
        ("note", pa.string()),
        ("event_table", pa.string()),
        ("event_connection", pa.string()),
        ("event_seq", pa.int64()),
        ("event_item", pa.int64()),
    ]
)
MISSED = pa.schema(
    [
        ("decided_ns", pa.int64()),
        ("arrived_ns", pa.int64()),
        ("symbol", pa.string()),  # or the asset
        ("side", pa.string()),  # NULL where a position was to be closed
        ("reason", pa.string()),
        ("note", pa.string()),
        ("event_table", pa.string()),
        ("event_connection", pa.string()),
        ("event_seq", pa.int64()),
        ("event_item", pa.int64()),
    ]
)
EQUITY = pa.schema(
    [
        ("time", _TIME),
        ("recv_ns", pa.int64()),
        ("equity_usd", pa.float64()),  # cash and positions at the last price received by then
        ("cash_usd", pa.float64()),
        ("exposure_usd", pa.float64()),  # positions' absolute value
    ]
)


@dataclass(frozen=True, slots=True)
class Result:
    """A backtest's outcome. Times are receive times, UTC; amounts US dollars."""

    span: Span
    events: int
    capital_usd: float
    fills: pa.Table
    missed: pa.Table
    equity: pa.Table
    gaps: tuple[Gap, ...]

    @property
    def profit_usd(self) -> float:
        """The last equity less the capital; costs are in it."""
        return float(self.equity["equity_usd"][-1].as_py()) - self.capital_usd

    @property
    def drawdown_usd(self) -> float:
        """The largest fall of equity from a peak before it."""
        peak, worst = self.capital_usd, 0.0
        for value in self.equity["equity_usd"].to_pylist():
            peak = max(peak, value)
            worst = max(worst, peak - value)
        return worst

    def summary(self) -> str:
        """The outcome in words, a line each; it names what was missed, and the gaps."""
        fees = sum(self.fills["fee_usd"].to_pylist())
        volume = sum(self.fills["notional_usd"].to_pylist())
        last = self.equity["exposure_usd"][-1].as_py()
        lines = [
            f"range      {iso(self.span.since_ns)} to {iso(self.span.until_ns)}",
            f"events     {self.events:,}",
            f"fills      {len(self.fills):,}, volume {volume:,.2f} USD, fees {fees:,.2f} USD",
            f"profit     {self.profit_usd:+,.2f} USD on {self.capital_usd:,.0f} USD",
            f"drawdown   {self.drawdown_usd:,.2f} USD",
        ]
        if last:
            lines.append(f"open       positions worth {last:,.2f} USD at the end")
        for reason, count in Counter(self.missed["reason"].to_pylist()).most_common():
            lines.append(f"missed     {count:,}: {reason}")
        kinds = Counter(self.fills["price_kind"].to_pylist())
        if kinds:
            told = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
            lines.append(f"prices     {told}")
        lines += [f"gap        {gap}" for gap in self.gaps[:10]]
        if len(self.gaps) > 10:
            lines.append(f"gap        and {len(self.gaps) - 10:,} more, in gaps")
        return "\n".join(lines)

    def plot(self, path: str | PathLike[str] | None = None, title: str = "Equity") -> None:
        """Draw the equity into a PNG or SVG file, or in the terminal (needs the extra `plot`)."""
        from recorder.plot import picture, terminal
        from recorder.plot.chart import chart
        from recorder.plot.spec import parse

        subtitle = f"profit {self.profit_usd:+,.2f} USD, {len(self.fills):,} fills"
        drawing = chart(self.equity, parse("line x=time y=equity_usd"), title, subtitle)
        if path is not None:
            picture.save(drawing, Path(path))
            return
        size = shutil.get_terminal_size((80, 28))
        colour = sys.stdout.isatty()
        terminal.draw(drawing, sys.stdout, colour=colour, width=size.columns, height=size.lines - 8)


def report(  # noqa: PLR0913, PLR0917 - one argument for each part of the outcome
    connection: duckdb.DuckDBPyConnection,
    within: Span,
    capital_usd: float,
    fills: Sequence[Fill],
    missed: Sequence[Missed],
    holes: Sequence[Gap],
    events: int,
) -> Result:
    """Put the outcome together; an open end of the range becomes the record's."""
    found = recorded(connection) or (0, 0)
    shown = Span(max(within.since_ns, found[0]), min(within.until_ns, found[1] + 1))
    return Result(
        span=shown,
        events=events,
        capital_usd=capital_usd,
        fills=_table(FILLS, [_fill_row(fill) for fill in fills]),
        missed=_table(MISSED, [_missed_row(each) for each in missed]),
        equity=equity(connection, shown, capital_usd, fills),
        gaps=tuple(holes),
    )


def _table(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema)


def _fill_row(fill: Fill) -> tuple[Any, ...]:
    quote, sent = fill.quote, fill.sent
    instrument = quote.instrument
    return (
        quote.recv_ns // 1000,
        quote.recv_ns,
        instrument.feed,
        instrument.exchange,
        instrument.symbol,
        fill.side,
        fill.quantity,
        fill.price,
        quote.price,
        quote.kind,
        fill.price * fill.quantity,
        fill.fee_usd,
        sent.event.recv_ns,
        sent.arrives_ns,
        sent.order.note,
        sent.event.table,
        sent.event.connection,
        sent.event.seq,
        sent.event.item,
    )


def _missed_row(each: Missed) -> tuple[Any, ...]:
    order, sent = each.sent.order, each.sent
    return (
        sent.event.recv_ns,
        sent.arrives_ns,
        order.symbol or order.asset,
        order.side,
        each.reason,
        order.note,
        sent.event.table,
        sent.event.connection,
        sent.event.seq,
        sent.event.item,
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
    """Equity at every fill and at points between, each position at the last price received."""
    last = within.until_ns - 1
    width = max(1, (last - within.since_ns) // _GRID)
    times = {*range(within.since_ns, last, width), last}
    times |= {fill.quote.recv_ns for fill in fills}
    held: dict[Instrument, str] = {}
    for fill in fills:
        held.setdefault(fill.quote.instrument, fill.quote.kind)
    marks = _marks(connection, held, sorted(times)) if held else {}
    rows: list[tuple[int, int, float, float, float]] = []
    cash, ahead = capital_usd, 0
    positions: dict[int, float] = {}
    places = {instrument: place for place, instrument in enumerate(held)}
    for at in sorted(times):
        while ahead < len(fills) and fills[ahead].quote.recv_ns <= at:
            fill = fills[ahead]
            cash -= fill.signed * fill.price + fill.fee_usd
            place = places[fill.quote.instrument]
            positions[place] = positions.get(place, 0.0) + fill.signed
            ahead += 1
        values = [
            quantity * marks[at, place]
            for place, quantity in positions.items()
            if abs(quantity) > 1e-12
        ]
        rows.append((at // 1000, at, cash + sum(values), cash, sum(map(abs, values))))
    return _table(EQUITY, rows)


def _marks(
    connection: duckdb.DuckDBPyConnection, held: dict[Instrument, str], times: Sequence[int]
) -> dict[tuple[int, int], float]:
    """The last price received by each time, of each instrument."""
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
    found = cursor.execute(_MARKS).fetchall()
    return {(at, place): price for at, place, price in found}
