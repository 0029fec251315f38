"""Runs of a strategy: over the record (`run`) or on live events (`live`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from recorder.answers import database
from recorder.backtest import fills
from recorder.backtest.fills import Fill, Market, Missed, SentOrder
from recorder.backtest.orders import Order, Strategy, decide, tables_of
from recorder.backtest.prices import TradedInstrument, first_price
from recorder.backtest.report import FilledOrders, Result, report
from recorder.backtest.terms import Book
from recorder.errors import LookAheadError, RecorderError, StrategyError
from recorder.record.layout import Layout
from recorder.stream import event
from recorder.stream.asof import AsOf
from recorder.stream.event import Event
from recorder.stream.span import Span, check_feeds, check_recorded, check_version, gaps, span

if TYPE_CHECKING:
    import duckdb

    from recorder.stream.live import Follower


def run(  # noqa: PLR0913 - all but the first by name
    strategy: Strategy,
    *,
    data_dir: str | PathLike[str] = "data",
    tables: Sequence[str] | None = None,
    since: int | str | datetime | None = None,
    until: int | str | datetime | None = None,
    feeds: Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    market: Market | None = None,
    capital_usd: float = 10_000.0,
    progress: Callable[[int], None] = lambda events: None,
) -> Result:
    """Call the strategy with every event of the record in receive order, and fill its orders.

    `tables`, `since`, `until`, `feeds` and `symbols` choose the events, as in `recorder.events`.
    Without `tables`, the strategy gets the tables that its attribute `tables` names, else all.
    Orders are filled at prices of the whole record, whatever events were chosen. `progress(events)`
    is called with the number of events so far.

    Raises:
        UsageError: an unknown table or feed, an empty range, or invalid values in `market`.
        DataError: no database, one of another version, or nothing recorded in the range.
        StrategyError: the strategy raised or returned an invalid order; names the event.
        LookAheadError: the strategy asked for data that had not been received yet.
    """
    market, layout = market or Market(), Layout(Path(data_dir))
    market.check()
    chosen = event.checked(tables_of(strategy) if tables is None else tables)
    wanted = event.wanted(span(since, until), feeds, symbols)
    with database.connect(layout.database) as connection:
        check_version(connection, str(layout.database))
        check_feeds(connection, feeds or ())
        check_recorded(connection, wanted.span)
        delay = fills.delays(connection, market.latency)
        events = _Counted(event.read(connection, chosen, wanted), progress)
        sent = sorted(_sent_orders(strategy, events, connection, layout, delay), key=_arrival)
        book = Book(connection, market.kinds)
        done, missed = _fill(connection, sent, market, wanted.span, book)
        missing = gaps(connection, wanted.span, feeds)
        outcome = FilledOrders(done, missed, missing, events.count)
        return report(connection, wanted.span, capital_usd, outcome, market.kinds, book)


class _Counted:
    """An iterable of events that counts them and reports progress."""

    def __init__(self, events: Iterable[Event], progress: Callable[[int], None]) -> None:
        self._events, self._progress = events, progress
        self.count = 0

    def __iter__(self) -> Iterator[Event]:
        for each in self._events:
            self.count += 1
            if self.count % 1000 == 0:
                self._progress(self.count)
            yield each
        self._progress(self.count)


def _sent_orders(
    strategy: Strategy,
    events: Iterable[Event],
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    delay: Callable[[], int],
) -> Iterator[SentOrder]:
    """Yield the strategy's orders, each with its arrival at the market."""
    now = 0
    as_of = AsOf(connection.cursor(), lambda: now)
    number = 0
    for each in events:
        now = each.recv_ns
        for order in _decide(strategy, each, as_of, layout):
            after = order.after // timedelta(microseconds=1) * 1000
            yield SentOrder(order, each, now + after + delay(), number)
            number += 1


def _arrival(sent: SentOrder) -> tuple[int, int]:
    return (sent.arrives_ns, sent.number)


def _decide(strategy: Strategy, on: Event, as_of: AsOf, layout: Layout) -> list[Order]:
    """Return the strategy's orders on an event.

    Raises:
        LookAheadError: the strategy asked for data that had not been received yet.
        StrategyError: the strategy raised anything else; names the event and its raw frame.
    """
    try:
        return decide(strategy, on, as_of)
    except LookAheadError:
        raise
    except Exception as error:
        from recorder.stream.origin import payload

        frame = payload(layout, on)
        shown = "no longer in the record" if frame is None else repr(frame[:500])[2:-1]
        what = (
            str(error) if isinstance(error, RecorderError) else f"{type(error).__name__}: {error}"
        )
        raise StrategyError(
            f"the strategy failed: {what}",
            where=f"{on.feed} {on.table} {on.connection} seq {on.seq}",
            hint=f"on {on}\n  its raw frame: {shown}",
        ) from error


def _fill(
    connection: duckdb.DuckDBPyConnection,
    sent: Sequence[SentOrder],
    market: Market,
    within: Span,
    book: Book,
) -> tuple[list[Fill], list[Missed]]:
    """Fill the orders in order of arrival; return the fills by time, and the missed orders."""
    done: list[Fill] = []
    missed: list[Missed] = []
    for each in sent:
        orders = _closing(connection, each, done) if each.order.close else [each]
        if not orders:
            missed.append(Missed(each, "there was no position to close"))
        for one in orders:
            outcome = _outcome(connection, one, market, within, book)
            done += [outcome] if isinstance(outcome, Fill) else []
            missed += [outcome] if isinstance(outcome, Missed) else []
    done.sort(key=lambda fill: (fill.quote.recv_ns, fill.sent.number))
    return done, missed


def _outcome(
    connection: duckdb.DuckDBPyConnection,
    sent: SentOrder,
    market: Market,
    within: Span,
    book: Book,
) -> Fill | Missed:
    """Return what became of an order that has a side and a size."""
    order = sent.order
    quote = first_price(
        connection,
        arrives=sent.arrives_ns,
        until=sent.arrives_ns + market.patience // timedelta(microseconds=1) * 1000,
        kinds=[*market.kinds],
        asset=order.asset,
        symbol=order.symbol,
        exchange=order.exchange,
        feed=order.feed,
    )
    if quote is None:
        return Missed(sent, f"no price within {market.patience.total_seconds():g} s")
    if quote.recv_ns >= within.until_ns:
        return Missed(sent, "the range ended")
    terms = book.terms(quote.instrument)
    if terms.wrong is not None:
        return Missed(sent, terms.wrong)
    rate = book.rate(quote.instrument, quote.recv_ns)
    if rate is None:
        what = f"no price of {terms.quote} in dollars for {quote.instrument.symbol}"
        return Missed(sent, what)
    quote = replace(quote, scale=terms.scale, rate=rate)
    assert order.side is not None
    unit = fills.filled(sent, quote, order.side, 1.0, market.costs)
    quantity = order.quantity if order.usd is None else order.usd / unit.usd
    assert quantity is not None
    return fills.filled(sent, quote, order.side, quantity, market.costs)


def _closing(
    connection: duckdb.DuckDBPyConnection, sent: SentOrder, done: Sequence[Fill]
) -> list[SentOrder]:
    """Return the orders that close every position that a close order names."""
    orders: list[SentOrder] = []
    for instrument, quantity in _positions(done).items():
        if abs(quantity) < 1e-12 or not _matches(connection, sent.order, instrument):
            continue
        order = replace(
            sent.order,
            close=False,
            side="sell" if quantity > 0 else "buy",
            symbol=instrument.symbol,
            asset=None,
            quantity=abs(quantity),
            exchange=instrument.exchange,
            feed=instrument.feed,
        )
        orders.append(replace(sent, order=order))
    return orders


def _positions(done: Sequence[Fill]) -> dict[TradedInstrument, float]:
    """Return the coins held of each instrument."""
    held: dict[TradedInstrument, float] = {}
    for fill in done:
        held[fill.quote.instrument] = held.get(fill.quote.instrument, 0.0) + fill.signed
    return held


def _matches(
    connection: duckdb.DuckDBPyConnection, order: Order, instrument: TradedInstrument
) -> bool:
    if order.exchange is not None and order.exchange.lower() != instrument.exchange:
        return False
    if order.feed is not None and order.feed != instrument.feed:
        return False
    if order.symbol is not None:
        return order.symbol == instrument.symbol
    names = {
        "exchange": instrument.exchange,
        "symbol": instrument.symbol,
        "asset": order.asset,
    }
    sql = "SELECT asset_of($exchange, $symbol) = coin_of($asset)"
    return connection.execute(sql, names).fetchone() == (True,)


def live(
    strategy: Strategy, follower: Follower, layout: Layout | None = None
) -> Iterator[tuple[Event, list[Order]]]:
    """Call a strategy with events as they are recorded; yield each event with the orders.

    The orders are not sent anywhere: that is up to the caller. Ends after `follower.stop()`.

    Raises:
        StrategyError: the strategy raised or returned an invalid order; names the event.
    """
    recorded = layout or follower.layout
    for each in follower:
        yield each, _decide(strategy, each, follower.as_of, recorded)
