"""Copies of one event on two lines: one row, by each feed's own key; different events stay."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples
from kit.frames import T0, frames_of, marker
from kit.pages import ROOT, generated
from kit.records import Published, Record

from recorder.answers import canned
from recorder.clock import NS, ulid
from recorder.feed import key_of
from recorder.feeds import KINDS, feed
from recorder.frame import Frame
from recorder.player.ready import Repeats
from recorder.schema.raw import RAW
from recorder.schema.tables import TABLES
from recorder.service import Service
from recorder.tables import arrivals
from recorder.tables.rules import stamped_of

MS_0 = T0 // 1_000_000
MACRO = "queries/shared/frame_key.sql"


@dataclass(frozen=True)
class Stamped:
    """An event of a feed as one line receives it: `text(number, stamp)`, the stamp per copy."""

    feed: str
    text: Callable[[int, int], str]
    table: str = "latency"
    column: str = "event_ns"


def dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def spot_trade(number: int, stamp: int) -> str:
    return dumped(
        {"e": "trade", "E": MS_0 + stamp, "s": "BNBBTC", "t": number, "p": "0.001", "q": "100",
         "T": MS_0, "m": True, "M": True}
    )  # fmt: skip


def spot_trades_in_one(number: int, stamp: int) -> str:
    return dumped({"stream": "bnbbtc@aggTrade", "data": {
        "e": "aggTrade", "E": (MS_0 + stamp) * 1000, "s": "BNBBTC", "a": number, "p": "0.001",
        "q": "100", "f": 1, "l": 2, "T": MS_0 * 1000, "m": True, "M": True,
    }})  # fmt: skip


def announcement(number: int, stamp: int) -> str:
    return dumped(
        {"type": "announcement", "title": f"Upbit will list T{number} (T{number})",
         "ticker": f"T{number}", "publisher": "upbit", "listingType": "spot_listing",
         "detectedTimestampUs": MS_0 * 1000 + stamp,
         "dispatchTimestampUs": MS_0 * 1000 + 2 * stamp, "abnormalDetectionLatency": stamp > 3}
    )  # fmt: skip


def announcement_of_old(number: int, stamp: int) -> str:
    return dumped(
        {"type": "announcement", "title": "Upbit", "ticker": "T", "publisher": "upbit",
         "publishTimestampUs": MS_0 * 1000 + number, "detectedTimestampUs": MS_0 * 1000 + stamp,
         "dispatchTimestampUs": MS_0 * 1000 + stamp}
    )  # fmt: skip


def liquidation(number: int, stamp: int) -> str:
    return dumped(
        {"topic": "allLiquidation.ROSEUSDT", "type": "snapshot", "ts": MS_0 + stamp,
         "data": [{"T": MS_0 + number, "s": "ROSEUSDT", "S": "Sell", "v": "20000", "p": "0.045"}]}
    )  # fmt: skip


def trades(number: int, stamp: int) -> str:
    return dumped(
        {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": MS_0 + stamp,
         "data": [{"T": MS_0, "s": "BTCUSDT", "S": "Buy", "v": "0.001", "p": "16578.5",
                   "i": f"20f43950-{number}", "BT": False}]}
    )  # fmt: skip


def rpc(number: int, stamp: int) -> str:
    return dumped(
        {"jsonrpc": "2.0", "method": "subscription", "usIn": MS_0 * 1000 + stamp, "usDiff": stamp,
         "params": {"channel": "trades.BTC-PERPETUAL.raw", "data": [
             {"trade_id": f"{number}", "timestamp": MS_0, "price": 50000.0, "amount": 10.0,
              "direction": "buy", "instrument_name": "BTC-PERPETUAL"}]}}
    )  # fmt: skip


STAMPED = (
    Stamped("binance", spot_trade, "prices", "trade_id"),
    Stamped("binance", spot_trades_in_one, "prices", "trade_id"),
    Stamped("cryptolisting", announcement, "listings", "ticker"),
    Stamped("cryptolisting", announcement_of_old, "listings", "publish_ns"),
    Stamped("bybit", liquidation, "liquidations", "event_ns"),
    Stamped("bybit", trades, "prices", "trade_id"),
    Stamped("deribit", rpc, "prices", "trade_id"),
)


def test_every_feed_with_stamps_is_asked_here() -> None:
    assert {kind for kind in KINDS if feed(kind).stamped} == {one.feed for one in STAMPED}


def frame_key() -> str:
    """The macro's file: its header, and a constant of each feed's pattern, which is fast."""
    header, _, _ = (ROOT / MACRO).read_text("utf-8").partition("coalesce(")
    patterns = [stamps for kind in KINDS if (stamps := feed(kind).stamped)]
    assert all(stamps.groups == 1 for stamps in patterns)
    quoted = ["'" + stamps.pattern.decode().replace("'", "''") + "'" for stamps in patterns]
    removed = "encode(regexp_replace(TRY(decode($payload)), {}, '\\1', 'g'))"
    known = "".join(
        f"    WHEN $stamped = {one}\n        THEN {removed.format(one)}\n" for one in quoted
    )
    return (
        f"{header}coalesce(CASE\n    WHEN $stamped IS NULL THEN $payload\n{known}"
        f"    ELSE {removed.format('$stamped')}\nEND, $payload)\n"
    )


def test_the_macro_is_made_of_the_feeds_patterns() -> None:
    generated(MACRO, frame_key())


def test_the_macro_has_every_feeds_pattern(database: duckdb.DuckDBPyConnection) -> None:
    canned.share(database, "frame_key")
    for one in STAMPED:
        text = one.text(5, 7).encode()
        [(key,)] = database.execute(
            "SELECT frame_key($text::BLOB, $stamped)",
            {"text": text, "stamped": stamped_of(feed(one.feed))},
        ).fetchall()
        assert (
            bytes(key)
            == key_of(text, feed(one.feed).stamped)
            == key_of(one.text(5, 8).encode(), feed(one.feed).stamped)
        )


def lines_of(one: Stamped, seen: dict[str, list[int]]) -> list[Frame]:
    """Two lines, each with these events; no two copies have the same stamp."""
    frames = []
    for place, (line, numbers) in enumerate(seen.items()):
        connection = ulid(T0, bytes([ord(line)] * 10))
        frames += [
            marker(0, "open", T0 - NS, connection, line=line, group="g", url="ws://x"),
            *frames_of(
                [one.text(number, 2 * at + place) for at, number in enumerate(numbers)],
                first_seq=1,
                recv_ns=[T0 + (10 * number + place) * 1_000_000 for number in numbers],
                connection=connection,
            ),
        ]
    return sorted(frames, key=lambda frame: frame[:1])


@pytest.mark.parametrize("one", STAMPED, ids=lambda one: one.text.__name__)
def test_two_copies_that_differ_in_stamps_are_one_row(one: Stamped, bench: Record) -> None:
    bench.take(one.feed, lines_of(one, {"A": [1, 2, 4, 5], "B": [1, 3, 4, 5]}))
    assert len(bench.sql(f"SELECT DISTINCT {one.column} FROM {one.table}")) == 5
    for table in (one.table, "latency"):
        assert bench.sql(f"SELECT count(*) FROM {table}") == [(5,)]
    assert bench.sql("SELECT count(*) FROM rejects") == [(0,)]


def test_a_race_of_copies_with_stamps_is_a_race(published: Published) -> None:
    one = STAMPED[2]
    published.take(one.feed, lines_of(one, {"A": [1, 2, 3], "B": [1, 3]}))
    race = "SELECT line, arrivals, wins, missed FROM line_race(since := NULL)"
    assert published.sql(race) == [("A", 3, 2, 0), ("B", 2, 0, 1)]


def race_of(
    published: Published, kind: str, texts: dict[str, list[tuple[int, str]]]
) -> list[object]:
    """The race of frames that came so many ms after T0, by line."""
    frames = []
    for line, came in texts.items():
        connection = ulid(T0, bytes([ord(line)] * 10))
        frames += [
            marker(0, "open", T0 - NS, connection, line=line, group="g", url="ws://x"),
            *frames_of(
                [text for _, text in came],
                first_seq=1,
                recv_ns=[T0 + ms * 1_000_000 for ms, _ in came],
                connection=connection,
            ),
        ]
    published.take(kind, sorted(frames, key=lambda frame: frame[:1]))
    race = "SELECT line, arrivals, wins, missed, advantage_p50 FROM line_race(since := NULL)"
    return published.sql(race)


def test_another_feeds_stamps_are_part_of_a_frame(published: Published) -> None:
    texts = {
        "A": [(0, '{"usIn": 1, "n": 1}'), (10, '{"usIn": 1, "n": 2}')],
        "B": [(1, '{"usIn": 2, "n": 1}'), (12, '{"usIn": 1, "n": 2}')],
    }
    assert race_of(published, "okx", texts) == [("A", 2, 1, 1, 2.0), ("B", 2, 0, 1, None)]


def test_a_copy_may_be_seconds_late(published: Published) -> None:
    late = {"A": [(0, "one"), (10_000, "two")], "B": [(5_000, "one"), (15_000, "two")]}
    assert race_of(published, "okx", late) == [("A", 2, 2, 0, 5000.0), ("B", 2, 0, 0, None)]


# -- a property: each event on either line is kept once, whatever the stamps and the batches


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(TABLES["connections"].ddl)
        connection.execute(arrivals.STATE)
        for name in ("A", "B"):
            connection.execute(
                "INSERT INTO connections BY NAME SELECT 'f' AS feed, 'g' AS line_group, "
                "0 AS recv_ns, 0 AS seq, 0 AS item, make_timestamptz(0) AS recv_time, "
                "$name AS connection, $opened AS opened_ns, $opened AS last_heard_ns",
                {"name": name, "opened": T0},
            )
        yield connection


@given(
    st.sampled_from(STAMPED),
    st.lists(
        st.tuples(st.sampled_from("AB"), st.integers(0, 5), st.integers(0, 9)),
        max_size=16,
        unique_by=lambda came: came[:2],  # a line receives an event once
    ),
    st.integers(0, 16),
)
@settings(max_examples=examples(60), deadline=None)
def test_no_event_is_lost_and_none_is_kept_twice(
    database: duckdb.DuckDBPyConnection, one: Stamped, came: list[tuple[str, int, int]], cut: int
) -> None:
    database.execute("DELETE FROM arrivals")
    stamped = feed(one.feed).stamped
    repeats = Repeats(Service(stamped=stamped))
    rows = [
        (T0 + NS + at, 0, at, line, "text", one.text(number, stamp).encode())
        for at, (line, number, stamp) in enumerate(came)
    ]
    events = {number for _, number, _ in came}
    kept: list[bytes] = []
    for part in (rows[:cut], rows[cut:]):
        if part:
            columns = [
                pa.array(c, f.type) for c, f in zip(zip(*part, strict=True), RAW, strict=True)
            ]
            database.register("batch", pa.table(columns, RAW))
            arrivals.apply(database, "f", stamped_of(feed(one.feed)))
            kept += [bytes(p) for (p,) in database.sql("SELECT payload FROM fresh").fetchall()]
    assert len(kept) == len(events)
    assert {key_of(payload, stamped) for payload in kept} == {
        key_of(one.text(number, 0).encode(), stamped) for number in events
    }
    sent = [row for row in rows if repeats.fresh(row[3], row[5], row[0])]
    assert len(sent) == len(events)
