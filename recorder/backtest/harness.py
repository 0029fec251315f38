"""Running a strategy: over the record, or on what is being recorded now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from recorder.answers import database
from recorder.backtest import fills
from recorder.backtest.fills import Fill, Instrument, Market, Missed, Sent
from recorder.backtest.orders import Order, Strategy, decide, tables_of
from recorder.backtest.report import Result, report
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
    tell: Callable[[int], None] = lambda events: None,
) -> Result:
    """Give the strategy every event of the record in receive order, and fill what it orders.

    `tables`, `since`, `until`, `feeds` and `symbols` choose the events, as in `recorder.events`;
    without `tables` those that the strategy names in an attribute of this name, or else all. Prices
    to fill at are taken from the whole record. `tell(events)` hears of progress.

    Raises:
        UsageError: an unknown table or feed, an empty range, a market model that cannot be.
        DataError: no database, one of another version, or nothing recorded in the range.
        StrategyError: the strategy raised, or ordered what cannot be; says on which event.
        LookAheadError: the strategy asked for what had not been received yet.
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
        found = event.read(connection, chosen, wanted)
        counted = _Counted(found, tell)
        sent = sorted(_sent(strategy, counted, connection, layout, delay), key=_arrival)
        done, missed = _fill(connection, sent, market, wanted.span)
        holes = gaps(connection, wanted.span, feeds)
        return report(connection, wanted.span, capital_usd, done, missed, holes, counted.events)


class _Counted:
    """The events, counted on their way."""

    def __init__(self, found: Iterable[Event], tell: Callable[[int], None]) -> None:
        self._found, self._tell = found, tell
        self.events = 0

    def __iter__(self) -> Iterator[Event]:
        for found in self._found:
            self.events += 1
            if self.events % 1000 == 0:
                self._tell(self.events)
            yield found
        self._tell(self.events)


def _sent(
    strategy: Strategy,
    events: Iterable[Event],
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    delay: Callable[[], int],
) -> Iterator[Sent]:
    """The orders that the strategy sends, with when they reach the market."""
    now = 0
    as_of = AsOf(connection.cursor(), lambda: now)
    number = 0
    for found in events:
        now = found.recv_ns
        for order in _decided(strategy, found, as_of, layout):
            after = order.after // timedelta(microseconds=1) * 1000
            yield Sent(order, found, now + after + delay(), number)
            number += 1


def _arrival(sent: Sent) -> tuple[int, int]:
    return (sent.arrives_ns, sent.number)


def _decided(strategy: Strategy, found: Event, as_of: AsOf, layout: Layout) -> list[Order]:
    """The strategy's orders; what it raises says on which event, with its raw frame."""
    try:
        return decide(strategy, found, as_of)
    except LookAheadError:
        raise
    except Exception as error:
        from recorder.stream.origin import payload

        frame = payload(layout, found)
        shown = "no longer there" if frame is None else repr(frame[:500])[2:-1]
        what = (
            str(error) if isinstance(error, RecorderError) else f"{type(error).__name__}: {error}"
        )
        raise StrategyError(
            f"the strategy failed: {what}",
            where=f"{found.feed} {found.table} {found.connection} seq {found.seq}",
            hint=f"on {found}\n  its raw frame: {shown}",
        ) from error


def _fill(
    connection: duckdb.DuckDBPyConnection, sent: Sequence[Sent], market: Market, within: Span
) -> tuple[list[Fill], list[Missed]]:
    """Fill orders in the order in which they arrive."""
    done: list[Fill] = []
    missed: list[Missed] = []
    for each in sent:
        if each.order.close:
            found = _closing(connection, each, market, within, done)
        else:
            found = [_opening(connection, each, market, within)]
        done += [fill for fill in found if isinstance(fill, Fill)]
        missed += [fill for fill in found if isinstance(fill, Missed)]
    done.sort(key=lambda fill: (fill.quote.recv_ns, fill.sent.number))
    return done, missed


def _opening(
    connection: duckdb.DuckDBPyConnection, sent: Sent, market: Market, within: Span
) -> Fill | Missed:
    quote = fills.first_price(connection, sent, market)
    if quote is None:
        return Missed(sent, f"no price within {market.patience.total_seconds():g} s")
    if quote.recv_ns >= within.until_ns:
        return Missed(sent, "the range ended")
    order = sent.order
    assert order.side is not None
    made = fills.filled(sent, quote, order.side, 1.0, market.costs)
    quantity = order.quantity if order.usd is None else order.usd / made.price
    assert quantity is not None
    return fills.filled(sent, quote, order.side, quantity, market.costs)


def _closing(
    connection: duckdb.DuckDBPyConnection,
    sent: Sent,
    market: Market,
    within: Span,
    done: Sequence[Fill],
) -> list[Fill | Missed]:
    """Trade every matching position back to nothing, at prices of the kind it was opened at."""
    found: list[Fill | Missed] = []
    for instrument, (quantity, kind) in _positions(done).items():
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
        each = replace(sent, order=order)
        found.append(_opening(connection, each, replace(market, kinds=(kind,)), within))
    return found or [Missed(sent, "there was no position to close")]


def _positions(done: Sequence[Fill]) -> dict[Instrument, tuple[float, str]]:
    """The quantity held of each instrument, and the kind of price it was opened at."""
    held: dict[Instrument, tuple[float, str]] = {}
    for fill in done:
        quantity, kind = held.get(fill.quote.instrument, (0.0, fill.quote.kind))
        held[fill.quote.instrument] = (quantity + fill.signed, kind)
    return held


def _matches(connection: duckdb.DuckDBPyConnection, order: Order, instrument: Instrument) -> bool:
    if order.exchange is not None and order.exchange.lower() != instrument.exchange:
        return False
    if order.feed is not None and order.feed != instrument.feed:
        return False
    if order.symbol is not None:
        return order.symbol == instrument.symbol
    names = {"symbol": instrument.symbol, "asset": order.asset}
    return connection.execute("SELECT asset_of($symbol) = upper($asset)", names).fetchone() == (
        True,
    )


def live(
    strategy: Strategy, follower: Follower, layout: Layout | None = None
) -> Iterator[tuple[Event, list[Order]]]:
    """Give the same strategy events as they are recorded; each event with its orders.

    Nothing is sent anywhere: what happens to the orders is the caller's business. Ends when
    `follower.stop()` was called.

    Raises:
        StrategyError: as `run` does.
    """
    place = layout or follower.layout
    for found in follower:
        yield found, _decided(strategy, found, follower.as_of, place)
