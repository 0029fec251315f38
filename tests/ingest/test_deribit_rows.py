"""What Deribit sends ends as the right rows, column by column."""

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

OTHER = ulid(T0, bytes([2] * 10))
LISTS = ulid(T0, bytes([3] * 10))
COMMON = ("channel", "exchange", "symbol", "event_ns", "connection", "seq", "item")
INVERSE = {"symbol": "BTC-PERPETUAL", "contract_size": 1.0, "contract_unit": "usd"}
LINEAR = {"symbol": "SOL_USDC-PERPETUAL", "contract_size": 1.0, "contract_unit": "base"}
TRADE: dict[str, Any] = {
    "timestamp": T0 // MS, "price": 50_000.0, "amount": 200_000.0, "direction": "sell",
    "index_price": 49_990.5, "instrument_name": "BTC-PERPETUAL", "trade_seq": 271252854,
    "mark_price": 49_995.0, "tick_direction": 2, "contracts": 20_000.0, "trade_id": "403691824",
}  # fmt: skip
TICKER = (
    '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"ticker.BTC-PERPETUAL.100ms",'
    '"data":{"timestamp":1765541474086,"state":"open","stats":{"volume_usd":1092371540.0},'
    '"index_price":92263.55,"instrument_name":"BTC-PERPETUAL","last_price":92283.5,'
    '"open_interest":1132329370.0,"mark_price":92281.78,"interest_value":0.00282134,'
    '"current_funding":0.0001,"funding_8h":0.00001742}}}'
)
PERPETUAL = (
    '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"perpetual.BTC-PERPETUAL.100ms",'
    '"data":{"interest":0.004999511380756577,"timestamp":1571386349530,"index_price":7872.88}}}'
)
QUOTE = (
    '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"quote.BTC-PERPETUAL","data":'
    '{"timestamp":1654012882984,"instrument_name":"BTC-PERPETUAL","best_bid_price":32143.0}}}'
)
TEST_REQUEST = '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'


def subscription(channel: str, data: Any) -> str:
    params = {"channel": channel, "data": data}
    return json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})


def trades(*changes: dict[str, Any], channel: str = "trades.BTC-PERPETUAL.100ms") -> str:
    return subscription(channel, [{**TRADE, **change} for change in changes])


#: One of each kind, to be changed at random.
FRAMES = [
    TICKER, PERPETUAL, QUOTE, TEST_REQUEST, trades({}), trades({"liquidation": "MT"}, {}),
    '{"jsonrpc":"2.0","id":"subscribe a b","result":["a"],"usIn":1}',
]  # fmt: skip


def listed(at: int = T0 - MS) -> Frame:
    return marker(0, "instruments", at, LISTS, exchange="deribit", instruments=[INVERSE, LINEAR])


def opened(at: int = T0, connection: str = CONNECTION, line: str = "A") -> Frame:
    return marker(0, "open", at, connection, line=line, group="trades", url="wss://x/ws")


def taken(bench: Bench, *payloads: str, whale_usd: float = 100_000.0) -> None:
    """Ingest the frames of a connection, with the venue's list before them."""
    frames = frames_of(payloads, first_seq=1, recv_ns=T0 + MS)
    bench.take("deribit", [listed(), opened(), *frames], whale_usd)


def common(channel: str, symbol: str, event_ns: int | None, item: int = 0) -> tuple:  # type: ignore[type-arg]
    return (channel, "deribit", symbol, event_ns, CONNECTION, 1, item)


# -- trades


def test_the_amount_of_an_inverse_contract_is_dollars_and_that_of_a_linear_one_coins(
    bench: Bench,
) -> None:
    linear = {"instrument_name": "SOL_USDC-PERPETUAL", "price": 200.0, "amount": 1_000.0}
    taken(bench, trades({}, {**linear, "direction": "buy", "trade_id": "SOL-7"}))
    columns = (
        *COMMON, "kind", "wallet", "buyer", "seller", "asset", "action", "side", "price",
        "quantity", "notional_usd", "tx", "backfill", "extra",
    )  # fmt: skip
    channel = "trades.BTC-PERPETUAL.100ms"
    nobody = ("trade", None, None, None)
    assert bench.rows("whales", *columns) == [
        (
            *common(channel, "BTC-PERPETUAL", T0),
            *(*nobody, "BTC", None, "sell", 50_000.0, 4.0, 200_000.0, "403691824", False, None),
        ),
        (
            *common(channel, "SOL_USDC-PERPETUAL", T0, 1),
            *(*nobody, "SOL", None, "buy", 200.0, 1_000.0, 200_000.0, "SOL-7", False, None),
        ),
    ]
    assert bench.rows("prices", *COMMON, "kind", "price", *TRADED) == [
        (
            *(*common(channel, "BTC-PERPETUAL", T0), "last", 50_000.0),
            *(4.0, "base", 200_000.0, "sell", "403691824"),
        ),
        (
            *(*common(channel, "SOL_USDC-PERPETUAL", T0, 1), "last", 200.0),
            *(1_000.0, "base", 200_000.0, "buy", "SOL-7"),
        ),
    ]


def test_a_contract_that_no_list_names_is_nobody_s_whale_but_has_a_price(bench: Bench) -> None:
    taken(bench, trades({"instrument_name": "XRP-PERPETUAL"}), whale_usd=0.0)
    assert bench.rows("whales", "seq") == []
    assert bench.rows("prices", "symbol", "kind", "price", "event_ns", *TRADED) == [
        (
            *("XRP-PERPETUAL", "last", 50_000.0, T0),
            *(20_000.0, "contracts", None, "sell", "403691824"),
        )
    ]


def test_below_the_threshold_is_no_whale(bench: Bench) -> None:
    taken(bench, trades({"amount": 99_999.0}, {"amount": 100_000.0}))
    assert bench.rows("whales", "item") == [(1,)]


def test_a_trade_that_cannot_be_read_is_rejected_and_the_others_are_kept(bench: Bench) -> None:
    taken(bench, trades({"price": None}, {}, {"amount": "much"}))
    assert bench.rows("rejects", "item", "channel", "reason") == [
        (
            *(0, "trades.BTC-PERPETUAL.100ms"),
            "a trade without an instrument, or without a number as price or amount"
            " (the first of 2 wrong items)",
        )
    ]
    assert bench.rows("prices", "item") == [(1,)]


def test_a_frame_of_trades_counts_from_its_newest(bench: Bench) -> None:
    taken(bench, trades({}, {"timestamp": T0 // MS + 5}, {"timestamp": T0 // MS + 3}))
    columns = (*COMMON, "dispatch_ns", "total_ns", "line", "backfill")
    assert bench.rows("latency", *columns) == [
        (
            *common("trades.BTC-PERPETUAL.100ms", "BTC-PERPETUAL", T0 + 5 * MS, 1),
            *(None, -4 * MS, "A", False),
        )
    ]


def test_what_happened_before_the_connection_is_backfill(bench: Bench) -> None:
    past = T0 // MS - 1
    taken(bench, trades({"timestamp": past, "liquidation": "T"}), TICKER)
    for table in ("whales", "liquidations", "funding", "open_interest"):
        assert bench.rows(table, "backfill") == [(True,)], table
    assert bench.rows("latency", "backfill") == [(True,), (True,)]


# -- liquidations

LIQUIDATION = (
    *COMMON, "position_side", "raw_side", "price", "price_kind", "quantity", "quantity_unit",
    "notional_usd", "backfill", "extra",
)  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "direction", "sides"),
    [
        ("T", "buy", ["short"]),
        ("T", "sell", ["long"]),
        ("M", "buy", ["long"]),
        ("M", "sell", ["short"]),
        ("MT", "buy", ["long", "short"]),
        ("MT", "sell", ["short", "long"]),
        ("X", "sell", [None]),
        ("T", "up", [None]),
    ],
)
def test_who_had_to_buy_closed_a_short(
    bench: Bench, flag: str, direction: str, sides: list[str | None]
) -> None:
    taken(bench, trades({"liquidation": flag, "direction": direction}))
    extra = f'{{"liquidation":"{flag}","trade_id":"403691824"}}'
    assert bench.rows("liquidations", *LIQUIDATION) == [
        (
            *common("trades.BTC-PERPETUAL.100ms", "BTC-PERPETUAL", T0, item),
            *(side, direction, 50_000.0, "average", 200_000.0, "usd", 200_000.0, False, extra),
        )
        for item, side in enumerate(sides)
    ]


def test_a_trade_without_the_flag_is_no_liquidation(bench: Bench) -> None:
    taken(bench, trades({}, {"liquidation": ""}, {"liquidation": None}))
    assert bench.rows("liquidations", "seq") == []


def test_the_size_of_a_liquidation_is_said_in_what_is_known(bench: Bench) -> None:
    linear = {"instrument_name": "SOL_USDC-PERPETUAL", "price": 200.0, "amount": 10.0}
    unknown = {"instrument_name": "XRP-PERPETUAL", "contracts": 7.0}
    nothing = {**unknown, "contracts": None, "trade_id": "9"}
    forced = {"liquidation": "T"}
    taken(bench, trades({**linear, **forced}, {**unknown, **forced}, {**nothing, **forced}))
    assert bench.rows("liquidations", "quantity", "quantity_unit", "notional_usd") == [
        (10.0, "base", 2_000.0),
        (7.0, "contracts", None),
        (None, None, None),
    ]


def test_a_second_line_cuts_the_same_trades_into_other_frames(tmp_path: Path) -> None:
    one, two = {"liquidation": "MT"}, {"liquidation": "T", "trade_id": "2"}
    together, apart = [trades(one, two)], [trades(one), trades(two)]
    record = Record(tmp_path)
    frames = [
        listed(), opened(T0 - MS), opened(T0 - MS, OTHER, "B"),
        *frames_of(together, first_seq=1, recv_ns=T0),
        *frames_of(apart, first_seq=1, recv_ns=T0 + MS, connection=OTHER),
    ]  # fmt: skip
    record.take("deribit", frames)
    assert record.sql("SELECT connection, count(*) FROM liquidations GROUP BY 1") == [
        (CONNECTION, 3)
    ]
    assert record.sql("SELECT tx, connection FROM whales ORDER BY tx") == [
        ("2", CONNECTION),
        ("403691824", CONNECTION),
    ]
    assert record.sql("SELECT connection, trade_id FROM prices ORDER BY trade_id") == [
        (CONNECTION, "2"),
        (CONNECTION, "403691824"),
    ]


# -- tickers


def test_a_ticker_gives_funding_prices_and_open_interest(bench: Bench) -> None:
    recv = 1765541474086 * MS + 40 * MS
    frames = frames_of([TICKER], first_seq=1, recv_ns=recv)
    bench.take("deribit", [listed(recv - MS), opened(recv - 99 * MS), *frames])
    row = common("ticker.BTC-PERPETUAL.100ms", "BTC-PERPETUAL", 1765541474086 * MS)
    columns = (
        *COMMON, "rate", "interval_hours", "predicted_rate", "next_funding_ns", "mark_price",
        "index_price", "backfill", "extra",
    )  # fmt: skip
    extra = '{"current_funding":0.0001}'
    assert bench.rows("funding", *columns) == [
        (*row, 0.00001742, 8.0, None, None, 92281.78, 92263.55, False, extra)
    ]
    observed = (*COMMON, "open_interest", "open_interest_usd", "backfill", "extra")
    assert bench.rows("open_interest", *observed) == [
        (*row, 1132329370.0, 1132329370.0, False, None)
    ]
    assert bench.rows("prices", *COMMON, "kind", "price") == [
        (*row, "mark", 92281.78),
        (*row[:-1], 1, "index", 92263.55),
        (*row[:-1], 2, "last", 92283.5),
    ]
    assert bench.rows("latency", *COMMON, "total_ns", "network_ns", "backfill") == [
        (*row, 40 * MS, None, False)
    ]


def test_open_interest_in_coins_is_worth_the_mark_price(bench: Bench) -> None:
    linear = TICKER.replace("BTC-PERPETUAL", "SOL_USDC-PERPETUAL").replace("1132329370.0", "2.5")
    unknown = TICKER.replace("BTC-PERPETUAL", "XRP-PERPETUAL").replace('"open_interest"', '"x"')
    taken(bench, linear, unknown.replace('"x"', '"open_interest"'), unknown)
    assert bench.rows("open_interest", "symbol", "open_interest", "open_interest_usd") == [
        ("SOL_USDC-PERPETUAL", 2.5, pytest.approx(230704.45)),
        ("XRP-PERPETUAL", 1132329370.0, None),
    ]


def test_the_interest_of_the_moment_is_no_rate_of_an_interval(bench: Bench) -> None:
    taken(bench, PERPETUAL)
    row = common("perpetual.BTC-PERPETUAL.100ms", "BTC-PERPETUAL", 1571386349530 * MS)
    columns = (*COMMON, "rate", "interval_hours", "mark_price", "index_price", "extra")
    assert bench.rows("funding", *columns) == [
        (*row, None, None, None, 7872.88, '{"interest":0.004999511380756577}')
    ]
    assert bench.rows("prices", *COMMON, "kind", "price") == [(*row, "index", 7872.88)]
    assert bench.rows("latency", *COMMON) == [row]


def test_a_state_sent_again_after_a_reconnect_is_one_observation(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.take("deribit", [opened(), *frames_of([TICKER], first_seq=1)])
    late = T0 + 90_000 * MS
    again = frames_of([TICKER], first_seq=1, recv_ns=late, connection=OTHER)
    record.take("deribit", [opened(late, OTHER), *again])
    for table, rows in {"funding": 1, "open_interest": 1, "prices": 3}.items():
        assert record.sql(f"SELECT count(*) FROM {table}") == [(rows,)], table


@pytest.mark.parametrize("cut", range(1, 6))
def test_rows_are_the_same_wherever_a_segment_ends(tmp_path: Path, cut: int) -> None:
    payloads = [TICKER, trades({"liquidation": "T"}), PERPETUAL]
    frames = [listed(), opened(), *frames_of(payloads, first_seq=1, recv_ns=T0 + MS)]
    record = Record(tmp_path)
    for part in (frames[:cut], frames[cut:]):
        if part:
            record.seal("deribit", part)
            record.ingest()
    found = {
        table: record.sql(f"SELECT count(*) FROM {table}")[0][0]
        for table in ("funding", "prices", "whales", "liquidations", "open_interest", "latency")
    }
    expected = (2, 5, 1, 1, 1, 3)
    assert tuple(found.values()) == expected
    assert record.rows("liquidations", "notional_usd") == [(200_000.0,)]


# -- everything else


@pytest.mark.parametrize(
    "payload",
    [
        TEST_REQUEST,
        '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}',
        '{"jsonrpc":"2.0","id":"heartbeat","result":"ok","usIn":1,"usOut":2,"testnet":false}',
        '{"jsonrpc":"2.0","id":1,"error":{"code":10028,"message":"too_many_requests"}}',
        '{"jsonrpc":"2.0","id":"subscribe a","result":[]}',
        '{"jsonrpc":"2.0","id":"test","result":{"version":"1.2.26"}}',
        subscription("trades.BTC-PERPETUAL.100ms", []),
        subscription("chart.trades.BTC-PERPETUAL.1", {"tick": 1654079340000, "close": 1.0}),
    ],
)
def test_words_of_control_are_no_events(bench: Bench, payload: str) -> None:
    taken(bench, payload)
    assert bench.places() == {}


def test_a_quote_has_a_latency_and_no_table(bench: Bench) -> None:
    taken(bench, QUOTE)
    assert bench.places() == {1: ["latency"]}
    assert bench.rows("latency", "channel", "symbol", "event_ns") == [
        ("quote.BTC-PERPETUAL", "BTC-PERPETUAL", 1654012882984 * MS)
    ]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{}", "a message without a method, and not an answer"),
        ('{"method":"news","id":1}', "no rule for the method news"),
        ('{"method":"subscription","params":{}}', "a subscription's message without a channel"),
        (subscription("trades.X.100ms", {}), "trades that are not a list"),
        (subscription("trades.X.100ms", "[]"), "trades that are not a list"),
        (subscription("trades.X.100ms", [7]), "a trade without an instrument"),
        (subscription("ticker.X.100ms", {"mark_price": 1}), "a ticker without an instrument"),
        (
            subscription("ticker.X.100ms", {"instrument_name": "X", "mark_price": ""}),
            "a ticker without an instrument, or without a number",
        ),
        (subscription("perpetual.X.100ms", {"interest": {}}), "an interest that is not a number"),
        (subscription("new.X", {}), "no table for the channel new.X, and it carries no time"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_a_reason(
    bench: Bench, payload: str, reason: str
) -> None:
    taken(bench, payload)
    [(found,)] = bench.rows("rejects", "reason")
    assert found.startswith(reason)


# -- recorded frames


def test_the_recorded_frames_end_as_exactly_these_rows(bench: Bench) -> None:
    recorded = lines("deribit/crypto-msg-parser_deribit.jsonl")
    bench.take("deribit", frames_of(recorded))
    ticker = ["latency", "open_interest", "prices"]
    places = {
        **{seq: ["latency", "prices"] for seq in (0, 1, 2)},  # trades
        **{seq: ["latency"] for seq in range(3, 13)},  # books and quotes
        16: ticker,  # of a dated future
        17: ["funding", *ticker],
        18: ticker,  # of an option
    }
    assert bench.places() == places  # candles and answers to requests are control
    assert bench.rows("funding", "seq", "rate", "interval_hours", "mark_price", "index_price") == [
        (17, 0.00000255, 8.0, 29932.79, 29930.44)
    ]
    assert bench.rows("open_interest", "seq", "open_interest", "open_interest_usd") == [
        (16, 230733270.0, 230733270.0),  # the forms of both names say that they are inverse
        (17, 559791310.0, 559791310.0),
        (18, 1767.5, None),
    ]
    found = bench.sql("SELECT seq, symbol, event_ns, price FROM prices WHERE seq < 3 ORDER BY ALL")
    assert found == [
        (0, "BTC-26MAR21", 1616321287195 * MS, 56273.5),
        (1, "BTC-PERPETUAL", 1616321478553 * MS, 56168.0),
        (1, "BTC-PERPETUAL", 1616321478553 * MS, 56168.0),
        (2, "BTC-26MAR21-62000-C", 1616321732986 * MS, 0.007),
    ]
    assert bench.sql("SELECT kind, price FROM prices WHERE seq = 18 ORDER BY kind") == [
        ("index", 29939.43),
        ("last", 0.009),
        ("mark", 0.0084),
    ]


def test_the_documented_frames_end_as_exactly_these_rows(bench: Bench) -> None:
    names = ("error", "subscribe_response", "test_request", "ticker", "trades")
    payloads = [
        shared(f"nautilus/deribit/nautilus_ws_{name}.json").read_text("utf-8") for name in names
    ]
    taken(bench, *payloads, whale_usd=100.0)
    assert bench.places() == {
        4: ["funding", "latency", "open_interest", "prices"],
        5: ["latency", "prices", "whales"],
    }
    assert bench.rows("whales", "side", "price", "quantity", "notional_usd", "tx") == [
        ("sell", 92288.5, pytest.approx(750 / 92288.5), 750.0, "403691825")
    ]
    assert bench.rows("funding", "rate", "extra") == [(0.00001742, '{"current_funding":0.0}')]
    assert bench.rows("open_interest", "open_interest_usd") == [(1132329370.0,)]
