"""What Hyperliquid sends ends as the right rows, column by column."""

from __future__ import annotations

import gzip
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
ACK = (
    '{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":'
    '{"type":"trades","coin":"BTC"}}}'
)
CONTEXT = (
    '{"channel":"activeAssetCtx","data":{"coin":"BTC","ctx":{"funding":"0.0000018952",'
    '"openInterest":"36585.31848","prevDayPx":"86627.0","dayNtlVlm":"4161029539.6949653625",'
    '"premium":"-0.0006413454","oraclePx":"84198.0","markPx":"84148.0","midPx":"84143.5",'
    '"impactPxs":["84143.0","84144.0"],"dayBaseVlm":"49116.08533"}}}'
)
SPOT = (
    '{"channel":"activeSpotAssetCtx","data":{"coin":"@107","ctx":{"prevDayPx":"45.1",'
    '"dayNtlVlm":"1.0","markPx":"46.2","midPx":null,"circulatingSupply":"333928180.0"}}}'
)
TRADE: dict[str, Any] = {
    "coin": "BTC", "side": "B", "px": "105056.0", "sz": "2", "time": T0 // MS,
    "tid": 917211710228416,
    "hash": "0xde477894bfb2b4eac0a8041c9228ca013100955485522c8e6e787dfa0077475b",
    "users": ["0xbuyer", "0xseller"],
}  # fmt: skip
BOOK = '{"channel":"l2Book","data":{"coin":"MATIC","time":1790232237073,"levels":[[],[]]}}'
COMMON = ("channel", "exchange", "symbol", "event_ns", "connection", "seq", "item")


def trades(*changes: dict[str, Any]) -> str:
    return json.dumps({"channel": "trades", "data": [{**TRADE, **change} for change in changes]})


#: One of each kind, to be changed at random.
FRAMES = [ACK, CONTEXT, SPOT, BOOK, trades({}), trades({}, {"side": "A"}), '{"channel":"pong"}']


def common(channel: str, symbol: str, event_ns: int | None, seq: int, item: int = 0) -> tuple:  # type: ignore[type-arg]
    return (channel, "hyperliquid", symbol, event_ns, CONNECTION, seq, item)


#: The first full hour after T0: when the next funding is exchanged.
HOUR = 1_790_002_800_000_000_000


def opened(at: int = T0, connection: str = CONNECTION, line: str = "A") -> Frame:
    return marker(0, "open", at, connection, line=line, group="trades", url="wss://x/ws")


# -- trades


def test_a_large_trade_is_a_whale_with_both_accounts(bench: Bench) -> None:
    bench.take("hyperliquid", frames_of([trades({}, {"sz": "0.5"}, {"side": "A", "tid": 2})]))
    columns = (
        *COMMON, "kind", "wallet", "buyer", "seller", "asset", "action", "side", "price",
        "quantity", "notional_usd", "tx", "backfill", "extra",
    )  # fmt: skip
    each = ("trade", None, "0xbuyer", "0xseller", "BTC", None)
    extra = json.dumps({"hash": TRADE["hash"]}, separators=(",", ":"))
    assert bench.rows("whales", *columns) == [
        (
            *common("trades:BTC", "BTC", T0, 0, 0),
            *(*each, "buy", 105056.0, 2.0, 210112.0, "917211710228416", False, extra),
        ),
        (
            *common("trades:BTC", "BTC", T0, 0, 2),
            *(*each, "sell", 105056.0, 2.0, 210112.0, "2", False, extra),
        ),
    ]


def test_every_trade_is_a_last_price_at_its_own_time(bench: Bench) -> None:
    later = {"px": "105057", "sz": "0.1", "time": T0 // MS + 1, "side": "A", "tid": 2}
    bench.take("hyperliquid", frames_of([trades({}, later)]))
    assert bench.rows("prices", *COMMON, "kind", "price", *TRADED) == [
        (
            *(*common("trades:BTC", "BTC", T0, 0, 0), "last", 105056.0),
            *(2.0, "base", 210_112.0, "buy", "917211710228416"),
        ),
        (
            *(*common("trades:BTC", "BTC", T0 + MS, 0, 1), "last", 105057.0),
            *(0.1, "base", 10_505.7, "sell", "2"),
        ),
    ]


@pytest.mark.parametrize(
    ("coin", "asset"),
    [("kPEPE", "PEPE"), ("xyz:GOLD", "GOLD"), ("PURR/USDC", "PURR"), ("@107", None), ("#0", None)],
)
def test_the_asset_is_what_the_coin_s_name_says(bench: Bench, coin: str, asset: str | None) -> None:
    bench.take("hyperliquid", frames_of([trades({"coin": coin})]))
    columns = ("channel", "symbol", "asset")
    assert bench.rows("whales", *columns) == [(f"trades:{coin}", coin, asset)]


def test_what_a_trade_does_not_say_is_null(bench: Bench) -> None:
    nothing: dict[str, Any] = {"users": [], "side": "C", "time": 0, "hash": "0x" + "0" * 64}
    bench.take("hyperliquid", frames_of([trades({**nothing, "tid": None})]))
    columns = ("buyer", "seller", "side", "event_ns", "tx", "extra", "backfill")
    assert bench.rows("whales", *columns) == [(None,) * 6 + (False,)]
    assert bench.rows("latency", "seq") == []


def test_a_trade_that_cannot_be_read_is_rejected_and_the_others_are_kept(bench: Bench) -> None:
    bad = ({"px": ""}, {"sz": None}, {"coin": None})
    bench.take("hyperliquid", frames_of([trades({}, *bad)]))
    assert bench.rows("rejects", "item", "channel", "reason") == [
        (
            *(1, None),
            "a trade without a coin, or without a number as price or size"
            " (the first of 3 wrong items)",
        )
    ]
    assert len(bench.rows("prices", "seq")) == 1


# -- what is past


def test_trades_before_the_connection_are_backfill_and_no_latency(bench: Bench) -> None:
    past = trades({"time": T0 // MS - 15_000}, {"time": T0 // MS - 1, "tid": 2})
    mixed = trades({"time": T0 // MS - 1, "tid": 3}, {"time": T0 // MS + 5, "tid": 4})
    bench.take("hyperliquid", [opened(), *frames_of([past, mixed], first_seq=1, recv_ns=T0 + MS)])
    whales = bench.sql("SELECT tx, backfill FROM whales ORDER BY event_ns, tx")
    assert whales == [("917211710228416", True), ("2", True), ("3", True), ("4", False)]
    columns = ("seq", "item", "event_ns", "total_ns", "line", "backfill")
    assert bench.rows("latency", *columns) == [
        (1, 1, T0 - MS, 2 * MS, "A", True),
        (2, 1, T0 + 5 * MS, -3 * MS, "A", False),
    ]


def test_a_coin_s_past_ends_where_its_subscription_was_acknowledged(bench: Bench) -> None:
    """A channel added to a living connection brings its past, too."""
    other = trades({"coin": "ETH", "time": T0 // MS + 500})
    payloads = [
        ACK,
        trades({"time": T0 // MS + 500}),
        other,
        trades({"time": T0 // MS + 2_000, "tid": 5}),
    ]
    times = [T0 + 1_000 * MS, T0 + 1_001 * MS, T0 + 1_002 * MS, T0 + 2_100 * MS]
    bench.take("hyperliquid", [opened(), *frames_of(payloads, first_seq=1, recv_ns=times)])
    assert bench.rows("whales", "symbol", "backfill") == [
        ("BTC", True),
        ("ETH", False),
        ("BTC", False),
    ]


def segments_of(frames: list[Frame], cut: int) -> list[list[Frame]]:
    return [part for part in (frames[:cut], frames[cut:]) if part]


@pytest.mark.parametrize("cut", range(6))
def test_rows_are_the_same_wherever_a_segment_ends(tmp_path: Path, cut: int) -> None:
    payloads = [
        ACK,
        trades({"time": T0 // MS + 500}),
        CONTEXT,
        trades({"time": T0 // MS + 2_000, "tid": 5}),
        ACK.replace('"subscribe"', '"unsubscribe"'),
    ]
    frames = [opened(), *frames_of(payloads, first_seq=1, recv_ns=T0 + 1_000 * MS)]
    record = Record(tmp_path)
    for part in segments_of(frames, cut):
        record.take("hyperliquid", part)
    assert record.rows("whales", "seq", "tx", "backfill") == [
        (2, "917211710228416", True),
        (4, "5", False),
    ]
    assert record.rows("funding", "seq") == [(3,)]


def test_what_another_connection_brought_is_not_counted_again(tmp_path: Path) -> None:
    record = Record(tmp_path)
    first = [trades({}, {"tid": 2}), trades({"tid": 3, "time": T0 // MS + 5})]
    record.take("hyperliquid", [opened(T0 - MS), *frames_of(first, first_seq=1, recv_ns=T0)])
    again = trades({"tid": 2}, {"tid": 3, "time": T0 // MS + 5}, {"tid": 4, "time": T0 // MS + 9})
    late = T0 + 90_000 * MS
    record.take(
        "hyperliquid",
        [
            opened(late, OTHER),
            *frames_of([again], first_seq=1, recv_ns=late + MS, connection=OTHER),
        ],
    )
    assert record.sql("SELECT tx, backfill FROM whales ORDER BY tx") == [
        *(("2", False), ("3", False), ("4", True), ("917211710228416", False))
    ]
    # Two trades of one time and price are two prices; sent again they are none.
    assert record.sql("SELECT count(*) FROM prices") == [(4,)]


def test_one_tid_of_two_times_is_two_trades(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.take("hyperliquid", [opened(), *frames_of([trades({})], first_seq=1)])
    other = frames_of([trades({"time": T0 // MS + 7})], first_seq=1, connection=OTHER)
    record.take("hyperliquid", [opened(connection=OTHER), *other])
    assert record.sql("SELECT count(*) FROM whales") == [(2,)]


# -- contexts


def test_a_context_gives_hourly_funding_prices_and_open_interest_without_a_time(
    bench: Bench,
) -> None:
    bench.take("hyperliquid", [opened(), *frames_of([CONTEXT], first_seq=1)])
    row = common("activeAssetCtx:BTC", "BTC", None, 1)
    columns = (
        *COMMON, "rate", "interval_hours", "predicted_rate", "next_funding_ns", "mark_price",
        "index_price", "backfill", "extra",
    )  # fmt: skip
    assert bench.rows("funding", *columns) == [
        (*row, 0.0000018952, 1.0, None, HOUR, 84148.0, 84198.0, False, '{"premium":-0.0006413454}')
    ]
    observed = (*COMMON, "open_interest", "open_interest_usd", "backfill")
    assert bench.rows("open_interest", *observed) == [
        (*row, 36585.31848, pytest.approx(3078581379.45), False)
    ]
    assert bench.rows("prices", *COMMON, "kind", "price") == [
        (*row, "mark", 84148.0),
        (*row[:-1], 1, "index", 84198.0),
        (*row[:-1], 2, "mid", 84143.5),
    ]
    assert bench.rows("latency", "seq") == []


def test_a_spot_coin_has_prices_only(bench: Bench) -> None:
    bench.take("hyperliquid", frames_of([SPOT]))
    assert bench.places() == {0: ["prices"]}
    assert bench.rows("prices", "channel", "symbol", "kind", "price") == [
        ("activeAssetCtx:@107", "@107", "mark", 46.2)
    ]


def test_empty_numbers_are_null_and_zero_stays_zero(bench: Bench) -> None:
    empty = CONTEXT.replace('"0.0000018952"', '""').replace('"84143.5"', "null")
    zero = CONTEXT.replace('"0.0000018952"', '"0.0"').replace('"36585.31848"', '"0.0"')
    bench.take("hyperliquid", frames_of([empty, zero]))
    assert bench.rows("funding", "seq", "rate") == [(1, 0.0)]
    assert bench.rows("open_interest", "seq", "open_interest_usd") == [
        (0, pytest.approx(3078581379.45)),
        (1, 0.0),
    ]
    assert bench.sql("SELECT count(*) FROM prices WHERE kind = 'mid'") == [(1,)]


# -- everything else


def test_words_of_control_are_no_events(bench: Bench) -> None:
    told = [
        "Websocket connection established.",
        '{"channel":"pong"}',
        ACK,
        '{"channel":"error","data":"Invalid subscription"}',
        '{"channel":"trades","data":[]}',
    ]
    bench.take("hyperliquid", frames_of(told))
    assert bench.places() == {}


def test_a_book_has_a_latency_and_no_table(bench: Bench) -> None:
    bench.take("hyperliquid", frames_of([BOOK], recv_ns=1790232237073 * MS + 9 * MS))
    assert bench.places() == {0: ["latency"]}
    columns = ("channel", "symbol", "total_ns", "network_ns", "backfill")
    assert bench.rows("latency", *columns) == [("l2Book:MATIC", "MATIC", 9 * MS, None, False)]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{}", "a message without a channel"),
        ('{"data":{"time":1790232237073}}', "a message without a channel"),
        ('{"channel":"trades","data":{"coin":"BTC"}}', "trades that are not a list"),
        ('{"channel":"trades","data":"[]"}', "trades that are not a list"),
        (
            '{"channel":"activeAssetCtx","data":{"coin":"BTC","ctx":{"funding":"x"}}}',
            "a context without a coin, or without a number",
        ),
        ('{"channel":"new"}', "no table for the channel new, and it carries no time"),
        ('{"channel":"trades","data":[7]}', "a trade without a coin"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_a_reason(
    bench: Bench, payload: str, reason: str
) -> None:
    bench.take("hyperliquid", frames_of([payload]))
    [(found,)] = bench.rows("rejects", "reason")
    assert found.startswith(reason)


# -- recorded frames


def test_the_captured_frames_end_as_exactly_these_rows(bench: Bench) -> None:
    bench.take("hyperliquid", frames_of(lines("captured_2026/hyperliquid.jsonl")))
    context = ["funding", "open_interest", "prices"]
    latency = ["latency"]
    assert bench.places() == {1: context, 2: context, 3: context, 4: latency, 5: latency}
    columns = ("seq", "symbol", "rate", "mark_price", "index_price")
    assert bench.rows("funding", *columns) == [
        (1, "BTC", 0.0000052974, 80640.0, 80684.7),
        (2, "BTC", 0.0000018952, 84148.0, 84198.0),
        (3, "xyz:GOLD", 0.00000625, 4028.4, 4027.6),
    ]
    assert bench.rows("latency", "channel", "event_ns") == [
        ("bbo:MATIC", 1788490065008 * MS),
        ("l2Book:MATIC", 1790232237073 * MS),
    ]


def test_contexts_without_names_are_nobody_s(bench: Bench) -> None:
    frame = shared("nautilus/hyperliquid/nautilus_ws_all_dexs_asset_ctxs.json").read_bytes()
    bench.take("hyperliquid", frames_of([frame]))
    assert bench.places() == {}


def test_a_recording_s_first_trades_are_its_past(bench: Bench) -> None:
    with gzip.open(shared("hyperliquid/hftbacktest_btcusd_20250126.gz"), "rt") as told:
        frames = [line.strip().partition(" ")[::2] for line in told if line.strip()]
    times, payloads = [int(at) for at, _ in frames], [text for _, text in frames]
    start = times[0] - 500 * MS
    bench.take(
        "hyperliquid",
        [opened(start), *frames_of(payloads, recv_ns=times, first_seq=1)],
        whale_usd=0.0,
    )
    count = "SELECT backfill, count(*), count(DISTINCT tx) FROM whales GROUP BY ALL ORDER BY ALL"
    assert bench.sql(count) == [(False, 34, 34), (True, 30, 30)]
    each = "SELECT channel, backfill, count(*) FROM latency GROUP BY ALL ORDER BY ALL"
    assert bench.sql(each) == [
        ("l2Book:BTC", False, 46),
        ("trades:BTC", False, 8),
        ("trades:BTC", True, 1),
    ]
    live = "SELECT min(total_ns), max(total_ns) FROM latency WHERE NOT backfill"
    [(least, most)] = bench.sql(live)
    assert 0 < least < most < 1_000 * MS
    assert bench.rows("rejects", "reason") == []
    columns = "buyer, seller, side, price, quantity, tx, extra"
    first = bench.sql(f"SELECT {columns} FROM whales WHERE NOT backfill ORDER BY event_ns LIMIT 1")
    assert first == [
        (
            "0x8a43b5424eb06a3e79bc6036c8cae55417fada0e",
            "0x6802b4267f7f2bf7003dcf993c51542245b38329",
            *("buy", 105056.0, 0.02222, "917211710228416", None),  # a hash of zeros is none
        )
    ]
