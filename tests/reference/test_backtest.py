"""The backtest against a bookkeeper of its own, over random small records."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import made

from recorder import backtest
from recorder.backtest import Costs, Latency, Market, Order

from . import bookkeeper
from .bookkeeper import Ticket

SECOND = 1_000_000_000
T0 = 1_793_404_790 * SECOND  # 2026-10-30T23:59:50Z: midnight is near
KINDS_AT_HAND = ["last", "mark", "liquidation"]
SYMBOLS = ("BTCUSDT", "1000PEPEUSDT", "ETHBTC")
LEVEL = {"BTCUSDT": 50_000.0, "1000PEPEUSDT": 0.01, "ETHBTC": 0.05, "ETHUSDT": 2500.0}

ticks = st.integers(0, 40)  # half seconds, so that ties and borders are met


@st.composite
def price(draw: st.DrawFn) -> made.Row:
    symbol = draw(st.sampled_from(SYMBOLS))
    at = draw(ticks)
    late = draw(st.sampled_from([None, 0, 1, 3, -1]))
    factor = draw(st.sampled_from([0.5, 0.9, 1.0, 1.1, 2.0, math.nan, math.inf, 0.0, -1.0]))
    return {
        "symbol": symbol, "exchange": "binance", "recv_ns": T0 + at * SECOND // 2,
        "event_ns": None if late is None else T0 + (at - late) * SECOND // 2,
        "kind": draw(st.sampled_from(KINDS_AT_HAND)), "price": LEVEL[symbol] * factor,
        "backfill": draw(st.sampled_from([False, None, False, False, True])),
        "connection": draw(st.sampled_from(["a", "b"])),
    }  # fmt: skip


@st.composite
def rate(draw: st.DrawFn) -> made.Row:
    at, realised = draw(ticks), draw(st.booleans())
    return {
        "symbol": draw(st.sampled_from(SYMBOLS[:2])), "exchange": "binance",
        "recv_ns": T0 + at * SECOND // 2,
        "rate": draw(st.sampled_from([0.01, -0.02, 0.0, None, math.nan])),
        "basis": "realised" if realised else "expected",
        "event_ns": T0 + 10 * SECOND if realised else draw(st.sampled_from([None, T0])),
        "next_funding_ns": None if realised else T0 + draw(st.sampled_from([10, 10, 12])) * SECOND,
        "mark_price": draw(st.sampled_from([None, 0.0, 55.0])), "interval_hours": 8.0,
        "backfill": draw(st.sampled_from([False, False, True, None])),
    }  # fmt: skip


@st.composite
def order(draw: st.DrawFn) -> tuple[int, dict[str, Any]]:
    symbol, how = draw(st.sampled_from(SYMBOLS)), draw(st.sampled_from(["coins", "usd", "close"]))
    size = {"coins": {"quantity": 2.0}, "usd": {"usd": 1000.0}, "close": {"close": True}}[how]
    side = {} if how == "close" else {"side": draw(st.sampled_from(["buy", "sell"]))}
    after = timedelta(milliseconds=500 * draw(st.integers(0, 6)))
    return draw(st.integers(0, 30)), {"symbol": symbol, "after": after, **size, **side}


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "prices": draw(st.lists(price(), min_size=5, max_size=25)),
        "funding": draw(st.lists(rate(), min_size=3, max_size=8)),
        "orders": draw(st.lists(order(), min_size=1, max_size=6)),
        "kinds": draw(st.permutations(KINDS_AT_HAND)),
        "order_ms": draw(st.sampled_from([0, 250, 500])),
        "patience": draw(st.sampled_from([1, 5, 60])),
        "costs": draw(st.sampled_from([(0.0, 0.0), (5.0, 10.0)])),
    }


def record_of(world: dict[str, Any]) -> dict[str, list[made.Row]]:
    tape = [dict(row, seq=n, item=0, feed="f") for n, row in enumerate(world["prices"])]
    eth = {"symbol": "ETHUSDT", "exchange": "binance", "recv_ns": T0, "event_ns": T0, "seq": 999}
    record = {
        # That ETH is a coin of the record says that ETHBTC is a pair.
        "prices": [row for row in tape if row["kind"] != "liquidation"]
        + [{**eth, "item": 0, "feed": "f", "connection": "a", "kind": "last", "price": 2500.0}],
        "liquidations": [row for row in tape if row["kind"] == "liquidation"],
        "funding": [dict(row, seq=2000 + n, item=0, connection="a", feed="f")
                    for n, row in enumerate(world["funding"])],
        "alerts": [{"recv_ns": T0 + at * SECOND // 2, "seq": n, "connection": "z", "feed": "f"}
                   for n, (at, _) in enumerate(world["orders"])],
    }  # fmt: skip
    last = {"recv_ns": T0 + 100 * SECOND, "seq": 9999, "connection": "z", "feed": "f"}
    record["alerts"].append(last)
    return record


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("books")
    made.database(path / "recorder.duckdb").close()
    return path


def product(root: Path, world: dict[str, Any]) -> backtest.Result:
    import duckdb

    record = record_of(world)
    with duckdb.connect(str(root / "recorder.duckdb")) as connection:
        made.clear(connection)
        made.fill(connection, {**record, "ledger": made.ledger(record)})
    orders = world["orders"]

    def strategy(event: Any, as_of: Any) -> list[Order]:
        return [Order(**orders[event.seq][1])] if event.seq < len(orders) else []

    delay = timedelta(milliseconds=world["order_ms"])
    market = Market(
        Latency(timedelta(), delay), Costs(*world["costs"]), tuple(world["kinds"]),
        timedelta(seconds=world["patience"]),
    )  # fmt: skip
    return backtest.run(strategy, data_dir=root, tables=["alerts"], market=market)


def expected(world: dict[str, Any]) -> bookkeeper.Books:
    record = record_of(world)
    moments = [row["recv_ns"] for rows in record.values() for row in rows]
    tickets = []
    decided = sorted(enumerate(world["orders"]), key=lambda each: (each[1][0], each[0]))
    for number, (_, (at, sent_with)) in enumerate(decided):
        now = T0 + at * SECOND // 2
        sent = now + sent_with["after"] // timedelta(microseconds=1) * 1000
        tickets.append(
            Ticket(number, now, sent + world["order_ms"] * 1_000_000, sent_with.get("side"),
                   sent_with["symbol"], sent_with.get("quantity"), sent_with.get("usd"),
                   sent_with.get("close", False))
        )  # fmt: skip
    return bookkeeper.run(record, tickets, {
        "kinds": list(world["kinds"]), "patience": world["patience"] * SECOND,
        "fee": world["costs"][0] / 1e4, "slip": world["costs"][1] / 1e4, "capital": 10_000.0,
        "since": min(moments), "until": max(moments) + 1,
    })  # fmt: skip


@settings(max_examples=made.RECORDS)
@given(worlds())
def test_fills_money_and_drawdown_are_the_bookkeepers(root: Path, world: dict[str, Any]) -> None:
    found, books = product(root, world), expected(world)
    deals = [(d.row["recv_ns"], d.row["symbol"], d.side, d.row["kind"]) for d in books.deals]
    fills = found.fills.to_pylist()
    assert [(f["recv_ns"], f["symbol"], f["side"], f["price_kind"]) for f in fills] == deals
    for fill, deal in zip(fills, books.deals, strict=True):
        assert fill["quantity"] == pytest.approx(deal.coins)
        assert fill["price"] == pytest.approx(deal.paid_price)
        assert fill["fee_usd"] == pytest.approx(deal.fee)
    assert sorted(found.missed["reason"].to_pylist()) == sorted(why for _, why in books.missed)
    paid = [(row["at_ns"], row["symbol"], row["usd"]) for row in found.funding.to_pylist()]
    assert sorted(p[:2] for p in paid) == sorted(p[:2] for p in books.funding)
    assert sum(p[2] for p in paid) == pytest.approx(sum(p[2] for p in books.funding))
    close = {"rel": 1e-9, "abs": 1e-6}
    assert found.profit_usd == pytest.approx(books.final - 10_000, **close)
    assert found.drawdown_usd == pytest.approx(books.deepest, **close)
    assert found.course.lowest_usd == pytest.approx(books.lowest, **close)
