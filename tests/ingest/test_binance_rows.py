"""What Binance sends ends as the right rows, column by column."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.recordings import lines, shared
from kit.rows import TRADED, Bench

from recorder.clock import NS, ulid

AGG_TRADE = (
    '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1791391082024,"a":3478018549,'
    '"s":"BTCUSDT","p":"83434.40","q":"0.016","nq":"0.016","f":8154045700,"l":8154045704,'
    '"T":1791391081874,"m":true,"st":1}}'
)
SELL = (
    '{"stream":"!forceOrder@arr","data":{"e":"forceOrder","E":1791565603055,"o":{"s":"BTCUSDT",'
    '"S":"SELL","o":"LIMIT","f":"IOC","q":"0.190","p":"82338.30","ap":"82651.90","X":"FILLED",'
    '"l":"0.155","z":"0.190","T":1791565602120,"ps":"BTCUSDT","st":1}}}'
)
BUY = (
    '{"stream":"xrpusdt@forceOrder","data":{"e":"forceOrder","E":1791091175227,"o":{"s":"XRPUSDT",'
    '"S":"BUY","o":"LIMIT","f":"IOC","q":"127.2","p":"1.4984","ap":"1.4912","X":"FILLED",'
    '"l":"108.1","z":"127.2","T":1791091174219,"ps":"XRPUSDT","st":1}}}'
)
MARK_PRICE = (
    '{"e":"markPriceUpdate","E":1791269856000,"s":"BTCUSDT","p":"85296.60260870",'
    '"ap":"85296.60260870","P":"85321.91711993","i":"85345.93826087","r":"0.00000523",'
    '"T":1791273600000,"st":1}'
)
COIN_MARGINED_PRICE = (
    '{"stream":"btcusd_perp@markPrice@1s","data":{"e":"markPriceUpdate","E":1790373638000,'
    '"s":"BTCUSD_PERP","p":"83732.50000000","ap":"83732.50000000","P":"83805.72765516",'
    '"i":"83786.17543766","r":"-0.00000573","T":1790380800000,"st":2}}'
)
BOOK_TICKER = (
    '{"e":"bookTicker","u":11730346419457,"s":"BTCUSDT","ps":"BTCUSDT","b":"84788.20","B":"5.923",'
    '"a":"84788.30","A":"2.824","T":1791091007473,"E":1791091007473,"st":1}'
)
#: Of the spot market: ids and marks of both sides, no st.
SPOT_TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1791391082024,"s":"BTCUSDT","t":12345,'
    '"p":"50000.00","q":"2.00000000","T":1791391082023,"m":false,"M":true}}'
)
COIN_MARGINED_TRADE = (
    '{"stream":"btcusd_perp@aggTrade","data":{"e":"aggTrade","E":1791391082024,"a":7,'
    '"s":"BTCUSD_PERP","p":"50000.0","q":"1000","f":1,"l":2,"T":1791391081874,"m":true,"st":2}}'
)
#: One of each kind, to be changed at random.
FRAMES = [
    AGG_TRADE, BOOK_TICKER, BUY, COIN_MARGINED_PRICE, MARK_PRICE, SELL, SPOT_TRADE,
    f"[{MARK_PRICE},{SELL}]", f'{{"stream":"x","data":[{AGG_TRADE}]}}', '{"result":null,"id":1}',
]  # fmt: skip
SHUTDOWN = '{"e":"serverShutdown","E":1791391082024}'

COMMON = ("channel", "exchange", "symbol", "event_ns", "connection", "seq", "item")
LIQUIDATION = (
    *COMMON,
    "position_side",
    "raw_side",
    "price",
    "price_kind",
    "quantity",
    "quantity_unit",
    "notional_usd",
    "extra",
)
FUNDING = (
    *COMMON,
    "rate",
    "interval_hours",
    "predicted_rate",
    "next_funding_ns",
    "mark_price",
    "index_price",
    "extra",
)
WHALE = (
    *COMMON,
    "kind",
    "wallet",
    "buyer",
    "seller",
    "asset",
    "action",
    "side",
    "price",
    "quantity",
    "notional_usd",
    "tx",
    "extra",
)
LATENCY = (
    *COMMON,
    "publish_ns",
    "detected_ns",
    "dispatch_ns",
    "total_ns",
    "network_ns",
    "line",
    "backfill",
    "clock_error_ns",
)


def common(
    channel: str, symbol: str, event_ms: int | None, seq: int, item: int = 0
) -> tuple[Any, ...]:
    event_ns = None if event_ms is None else event_ms * MS
    return (channel, "binance", symbol, event_ns, CONNECTION, seq, item)


def sent_ms(payload: str | bytes) -> int:
    told = json.loads(payload)
    return int(told.get("data", told)["E"])


def ingested(bench: Bench, *payloads: str | bytes, whale_usd: float = 100_000.0) -> None:
    """Ingest the frames, each received 50 ms after the venue sent it."""
    times = [sent_ms(p) * MS + 50 * MS for p in payloads]
    bench.take("binance", frames_of(payloads, recv_ns=times), whale_usd)


def test_a_sell_order_closed_a_long_and_a_buy_order_a_short_at_the_average_price(
    bench: Bench,
) -> None:
    ingested(bench, SELL, BUY)
    assert bench.sql(f"SELECT {', '.join(LIQUIDATION)} FROM liquidations ORDER BY seq") == [
        (
            *common("!forceOrder@arr", "BTCUSDT", 1791565602120, 0),
            *("long", "SELL", 82651.90, "average", 0.19, "base", pytest.approx(15703.861)),
            '{"order_price":82338.3}',
        ),
        (
            *common("xrpusdt@forceOrder", "XRPUSDT", 1791091174219, 1),
            *("short", "BUY", 1.4912, "average", 127.2, "base", pytest.approx(189.68064)),
            '{"order_price":1.4984}',
        ),
    ]


def test_without_an_average_price_the_price_is_the_limit_and_says_so(bench: Bench) -> None:
    ingested(bench, SELL.replace('"ap":"82651.90"', '"ap":""'))
    assert bench.rows("liquidations", "price", "price_kind", "notional_usd") == [
        (82338.30, "limit", pytest.approx(15644.277))
    ]


def test_coin_margined_sizes_are_contracts_of_unknown_value(bench: Bench) -> None:
    coin = BUY.replace('"st":1', '"st":2').replace("XRPUSDT", "XRPUSD_PERP")
    ingested(bench, coin)
    columns = ("symbol", "position_side", "quantity", "quantity_unit", "notional_usd")
    assert bench.rows("liquidations", *columns) == [
        ("XRPUSD_PERP", "short", 127.2, "contracts", None)
    ]


def test_a_mark_price_gives_its_funding_and_its_two_prices(bench: Bench) -> None:
    ingested(bench, COIN_MARGINED_PRICE, MARK_PRICE)
    first = common("btcusd_perp@markPrice@1s", "BTCUSD_PERP", 1790373638000, 0)
    second = common("!markPrice@arr", "BTCUSDT", 1791269856000, 1)
    assert bench.rows("funding", *FUNDING) == [
        (*first, -0.00000573, None, None, 1790380800000 * MS, 83732.5, 83786.17543766, None),
        (*second, 0.00000523, None, None, 1791273600000 * MS, 85296.6026087, 85345.93826087, None),
    ]
    assert bench.rows("prices", *COMMON, "kind", "price") == [
        (*first, "mark", 83732.5),
        (*first[:-1], 1, "index", 83786.17543766),
        (*second, "mark", 85296.6026087),
        (*second[:-1], 1, "index", 85345.93826087),
    ]


def test_each_price_of_an_array_has_a_place_of_its_own(bench: Bench) -> None:
    bench.take("binance", frames_of([f"[{MARK_PRICE},{MARK_PRICE}]"]))
    assert bench.rows("prices", "item", "kind") == [
        (0, "mark"), (1, "index"), (2, "mark"), (3, "index")
    ]  # fmt: skip
    assert bench.rows("funding", "item") == [(0,), (1,)]


def test_an_empty_rate_and_a_funding_time_of_zero_are_null(bench: Bench) -> None:
    delivery = MARK_PRICE.replace('"r":"0.00000523"', '"r":""').replace("1791273600000", "0")
    ingested(bench, delivery)
    assert bench.rows("funding", "rate", "next_funding_ns", "mark_price") == [
        (None, None, 85296.6026087)
    ]


def test_a_price_that_is_missing_is_no_row(bench: Bench) -> None:
    ingested(bench, MARK_PRICE.replace('"i":"85345.93826087"', '"i":""'))
    assert bench.rows("prices", "kind", "price", *TRADED) == [
        ("mark", 85296.6026087, None, None, None, None, None)
    ]


def test_a_trade_at_the_threshold_is_a_whale_and_one_below_it_is_not(bench: Bench) -> None:
    dear = AGG_TRADE.replace('"q":"0.016"', '"q":"2"').replace("83434.40", "50000.00")
    cheap = dear.replace("50000.00", "49999.99").replace('"m":true', '"m":false')
    ingested(bench, dear, cheap, whale_usd=100_000.0)
    assert bench.rows("whales", *WHALE) == [
        (
            *common("btcusdt@aggTrade", "BTCUSDT", 1791391081874, 0),
            *("trade", None, None, None, "BTC", None, "sell", 50000.0, 2.0, 100_000.0),
            *("3478018549", None),
        )
    ]
    assert bench.rows("prices", "kind", "price", *TRADED) == [
        ("last", 50000.0, 2.0, "base", 100_000.0, "sell", "3478018549"),
        ("last", 49999.99, 2.0, "base", 99_999.98, "buy", "3478018549"),
    ]


def test_the_buyer_who_is_no_maker_bought(bench: Bench) -> None:
    ingested(bench, AGG_TRADE.replace('"m":true', '"m":false'), whale_usd=1_000.0)
    assert bench.rows("whales", "side", "notional_usd") == [("buy", pytest.approx(1334.9504))]


def test_latency_counts_from_the_event_and_from_the_sending_and_stays_negative(
    bench: Bench,
) -> None:
    bench.take("binance", frames_of([AGG_TRADE, SELL], recv_ns=[
        1791391082024 * MS - 20 * MS,
        1791565603055 * MS + 50 * MS,
    ]))  # fmt: skip
    assert bench.rows("latency", *LATENCY) == [
        (
            *common("btcusdt@aggTrade", "BTCUSDT", 1791391081874, 0),
            *(None, None, 1791391082024 * MS, 130 * MS, -20 * MS, None, False, None),
        ),
        (
            *common("!forceOrder@arr", "BTCUSDT", 1791565602120, 1),
            *(None, None, 1791565603055 * MS, 985 * MS, 50 * MS, None, False, None),
        ),
    ]


def test_a_mark_price_has_no_event_time_but_a_network_latency(bench: Bench) -> None:
    ingested(bench, MARK_PRICE)
    columns = ("channel", "event_ns", "total_ns", "network_ns")
    assert bench.rows("latency", *columns) == [("markPriceUpdate", None, None, 50 * MS)]


def test_an_array_gives_a_row_per_item_and_one_latency(bench: Bench) -> None:
    other = MARK_PRICE.replace("BTCUSDT", "ETHUSDT")
    bench.take("binance", frames_of([f"[{MARK_PRICE},{other},7,{{}}]"]))
    assert bench.rows("funding", "item", "symbol") == [(0, "BTCUSDT"), (1, "ETHUSDT")]
    assert len(bench.rows("latency", "item")) == 1
    assert bench.rows("rejects", "item", "reason") == [
        (2, "an item of the array without an event type (the first of 2 wrong items)")
    ]


def test_acknowledgements_and_errors_are_no_events(bench: Bench) -> None:
    told = ['{"result":null,"id":1}', '{"error":{"code":2,"msg":"no"},"id":2}', "[]"]
    bench.take("binance", frames_of(told))
    assert bench.places() == {}


def test_the_captured_frames_end_as_exactly_these_rows(bench: Bench) -> None:
    captured = lines("captured_2026/binance_usdm.jsonl")
    ingested(bench, *captured, *lines("captured_2026/binance_coinm.jsonl"), whale_usd=1_000.0)
    columns = (
        "seq", "channel", "symbol", "event_ns", "position_side", "raw_side", "price",
        "price_kind", "quantity", "quantity_unit", "notional_usd",
    )  # fmt: skip
    arr, average = "!forceOrder@arr", ("average",)
    expected = [
        (1, arr, "ILVUSDT", 1791391082119, "long", "SELL", 3.85642, 116.5, 449.27293),
        (2, arr, "BTCUSDT", 1791565602120, "long", "SELL", 82651.90, 0.190, 15703.861),
        (3, "xrpusdt@forceOrder", "XRPUSDT", 1791091174219, "short", "BUY", 1.4912, 127.2,
         189.68064),
        (4, arr, "MANTAUSDT", 1791091026103, "long", "SELL", 0.0722187, 2049.1, 147.98333817),
        (6, arr, "XRPUSDT", 1791435249136, "short", "BUY", 1.4043, 15.4, 21.62622),
        (7, arr, "AINUSDT", 1791435150342, "long", "SELL", 0.0387407, 1861, 72.0964427),
    ]  # fmt: skip
    found = bench.sql(f"SELECT {', '.join(columns)} FROM liquidations ORDER BY seq")
    assert found == [
        (*row[:3], row[3] * MS, *row[4:7], *average, row[7], "base", pytest.approx(row[8]))
        for row in expected
    ]
    columns = ("seq", "symbol", "event_ns", "rate", "next_funding_ns", "mark_price", "index_price")
    assert bench.sql(f"SELECT {', '.join(columns)} FROM funding ORDER BY seq") == [
        (8, "BTCUSDT", 1791269856000 * MS, 0.00000523, 1791273600000 * MS, 85296.6026087,
         85345.93826087),
        (9, "BTCUSDT", 1790526539000 * MS, 0.00000801, 1790553600000 * MS, 84551.10762319,
         84590.87304348),
        (10, "BTCUSDT", 1790161527002 * MS, 0.00005016, 1790179200000 * MS, 85840.40234633,
         85882.44043478),
        (11, "BTCUSD_PERP", 1790373638000 * MS, -0.00000573, 1790380800000 * MS, 83732.5,
         83786.17543766),
    ]  # fmt: skip
    assert bench.rows("whales", "seq", "side", "notional_usd") == [
        (0, "sell", pytest.approx(1334.9504))
    ]
    assert bench.sql("SELECT seq, total_ns // 1000000 AS ms FROM latency ORDER BY seq") == [
        (0, 200), (1, 1055), (2, 985), (3, 1058), (4, 1054), (5, 50), (6, 1057), (7, 1058),
        (8, None), (9, None), (10, None), (11, None),
    ]  # fmt: skip
    assert bench.sql("SELECT count(*), min(network_ns), max(network_ns) FROM latency") == [
        (12, 50 * MS, 50 * MS)
    ]
    assert bench.rows("rejects", "reason") == []
    assert bench.sql("SELECT kind, count(*) FROM prices GROUP BY kind ORDER BY kind") == [
        ("index", 4),
        ("last", 1),
        ("mark", 4),
    ]


# -- what the list of instruments and the spot market add


def with_list(bench: Bench, *payloads: str, whale_usd: float = 1_000.0) -> None:
    """Ingest the frames after a list of instruments."""
    told = {
        "exchange": "binance",
        "instruments": [
            {"symbol": "BTCUSDT", "contract_size": 1.0, "contract_unit": "base"},
            {"symbol": "BTCUSD_PERP", "contract_size": 100.0, "contract_unit": "usd",
             "funding_interval_hours": 8.0},
        ],
    }  # fmt: skip
    about = marker(0, "instruments", T0 - 1, ulid(T0, bytes([9] * 10)))
    listed = about._replace(payload=json.dumps(told).encode())
    bench.take("binance", [listed, *frames_of(payloads)], whale_usd)


def test_a_contract_is_worth_what_the_list_says(bench: Bench) -> None:
    coin = BUY.replace('"st":1', '"st":2').replace("XRPUSDT", "BTCUSD_PERP")
    with_list(bench, COIN_MARGINED_TRADE, coin, COIN_MARGINED_PRICE)
    columns = ("symbol", "side", "price", "quantity", "notional_usd", "tx", "asset")
    assert bench.rows("whales", *columns) == [
        ("BTCUSD_PERP", "sell", 50000.0, 2.0, 100_000.0, "7", "BTC")
    ]
    # 1,000 contracts of 100 dollars, at 50,000.
    assert bench.sql(f"SELECT {', '.join(TRADED)} FROM prices WHERE kind = 'last'") == [
        (2.0, "base", 100_000.0, "sell", "7")
    ]
    columns = ("quantity", "quantity_unit", "notional_usd", "backfill")
    assert bench.rows("liquidations", *columns) == [(127.2, "contracts", 12_720.0, False)]
    assert bench.rows("funding", "interval_hours", "backfill") == [(8.0, False)]


def test_a_contract_of_unknown_value_is_no_whale(bench: Bench) -> None:
    ingested(bench, COIN_MARGINED_TRADE, whale_usd=1)
    assert bench.rows("whales", "seq") == []
    assert bench.rows("prices", "symbol", "kind", "price", *TRADED) == [
        ("BTCUSD_PERP", "last", 50000.0, 1000.0, "contracts", None, "sell", "7")
    ]


def test_a_spot_trade_is_a_price_and_may_be_a_whale(bench: Bench) -> None:
    ingested(bench, SPOT_TRADE)
    columns = ("channel", "symbol", "event_ns", "side", "quantity", "notional_usd", "tx")
    assert bench.rows("whales", *columns) == [
        ("btcusdt@trade", "BTCUSDT", 1791391082023 * MS, "buy", 2.0, 100_000.0, "12345")
    ]
    assert bench.rows("prices", "channel", "kind", "price", "event_ns", *TRADED) == [
        (
            *("btcusdt@trade", "last", 50000.0, 1791391082023 * MS),
            *(2.0, "base", 100_000.0, "buy", "12345"),
        )
    ]
    assert bench.rows("latency", "channel", "network_ns") == [("btcusdt@trade", 50 * MS)]


def test_a_trade_of_the_insurance_fund_is_marked_as_off_the_book(bench: Bench) -> None:
    odd = SPOT_TRADE.replace('"m":false', '"X":"INSURANCE_FUND","m":false')
    ingested(bench, odd, odd.replace("INSURANCE_FUND", "MARKET"))
    assert bench.rows("prices", "seq", "off_book") == [(0, True), (1, False)]
    assert bench.rows("whales", "seq") == [(1,)]
    assert bench.rows("latency", "seq") == [(0,), (1,)]


@pytest.mark.parametrize("symbol", ["ETHBTC", "BTCTRY", "USDTTRY"])
def test_what_is_not_quoted_in_dollars_has_no_value_in_dollars(bench: Bench, symbol: str) -> None:
    ingested(bench, SPOT_TRADE.replace("BTCUSDT", symbol), SELL.replace("BTCUSDT", symbol),
             whale_usd=1)  # fmt: skip
    assert bench.rows("whales", "seq") == []
    assert bench.rows("liquidations", "quantity", "notional_usd") == [(0.19, None)]
    assert bench.rows("prices", *TRADED) == [(2.0, "base", None, "buy", "12345")]


def test_an_announced_shutdown_is_no_event(bench: Bench) -> None:
    wrapped = [f'{{"stream":"","data":{SHUTDOWN}}}', f'{{"event":{SHUTDOWN}}}']
    bench.take("binance", frames_of([SHUTDOWN, *wrapped]))
    assert bench.places() == {}


def recorded(name: str) -> list[tuple[int, str]]:
    """`<seconds>: <frame>` lines as exact ns and frame; lines that tell of connections left out."""
    told = re.finditer(r"^(\d+(?:\.\d+)?): (.*)$", shared(name).read_text("utf-8"), re.MULTILINE)
    return [(int(Decimal(line[1]) * NS), line[2]) for line in told]


def test_the_latencies_of_a_known_recording_come_out_as_known(bench: Bench) -> None:
    frames = recorded("binance_usdm/cryptofeed_BINANCE_FUTURES.ws.1.0")
    assert len(frames) == 1_535
    times, payloads = [at for at, _ in frames], [text for _, text in frames]
    bench.take("binance", frames_of(payloads, recv_ns=times))
    found = sorted(row[0] / MS for row in bench.sql("SELECT network_ns FROM latency"))
    assert len(found) == 1_535
    assert found[0] == pytest.approx(41.9, abs=0.1)
    assert found[len(found) // 2] == pytest.approx(45.7, abs=0.1)
    assert found[int(len(found) * 0.99)] == pytest.approx(714.7, abs=0.1)
    assert found[-1] == pytest.approx(1037.4, abs=0.1)
    exact = {at - sent_ms(text) * MS for at, text in frames}
    assert {row[0] for row in bench.sql("SELECT network_ns FROM latency")} == exact
    assert bench.rows("rejects", "reason") == []


def test_a_book_ticker_has_no_table_of_its_own_but_a_latency(bench: Bench) -> None:
    bench.take("binance", frames_of([BOOK_TICKER], recv_ns=T0))
    assert bench.places() == {0: ["latency"]}
