"""What BitMEX sends ends as the right rows, column by column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.recordings import lines, shared
from kit.records import Record
from kit.rows import TRADED, Bench

from recorder.clock import ulid
from recorder.frame import Frame

AGAIN = ulid(T0, bytes([2] * 10))

WELCOME = (
    '{"info":"Welcome to the BitMEX Realtime API.","version":"2.0.0",'
    '"timestamp":"2026-09-21T14:13:20.741Z","docs":"https://www.bitmex.com/app/wsAPI",'
    '"heartbeatEnabled":false,"limit":{"remaining":719}}'
)
ACK = (
    '{"success":true,"subscribe":"liquidation","request":{"op":"subscribe","args":["liquidation"]}}'
)
REFUSED = (
    '{"status":400,"error":"Unknown table: x","meta":{},"request":{"op":"subscribe","args":["x"]}}'
)
EMPTY = (
    '{"table":"liquidation","action":"partial","keys":["orderID"],"types":{"orderID":"guid",'
    '"symbol":"symbol","side":"symbol","price":"float","leavesQty":"long"},"filter":{},"data":[]}'
)
ORDER = "9ce0bda3-b78c-4ec8-8562-8a83e37c431b"
LIQUIDATED = (
    '{"table":"liquidation","action":"insert","data":[{"orderID":"ORDER","symbol":"XBTUSD",'
    '"side":"Buy","price":88195.8,"leavesQty":2000}]}'
).replace("ORDER", ORDER)
AMENDED = LIQUIDATED.replace("insert", "update").replace("2000", "1500")
GONE = (
    '{"table":"liquidation","action":"delete","data":[{"orderID":"ORDER","symbol":"XBTUSD"}]}'
).replace("ORDER", ORDER)
TRADE = (
    '{"table":"trade","action":"insert","data":[{"timestamp":"2026-09-21T14:13:21.608Z",'
    '"symbol":"XBTUSD","side":"Sell","size":900,"price":56927,"tickDirection":"MinusTick",'
    '"trdMatchID":"d1b82d61-d902-349c-936c-2588b8204aff","grossValue":1581300,'
    '"homeNotional":0.015813,"foreignNotional":900,"trdType":"Regular"}]}'
)
FUNDING = (
    '{"table":"funding","action":"insert","data":[{"timestamp":"2026-09-21T20:00:00.000Z",'
    '"symbol":"XBTUSD","fundingInterval":"2000-01-01T08:00:00.000Z","fundingRate":0.000817,'
    '"fundingRateDaily":0.002451}]}'
)


def instrument(action: str, **fields: object) -> str:
    """A frame of the table `instrument` about one symbol."""
    item = {"symbol": "XBTUSD", "timestamp": "2026-09-21T14:13:21.000Z", **fields}
    return json.dumps({"table": "instrument", "action": action, "data": [item]})


WHOLE = instrument(
    "partial",
    state="Open",
    lastPrice=95123.5,
    midPrice=95123.25,
    markPrice=95125.7,
    indicativeSettlePrice=95126.0,
    openInterest=123456789,
    fundingRate=0.0001,
    indicativeFundingRate=-0.0002,
    fundingTimestamp="2026-09-21T20:00:00.000Z",
    fundingInterval="2000-01-01T08:00:00.000Z",
)
BOOK = (
    '{"table":"orderBookL2_25","action":"insert","data":[{"symbol":"XBTUSD","id":8796323950,'
    '"side":"Sell","size":38760,"price":36760.5}]}'
)
FRAMES = [
    WELCOME, ACK, REFUSED, EMPTY, LIQUIDATED, AMENDED, GONE, TRADE, FUNDING, WHOLE, BOOK,
    instrument("update", markPrice=95000.0),
]  # fmt: skip

SECOND = 1_000 * MS
AT_TRADE, FUNDED = T0 + 1_608 * MS, T0 + 20_800 * SECOND
COMMON = ("channel", "exchange", "symbol", "event_ns", "connection", "seq", "item")
LIQUIDATION = (
    *COMMON, "position_side", "raw_side", "price", "price_kind", "quantity", "quantity_unit",
    "notional_usd", "order_id", "backfill", "extra",
)  # fmt: skip
WHALE = (
    *COMMON, "kind", "buyer", "seller", "asset", "side", "price", "quantity", "notional_usd", "tx",
    "backfill",
)  # fmt: skip
FUNDING_ROW = (
    *COMMON, "rate", "interval_hours", "predicted_rate", "next_funding_ns", "mark_price",
    "index_price", "backfill",
)  # fmt: skip


def common(channel: str, symbol: str, event_ns: int | None, seq: int = 1) -> tuple[Any, ...]:
    return (channel, "bitmex", symbol, event_ns, CONNECTION, seq, 0)


def opened(at: int = T0, connection: str = CONNECTION, line: str = "A") -> Frame:
    return marker(0, "open", at, connection, line=line, group="g", url="ws://x/")


def listed(*instruments: dict[str, object]) -> Frame:
    """The venue's list, as capture records it before anything else."""
    about = marker(0, "instruments", T0 - 1, ulid(T0, bytes([9] * 10)))
    told = {"exchange": "bitmex", "instruments": instruments}
    return about._replace(payload=json.dumps(told).encode())


XBTUSD: dict[str, object] = {
    "symbol": "XBTUSD",
    "contract_size": 1.0,
    "contract_unit": "usd",
    "funding_interval_hours": 8.0,
}
XBTUSDT: dict[str, object] = {
    "symbol": "XBTUSDT",
    "contract_size": 1e-6,
    "contract_unit": "base",
    "funding_interval_hours": 8.0,
}


def take(bench: Bench, *payloads: str | bytes, whale_usd: float = 100_000.0) -> None:
    """Ingest the frames of one connection, opened at T0, with the list of instruments."""
    frames = frames_of(payloads, first_seq=1, recv_ns=T0 + 2 * SECOND)
    bench.take("bitmex", [listed(XBTUSD, XBTUSDT), opened(), *frames], whale_usd)


def test_a_buy_order_closes_a_short_at_its_limit_and_counts_once(bench: Bench) -> None:
    take(bench, EMPTY, LIQUIDATED, AMENDED, GONE, LIQUIDATED.replace("Buy", "Sell"))
    size = (88195.8, "limit", 2000.0, "contracts", 2000.0, ORDER, False, None)
    assert bench.rows("liquidations", *LIQUIDATION) == [
        (*common("liquidation", "XBTUSD", None, 2), "short", "Buy", *size),
        (*common("liquidation", "XBTUSD", None, 5), "long", "Sell", *size),
    ]
    assert bench.rows("rejects", "reason") == []
    assert bench.rows("latency", "seq") == []  # a liquidation carries no time


def test_an_order_still_open_after_a_reconnect_is_the_same_liquidation(tmp_path: Path) -> None:
    other = LIQUIDATED.replace("9ce0bda3", "00000001")
    partial = json.loads(AMENDED.replace("update", "partial"))
    partial["data"] += json.loads(other)["data"]
    frames = [
        opened(),
        *frames_of([LIQUIDATED], first_seq=1),
        opened(T0 + 90 * SECOND, AGAIN),
        *frames_of([json.dumps(partial)], first_seq=1, recv_ns=T0 + 91 * SECOND, connection=AGAIN),
    ]
    for name, segments in {"together": [frames], "apart": [frames[:2], frames[2:]]}.items():
        record = Record(tmp_path / name)
        for segment in segments:
            record.take("bitmex", segment)
        found = record.sql(
            "SELECT order_id[:8], quantity, backfill, notional_usd FROM liquidations ORDER BY ALL"
        )
        # Without a list of instruments the contract is unknown.
        assert found == [("00000001", 2000.0, True, None), ("9ce0bda3", 2000.0, False, None)]


def test_a_size_of_a_linear_contract_is_worth_its_price(bench: Bench) -> None:
    take(bench, LIQUIDATED.replace("XBTUSD", "XBTUSDT"), LIQUIDATED.replace("XBTUSD", "XBTM27"))
    assert bench.rows("liquidations", "symbol", "quantity", "quantity_unit", "notional_usd") == [
        ("XBTUSDT", 2000.0, "contracts", pytest.approx(176.3916)),
        ("XBTM27", 2000.0, "contracts", None),
    ]


def test_a_trade_at_the_threshold_is_a_whale(bench: Bench) -> None:
    take(bench, TRADE, TRADE.replace('"foreignNotional":900', '"foreignNotional":899.99'),
         whale_usd=900)  # fmt: skip
    assert bench.rows("whales", *WHALE) == [
        (
            *common("trade:XBTUSD", "XBTUSD", AT_TRADE),
            *("trade", None, None, "BTC", "sell", 56927.0, 0.015813, 900.0),
            *("d1b82d61-d902-349c-936c-2588b8204aff", False),
        )
    ]
    same = ("sell", "d1b82d61-d902-349c-936c-2588b8204aff")
    assert bench.rows("prices", "seq", "kind", "price", "event_ns", *TRADED) == [
        (1, "last", 56927.0, AT_TRADE, 0.015813, "base", 900.0, *same),
        (2, "last", 56927.0, AT_TRADE, 0.015813, "base", 899.99, *same),
    ]


def test_a_trade_that_does_not_state_its_size_in_coins_is_sized_by_the_list(
    bench: Bench,
) -> None:
    bare = TRADE.replace('"homeNotional":0.015813,"foreignNotional":900,', "")
    take(bench, bare, bare.replace("XBTUSD", "XBTM27"))
    assert bench.rows("prices", "quantity", "quantity_unit", "notional_usd") == [
        (900 / 56927, "base", 900.0),
        (900.0, "contracts", None),
    ]


@pytest.mark.parametrize(
    ("symbol", "notional", "asset"),
    [
        ("XBTUSD", 900.0, "BTC"),
        ("ETHUSD", 900.0, "ETH"),
        ("XBT_USDT", 900.0, "BTC"),
        ("XBTUSDTM27", 900.0, "BTC"),
        ("XBTM27", 900.0, "BTC"),
        ("ETHM27", None, "ETH"),  # it does not say what it is quoted in, and no list says it
        ("ETHXBT", None, "ETHXBT"),
        ("XBTEUR", None, "XBTEUR"),
    ],
)
def test_what_is_not_quoted_in_dollars_is_no_whale(
    bench: Bench, symbol: str, notional: float | None, asset: str
) -> None:
    take(bench, TRADE.replace("XBTUSD", symbol), whale_usd=1)
    expected = [] if notional is None else [(notional, asset)]
    assert bench.rows("whales", "notional_usd", "asset") == expected
    assert bench.rows("prices", "symbol") == [(symbol,)]


def test_a_settlement_is_no_trade(bench: Bench) -> None:
    take(bench, TRADE.replace("Regular", "Settlement"), whale_usd=1)
    assert bench.places() == {1: ["latency"]}


def test_a_funding_is_told_as_it_is_exchanged_and_again_in_a_partial(bench: Bench) -> None:
    take(bench, FUNDING.replace("insert", "partial").replace("20:00", "12:00"), FUNDING)
    row = (0.000817, 8.0, None, None, None, None)
    assert bench.rows("funding", *FUNDING_ROW) == [
        (*common("funding", "XBTUSD", FUNDED - 28_800 * SECOND), *row, True),
        (*common("funding", "XBTUSD", FUNDED, 2), *row, False),
    ]
    assert bench.rows("latency", "channel", "event_ns", "backfill") == [
        ("funding", FUNDED - 28_800 * SECOND, True),
        ("funding", FUNDED, False),
    ]


@pytest.mark.parametrize(
    ("span", "hours"),
    [
        ("2000-01-01T08:00:00.000Z", 8.0),
        ("2000-01-01T04:00:00.000Z", 4.0),
        ("2000-01-02T00:00:00.000Z", 24.0),
        ("2000-01-01T00:00:00.000Z", 8.0),  # nonsense: what the list says
        ("", 8.0),
        ("1999-12-31T00:00:00.000Z", 8.0),
    ],
)
def test_an_interval_is_a_moment_after_the_beginning_of_2000(
    bench: Bench, span: str, hours: float
) -> None:
    take(bench, FUNDING.replace("2000-01-01T08:00:00.000Z", span))
    assert bench.rows("funding", "interval_hours") == [(hours,)]


# -- instruments

CHANGES = [
    instrument("update", markPrice=1.0),  # before any whole state: what it says, and no more
    WHOLE,
    instrument("update", markPrice=95000.0),
    instrument("update", fundingRate=0.0003, fundingTimestamp=None),
    instrument("update", symbol="ETHUSD", indicativeFundingRate=0.7),
    instrument("update", indicativeFundingRate=None, openInterest=100),
    instrument("update", fundingRate=0.0004, fundingTimestamp="2026-09-22T04:00:00.000Z"),
    '{"table":"instrument","action":"delete","data":[{"symbol":"XBTUSD"}]}',
    instrument("update", fundingRate=0.0005),
]
FOUND = [
    # seq, symbol, rate, hours, predicted, next, mark, index
    (2, "XBTUSD", 0.0001, 8.0, -0.0002, FUNDED, 95125.7, 95126.0),
    (4, "XBTUSD", 0.0003, 8.0, -0.0002, None, 95000.0, 95126.0),
    (5, "ETHUSD", None, None, 0.7, None, None, None),
    (7, "XBTUSD", 0.0004, 8.0, None, FUNDED + 28_800 * SECOND, 95000.0, 95126.0),
    (9, "XBTUSD", 0.0005, None, None, None, None, None),
]


@pytest.mark.parametrize("cut", range(len(CHANGES) + 1))
def test_a_field_that_is_absent_is_unchanged_wherever_a_segment_ends(
    tmp_path: Path, cut: int
) -> None:
    frames = [opened(), *frames_of(CHANGES, first_seq=1)]
    record = Record(tmp_path)
    for part in (frames[: cut + 1], frames[cut + 1 :]):
        if part:
            record.take("bitmex", part)
    found = record.rows(
        "funding", "seq", "symbol", "rate", "interval_hours", "predicted_rate", "next_funding_ns",
        "mark_price", "index_price",
    )  # fmt: skip
    # A null is no absence: what was known is unknown now, as the predicted rate after frame 6.
    assert found == FOUND
    assert record.rows("open_interest", "seq", "open_interest", "open_interest_usd") == [
        (2, 123456789.0, None),
        (6, 100.0, None),
    ]
    assert record.sql("SELECT seq, kind, price FROM prices ORDER BY ALL") == [
        (1, "mark", 1.0),
        (2, "index", 95126.0),
        (2, "last", 95123.5),
        (2, "mark", 95125.7),
        (2, "mid", 95123.25),
        (3, "mark", 95000.0),
    ]
    assert record.rows("rejects", "reason") == []


def test_a_second_line_punches_no_holes_into_the_state(tmp_path: Path) -> None:
    told = [WHOLE, instrument("update", markPrice=5.0), instrument("update", fundingRate=0.0009)]
    a = [T0 + n * MS for n in (10, 30, 40)]
    b = [T0 + n * MS for n in (11, 29, 41)]  # B is first with the mark, A with the rate
    frames = [
        opened(),
        opened(T0 + MS, AGAIN, "B"),
        *frames_of(told, first_seq=1, recv_ns=a),
        *frames_of(told, first_seq=1, recv_ns=b, connection=AGAIN),
    ]
    frames.sort(key=lambda frame: frame.recv_ns)
    record = Record(tmp_path)
    record.take("bitmex", frames)
    assert record.sql("SELECT rate, mark_price FROM funding ORDER BY recv_ns") == [
        (0.0001, 95125.7),
        (0.0009, 5.0),
    ]


def test_open_interest_is_worth_its_contracts(bench: Bench) -> None:
    linear = WHOLE.replace("XBTUSD", "XBTUSDT")
    take(bench, WHOLE, linear)
    columns = ("symbol", "open_interest", "open_interest_usd", "backfill")
    assert bench.rows("open_interest", *columns) == [
        ("XBTUSD", 123456789.0, 123456789.0, False),
        ("XBTUSDT", 123456789.0, pytest.approx(123.456789 * 95125.7), False),
    ]


def test_a_state_older_than_the_connection_is_a_past_one(bench: Bench) -> None:
    take(bench, WHOLE.replace("14:13:21", "14:13:11"))
    assert bench.rows("funding", "backfill") == [(True,)]
    assert bench.rows("latency", "channel", "backfill") == [("instrument:XBTUSD", True)]


def test_the_last_trade_comes_again_after_a_subscription(tmp_path: Path) -> None:
    again = TRADE.replace("insert", "partial")
    missed = again.replace("d1b82d61", "d1b82d62").replace("21.608", "22.000")
    record = Record(tmp_path)
    for seq, payload in enumerate((again, missed)):
        connection = ulid(T0, bytes([3 + seq] * 10))
        at = T0 + (90 + seq) * SECOND
        first = [opened(), *frames_of([TRADE], first_seq=1)] if seq == 0 else []
        then = frames_of([payload], first_seq=1, recv_ns=at + MS, connection=connection)
        record.take("bitmex", [*first, opened(at, connection), *then], whale_usd=1)
    assert record.sql("SELECT tx[:8], backfill FROM whales ORDER BY ALL") == [
        ("d1b82d61", False),
        ("d1b82d62", True),
    ]
    assert record.sql("SELECT count(*) FROM prices") == [(2,)]
    assert record.sql("SELECT backfill FROM latency ORDER BY recv_ns") == [
        (False,),
        (True,),
        (True,),
    ]


# -- what is no event, and what is wrong


def test_what_is_no_event_has_no_place(bench: Bench) -> None:
    take(
        bench,
        WELCOME,
        ACK,
        REFUSED,
        EMPTY,
        "pong",
        AMENDED,
        GONE,
        BOOK,
        FUNDING.replace("insert", "delete"),
    )
    assert bench.places() == {}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{}", "a message without a table"),
        ('{"table":"trade","data":{}}', "a table without an array of data"),
        ('{"table":"new","data":[1]}', "no rule for the table new, and it carries no time"),
        (LIQUIDATED.replace('"side":"Buy",', ""), "a liquidation without a side"),
        (LIQUIDATED.replace('"symbol":"XBTUSD",', ""),
         "an item of the table liquidation without a symbol"),
        (FUNDING.replace("0.000817", '"x"'), "a funding without a number as rate"),
        ('{"table":"trade","action":"insert","data":[1,2]}',
         "an item of the table trade without a symbol (the first of 2 wrong items)"),
        ('{"table":"instrument","action":"update","data":[{"symbol":"XBTUSD","openValue":1}]}',
         "an instrument without a time, and without anything that a table holds"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_rejected_with_a_reason(bench: Bench, payload: str, reason: str) -> None:
    take(bench, payload)
    assert bench.rows("rejects", "reason") == [(reason,)]
    assert bench.places() == {1: ["rejects"]}


def test_a_bad_item_leaves_the_others(bench: Bench) -> None:
    two = json.loads(LIQUIDATED)
    two["data"].insert(0, {"symbol": "ETHUSD"})
    take(bench, json.dumps(two))
    assert bench.rows("liquidations", "item", "symbol") == [(1, "XBTUSD")]
    assert bench.rows("rejects", "item", "reason") == [(0, "a liquidation without a side")]


def test_empty_values_are_null(bench: Bench) -> None:
    take(bench, LIQUIDATED.replace("88195.8", '""').replace("2000", "null"))
    columns = ("price", "price_kind", "quantity", "quantity_unit", "notional_usd")
    assert bench.rows("liquidations", *columns) == [(None,) * 5]


# -- recorded frames


def test_recorded_frames_end_as_exactly_these_rows(bench: Bench) -> None:
    recorded = lines("bitmex/crypto-msg-parser_bitmex.jsonl")
    frames = [line for line in recorded if line.startswith(b"{")]
    assert (len(recorded), len(frames)) == (35, 33)  # the others are answers of its REST interface
    take(bench, *frames, whale_usd=100)
    assert bench.rows("rejects", "reason") == []
    columns = ("symbol", "asset", "side", "price", "quantity", "notional_usd", "backfill")
    assert bench.rows("whales", *columns) == [
        ("XBTUSD", "BTC", "sell", 56927.0, 0.015813, 900.0, True),
        ("ETHUSD", "ETH", "buy", 1811.6, 0.058513750731421885, 106.00351082504389, True),
        ("XBTM21", "BTC", "sell", 62695.5, 0.1276, 8000.0, True),
        ("ETHUSDH21", "ETH", "sell", 1892.8, 0.6814310051107325, 1289.8126064735945, True),
    ]
    columns = ("symbol", "kind", "price", "quantity", "quantity_unit", "notional_usd", "side")
    assert bench.rows("prices", *columns) == [
        ("XBTUSD", "last", 56927.0, 0.015813, "base", 900.0, "sell"),
        ("ETHUSD", "last", 1811.6, 0.058513750731421885, "base", 106.00351082504389, "buy"),
        ("XBTM21", "last", 62695.5, 0.1276, "base", 8000.0, "sell"),
        ("ETHH21", "last", 0.03191, 1.0, "base", None, "buy"),
        ("ETHUSDH21", "last", 1892.8, 0.6814310051107325, "base", 1289.8126064735945, "sell"),
    ]
    columns = ("symbol", "rate", "interval_hours", "event_ns", "backfill")
    assert bench.rows("funding", *columns) == [
        ("XBTUSD", 0.000817, 8.0, 1617307200 * SECOND, True),
        ("ETHUSD", 0.002142, 8.0, 1617307200 * SECOND, True),
        ("AAVEUSDT", 0.001941, 8.0, 1635854400 * SECOND, True),
        ("XBTUSDT", 0.000075, 8.0, 1654171200 * SECOND, True),
    ]
    # Order books, quotes and bins have no table; some carry a time.
    without_a_time = {seq for seq, frame in enumerate(frames, 1) if b"timestamp" not in frame}
    assert len(without_a_time) == 5
    latency = {seq for (seq,) in bench.rows("latency", "seq")}
    assert latency == set(range(1, 34)) - without_a_time


def test_documented_items_end_as_exactly_these_rows(bench: Bench) -> None:
    tables = {"trade": "trade", "funding": "funding_rate", "instrument": "instrument",
              "liquidation": "liquidation"}  # fmt: skip
    items = {
        table: json.loads(shared(f"nautilus/bitmex/nautilus_ws_{name}.json").read_bytes())
        for table, name in tables.items()
    }
    frames = [
        json.dumps({"table": table, "action": "insert", "data": [item]})
        for table, item in items.items()
    ]
    take(bench, *frames, whale_usd=100)
    assert bench.rows("whales", "symbol", "side", "notional_usd") == [("XBTUSD", "sell", 100.0)]
    assert bench.rows("funding", "symbol", "rate", "interval_hours") == [("XBTUSD", 0.0001, 8.0)]
    assert bench.sql("SELECT kind, price FROM prices WHERE seq = 3 ORDER BY ALL") == [
        ("index", 95124.3),
        ("last", 95123.5),
        ("mark", 95125.7),
    ]
    assert bench.rows("open_interest", "open_interest", "open_interest_usd") == [
        (123456789.0, 123456789.0)
    ]
    assert bench.rows("liquidations", "position_side", "price", "quantity", "notional_usd") == [
        ("short", 95000.0, 1000.0, 1000.0)
    ]
    assert bench.rows("rejects", "reason") == []
