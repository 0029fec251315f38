"""What happened around events: windows, cascades, clusters, reactions, extremes, changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recorder.answers import canned
from recorder.errors import UsageError

from .rows import DAY, HOUR, MINUTE, SECOND, START, Connection, ask, connected, gap, put


def price(connection: Connection, at: int, value: float, **more: Any) -> None:
    put(connection, "prices", at, **({"kind": "last", "price": value} | more))


# --- symbols ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "asset"),
    [
        ("BTCUSDT", "BTC"),
        ("BTC-USDT-SWAP", "BTC"),
        ("kPEPE", "PEPE"),
        ("TUSDUSDT", "TUSD"),
        ("BTCEUR", "BTCEUR"),
        ("BTC-27DEC30", "BTC-27DEC30"),
        ("'); DROP TABLE prices; --", "'); DROP TABLE PRICES; --"),
        ("", ""),
        (None, None),
    ],
)
def test_a_symbol_has_an_asset(database: Connection, symbol: str | None, asset: str) -> None:
    found = database.execute("SELECT asset_of($symbol)", {"symbol": symbol}).fetchall()
    assert found == [(asset,)]


# --- cover -----------------------------------------------------------------------------------


def test_a_feed_is_uncovered_before_its_first_and_after_its_last_sign_of_life(
    database: Connection,
) -> None:
    connected(database, HOUR, 3 * HOUR)
    connected(database, 4 * HOUR, None, last_heard_ns=START + 9 * HOUR, line_group="other group")
    connected(database, None, None)
    gap(database, 3 * HOUR, 4 * HOUR)
    connected(database, 5 * HOUR, 6 * HOUR, line="B")
    gap(database, 5 * HOUR, 6 * HOUR)  # on the other line, the whole of it
    gap(database, 8 * HOUR, None, feed="g")
    sql = "SELECT feed, from_ns, to_ns FROM uncovered() ORDER BY feed, from_ns"
    found = database.sql(sql).fetchall()
    ever = 2**63 - 1
    assert found == [
        ("f", -(2**63), START + HOUR),
        ("f", START + 3 * HOUR, START + 4 * HOUR),
        ("f", START + 9 * HOUR, ever),
        ("g", START + 8 * HOUR, ever),
    ]
    assert len(database.sql("FROM uncovered(feed := 'g')").fetchall()) == 1


# --- event_window ----------------------------------------------------------------------------


def test_the_window_tells_what_came_before_and_after_the_event(database: Connection) -> None:
    at, span = HOUR, 5 * MINUTE
    put(database, "listings", at, ticker="btc", exchange="upbit", feed="news")
    for when, value in ((at - span, 100), (at - span + 1, 90), (at, 80), (at + span, 120)):
        price(database, when, value)
    price(database, at + span + 1, 999)  # beyond the window: not yet known
    for when, usd in (
        (-span - 1, 1000),
        (-span, 1),
        (-1, 2),
        (0, 10),
        (span, 20),
        (span + 1, 1000),
    ):
        put(database, "liquidations", at + when, symbol="BTC-USDT-SWAP", notional_usd=float(usd))
    put(database, "liquidations", at - 1, symbol="BTCUSDT", notional_usd=None, exchange="okx")
    put(database, "liquidations", at, symbol="ETHUSDT", notional_usd=5.0)
    put(database, "liquidations", at, symbol="BTCUSDT", notional_usd=5.0, backfill=True)
    put(database, "whales", at + 1, asset="BTC", symbol=None, notional_usd=7.0)
    put(database, "funding", at - 2, rate=0.1)
    put(database, "funding", at + 2, rate=0.2)
    [row] = ask(database, "event_window")
    assert (row["symbol"], row["asset"], row["feed"]) == ("btc", "BTC", "news")
    assert (row["price_exchange"], row["price_symbol"], row["price_kind"]) == (
        "binance",
        "BTCUSDT",
        "last",
    )
    assert (row["price_before"], row["price"], row["price_after"]) == (100.0, 80.0, 120.0)
    assert (row["change_before_pct"], row["change_after_pct"]) == pytest.approx((-20.0, 50.0))
    assert (row["liquidations_before"], row["liquidated_usd_before"]) == (3, 3.0)
    assert (row["liquidations_after"], row["liquidated_usd_after"]) == (2, 30.0)
    assert (row["whales_before"], row["whale_usd_before"]) == (0, None)
    assert (row["whales_after"], row["whale_usd_after"]) == (1, 7.0)
    assert (row["funding_symbol"], row["funding"], row["funding_after"]) == ("BTCUSDT", 0.1, 0.2)
    assert (row["gap"], row["gap_feeds"]) == (False, None)
    [wide] = ask(database, "event_window", span="5.001 minutes")
    assert (wide["liquidations_before"], wide["liquidations_after"]) == (4, 3)


def test_an_event_is_not_in_its_own_window(database: Connection) -> None:
    for item in (0, 1):  # one frame, two liquidations at the same instant
        put(database, "liquidations", HOUR, item=item, notional_usd=5.0)
    rows = ask(database, "event_window", kind="liquidations")
    assert [(r["item"], r["liquidations_after"], r["liquidated_usd_after"]) for r in rows] == [
        (1, 1, 5.0),
        (0, 1, 5.0),
    ]
    put(database, "whales", HOUR, asset="BTC", notional_usd=1.0)
    [whale] = ask(database, "event_window", kind="whales")
    assert (whale["whales_after"], whale["liquidations_after"]) == (0, 2)


def test_the_price_is_the_event_s_own_instrument_before_any_other(database: Connection) -> None:
    put(database, "liquidations", HOUR, exchange="okx", symbol="BTC-USDT-SWAP")
    price(database, HOUR - 1, 1.0, exchange="binance", symbol="BTCUSDT")
    price(database, HOUR - 1, 2.0, exchange="okx", symbol="BTC-USD-SWAP")
    assert ask(database, "event_window", kind="liquidations")[0]["price"] == 2.0
    price(database, HOUR - 1, 3.0, exchange="okx", symbol="BTC-USDT-SWAP", kind="mark")
    assert ask(database, "event_window", kind="liquidations")[0]["price"] == 3.0
    price(database, HOUR - 1, 4.0, exchange="okx", symbol="BTC-USDT-SWAP", kind="last")
    assert ask(database, "event_window", kind="liquidations")[0]["price"] == 4.0


@pytest.mark.parametrize(
    "stale",
    [
        {"at": HOUR - 11 * MINUTE},  # received too long ago
        {"at": HOUR, "event_ns": START},  # a past trade, sent after a subscription
        {"at": HOUR, "price": float("nan")},
    ],
)
def test_a_stale_price_is_unknown(database: Connection, stale: dict[str, Any]) -> None:
    put(database, "liquidations", HOUR)
    put(database, "prices", stale.pop("at"), **({"kind": "last", "price": 1.0} | stale))
    [row] = ask(database, "event_window", kind="liquidations")
    assert row["price"] is None


def test_a_window_over_a_gap_says_so(database: Connection) -> None:
    connected(database, 0, 10 * HOUR)
    connected(database, 0, 10 * HOUR, feed="other")
    gap(database, 60 * MINUTE, 65 * MINUTE, feed="other")
    put(database, "prices", 0, feed="other", kind="last", price=1.0)
    for at in (55 * MINUTE, 56 * MINUTE, 70 * MINUTE, 70 * MINUTE - 1, 10 * HOUR - 1):
        put(database, "liquidations", at)
    rows = ask(database, "event_window", kind="liquidations")
    # The window ends where the gap begins, or begins where it ends: nothing is missing.
    assert [(r["seq"], r["gap"], r["gap_feeds"]) for r in rows] == [
        (10 * HOUR - 1, True, "f, other"),  # the record ends within the window
        (70 * MINUTE, False, None),
        (70 * MINUTE - 1, True, "other"),
        (56 * MINUTE, True, "other"),
        (55 * MINUTE, False, None),
    ]


def test_a_kind_that_is_none_is_refused(database: Connection) -> None:
    put(database, "flows", 0, asset="BTC")
    assert len(ask(database, "event_window", kind="flows")) == 1
    with pytest.raises(UsageError, match="kind is one of: whales"):
        ask(database, "event_window", kind="prices")


# --- liquidation_cascades --------------------------------------------------------------------


def liquidate(connection: Connection, at: int, usd: float | None, **more: Any) -> None:
    put(connection, "liquidations", at, **({"notional_usd": usd, "position_side": "long"} | more))


def test_a_cascade_ends_where_the_pause_is_longer(database: Connection) -> None:
    for seconds in (0, 10, 20, 30, 40, 51, 61):  # the pause from 40 to 51 is 1 s too long
        liquidate(database, seconds * SECOND, 10.0)
    liquidate(database, 41 * SECOND, 10.0, exchange="okx")  # another venue's is no part of it
    liquidate(database, 45 * SECOND, 10.0, backfill=True)
    rows = ask(database, "liquidation_cascades", min_count="2")
    assert [(r["start_time"], r["count"], r["duration_seconds"]) for r in rows] == [
        (DAY, 5, 40.0),
        (DAY + timedelta(seconds=51), 2, 10.0),
    ]
    assert (rows[0]["end_time"], rows[0]["side"]) == (DAY + timedelta(seconds=40), "long")
    assert (rows[0]["connection"], rows[0]["seq"]) == ("one", 0)
    [one] = ask(database, "liquidation_cascades", max_pause="11 seconds")
    assert (one["count"], one["notional_usd"]) == (7, 70.0)
    assert ask(database, "liquidation_cascades", max_pause="11 s", min_usd="71") == []


def test_a_cascade_tells_both_sides_and_what_has_no_value(database: Connection) -> None:
    for at, (side, usd) in enumerate((("long", 5.0), ("short", 3.0), ("long", None), (None, 1.0))):
        liquidate(database, at, usd, position_side=side)
    [row] = ask(database, "liquidation_cascades", min_count="4")
    assert (row["side"], row["notional_usd"], row["without_usd"]) == ("mixed", 9.0, 1)
    assert (row["long_usd"], row["short_usd"]) == (5.0, 3.0)
    for at in range(4):
        liquidate(database, HOUR + at, None, position_side=None)
    unknown = ask(database, "liquidation_cascades", min_count="4")[1]
    assert (unknown["side"], unknown["notional_usd"], unknown["long_usd"]) == (
        "unknown",
        None,
        None,
    )


def test_a_cascade_s_price_is_known_before_it_and_by_its_end(database: Connection) -> None:
    for at in (HOUR, HOUR + 8 * SECOND):
        liquidate(database, at, 1.0)
    for at, value in ((-2, 200.0), (-1, 100.0), (0, 95.0), (8 * SECOND, 90.0)):
        price(database, HOUR + at, value)
    price(database, HOUR + 8 * SECOND + 1, 10.0)  # after its end: look-ahead
    price(database, HOUR + 1, 1.0, exchange="okx")
    price(database, HOUR - 1, 7.0, kind="index")
    [row] = ask(database, "liquidation_cascades", min_count="2")
    assert (row["price_kind"], row["price_before"], row["price_after"]) == ("last", 100.0, 90.0)
    assert row["change_pct"] == pytest.approx(-10.0)
    [row] = ask(database, "liquidation_cascades", min_count="2", max_age="0 s")
    assert (row["price_before"], row["price_after"], row["change_pct"]) == (None, 90.0, None)


def test_a_cascade_beside_a_gap_may_have_been_longer(database: Connection) -> None:
    connected(database, 0, 10 * HOUR)
    gap(database, HOUR + 30 * SECOND, HOUR + 40 * SECOND)
    for at in (HOUR, HOUR + 20 * SECOND, HOUR + 21 * SECOND):  # ends 10 s and 9 s before the gap
        liquidate(database, at, 1.0, symbol="A")
        liquidate(database, min(at, HOUR + 20 * SECOND), 1.0, symbol="B")
    found = {r["symbol"]: r["gap"] for r in ask(database, "liquidation_cascades", min_count="2")}
    assert found == {"A": True, "B": False}


# --- whale_clusters --------------------------------------------------------------------------


def whale(connection: Connection, at: int, wallet: str | None, **more: Any) -> None:
    row = {"kind": "position", "asset": "BTC", "side": "long", "wallet": wallet, "action": "open"}
    put(connection, "whales", at, **(row | {"notional_usd": 10.0} | more))


def test_whales_within_one_span_are_a_cluster(database: Connection) -> None:
    for minute, wallet in ((0, "a"), (4, "b"), (5, "c"), (9, "a"), (20, "d"), (21, "e")):
        whale(database, minute * MINUTE, wallet)
    whale(database, 3 * MINUTE, "z", side="short")
    whale(database, 3 * MINUTE, "z", asset="ETH")
    whale(database, 3 * MINUTE, "z", backfill=True)
    [row] = ask(database, "whale_clusters")
    # 0, 4, 5 lie within five minutes, and so do 4, 5, 9; 20 and 21 are but two.
    assert (row["start_time"], row["end_time"]) == (DAY, DAY + timedelta(minutes=9))
    assert (row["asset"], row["side"], row["kind"]) == ("BTC", "long", "position")
    assert (row["moves"], row["whales"], row["unnamed"]) == (4, 3, 0)
    assert (row["notional_usd"], row["actions"], row["exchanges"]) == (40.0, "open 4", "binance")
    assert ask(database, "whale_clusters", span="4.99 minutes") == []
    assert len(ask(database, "whale_clusters", min_whales="2")) == 2


def test_one_whale_that_moves_often_is_no_cluster(database: Connection) -> None:
    for second in range(5):
        whale(database, second * SECOND, "a")
    assert ask(database, "whale_clusters") == []
    whale(database, 5 * SECOND, None, notional_usd=None)
    whale(database, 6 * SECOND, None, action=None, exchange="okx")
    [row] = ask(database, "whale_clusters")
    assert (row["whales"], row["unnamed"], row["moves"]) == (1, 2, 7)
    assert (row["without_usd"], row["exchanges"], row["actions"]) == (1, "binance, okx", "open 6")


def test_a_trade_s_whale_is_who_took_its_side(database: Connection) -> None:
    for at, buyer in enumerate(("a", "b", "b", "c")):
        whale(database, at, None, kind="trade", side="buy", buyer=buyer, seller="maker")
    [row] = ask(database, "whale_clusters")
    assert (row["whales"], row["unnamed"]) == (3, 0)
    whale(database, 4, None, kind="trade", side=None)
    assert len(ask(database, "whale_clusters")) == 1


def test_a_cluster_near_a_gap_says_so(database: Connection) -> None:
    connected(database, 0, 10 * HOUR)
    gap(database, HOUR, HOUR + 1)
    for wallet in "abc":
        whale(database, 55 * MINUTE, wallet)
        whale(database, 56 * MINUTE, wallet, asset="ETH")
    found = {row["asset"]: row["gap"] for row in ask(database, "whale_clusters")}
    assert found == {"BTC": False, "ETH": True}


# --- listing_reaction ------------------------------------------------------------------------


def test_the_price_after_a_listing_is_as_of_each_horizon(database: Connection) -> None:
    put(database, "listings", HOUR, ticker="FOO", exchange="upbit", feed="news", seq=7)
    symbol = {"symbol": "FOO-USDT-SWAP", "exchange": "okx"}
    price(database, HOUR - SECOND, 50.0, **symbol)
    price(database, HOUR, 100.0, **symbol)  # received with the announcement: known
    price(database, HOUR + SECOND, 110.0, **symbol)  # at the horizon exactly: known
    price(database, HOUR + SECOND + 1, 500.0, **symbol)
    price(database, HOUR + 50 * SECOND, 90.0, **symbol)
    rows = ask(database, "listing_reaction")
    assert {(r["price_exchange"], r["price_symbol"], r["price_kind"]) for r in rows} == {
        ("okx", "FOO-USDT-SWAP", "last")
    }
    assert {(r["base_price"], r["base_age_seconds"], r["seq"]) for r in rows} == {(100.0, 0.0, 7)}
    found = [(r["horizon_seconds"], r["price"], r["price_age_seconds"]) for r in rows]
    assert found == [
        (1.0, 110.0, 0.0),
        (10.0, 500.0, pytest.approx(9.0)),
        (60.0, 90.0, 10.0),
        (300.0, None, None),  # the last price is older than a minute by then
        (3600.0, None, None),
    ]
    assert [r["change_pct"] for r in rows[:3]] == pytest.approx([10.0, 400.0, -10.0])
    [row] = ask(database, "listing_reaction", horizons="[5 minutes]", max_age="5 minutes")
    assert (row["price"], row["price_age_seconds"]) == (90.0, 250.0)


def test_every_instrument_of_the_ticker_is_shown_by_its_name(database: Connection) -> None:
    put(database, "listings", HOUR, ticker="pepe")
    for exchange, symbol in (
        ("binance", "1000PEPEUSDT"),
        ("hyperliquid", "kPEPE"),
        ("okx", "PEPE-USDC-SWAP"),
        ("upbit", "KRW-PEPE"),  # in won: no dollar price
        ("okx", "PEPE2-USDT"),
    ):
        price(database, HOUR, 1.0, exchange=exchange, symbol=symbol)
    rows = ask(database, "listing_reaction", horizons="[1 second]")
    assert [(r["price_exchange"], r["price_symbol"]) for r in rows] == [
        ("binance", "1000PEPEUSDT"),
        ("hyperliquid", "kPEPE"),
        ("okx", "PEPE-USDC-SWAP"),
    ]
    assert len(ask(database, "listing_reaction", price_exchange="OKX", horizons="[1 s]")) == 1


def test_a_ticker_without_a_recorded_instrument_says_so(database: Connection) -> None:
    put(database, "listings", HOUR, ticker="BAR")
    put(database, "listings", HOUR, ticker=None)
    put(database, "listings", HOUR, ticker="FOO", backfill=True)
    price(database, HOUR, 1.0, symbol="FOOUSDT")
    [row] = ask(database, "listing_reaction")
    assert (row["ticker"], row["price_symbol"], row["horizon_seconds"], row["gap"]) == (
        "BAR",
        None,
        None,
        None,
    )


def test_a_pair_first_traded_after_its_listing_has_no_base(database: Connection) -> None:
    put(database, "listings", HOUR, ticker="FOO")
    price(database, HOUR + 30 * SECOND, 5.0, symbol="FOOUSDT", kind="mark")
    rows = ask(database, "listing_reaction", horizons="[10 seconds, 1 minute]")
    assert [(r["base_price"], r["price"], r["change_pct"]) for r in rows] == [
        (None, None, None),
        (None, 5.0, None),
    ]
    assert rows[1]["price_kind"] == "mark"


def test_prices_of_one_frame_are_read_in_its_order(database: Connection) -> None:
    put(database, "listings", HOUR, ticker="FOO")
    for item, value in ((1, 2.0), (0, 1.0), (2, 3.0)):
        price(database, HOUR, value, symbol="FOOUSDT", item=item)
        price(database, HOUR, 9.0, symbol="FOOUSDT", kind="index", item=item)
    [row] = ask(database, "listing_reaction", horizons="[1 second]")
    assert (row["price_kind"], row["base_price"]) == ("last", 3.0)


def test_a_gap_of_the_price_s_feed_shows_at_the_horizons_behind_it(database: Connection) -> None:
    connected(database, 0, 10 * HOUR, feed="quotes")
    gap(database, HOUR + 5 * SECOND, HOUR + 20 * SECOND, feed="quotes")
    put(database, "listings", HOUR, ticker="FOO", feed="news")
    price(database, HOUR, 1.0, symbol="FOOUSDT", feed="quotes")
    rows = ask(database, "listing_reaction", horizons="[1 second, 5 seconds, 1 minute]")
    assert [row["gap"] for row in rows] == [False, False, True]


# --- funding_extremes ------------------------------------------------------------------------


def test_a_rate_is_measured_against_its_own_past(database: Connection) -> None:
    for at, rate in enumerate((1.0, 3.0, 1.0, 3.0, 5.0)):
        put(database, "funding", at * HOUR, rate=rate, interval_hours=8.0)
        put(database, "funding", at * HOUR, rate=2.0, symbol="FLAT")
    put(database, "funding", 9 * HOUR, rate=99.0, backfill=True)
    put(database, "funding", 9 * HOUR, rate=None)
    put(database, "funding", 9 * HOUR, rate=float("nan"))
    extreme, flat = ask(database, "funding_extremes", min_count="4")
    # Before it 1, 3, 1, 3: mean 2, sample standard deviation sqrt(4/3); (5 - 2) / sqrt(4/3).
    assert (extreme["rate"], extreme["mean"], extreme["count"]) == (5.0, 2.0 / 8, 4)
    assert extreme["stddev"] == pytest.approx((4 / 3) ** 0.5 / 8)
    assert extreme["z"] == pytest.approx(3 / (4 / 3) ** 0.5)
    assert (extreme["below"], extreme["annualised"]) == (1.0, 5.0 * 3 * 365)
    assert (extreme["min"], extreme["min_time"]) == (1.0 / 8, DAY)
    assert (extreme["max"], extreme["max_time"]) == (5.0 / 8, DAY + timedelta(hours=4))
    assert (flat["symbol"], flat["z"], flat["below"], flat["annualised"]) == ("FLAT", None, 0, None)
    assert ask(database, "funding_extremes")[0]["z"] is None  # four are too few
    [early] = ask(database, "funding_extremes", until="2026-01-01T03:30Z", symbol="btcusdt")
    assert (early["rate"], early["count"], early["below"]) == (3.0, 3, pytest.approx(2 / 3))


def test_a_single_rate_has_no_past(database: Connection) -> None:
    put(database, "funding", 0, rate=0.5)
    [row] = ask(database, "funding_extremes", min_count="0")
    assert (row["rate"], row["count"], row["mean"], row["z"], row["below"]) == (
        0.5,
        0,
        None,
        None,
        None,
    )


def test_a_gap_in_the_rate_s_history_shows(database: Connection) -> None:
    connected(database, 0, 10 * HOUR)
    gap(database, 2 * HOUR, 3 * HOUR)
    for at in (HOUR, 2 * HOUR):
        put(database, "funding", at, rate=1.0, symbol="EARLY")
        put(database, "funding", at + HOUR // 2, rate=1.0, symbol="ACROSS")
    found = {row["symbol"]: row["gap"] for row in ask(database, "funding_extremes")}
    assert found == {"EARLY": False, "ACROSS": True}


# --- open_interest_changes -------------------------------------------------------------------


def interest(connection: Connection, at: int, value: float | None, **more: Any) -> None:
    put(connection, "open_interest", at, open_interest=value, **more)


def test_open_interest_is_compared_with_what_was_known_a_period_ago(database: Connection) -> None:
    interest(database, 0, 50.0)
    interest(database, HOUR, 100.0)  # exactly a period before the latest
    interest(database, HOUR + 1, 500.0)
    interest(database, 2 * HOUR, 130.0, change_pct=1.5, seq=9)
    interest(database, 3 * HOUR, 999.0, backfill=True)
    price(database, HOUR, 10.0)
    price(database, 2 * HOUR, 9.0)
    price(database, 2 * HOUR + 1, 1.0)
    [row] = ask(database, "open_interest_changes")
    assert (row["open_interest"], row["earlier"], row["seq"]) == (130.0, 100.0, 9)
    assert row["change_pct"] == pytest.approx(30.0)
    assert row["feed_change_pct"] == 1.5
    assert (row["price_kind"], row["price_change_pct"]) == ("last", pytest.approx(-10.0))
    [row] = ask(database, "open_interest_changes", period="2 hours")
    assert row["change_pct"] == pytest.approx(160.0)
    [row] = ask(database, "open_interest_changes", until="2026-01-01T02:00Z")
    assert (row["open_interest"], row["earlier"]) == (500.0, 50.0)


def test_without_an_earlier_observation_the_change_is_unknown(database: Connection) -> None:
    interest(database, 10 * HOUR, 1.0, exchange="okx")
    interest(database, 0, 1.0)
    interest(database, 10 * HOUR, 3.0)  # the one before is ten hours old
    interest(database, 0, 0.0, exchange="bybit", open_interest_usd=50.0)
    interest(database, HOUR, None, exchange="bybit", open_interest_usd=100.0)
    rows = ask(database, "open_interest_changes")
    assert [(r["exchange"], r["change_pct"], r["price_kind"]) for r in rows] == [
        ("bybit", pytest.approx(100.0), None),
        ("binance", None, None),
        ("okx", None, None),
    ]
    assert rows[1]["earlier_time"] is None


def test_a_gap_between_the_two_observations_shows(database: Connection) -> None:
    connected(database, 0, 10 * HOUR)
    gap(database, HOUR + MINUTE, HOUR + 2 * MINUTE)
    for minutes, symbol in ((0, "BEFORE"), (60, "BEFORE"), (30, "ACROSS"), (90, "ACROSS")):
        interest(database, minutes * MINUTE, 1.0, symbol=symbol)
    found = {row["symbol"]: row["gap"] for row in ask(database, "open_interest_changes")}
    assert found == {"BEFORE": False, "ACROSS": True}


# --- hostile names ---------------------------------------------------------------------------

NAME = "\x1b[31m'); DROP TABLE prices; --\"🐋{}%"


@pytest.mark.parametrize(
    ("query", "given"),
    [
        ("event_window", {"kind": "liquidations"}),
        ("liquidation_cascades", {"min_count": "1"}),
        ("whale_clusters", {"min_whales": "1"}),
        ("listing_reaction", {"horizons": "[1 second]"}),
        ("funding_extremes", {}),
        ("open_interest_changes", {}),
        ("slowest_frames", {}),
    ],
)
def test_a_hostile_name_is_but_a_name(
    database: Connection, query: str, given: dict[str, str]
) -> None:
    own = {"symbol": NAME, "exchange": NAME, "channel": NAME, "feed": NAME}
    put(database, "liquidations", 1, **own, notional_usd=1.0)
    put(database, "whales", 1, **own, asset=NAME, action=NAME)
    put(database, "listings", 1, **own, ticker=NAME)
    put(database, "funding", 1, **own, rate=0.1)
    put(database, "open_interest", 1, **own, open_interest=1.0)
    put(database, "prices", 0, **own, kind="last", price=1.0)
    put(database, "latency", 0, **own, total_ns=1)
    canned.install_macros(database)
    [row] = ask(database, query, **given)
    assert NAME in row.values()
    arguments = ", ".join(f"{key} := '{value}'" for key, value in given.items())
    assert database.sql(f"FROM {query}({arguments})").to_arrow_table().to_pylist() == [row]
