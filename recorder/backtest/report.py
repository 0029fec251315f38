"""The result of a backtest: fills and equity as Arrow tables, a summary, a plot."""

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

from recorder.backtest.equity import equity
from recorder.backtest.fills import Fill, Missed
from recorder.clock import iso
from recorder.stream.span import Gap, Span, recorded

if TYPE_CHECKING:
    import duckdb

_TIME = pa.timestamp("us", "UTC")
FILLS = pa.schema(
    [
        ("time", _TIME),  # the price's receive time, to the microsecond; recv_ns is exact
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
        ("decided_ns", pa.int64()),  # receive time of the event that led to the order
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
        ("symbol", pa.string()),  # the asset if the order names no symbol
        ("side", pa.string()),  # NULL for an order to close a position
        ("reason", pa.string()),
        ("note", pa.string()),
        ("event_table", pa.string()),
        ("event_connection", pa.string()),
        ("event_seq", pa.int64()),
        ("event_item", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a backtest. Times are receive times, UTC; amounts are in US dollars."""

    span: Span
    events: int
    capital_usd: float
    fills: pa.Table
    missed: pa.Table
    equity: pa.Table
    gaps: tuple[Gap, ...]

    @property
    def profit_usd(self) -> float:
        """The last equity less the capital, after costs."""
        return float(self.equity["equity_usd"][-1].as_py()) - self.capital_usd

    @property
    def drawdown_usd(self) -> float:
        """The largest fall of equity from an earlier peak."""
        peak, worst = self.capital_usd, 0.0
        for value in self.equity["equity_usd"].to_pylist():
            peak = max(peak, value)
            worst = max(worst, peak - value)
        return worst

    def figures(self) -> dict[str, Any]:
        """Return the result's figures, ready for JSON; times are texts in UTC."""
        return {
            "since": iso(self.span.since_ns),
            "until": iso(self.span.until_ns),
            "events": self.events,
            "fills": len(self.fills),
            "volume_usd": sum(self.fills["notional_usd"].to_pylist()),
            "fees_usd": sum(self.fills["fee_usd"].to_pylist()),
            "capital_usd": self.capital_usd,
            "profit_usd": self.profit_usd,
            "drawdown_usd": self.drawdown_usd,
            "open_usd": self.equity["exposure_usd"][-1].as_py(),
            "missed": dict(Counter(self.missed["reason"].to_pylist()).most_common()),
            "prices": dict(Counter(self.fills["price_kind"].to_pylist()).most_common()),
            "gaps": [str(gap) for gap in self.gaps],
        }

    def summary(self) -> str:
        """Return the result as text, one line per figure, missed orders and gaps included."""
        figures = self.figures()
        lines = [
            f"range      {figures['since']} to {figures['until']}",
            f"events     {self.events:,}",
            f"fills      {len(self.fills):,}, volume {figures['volume_usd']:,.2f} USD, "
            f"fees {figures['fees_usd']:,.2f} USD",
            f"profit     {self.profit_usd:+,.2f} USD on {self.capital_usd:,.0f} USD",
            f"drawdown   {self.drawdown_usd:,.2f} USD",
        ]
        if figures["open_usd"]:
            lines.append(f"open       positions worth {figures['open_usd']:,.2f} USD at the end")
        lines += [f"missed     {count:,}: {reason}" for reason, count in figures["missed"].items()]
        if figures["prices"]:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in figures["prices"].items())
            lines.append(f"prices     {kinds}")
        lines += [f"gap        {gap}" for gap in self.gaps[:10]]
        if len(self.gaps) > 10:
            lines.append(f"gap        and {len(self.gaps) - 10:,} more, in gaps")
        return "\n".join(lines)

    def plot(self, path: str | PathLike[str] | None = None, title: str = "Equity") -> None:
        """Draw the equity to a PNG or SVG file, or in the terminal; needs the extra `plot`."""
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
    missing: Sequence[Gap],
    events: int,
) -> Result:
    """Return the result of a run; its range is cut to the range of the record."""
    first, last = recorded(connection) or (0, 0)
    shown = Span(max(within.since_ns, first), min(within.until_ns, last + 1))
    return Result(
        span=shown,
        events=events,
        capital_usd=capital_usd,
        fills=_table(FILLS, [_fill_row(fill) for fill in fills]),
        missed=_table(MISSED, [_missed_row(each) for each in missed]),
        equity=equity(connection, shown, capital_usd, fills),
        gaps=tuple(missing),
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
