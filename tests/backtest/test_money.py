"""Money in a backtest: which price fills, what a position is worth, what it pays."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from kit import made

from recorder import backtest
from recorder.answers import canned
from recorder.backtest import Costs, Latency, Market, Order
from recorder.backtest.fills import delays
from recorder.backtest.terms import Terms, listed, spelled

MS = 1_000_000
SECOND = 1000 * MS
T0 = 1_793_404_800 * SECOND
FREE = Market(Latency(timedelta(), timedelta(milliseconds=50)), Costs(0, 0))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("money")
    made.database(path / "recorder.duckdb").close()
    return path


def price(at_ms: int, value: float, symbol: str = "BTCUSDT", **more: Any) -> made.Row:
    """A price that happened and was received at T0 + at_ms."""
    at = T0 + at_ms * MS
    return {"recv_ns": at, "event_ns": at, "exchange": "binance", "symbol": symbol,
            "kind": "last", "price": value, "backfill": False} | more  # fmt: skip


def tried(
    root: Path, orders: dict[int, Order], market: Market = FREE, **record: list[made.Row]
) -> backtest.Result:
    """Run orders that are decided at times in ms after T0 over the rows of a record."""
    times = [*sorted(orders), 3_600_000]
    record["alerts"] = [{"recv_ns": T0 + at * MS, "seq": at} for at in times]
    with duckdb.connect(str(root / "recorder.duckdb")) as connection:
        made.clear(connection)
        made.fill(connection, {**record, "ledger": made.ledger(record)})
    return backtest.run(
        lambda event, as_of: [orders[event.seq]] if event.seq in orders else [],
        data_dir=root, tables=["alerts"], market=market,
    )  # fmt: skip


BUY = Order("buy", symbol="BTCUSDT", quantity=1)
CLOSE = Order(symbol="BTCUSDT", close=True)


def test_an_order_meets_the_market_at_the_exchanges_time(root: Path) -> None:
    late = [
        price(at, 100 if at < 1010 else 110, recv_ns=T0 + (at + 200) * MS)
        for at in range(0, 3000, 10)
    ]
    result = tried(root, {1000: BUY}, prices=late)
    assert result.fills["quoted"].to_pylist() == [110]
    assert result.fills["happened_ns"].to_pylist() == [T0 + 1050 * MS]
    assert result.profit_usd == 0


def test_a_feed_without_times_is_met_at_receipt(root: Path) -> None:
    untimed = [price(0, 100, event_ns=None), price(1100, 105, event_ns=None)]
    assert tried(root, {1000: BUY}, prices=untimed).fills["quoted"].to_pylist() == [105]


def test_the_earliest_price_of_any_kind_fills_and_the_kind_only_breaks_a_tie(root: Path) -> None:
    prices = [
        price(1060, 101, kind="mark"), price(41_000, 500),
        price(50_000, 7, kind="index"), price(50_000, 8), price(50_000, 9, kind="mark"),
    ]  # fmt: skip
    result = tried(root, {1000: BUY, 49_000: CLOSE}, prices=prices)
    assert result.fills["quoted"].to_pylist() == [101, 8]
    short = Market(FREE.latency, FREE.costs, patience=timedelta(milliseconds=5))
    assert len(tried(root, {1000: BUY}, short, prices=prices).missed) == 1


def test_a_position_is_worth_the_last_price_of_any_kind_at_every_moment(root: Path) -> None:
    prices = [
        price(0, 100), price(100, 100), price(25_000, 100, kind="mark"),
        price(25_001, 50, kind="mark"), price(25_002, 100), price(25_003, 120, kind="mark"),
    ]  # fmt: skip
    many = Order("buy", symbol="BTCUSDT", quantity=100)
    result = tried(root, {0: many, 25_002: CLOSE}, prices=[*prices[:5], price(25_100, 120)])
    assert (result.drawdown_usd, result.profit_usd) == (5000, 2000)
    assert result.course.lowest_usd == 5000
    assert result.equity["equity_usd"].to_pylist().count(5000) == 1
    assert tried(root, {0: many}, prices=prices).figures()["open_usd"] == 12_000


def test_what_one_kind_opened_another_closes(root: Path) -> None:
    prices = [price(60, 100), price(5060, 120, kind="mark")]
    result = tried(root, {0: BUY, 5000: CLOSE}, prices=prices)
    assert result.fills["price_kind"].to_pylist() == ["last", "mark"]
    assert (result.profit_usd, result.figures()["open_usd"]) == (20, 0)


def test_a_scaled_name_is_still_counted_in_coins(root: Path) -> None:
    prices = [price(60, 0.01, "1000PEPEUSDT"), price(160, 0.02, "1000PEPEUSDT")]
    million = Order("buy", asset="PEPE", quantity=1e6)
    worth = Order("buy", symbol="1000PEPEUSDT", usd=10)
    result = tried(root, {0: million, 1: worth}, prices=prices)
    assert result.fills["notional_usd"].to_pylist() == [10, pytest.approx(10)]
    assert result.fills["quantity"].to_pylist() == [1e6, pytest.approx(1e6)]
    assert result.profit_usd == pytest.approx(20)


def test_a_pair_of_bitcoin_is_converted_at_the_records_rate_or_missed(root: Path) -> None:
    pair = [price(0, 2000, "ETHUSDT"), price(60, 0.05, "ETHBTC"), price(200, 0.06, "ETHBTC")]
    order = Order("buy", symbol="ETHBTC", quantity=1)
    assert tried(root, {0: order}, prices=pair).missed["reason"].to_pylist() == [
        "no price of BTC in dollars for ETHBTC"
    ]
    result = tried(root, {0: order}, prices=[price(10, 60_000), *pair, price(300, 50_000)])
    assert result.fills["notional_usd"].to_pylist() == [3000]
    assert result.profit_usd == pytest.approx(0.06 * 50_000 - 3000)
    unknown = tried(root, {0: order}, prices=[price(10, 60_000), *pair[1:]])
    assert unknown.missed["reason"].to_pylist() == ["the quote currency of ETHBTC is unknown"]


def test_the_venues_list_says_more_than_the_spelling(root: Path) -> None:
    said = {"quote": "USDT", "settle": "XBT", "contract_type": "quanto", "multiplier": 1.0}
    terms = listed(said, "ETHUSDT", 1.0)
    assert terms is not None
    assert terms.wrong == "ETHUSDT is a quanto contract, settled in XBT: not modelled"
    assert listed({"quote": None}, "X", 1.0) is None
    assert listed({"quote": "usd", "multiplier": 1000.0}, "X", 1.0) == Terms("USD", 1000.0)
    assert listed({"quote": "usd"}, "kX", 1000.0) == Terms("USD", 1000.0)


@pytest.mark.parametrize(
    ("symbol", "quote", "scale"),
    [
        ("BTCUSDT", "USDT", 1), ("BTC-USDT-SWAP", "USDT", 1), ("BTC_USDC-PERPETUAL", "USDC", 1),
        ("BTC-PERPETUAL", "USD", 1), ("BTCUSD_240927", "USD", 1), ("BTC-27DEC24", "USD", 1),
        ("kPEPE", "USD", 1000), ("1000000MOGUSDT", "USDT", 1e6), ("1MBABYDOGEUSDT", "USDT", 1e6),
        ("XBTUSD", "USD", 1), ("xyz:TSLA", "USD", 1), ("ETH-BTC", "BTC", 1), ("WBTC", None, 1),
        ("ETHEUR", None, 1), ("1INCHUSDT", "USDT", 1), ("SHIB1000USDT", "USDT", 1000),
        ("xyz:kPEPE", "USD", 1000), ("1000PEPE-USDT-SWAP", "USDT", 1000), ("XRPRLUSD", "USD", 1),
        ("PF_XBTUSD", "USD", 1), ("10000LADYSUSDT", "USDT", 10_000),
    ],
)  # fmt: skip
def test_the_spelling_of_a_symbol(symbol: str, quote: str | None, scale: float) -> None:
    with duckdb.connect(config={"threads": 1}) as database:
        canned.share(database, "scale_of", "coin_of", "is_dollar")
        terms = spelled(database, symbol)
    assert (terms.quote, terms.scale) == (quote, scale)


def test_each_recorded_latency_is_drawn_as_often_as_it_was_recorded(root: Path) -> None:
    rows = [{"recv_ns": T0, "total_ns": 10 * MS} for _ in range(1999)]
    rows.append({"recv_ns": T0, "total_ns": 60 * SECOND})
    rows.append({"recv_ns": T0, "total_ns": -5})
    with duckdb.connect(str(root / "recorder.duckdb")) as connection:
        made.clear(connection)
        made.fill(connection, {"latency": rows})
        draw = delays(connection, Latency(timedelta(), recorded="f"))
        drawn = Counter(draw() for _ in range(100_000))
    assert set(drawn) == {10 * MS, 60 * SECOND}
    assert 20 <= drawn[60 * SECOND] <= 90  # 50 are expected


def funded(rate: float, at_ms: int, **more: Any) -> made.Row:
    return {"recv_ns": T0, "event_ns": T0, "exchange": "binance", "symbol": "BTCUSDT",
            "rate": rate, "basis": "expected", "next_funding_ns": T0 + at_ms * MS,
            "mark_price": 200.0, "backfill": False, "interval_hours": 8.0} | more  # fmt: skip


def test_funding_is_paid_by_longs_and_received_by_shorts_at_the_settlement(root: Path) -> None:
    prices = [price(60, 100), price(5000, 100)]
    rates = [funded(0.5, 1000), funded(0.01, 1000, recv_ns=T0 + 1), funded(9.0, 7_200_000)]
    result = tried(root, {0: BUY}, prices=prices, funding=rates)
    assert result.funding["usd"].to_pylist() == [-2.0]  # 1 coin at a mark of 200, 1 %
    assert result.profit_usd == -2
    assert "funding    -2.00 USD at 1 settlements" in result.summary()
    sell = Order("sell", symbol="BTCUSDT", quantity=1)
    realised = funded(0.02, 0, basis="realised", event_ns=T0 + 1000 * MS, next_funding_ns=None)
    result = tried(root, {0: sell}, prices=prices, funding=[*rates, realised])
    assert result.funding["usd"].to_pylist() == [2.0]  # what was exchanged, at the price of 100
    assert len(tried(root, {990: BUY}, prices=prices, funding=rates).funding) == 0


def test_hourly_funding_is_exchanged_each_hour(root: Path) -> None:
    """Rates as Hyperliquid states them: the last one before each full hour counts."""
    hour = 3_600_000
    rates = [
        funded(rate, at_ms, interval_hours=1.0, event_ns=None, recv_ns=T0 + (at_ms - early) * MS)
        for rate, at_ms, early in [
            (0.5, hour, 9000), (0.01, hour, 10), (-0.02, 2 * hour, 5), (0.04, 3 * hour, 5)
        ]
    ]  # fmt: skip
    prices = [price(60, 200), price(2 * hour + 9000, 200)]
    assert tried(root, {0: BUY}, prices=prices, funding=rates).funding["usd"].to_pylist() == [-2, 4]


def test_an_account_that_is_lost_is_said(root: Path) -> None:
    many = Order("buy", symbol="BTCUSDT", usd=50_000)
    result = tried(root, {0: many}, prices=[price(60, 100), price(100, 50), price(200, 100)])
    assert result.profit_usd == 0
    assert result.course.lowest_usd == -15_000
    assert result.course.leverage == 5
    assert "margin     equity fell to -15,000.00 USD at 2026-" in result.summary()
    assert "not        depth of the book" in result.summary()


def steps(count: int, late_ms: int, edge: float = 0.0) -> list[made.Row]:
    """Return trades every 100 ms: a step of a dollar every 2 s, and `edge` more 400 ms later."""
    dice, level, prices = Random(5), 1000.0, []
    for n in range(count):
        move = dice.choice((-1.0, 1.0))
        for tick in range(20):
            level += {0: move, 4: edge * move}.get(tick, 0.0)
            at = 2000 * n + 100 * tick
            prices.append(price(at, level, recv_ns=T0 + (at + late_ms) * MS))
    return prices


def earned(root: Path, prices: list[made.Row]) -> float:
    """Return what following each dollar for half a second earned per round trip, in dollars."""
    with duckdb.connect(str(root / "recorder.duckdb")) as connection:
        made.clear(connection)
        made.fill(connection, {"prices": prices, "ledger": made.ledger({"prices": prices})})
    before = [1000.0]

    def follow(event: Any, as_of: Any) -> list[Order]:
        step = event.price - before.pop()
        before.append(event.price)
        if abs(step) < 1:
            return []
        side: Any = "buy" if step > 0 else "sell"
        back: Any = "sell" if step > 0 else "buy"
        hold = timedelta(milliseconds=500)
        return [Order(side, symbol="BTCUSDT", quantity=1),
                Order(back, symbol="BTCUSDT", quantity=1, after=hold)]  # fmt: skip

    result = backtest.run(follow, data_dir=root, tables=["prices"], market=FREE, capital_usd=0)
    assert len(result.fills) > 60
    return result.profit_usd / (len(result.fills) / 2)


def test_an_edge_that_is_only_the_feeds_delay_earns_nothing(root: Path) -> None:
    # Every price is received 200 ms late. By receipt, an order of 50 ms would meet prices of 150 ms
    # ago; by the exchange's clock the dollar is over when it arrives.
    assert earned(root, steps(40, 200)) == 0


def test_a_real_edge_is_found_with_its_size(root: Path) -> None:
    assert earned(root, steps(40, 0, edge=0.25)) == pytest.approx(0.25)
    assert earned(root, steps(40, 200, edge=0.25)) == pytest.approx(0.25)  # 250 ms late
