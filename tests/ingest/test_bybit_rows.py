"""What Bybit sends ends as the right rows; its changes are understood per connection."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.recordings import lines, shared
from kit.records import Record, assert_same
from kit.rows import TRADED, Bench

from recorder.clock import NS, ulid
from recorder.frame import Frame
from recorder.schema.tables import TABLES

T0_MS = T0 // MS

LIQUIDATIONS = (
    '{"topic":"allLiquidation.BTCUSDT","type":"snapshot","ts":1791565601482,"data":['
    '{"T":1791565600992,"s":"BTCUSDT","S":"Buy","v":"0.006","p":"82396.90"},'
    '{"T":1791565601058,"s":"BTCUSDT","S":"Sell","v":"0.038","p":"82394.30"}]}'
)
TRADES = (
    '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":['
    '{"T":1672304486865,"s":"BTCUSDT","S":"Buy","v":"2","p":"50000.00","L":"PlusTick",'
    '"i":"20f43950-d8dd","BT":false},'
    '{"T":1672304486866,"s":"BTCUSDT","S":"Sell","v":"1.5","p":"50000.00","i":"20f43951","BT":true}]}'
)
OLD_TRADE = (
    '{"topic":"trade.BTCUSD","data":[{"trade_time_ms":1618677786614,'
    '"timestamp":"2021-04-17T16:43:06.000Z","symbol":"BTCUSD","side":"Sell","size":4,'
    '"price":60621.5,"tick_direction":"PlusTick","trade_id":"5ffb8b77","cross_seq":5938955347}]}'
)
BOOK = (
    '{"topic":"orderbook.50.AAPLUSDT","type":"delta","ts":1790134716101,"data":{"s":"AAPLUSDT",'
    '"b":[["340.82","3.37"]],"a":[],"u":29443257,"seq":301632783305},"cts":1790134716094}'
)
SUBSCRIBED = '{"success":true,"ret_msg":"","conn_id":"c-2xh","req_id":"a","op":"subscribe"}'
PONGS = [
    '{"success":true,"ret_msg":"pong","conn_id":"x","req_id":"","op":"ping"}',
    '{"args":["1672916271846"],"op":"pong"}',
]


def ticker(kind: str, ts: int = T0_MS, symbol: str = "BTCUSDT", **data: str) -> str:
    told = {"topic": f"tickers.{symbol}", "type": kind, "data": {"symbol": symbol, **data}}
    return json.dumps({**told, "cs": 820163808303, "ts": ts})


SNAPSHOT = ticker(
    "snapshot",
    lastPrice="17216.00",
    markPrice="17217.33",
    indexPrice="17227.36",
    openInterest="68744.761",
    openInterestValue="1183601235.91",
    nextFundingTime=str(T0_MS + 3_600_000),
    fundingRate="-0.000212",
    fundingIntervalHour="8",
)
DELTA = ticker("delta", T0_MS + 100, markPrice="17218.00", fundingRate="-0.000213")

#: One of each kind, for tests that change them at random.
FRAMES = [LIQUIDATIONS, TRADES, OLD_TRADE, BOOK, SNAPSHOT, DELTA, SUBSCRIBED, *PONGS]

COMMON = ("channel", "exchange", "symbol", "event_ns", "connection", "seq", "item")
LIQUIDATION = (
    *COMMON, "position_side", "raw_side", "price", "price_kind", "quantity", "quantity_unit",
    "notional_usd", "backfill",
)  # fmt: skip
FUNDING = (
    *COMMON, "rate", "interval_hours", "predicted_rate", "next_funding_ns", "mark_price",
    "index_price", "backfill", "extra",
)  # fmt: skip
WHALE = (
    *COMMON, "kind", "wallet", "buyer", "seller", "asset", "action", "side", "price", "quantity",
    "notional_usd", "tx", "backfill", "extra",
)  # fmt: skip
INTEREST = ("seq", "symbol", "open_interest", "open_interest_usd", "extra", "backfill")
STATE = ("seq", "rate", "interval_hours", "next_funding_ns", "mark_price", "index_price")


def common(channel: str, event_ms: int | None, seq: int, item: int = 0) -> tuple[Any, ...]:
    event_ns = None if event_ms is None else event_ms * MS
    return (channel, "bybit", channel.rpartition(".")[2], event_ns, CONNECTION, seq, item)


def listed(seq: int, *instruments: dict[str, Any], at: int = T0) -> Frame:
    return marker(seq, "instruments", at, exchange="bybit", instruments=list(instruments))


# -- liquidations


def test_the_side_is_the_position_s_and_the_price_its_bankruptcy(bench: Bench) -> None:
    bench.take("bybit", frames_of([LIQUIDATIONS]))
    channel = "allLiquidation.BTCUSDT"
    assert bench.rows("liquidations", *LIQUIDATION) == [
        (
            *common(channel, 1791565600992, 0),
            *("long", "Buy", 82396.90, "bankruptcy", 0.006, "base", pytest.approx(494.3814), False),
        ),
        (
            *common(channel, 1791565601058, 0, 1),
            *("short", "Sell", 82394.30, "bankruptcy", 0.038, "base"),
            *(pytest.approx(3130.9834), False),
        ),
    ]


@pytest.mark.parametrize(
    ("symbol", "unit", "notional"),
    [
        ("BTCPERP", "base", 200.0),
        ("BTC-24MAR23", "base", 200.0),
        ("BTCUSDT-07FEB25", "base", 200.0),
        ("1000PEPEUSDT", "base", 200.0),
        ("BTCUSD", "usd", 2.0),
        ("BTCUSDH26", "usd", 2.0),
        ("ETHBTC", None, None),
        ("BTC-27MAR26-70000-P-USDT", None, None),
        ("", None, None),
    ],
)
def test_without_a_list_of_instruments_the_unit_is_only_what_the_spelling_says(
    bench: Bench, symbol: str, unit: str | None, notional: float | None
) -> None:
    payload = LIQUIDATIONS.replace("BTCUSDT", symbol).replace('"0.006"', '"2"')
    bench.take("bybit", frames_of([payload.replace('"82396.90"', '"100"')]))
    columns = ("quantity", "quantity_unit", "notional_usd")
    assert bench.rows("liquidations", *columns)[0] == (2.0, unit, notional)


def test_listed_inverse_contracts_are_dollars(bench: Bench) -> None:
    inverse = {"symbol": "BTCUSD", "contract_size": 1.0, "contract_unit": "usd"}
    payload = LIQUIDATIONS.replace("BTCUSDT", "BTCUSD").replace('"0.006"', '"500"')
    trade = TRADES.replace("BTCUSDT", "BTCUSD").replace('"v":"2"', '"v":"200000"')
    bench.take("bybit", [listed(0, inverse), *frames_of([payload, trade], first_seq=1)])
    columns = ("quantity", "quantity_unit", "notional_usd")
    assert bench.rows("liquidations", *columns)[0] == (500.0, "usd", 500.0)
    assert bench.rows("whales", "asset", "quantity", "notional_usd") == [("BTC", 4.0, 200_000.0)]
    assert bench.rows("prices", *TRADED) == [
        (4.0, "base", 200_000.0, "buy", "20f43950-d8dd"),
        (0.00003, "base", 1.5, "sell", "20f43951"),
    ]


def test_empty_and_odd_values_are_null(bench: Bench) -> None:
    odd = LIQUIDATIONS.replace('"0.006"', '""').replace('"82396.90"', '"NaN"')
    bench.take("bybit", frames_of([odd.replace("1791565600992", "0").replace('"Buy"', '"Auto"')]))
    assert bench.rows("liquidations", *LIQUIDATION[7:], "event_ns")[0] == (
        *(None, "Auto", None, None, None, None, None, False, None),
    )


def test_a_past_event_is_marked_and_is_one_row_however_often_it_comes(record: Record) -> None:
    opened = 1791565601000 * MS  # between the two liquidations
    frames = [marker(0, "open", opened, line="A", group="liquidations")]
    frames += frames_of([LIQUIDATIONS], first_seq=1, recv_ns=opened + 600 * MS)
    again = ulid(opened + NS, bytes([2] * 10))
    frames += [marker(0, "open", opened + NS, again, line="A", group="liquidations")]
    later = LIQUIDATIONS.replace("1791565601482", "1791565602482")
    frames += frames_of([later], first_seq=1, recv_ns=opened + 2 * NS, connection=again)
    record.take("bybit", frames)
    assert record.rows("liquidations", "connection", "item", "backfill") == [
        (CONNECTION, 0, True),
        (CONNECTION, 1, False),
    ]
    # The frame's own time aside, the second is a copy.
    assert record.rows("latency", "connection", "backfill") == [(CONNECTION, False)]


# -- trades


def test_a_trade_at_the_threshold_is_a_whale_and_every_trade_a_price(bench: Bench) -> None:
    bench.take("bybit", frames_of([TRADES]), whale_usd=100_000.0)
    assert bench.rows("whales", *WHALE) == [
        (
            *common("publicTrade.BTCUSDT", 1672304486865, 0),
            *("trade", None, None, None, "BTC", None, "buy", 50000.0, 2.0, 100_000.0),
            *("20f43950-d8dd", False, None),
        )
    ]
    assert bench.rows("prices", *COMMON, "kind", "price", *TRADED) == [
        (
            *(*common("publicTrade.BTCUSDT", 1672304486865, 0), "last", 50000.0),
            *(2.0, "base", 100_000.0, "buy", "20f43950-d8dd"),
        ),
        (
            *(*common("publicTrade.BTCUSDT", 1672304486866, 0, 1), "last", 50000.0),
            *(1.5, "base", 75_000.0, "sell", "20f43951"),
        ),
    ]


def test_a_block_trade_says_so(bench: Bench) -> None:
    bench.take("bybit", frames_of([TRADES]), whale_usd=1.0)
    assert bench.rows("whales", "side", "extra") == [("buy", None), ("sell", '{"BT": true}')]


def test_an_inverse_trade_without_a_list_is_worth_its_size_in_dollars(bench: Bench) -> None:
    bench.take("bybit", frames_of([OLD_TRADE]), whale_usd=5.0)
    assert bench.places() == {0: ["latency", "prices"]}
    assert bench.rows("prices", *COMMON, "kind", "price", *TRADED) == [
        (
            *(*common("trade.BTCUSD", 1618677786614, 0), "last", 60621.5),
            *(pytest.approx(4 / 60621.5), "base", 4.0, "sell", "5ffb8b77"),
        )
    ]


@pytest.mark.parametrize("symbol", ["ETHBTC", "BTCEUR"])
def test_a_size_of_which_nobody_says_in_what_is_kept_as_sent(bench: Bench, symbol: str) -> None:
    bench.take("bybit", frames_of([TRADES.replace("BTCUSDT", symbol)]))
    assert bench.rows("prices", *TRADED)[0] == (2.0, None, None, "buy", "20f43950-d8dd")


def test_latency_is_that_of_the_newest_event(bench: Bench) -> None:
    sent = 1672304486868 * MS
    bench.take("bybit", frames_of([TRADES, BOOK], recv_ns=[sent + 50 * MS, 1790134716201 * MS]))
    columns = ("channel", "symbol", "event_ns", "dispatch_ns", "total_ns", "network_ns", "backfill")
    assert bench.rows("latency", *columns) == [
        ("publicTrade.BTCUSDT", "BTCUSDT", 1672304486866 * MS, sent, 52 * MS, 50 * MS, False),
        ("orderbook.50.AAPLUSDT", "AAPLUSDT", 1790134716094 * MS, 1790134716101 * MS, 107 * MS,
         100 * MS, False),
    ]  # fmt: skip


# -- tickers


def test_a_snapshot_gives_funding_open_interest_and_three_prices(bench: Bench) -> None:
    bench.take("bybit", frames_of([SNAPSHOT]))
    first = common("tickers.BTCUSDT", T0_MS, 0)
    assert bench.rows("funding", *FUNDING) == [
        (
            *(*first, -0.000212, 8.0, None, T0 + 3600 * NS, 17217.33, 17227.36),
            *(False, None),
        )
    ]
    assert bench.rows("open_interest", *INTEREST) == [
        (0, "BTCUSDT", 68744.761, 1183601235.91, None, False)
    ]
    assert bench.rows("prices", *COMMON, "kind", "price") == [
        (*first, "mark", 17217.33),
        (*first[:-1], 1, "index", 17227.36),
        (*first[:-1], 2, "last", 17216.0),
    ]
    assert bench.rows("latency", "event_ns", "dispatch_ns", "backfill") == [(None, T0, False)]


def test_a_delta_s_rate_comes_with_what_is_known_since_the_snapshot(bench: Bench) -> None:
    bench.take("bybit", frames_of([SNAPSHOT, ticker("delta", markPrice="1"), DELTA]))
    assert bench.rows("funding", *STATE)[1:] == [
        (2, -0.000213, 8.0, T0 + 3600 * NS, 17218.0, 17227.36)
    ]
    assert bench.sql("SELECT seq, kind, price FROM prices WHERE seq > 0 ORDER BY seq") == [
        (1, "mark", 1.0),
        (2, "mark", 17218.0),
    ]


def test_what_was_never_said_on_this_connection_is_null(bench: Bench) -> None:
    other = ulid(T0, bytes([3] * 10))
    frames = frames_of([SNAPSHOT]) + frames_of([DELTA], connection=other, recv_ns=T0 + 7 * MS)
    bench.take("bybit", frames)
    found = bench.sql(f"SELECT {', '.join(STATE)} FROM funding WHERE connection = '{other}'")
    assert found == [(0, -0.000213, None, None, 17218.0, None)]


def test_a_snapshot_forgets_what_was_before_it(bench: Bench) -> None:
    bare = ticker("snapshot", fundingRate="0.0001", openInterest="5")
    bench.take("bybit", frames_of([SNAPSHOT, bare]))
    assert bench.rows("funding", *STATE)[1:] == [(1, 0.0001, None, None, None, None)]
    assert bench.rows("open_interest", *INTEREST)[1:] == [(1, "BTCUSDT", 5.0, None, None, False)]


def test_symbols_do_not_mix(bench: Bench) -> None:
    bench.take("bybit", frames_of([SNAPSHOT, ticker("delta", symbol="ETHUSDT", fundingRate="0")]))
    assert bench.rows("funding", *STATE)[1:] == [(1, 0.0, None, None, None, None)]


def test_an_empty_value_makes_what_was_known_unknown(bench: Bench) -> None:
    emptied = ticker("delta", indexPrice="", fundingRate="0.1", nextFundingTime="0")
    bench.take("bybit", frames_of([SNAPSHOT, emptied]))
    assert bench.rows("funding", *STATE)[1:] == [(1, 0.1, 8.0, None, 17217.33, None)]


def test_a_moment_of_funding_that_is_past_is_not_the_next(bench: Bench) -> None:
    late = ticker("delta", T0_MS + 3_600_000, fundingRate="0.1")
    bench.take("bybit", frames_of([SNAPSHOT, late]))
    assert bench.rows("funding", "next_funding_ns") == [(T0 + 3600 * NS,), (None,)]


def test_a_dated_future_has_no_funding(bench: Bench) -> None:
    future = ticker("snapshot", symbol="BTCUSDT-25DEC26", fundingRate="", fundingIntervalHour="",
                    nextFundingTime="0", markPrice="78210.10", openInterest="120.5",
                    openInterestValue="9424317.05")  # fmt: skip
    bench.take("bybit", frames_of([future]))
    assert bench.places() == {0: ["latency", "open_interest", "prices"]}
    assert bench.rows("open_interest", "open_interest_usd") == [(9424317.05,)]


def test_the_interval_is_the_list_s_where_the_ticker_does_not_say(bench: Bench) -> None:
    facts = {"symbol": "BTCUSDT", "contract_size": 1.0, "contract_unit": "base",
             "funding_interval_hours": 4.0}  # fmt: skip
    bench.take("bybit", [listed(0, facts), *frames_of([DELTA, SNAPSHOT], first_seq=1)])
    assert bench.rows("funding", "interval_hours") == [(4.0,), (8.0,)]


def test_inverse_open_interest_is_dollars_by_the_list_or_the_symbol(bench: Bench) -> None:
    inverse = ticker("snapshot", symbol="BTCUSD", openInterest="462590534",
                     openInterestValue="5518.71", fundingRate="-0.0000392")  # fmt: skip
    facts = {"symbol": "BTCUSD", "contract_size": 1.0, "contract_unit": "usd"}
    frames = frames_of([inverse], first_seq=0)
    frames += [listed(1, facts, at=T0 + MS), *frames_of([inverse], first_seq=2, recv_ns=T0 + NS)]
    bench.take("bybit", frames)
    assert bench.rows("open_interest", "open_interest", "open_interest_usd") == [
        (462590534.0, 462590534.0),
        (462590534.0, 462590534.0),
    ]


def test_open_interest_is_of_one_side_and_both_sides_are_in_extra(bench: Bench) -> None:
    more = {"openInterest": "100000", "openInterestValue": "6000000000",
            "singleOpenInterest": "50000", "singleOpenInterestValue": "3000000000"}  # fmt: skip
    delta = ticker("delta", markPrice="86716.30", openInterestValue="6000000002",
                   singleOpenInterestValue="3000000001")  # fmt: skip
    bench.take("bybit", frames_of([ticker("snapshot", **more), delta]))
    both = '{"openInterest":"100000","openInterestValue":"600000000%d"}'
    columns = ("open_interest", "open_interest_unit", "open_interest_usd", "extra")
    assert bench.rows("open_interest", *columns) == [
        (50_000.0, "base", 3e9, both % 0),
        (50_000.0, "base", 3e9 + 1, both % 2),
    ]


def test_a_block_trade_is_marked(bench: Bench) -> None:
    unmarked = TRADES.replace(',"BT":true', "")
    bench.take("bybit", frames_of([TRADES, unmarked.replace("20f4", "30f4")]))
    assert bench.rows("prices", "off_book") == [(False,), (True,), (False,), (None,)]


def test_a_trade_that_two_connections_bring_in_different_frames_is_one(bench: Bench) -> None:
    one = TRADES.replace("BTCUSDT", "ETHUSDT")
    more = one.replace("20f43951", "20f43952")
    other = ulid(T0 + NS, bytes([2] * 10))
    bench.take("bybit", [*frames_of([one]), *frames_of([more], connection=other, recv_ns=T0 + MS)])
    assert sorted(bench.rows("prices", "trade_id")) == [
        ("20f43950-d8dd",), ("20f43951",), ("20f43952",)
    ]  # fmt: skip


def test_liquidations_of_the_old_topic_are_understood(bench: Bench) -> None:
    old = (
        '{"topic":"liquidation.BTCUSDT","type":"snapshot","ts":1673251091822,"data":{'
        '"updatedTime":1673251091820,"symbol":"BTCUSDT","side":"Buy","size":"0.5","price":"60000"}}'
    )
    bench.take("bybit", frames_of([old, old.replace('"data":{', '"data":7,"x":{')]))
    columns = ("event_ns", "position_side", "quantity", "quantity_unit", "price", "notional_usd")
    assert bench.rows("liquidations", *columns) == [
        (1673251091820 * MS, "long", 0.5, "base", 60000.0, 30000.0)
    ]
    assert bench.rows("rejects", "seq", "reason") == [
        (1, "liquidation.BTCUSDT without a list of events")
    ]


# -- state, wherever a batch ends, whichever line was first

CHANGES = [
    ticker("delta", T0_MS, indexPrice="9"),
    SNAPSHOT,
    ticker("delta", T0_MS + 10, markPrice="2", openInterestValue="7"),
    ticker("snapshot", T0_MS + 15, symbol="ETHUSDT", markPrice="5", fundingIntervalHour="4"),
    DELTA,
    ticker("delta", T0_MS + 20, symbol="ETHUSDT", fundingRate="0.3"),
    ticker("snapshot", T0_MS + 30, fundingRate="0.1", indexPrice="3"),
    ticker("delta", T0_MS + 40, fundingRate="0.2", openInterest="8"),
    LIQUIDATIONS,
]


def test_where_a_batch_ends_does_not_matter(record: Record) -> None:
    frames = [marker(0, "open", T0 - MS, line="A", group="prices")]
    frames += frames_of(CHANGES, first_seq=1)
    record.seal("whole", frames, "bybit")
    for cut in range(1, len(frames)):
        record.seal(f"cut-{cut}", frames[:cut], "bybit")
        record.seal(f"cut-{cut}", frames[cut:], "bybit")
    assert record.ingest(0.0, sql="bybit") == len(frames) ** 2

    def rows(feed: str) -> dict[str, list[Any]]:
        query = "SELECT * EXCLUDE (feed) FROM {} WHERE feed = '{}' ORDER BY ALL"
        return {name: record.sql(query.format(name, feed)) for name in TABLES}

    whole = rows("whole")
    assert [len(whole[name]) for name in ("funding", "open_interest", "rejects")] == [5, 3, 0]
    for cut in range(1, len(frames)):
        assert_same(rows(f"cut-{cut}"), whole)


def test_a_second_line_makes_no_holes_in_what_is_known(record: Record) -> None:
    delta = ticker("delta", T0_MS + 100, fundingRate="0.5")
    lives = []
    for line, first, second in (("A", 1, 90), ("B", 2, 50)):  # B is late, then first
        connection = ulid(T0, bytes([ord(line)] * 10))
        lives += [marker(0, "open", T0, connection, line=line, group="prices")]
        times = [T0 + first * MS, T0 + second * MS]
        lives += frames_of([SNAPSHOT, delta], first_seq=1, recv_ns=times, connection=connection)
    record.take("bybit", sorted(lives, key=lambda frame: frame.recv_ns))
    query = f"SELECT recv_ns - {T0}, rate, mark_price FROM funding ORDER BY recv_ns"
    assert record.sql(query) == [
        (1 * MS, -0.000212, 17217.33),
        (50 * MS, 0.5, 17217.33),
    ]


# -- the rest


def test_answers_and_heartbeats_are_no_events(bench: Bench) -> None:
    refused = '{"success":false,"ret_msg":"error:handler not found,topic:x","op":"subscribe"}'
    bench.take("bybit", frames_of([SUBSCRIBED, refused, *PONGS]))
    assert bench.places() == {}


def test_what_cannot_be_used_is_rejected_in_words(bench: Bench) -> None:
    told = {
        '{"data":{}}': "a message without a topic",
        '{"topic":"publicTrade.BTCUSDT","data":{}}': "publicTrade.BTCUSDT without a list of events",
        '{"topic":"tickers.BTCUSDT","data":{"symbol":"BTCUSDT","bid1Price":"1"}}': "a ticker "
        "without a symbol, or without a time and any value",
        '{"topic":"kline.5.BTCUSDT","data":[]}': "no table for the topic kline.5.BTCUSDT, and it "
        "carries no time",
        '{"topic":"publicTrade.X","data":[7,{"s":"X"}]}': "a trade without a symbol, or without a "
        "number as price or size (the first of 2 wrong items)",
        '{"topic":"allLiquidation.X","data":[{"s":"X"}]}': "a liquidation without a symbol, or "
        "without a side",
    }
    bench.take("bybit", frames_of(list(told)))
    assert bench.rows("rejects", "reason", "payload") == [
        (reason, payload.encode()) for payload, reason in told.items()
    ]


def test_the_captured_frames_end_as_exactly_these_rows(bench: Bench) -> None:
    names = ("public_trade", "subscription_ack", "subscription_failure", "ticker_linear")
    nautilus = [shared(f"nautilus/bybit/nautilus_ws_{name}.json").read_bytes() for name in names]
    bench.take("bybit", frames_of([*lines("captured_2026/bybit_linear.jsonl"), *nautilus]), 100.0)
    columns = ("seq", "item", "symbol", "event_ns", "position_side", "price", "quantity")
    assert bench.rows("liquidations", *columns) == [
        (0, 0, "ICPUSDT", 1789670094099 * MS, "long", 2.585, 19.7),
        (1, 0, "MARSCOINUSDT", 1789670278053 * MS, "short", 0.12734, 2380.0),
        (2, 0, "STRKUSDT", 1791091285156 * MS, "long", 0.05165, 2084.9),
        (3, 0, "BTCUSDT", 1791565600992 * MS, "long", 82396.90, 0.006),
        (3, 1, "BTCUSDT", 1791565601058 * MS, "long", 82394.30, 0.038),
    ]
    assert bench.rows("whales", "seq", "side", "notional_usd", "tx") == [
        (7, "buy", pytest.approx(274.51), "9dc75fca-4bdd-4773-9f78-6f5d7ab2a110")
    ]
    assert bench.rows("funding", *STATE) == [
        (10, -0.000212, 8.0, 1673280000000 * MS, 17217.33, 17227.36)
    ]
    assert bench.rows("open_interest", *INTEREST) == [
        (10, "BTCUSDT", 68744.761, 1183601235.91, None, False)
    ]
    assert bench.places() == {
        **{seq: ["latency", "liquidations"] for seq in range(4)},
        **{seq: ["latency"] for seq in (4, 5)},  # only bids and asks changed
        7: ["latency", "prices", "whales"],
        10: ["funding", "latency", "open_interest", "prices"],
    }  # 6, 8 and 9: a pong, an acknowledgement, a refusal


def test_a_recording_of_api_v2_is_read_too(bench: Bench) -> None:
    recording = shared("bybit/cryptofeed_BYBIT.ws.26.0").read_text("utf-8")
    told = re.findall(r"^(\d+(?:\.\d+)?): (.*)$", recording, re.MULTILINE)
    assert len(told) == 1_098
    times = [int(Decimal(at) * NS) for at, _ in told]
    bench.take("bybit", frames_of([text for _, text in told], recv_ns=times), whale_usd=0.0)
    assert bench.rows("rejects", "reason") == []
    # The form of their symbols says that they are inverse: a size is in dollars.
    said = [t for _, text in told if '"topic":"trade.' in text for t in json.loads(text)["data"]]
    dollars = {t["trade_id"]: float(t["size"]) for t in said if t["symbol"].endswith("USD")}
    assert dict(bench.rows("whales", "tx", "notional_usd")) == pytest.approx(dollars)
    trades = sum(len(json.loads(text)["data"]) for _, text in told if '"topic":"trade.' in text)
    assert bench.sql("SELECT count(*) FROM prices") == [(trades,)]
    # 1,018 order books tell when they were sent, 76 lists of trades when they happened.
    assert bench.sql("SELECT count(*), count(dispatch_ns), count(event_ns) FROM latency") == [
        (1_094, 1_018, 76)
    ]
    assert len(bench.places()) == 1_098 - 4  # acknowledgements
