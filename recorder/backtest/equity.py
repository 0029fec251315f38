"""The equity of a backtest: cash, and each position at the last price of any allowed kind.

The equity is worked out at every moment at which a price of a held instrument was received, a
fill was received or funding was settled. Drawdown, lowest equity and largest exposure are those of
all these moments; the table has the fills, the settlements, the trough of the drawdown, and evenly
spaced times between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from recorder.backtest.funding import Paid
from recorder.backtest.prices import QUOTES, TradedInstrument
from recorder.stream.span import Span

if TYPE_CHECKING:
    import duckdb

    from recorder.backtest.fills import Fill
    from recorder.backtest.terms import Book

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

# Of the prices of one frame of equal place, the better kind is the last.
_MARKS = f"""
SELECT q.recv_ns, h.place, q.price
FROM ({QUOTES}) q
JOIN held h ON h.symbol = q.symbol AND h.feed = q.feed
    AND h.exchange IS NOT DISTINCT FROM q.exchange
WHERE q.recv_ns >= h.since_ns AND q.recv_ns < $until AND list_contains($kinds, q.kind)
ORDER BY q.recv_ns, q.connection, q.seq, q.item, list_position($kinds, q.kind) DESC
"""  # noqa: S608 - our own text


@dataclass(slots=True)
class Course:
    """The equity over a run, and its extremes. Amounts are in dollars, times in ns."""

    table: pa.Table
    drawdown_usd: float = 0.0
    lowest_usd: float = 0.0
    lowest_ns: int | None = None
    exposure_usd: float = 0.0
    """The largest sum of the positions' absolute values."""
    leverage: float | None = None
    """The largest exposure in multiples of the equity at the same moment; None from zero on."""


@dataclass(slots=True)
class _Account:
    """Cash, positions and the last prices; its value at a moment."""

    cash: float
    scales: list[float]
    pairs: list[int | None]
    held: dict[int, float] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)
    rates: dict[int, float] = field(default_factory=dict)

    def book(self, place: int, fill: Fill) -> None:
        self.cash -= fill.signed * fill.usd + fill.fee_usd
        self.held[place] = self.held.get(place, 0.0) + fill.signed
        self.rates[place] = fill.quote.rate
        self.last.setdefault(place, fill.quote.price)

    def value(self) -> tuple[float, float]:
        """Return equity and exposure in dollars."""
        worth = [
            quantity * self.last[place] * self._rate(place) / self.scales[place]
            for place, quantity in self.held.items()
            if abs(quantity) > 1e-12
        ]
        return self.cash + sum(worth), sum(map(abs, worth))

    def _rate(self, place: int) -> float:
        pair = self.pairs[place]
        return self.rates[place] if pair is None else self.last.get(pair, self.rates[place])


def equity(  # noqa: PLR0913, PLR0917 - the parts of a run
    connection: duckdb.DuckDBPyConnection,
    within: Span,
    capital_usd: float,
    fills: Sequence[Fill],
    paid: Sequence[Paid],
    kinds: Sequence[str],
    book: Book,
) -> Course:
    """Return the equity over a run; `fills` are sorted by the receive time of their price."""
    last = within.until_ns - 1
    width = max(1, (last - within.since_ns) // _GRID)
    shown = {*range(within.since_ns, last, width), last}
    shown |= {fill.quote.recv_ns for fill in fills} | {each.at_ns for each in paid}
    places: dict[TradedInstrument, int] = {}
    since: dict[TradedInstrument, int] = {}
    pairs: dict[TradedInstrument, TradedInstrument] = {}
    for fill in fills:
        own, at = fill.quote.instrument, fill.quote.recv_ns
        pair = book.pair(own, at)
        if pair is not None:
            pairs.setdefault(own, pair)
        for each in (own, *([pair] if pair else [])):
            places.setdefault(each, len(places))
            since[each] = min(since.get(each, at), at)
    account = _Account(
        capital_usd,
        [book.terms(instrument).scale for instrument in places],
        [places[pairs[i]] if i in pairs else None for i in places],
    )
    marks = _marks(connection, places, since, kinds, last + 1) if places else iter(())
    return _walk(account, shown, marks, [(places[f.quote.instrument], f) for f in fills], paid)


def _marks(
    connection: duckdb.DuckDBPyConnection,
    places: dict[TradedInstrument, int],
    since: dict[TradedInstrument, int],
    kinds: Sequence[str],
    until_ns: int,
) -> Iterator[tuple[int, int, float]]:
    """Yield every price of the instruments as receive time, place and price, in receive order."""
    held = pa.table(
        {
            "place": pa.array(places.values(), pa.int64()),
            "feed": pa.array([i.feed for i in places], pa.string()),
            "exchange": pa.array([i.exchange for i in places], pa.string()),
            "symbol": pa.array([i.symbol for i in places], pa.string()),
            "since_ns": pa.array([since[i] for i in places], pa.int64()),
        }
    )
    cursor = connection.cursor()
    cursor.register("held", held)
    result = cursor.execute(_MARKS, {"until": until_ns, "kinds": [*kinds]})
    while rows := result.fetchmany(50_000):
        yield from rows


def _walk(
    account: _Account,
    shown: set[int],
    marks: Iterator[tuple[int, int, float]],
    fills: Sequence[tuple[int, Fill]],
    paid: Sequence[Paid],
) -> Course:
    """Go through all moments in order; return the equity at the shown ones, and the extremes."""
    rows: dict[int, tuple[float, float, float]] = {}
    course = Course(pa.table([]), lowest_usd=account.cash)
    peak, peak_at, worst_at = account.cash, min(shown), (0, 0)
    due, filled, settled = sorted(shown), 0, 0
    mark = next(marks, None)
    value, exposure = account.value()
    turn = 0
    while mark is not None or turn < len(due):
        at = min(due[turn] if turn < len(due) else mark[0], mark[0] if mark else due[-1])  # type: ignore[index]
        while mark is not None and mark[0] <= at:
            account.last[mark[1]] = mark[2]
            mark = next(marks, None)
        while settled < len(paid) and paid[settled].at_ns <= at:
            account.cash += paid[settled].usd
            settled += 1
        while filled < len(fills) and fills[filled][1].quote.recv_ns <= at:
            account.book(*fills[filled])
            filled += 1
        value, exposure = account.value()
        if value > peak:
            peak, peak_at = value, at
        if peak - value > course.drawdown_usd:
            course.drawdown_usd, worst_at = peak - value, (peak_at, at)
            rows.setdefault(at, (value, account.cash, exposure))
        if value < course.lowest_usd:
            course.lowest_usd, course.lowest_ns = value, at
        course.exposure_usd = max(course.exposure_usd, exposure)
        if exposure and value > 0:
            course.leverage = max(course.leverage or 0.0, exposure / value)
        if turn < len(due) and due[turn] <= at:
            rows[at] = (value, account.cash, exposure)
            turn += 1
    kept = sorted(at for at in rows if at in shown or at in worst_at)
    columns = list(zip(*((at // 1000, at, *rows[at]) for at in kept), strict=True))
    course.table = pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, EQUITY, strict=True)], EQUITY
    )
    return course
