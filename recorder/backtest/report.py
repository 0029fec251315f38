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

from recorder.backtest.equity import Course, equity
from recorder.backtest.fills import Fill, Missed
from recorder.backtest.funding import Paid, payments
from recorder.clock import iso
from recorder.stream.span import Gap, Span, recorded

if TYPE_CHECKING:
    import duckdb

    from recorder.backtest.terms import Book

_TIME = pa.timestamp("us", "UTC")
FILLS = pa.schema(
    [
        ("time", _TIME),  # the price's receive time, to the microsecond; recv_ns is exact
        ("recv_ns", pa.int64()),
        ("happened_ns", pa.int64()),  # the exchange's time of the price, or recv_ns without one
        ("feed", pa.string()),
        ("exchange", pa.string()),
        ("symbol", pa.string()),
        ("side", pa.string()),
        ("quantity", pa.float64()),  # coins of the base currency: 1000 for one 1000PEPE
        ("price", pa.float64()),  # with slippage
        ("quoted", pa.float64()),  # the recorded price
        ("price_kind", pa.string()),
        ("rate_usd", pa.float64()),  # one unit of the quote currency in dollars
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
FUNDING = pa.schema(
    [
        ("time", _TIME),
        ("at_ns", pa.int64()),  # the settlement's time
        ("feed", pa.string()),
        ("exchange", pa.string()),
        ("symbol", pa.string()),
        ("quantity", pa.float64()),  # the position in coins, negative if short
        ("rate", pa.float64()),
        ("price", pa.float64()),  # mark price
        ("usd", pa.float64()),  # what it brought, negative if it was paid
    ]
)

#: What a run models and what it does not, for its summary.
MODELLED = (
    "an exchange's clock, latencies, fees, slippage as given, funding at recorded settlements",
    "depth of the book, queues, market impact, margin calls, borrowing, transfer",
)


@dataclass(frozen=True, slots=True)
class FilledOrders:
    """What became of a run's orders, and the gaps that it lay over."""

    fills: Sequence[Fill]
    missed: Sequence[Missed]
    gaps: Sequence[Gap]
    events: int


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
    funding: pa.Table
    course: Course

    @property
    def profit_usd(self) -> float:
        """The last equity less the capital, after costs."""
        return float(self.equity["equity_usd"][-1].as_py()) - self.capital_usd

    @property
    def drawdown_usd(self) -> float:
        """The largest fall of equity from an earlier peak, over every price that was received."""
        return self.course.drawdown_usd

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
            "funding_usd": sum(self.funding["usd"].to_pylist()),
            "settlements": len(self.funding),
            "lowest_equity_usd": self.course.lowest_usd,
            "lowest_equity_time": self._lowest_time(),
            "largest_exposure_usd": self.course.exposure_usd,
            "largest_leverage": self.course.leverage,
            "open_usd": self.equity["exposure_usd"][-1].as_py(),
            "missed": dict(Counter(self.missed["reason"].to_pylist()).most_common()),
            "prices": dict(Counter(self.fills["price_kind"].to_pylist()).most_common()),
            "gaps": [str(gap) for gap in self.gaps],
            "modelled": MODELLED[0],
            "not_modelled": MODELLED[1],
        }

    def _lowest_time(self) -> str | None:
        return None if self.course.lowest_ns is None else iso(self.course.lowest_ns)

    def _margin(self) -> list[str]:
        """Return the summary's line on margin; none if nothing was held."""
        course = self.course
        if not course.exposure_usd:
            return []
        if course.lowest_usd <= 0:
            return [
                f"margin     equity fell to {course.lowest_usd:,.2f} USD at {self._lowest_time()}: "
                "an account would have been closed out before; the figures ignore that"
            ]
        return [
            f"margin     up to {course.exposure_usd:,.2f} USD held, {course.leverage or 0:.2f} "
            f"times the equity; lowest equity {course.lowest_usd:,.2f} USD"
        ]

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
        if len(self.funding):
            count = f"{len(self.funding):,} settlements"
            lines.append(f"funding    {figures['funding_usd']:+,.2f} USD at {count}")
        lines += self._margin()
        if figures["open_usd"]:
            lines.append(f"open       positions worth {figures['open_usd']:,.2f} USD at the end")
        lines += [f"missed     {count:,}: {reason}" for reason, count in figures["missed"].items()]
        if figures["prices"]:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in figures["prices"].items())
            lines.append(f"prices     {kinds}")
        lines += [f"gap        {gap}" for gap in self.gaps[:10]]
        if len(self.gaps) > 10:
            lines.append(f"gap        and {len(self.gaps) - 10:,} more, in gaps")
        lines += [f"modelled   {MODELLED[0]}", f"not        {MODELLED[1]}"]
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


def report(  # noqa: PLR0913, PLR0917 - the parts of a run
    connection: duckdb.DuckDBPyConnection,
    within: Span,
    capital_usd: float,
    outcome: FilledOrders,
    kinds: Sequence[str],
    book: Book,
) -> Result:
    """Return the result of a run; its range is cut to the range of the record."""
    first, last = recorded(connection) or (0, 0)
    shown = Span(max(within.since_ns, first), min(within.until_ns, last + 1))
    paid = payments(connection, outcome.fills, kinds, shown.until_ns)
    course = equity(connection, shown, capital_usd, outcome.fills, paid, kinds, book)
    return Result(
        span=shown,
        events=outcome.events,
        capital_usd=capital_usd,
        fills=_table(FILLS, [_fill_row(fill) for fill in outcome.fills]),
        missed=_table(MISSED, [_missed_row(each) for each in outcome.missed]),
        equity=course.table,
        gaps=tuple(outcome.gaps),
        funding=_table(FUNDING, [_paid_row(each) for each in paid]),
        course=course,
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
        quote.happened_ns,
        instrument.feed,
        instrument.exchange,
        instrument.symbol,
        fill.side,
        fill.quantity,
        fill.price,
        quote.price,
        quote.kind,
        quote.rate,
        fill.usd * fill.quantity,
        fill.fee_usd,
        sent.event.recv_ns,
        sent.arrives_ns,
        sent.order.note,
        sent.event.table,
        sent.event.connection,
        sent.event.seq,
        sent.event.item,
    )


def _paid_row(each: Paid) -> tuple[Any, ...]:
    own = each.instrument
    return (
        *(each.at_ns // 1000, each.at_ns, own.feed, own.exchange, own.symbol),
        *(each.quantity, each.rate, each.price, each.usd),
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
