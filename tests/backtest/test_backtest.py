"""The harness: what is decided when, where it is filled, what it comes to."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.frames import T0
from kit.market import LISTED
from kit.records import Published

import recorder
from recorder import backtest
from recorder.backtest import Costs, Fill, Latency, Market, Order
from recorder.backtest.fills import SentOrder, filled
from recorder.backtest.harness import _positions
from recorder.backtest.prices import Quote, TradedInstrument
from recorder.clock import NS
from recorder.errors import DataError, LookAheadError, StrategyError, UsageError
from recorder.stream.asof import AsOf
from recorder.stream.event import CLASSES, Event

MS = timedelta(milliseconds=1)
INSTANT = Market(Latency(timedelta(), timedelta()), Costs(0, 0))


def once(order: Order, at: int = T0 + 10 * NS) -> Any:
    """A strategy that sends one order at the first event from a moment on."""
    sent = []

    def strategy(event: Event, as_of: AsOf) -> list[Order]:
        if event.recv_ns < at or sent:
            return []
        sent.append(order)
        return [order]

    return strategy


# -- the worked examples


def test_a_listing_is_bought_at_the_first_price_after_the_latencies(made: Published) -> None:
    strategy = backtest.BuyListings(usd=1000, hold=timedelta(seconds=30))
    result = backtest.run(strategy, data_dir=made.layout.root)
    bought, sold = result.fills.to_pylist()
    announced = T0 + LISTED * NS
    assert bought["decided_ns"] == announced
    assert bought["arrived_ns"] == announced + 51_000_000  # 1 ms to react, 50 ms on the way
    [(first, price)] = made.sql(
        "SELECT recv_ns, price FROM prices WHERE symbol = 'NEWCUSDT' AND kind = 'last' "
        f"AND recv_ns >= {bought['arrived_ns']} ORDER BY recv_ns LIMIT 1"
    )
    assert (bought["recv_ns"], bought["quoted"], bought["side"]) == (first, price, "buy")
    assert bought["price_kind"] == "last"
    assert (sold["side"], sold["quantity"]) == ("sell", bought["quantity"])
    assert sold["arrived_ns"] == bought["arrived_ns"] + 30 * NS
    assert result.profit_usd == pytest.approx(500 - bought["fee_usd"] - sold["fee_usd"])
    assert bought["fee_usd"] == pytest.approx(0.5)
    [listing] = recorder.events(["listings"], data_dir=made.layout.root)
    assert (bought["event_connection"], bought["event_seq"]) == (listing.connection, listing.seq)


def test_a_cascade_is_faded_once_and_closed(made: Published) -> None:
    result = backtest.run(backtest.fade_cascades(count=10), data_dir=made.layout.root)
    bought, sold = result.fills.to_pylist()
    tenth = made.sql("SELECT recv_ns FROM liquidations ORDER BY recv_ns LIMIT 1 OFFSET 9")
    assert tenth == [(bought["decided_ns"],)]
    assert (bought["side"], sold["side"]) == ("buy", "sell")
    assert bought["note"] == "longs liquidated"
    expected = bought["quantity"] * (sold["price"] - bought["price"])
    fees = bought["fee_usd"] + sold["fee_usd"]
    assert result.profit_usd == pytest.approx(expected - fees)
    assert result.equity["exposure_usd"][-1].as_py() == 0


def test_the_examples_run_on_the_sample_record(sample: Path) -> None:
    market = Market(Latency(recorded="smartmoney", seed=7))
    faded = backtest.run(backtest.fade_cascades(count=3), data_dir=sample, market=market)
    again = backtest.run(backtest.fade_cascades(count=3), data_dir=sample, market=market)
    assert faded.fills.equals(again.fills)
    assert len(faded.fills) > 10
    assert set(faded.fills["price_kind"].to_pylist()) == {"liquidation"}
    waits = pc.subtract(faded.fills["recv_ns"], faded.fills["arrived_ns"])
    assert min(waits.to_pylist()) >= 0
    assert (
        len(set(pc.subtract(faded.fills["arrived_ns"], faded.fills["decided_ns"]).to_pylist())) > 3
    )
    bought = backtest.run(backtest.BuyListings(), data_dir=sample)
    wanted = {"spot_listing", "futures_listing"}
    told = list(recorder.events(["listings"], data_dir=sample))
    tickers = {e.ticker for e in told if e.listing_type in wanted and e.ticker}
    assert len(bought.missed) == 2 * len(tickers) > 10  # invented tickers have no prices
    assert len(bought.fills) == 0
    assert "no price within 60 s" in bought.summary()
    assert bought.profit_usd == 0


# -- fills


@given(st.integers(0, 100), st.integers(0, 2000), st.sampled_from(["last", "mark", "index"]))
def test_a_fill_is_never_at_a_price_before_the_order_arrived(
    made: Published, second: int, delay_ms: int, kind: str
) -> None:
    market = replace(INSTANT, latency=Latency(timedelta(), delay_ms * MS), kinds=(kind,))
    order = Order("buy", symbol="BTCUSDT", quantity=1)
    strategy = once(order, T0 + second * NS)
    result = backtest.run(strategy, data_dir=made.layout.root, tables=["prices"], market=market)
    [fill] = result.fills.to_pylist()
    expected = made.sql(
        f"SELECT recv_ns, price FROM prices WHERE symbol = 'BTCUSDT' AND kind = '{kind}' "
        f"AND coalesce(event_ns, recv_ns) >= {fill['decided_ns'] + delay_ms * 1_000_000} "
        "ORDER BY coalesce(event_ns, recv_ns) LIMIT 1"
    )
    assert [(fill["recv_ns"], fill["price"])] == expected


def test_costs_are_paid_on_both_sides(made: Published) -> None:
    market = replace(INSTANT, costs=Costs(fee_bps=10, slippage_bps=20))
    for side, price in (("buy", 1.002), ("sell", 0.998)):
        order = Order(side, symbol="NEWCUSDT", quantity=50)  # type: ignore[arg-type]
        result = backtest.run(once(order), data_dir=made.layout.root, market=market)
        [fill] = result.fills.to_pylist()
        assert fill["price"] == pytest.approx(price)
        assert fill["fee_usd"] == pytest.approx(50 * price / 1000)


@given(
    st.lists(
        st.tuples(st.sampled_from(["buy", "sell"]), st.floats(0.01, 1e4), st.floats(0.01, 1e4)),
        max_size=20,
    ),
    st.floats(0, 100),
)
def test_positions_and_fees_add_up(trades: list[tuple[str, float, float]], fee: float) -> None:
    event = CLASSES["alerts"]("f", None, None, None, 1, None, "c", 0, 0, *[None] * 6)
    one = TradedInstrument("f", "x", "S")
    fills: list[Fill] = []
    for side, price, quantity in trades:
        sent = SentOrder(Order(), event, 0, 0)
        fills.append(filled(sent, Quote(0, one, "last", price), side, quantity, Costs(fee, 0)))
    expected = math.fsum(q if side == "buy" else -q for side, _, q in trades)
    assert _positions(fills).get(one, 0.0) == pytest.approx(expected, abs=1e-6)
    for fill, (_, price, quantity) in zip(fills, trades, strict=True):
        assert fill.fee_usd == pytest.approx(price * quantity * fee / 1e4)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Order("buy", symbol="NOPE", usd=1), "no price within 60 s"),
        (Order("buy", symbol="BTCUSDT", exchange="okx", usd=1), "no price within 60 s"),
        (Order(symbol="BTCUSDT", close=True), "there was no position to close"),
        (
            Order("buy", symbol="BTCUSDT", usd=1, after=timedelta(seconds=200)),
            "no price within 60 s",
        ),
    ],
)
def test_an_order_without_a_price_is_missed_with_its_reason(
    order: Order, reason: str, made: Published
) -> None:
    result = backtest.run(once(order), data_dir=made.layout.root)
    assert result.missed["reason"].to_pylist() == [reason]
    assert f"1: {reason}" in result.summary()
    assert result.fills.num_rows == 0


def test_a_fill_beyond_the_range_is_none(made: Published) -> None:
    order = Order("buy", symbol="BTCUSDT", usd=1, after=timedelta(seconds=20))
    result = backtest.run(once(order), data_dir=made.layout.root, until=T0 + 25 * NS)
    assert result.missed["reason"].to_pylist() == ["the range ended"]


# -- what is said


def test_the_outcome_is_tables_a_summary_and_a_picture(made: Published, tmp_path: Path) -> None:
    heard: list[int] = []
    result = backtest.run(
        once(Order("buy", asset="btc", usd=500)), data_dir=made.layout.root, progress=heard.append
    )
    assert heard[-1] == result.events == len(list(recorder.events(data_dir=made.layout.root)))
    times = result.equity["recv_ns"].to_pylist()
    assert times == sorted(set(times))
    assert len(times) > 100
    last = result.equity.to_pylist()[-1]
    [fill] = result.fills.to_pylist()
    assert last["equity_usd"] == pytest.approx(last["cash_usd"] + fill["quantity"] * 99.5)
    assert result.drawdown_usd > 0
    said = result.summary()
    assert "positions worth" in said
    assert "(gone)" in said  # the gap in the range, with its cause
    assert [gap.cause for gap in result.gaps] == ["gone"]
    result.plot(tmp_path / "equity.svg")
    assert "equity" in (tmp_path / "equity.svg").read_text()
    before = backtest.run(lambda event, as_of: None, data_dir=made.layout.root, until=T0 + 60 * NS)
    assert before.gaps == ()


def test_the_error_of_a_strategy_names_its_event_and_raw_frame(made: Published) -> None:
    def strategy(event: Event, as_of: AsOf) -> list[Order]:
        if event.table == "liquidations":
            raise KeyError("nothing here")
        return []

    with pytest.raises(StrategyError) as raised:
        backtest.run(strategy, data_dir=made.layout.root)
    said = str(raised.value)
    assert "KeyError: 'nothing here'" in said
    assert "binance liquidations 01AAAAAAAAAAAAAAAAAAAAAAAA seq 184" in said
    assert '"e": "forceOrder"' in said
    assert isinstance(raised.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("buy", "must return Order objects"),
        (Order("buy", usd=1), "either a symbol or an asset"),
        (Order("buy", symbol="S", asset="A", usd=1), "either a symbol or an asset"),
        (Order("hold", symbol="S", usd=1), "buy or sell"),  # type: ignore[arg-type]
        (Order("buy", symbol="S"), "a quantity or usd"),
        (Order("buy", symbol="S", usd=math.nan), "a quantity or usd"),
        (Order("buy", symbol="S", usd=-1), "a quantity or usd"),
        (Order("buy", symbol="S", usd=1, after=-MS), "before it is decided"),
        (Order("buy", symbol="S", close=True), "neither side nor size"),
    ],
)
def test_an_invalid_order_is_an_error(order: Any, message: str, made: Published) -> None:
    with pytest.raises(StrategyError, match=message):
        backtest.run(once(order), data_dir=made.layout.root)


def test_a_strategy_cannot_look_ahead(made: Published) -> None:
    def strategy(event: Event, as_of: AsOf) -> None:
        as_of.latest("prices", "BTCUSDT", at_ns=as_of.now_ns + 1)

    with pytest.raises(LookAheadError):
        backtest.run(strategy, data_dir=made.layout.root)


def test_a_range_or_a_market_that_cannot_be_is_refused(made: Published) -> None:
    def run(**how: Any) -> None:
        backtest.run(lambda event, as_of: None, data_dir=made.layout.root, **how)

    with pytest.raises(UsageError, match="an empty range"):
        run(since=T0, until=T0 - 1)
    with pytest.raises(DataError, match="the record goes from 2026-09-21T14:13:19Z"):
        run(since="2030-01-01")
    with pytest.raises(UsageError, match="did you mean 'binance'"):
        run(feeds=["binanc"])
    with pytest.raises(UsageError, match="did you mean 'mark'"):
        run(market=Market(kinds=("marks",)))
    with pytest.raises(UsageError, match="must not be negative"):
        run(market=Market(costs=Costs(fee_bps=-1)))
    with pytest.raises(DataError, match="feed 'nowhere' has no recorded latency"):
        run(market=Market(Latency(recorded="nowhere")))
