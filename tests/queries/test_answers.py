"""Each canned query's answer over rows small enough to compute by hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from kit import made

from recorder.answers import canned
from recorder.schema.state import CONDITIONS
from recorder.schema.tables import EVENT_TABLES, TABLES
from recorder.tables import publish

from .rows import (
    DAY,
    HOUR,
    NOWHERE,
    QUERIES,
    SECOND,
    START,
    Connection,
    ask,
    connected,
    gap,
    put,
)

SHARED = canned.shared()

# --- every query -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUERIES)
def test_an_empty_database_answers_with_no_rows(database: Connection, name: str) -> None:
    assert ask(database, name) == []


@pytest.mark.parametrize("name", QUERIES)
def test_every_column_of_the_answer_is_explained(database: Connection, name: str) -> None:
    answer = canned.run(database, QUERIES[name], {})
    assert [column.name for column in QUERIES[name].columns] == answer.column_names


HOSTILE = {
    "BIGINT": (2**63 - 1, -(2**63), 0),
    "INTEGER": (2**31 - 1, -(2**31), 0),
    "DOUBLE": (float("nan"), float("inf"), -1e308),
    "VARCHAR": ("\x1b[31m\x00\n'); DROP TABLE whales; --", "", "1000🐋$1\\"),
    "BOOLEAN": (True, False, None),
    "JSON": ("{}", "[]", "null"),
    "BLOB": (b"\xff\x00", b"", b"x" * 1000),
}
OUR_OWN = {"feed", "recv_ns", "recv_time", "connection", "seq", "item"}


@pytest.mark.parametrize("name", QUERIES)
def test_no_value_that_a_feed_may_send_fails_a_query(database: Connection, name: str) -> None:
    for table in (*EVENT_TABLES, "prices", "latency", "rejects"):
        for i in range(3):
            theirs = [c for c in TABLES[table].columns if c.name not in OUR_OWN]
            values = {c.name: HOSTILE[c.type][i] for c in theirs}
            put(database, table, i, **values)
            put(database, table, i, **dict.fromkeys(values))
    columns = [column.name for column in QUERIES[name].columns]
    assert all(list(row) == columns for row in ask(database, name))


MACRO_PARAMETERS = {
    "conditions": {"condition": "degraded"},
    "coverage": {"since": "2026-01-01T01:00Z", "until": "2026-01-01T09:30Z", "line": "A"},
    "event_history": {"kind": "whales", "symbol": "ethusdt", "exchange": "OKX", "limit": "2"},
    "feed_rates": {"feed": "f", "since": "2026-01-01T01:00Z", "until": "2026-01-01T02:00Z"},
    "funding_over_time": {"bucket": "2 hours", "symbol": "ethusdt", "exchange": "OKX"},
    "funding_rates": {"symbol": "ethusdt", "exchange": "OKX", "until": "2026-01-01T04:00Z"},
    "funding_spread": {"asset": "eth", "max_age": "2 hours", "min_spread": "0.00001"},
    "event_window": {"kind": "whales", "span": "20 minutes", "max_age": "1 hour", "limit": "3"},
    "funding_extremes": {"min_count": "2", "exchange": "OKX", "until": "2026-01-01T08:00Z"},
    "latency_heatmap": {"hop": "network", "channel": "d"},
    "latency_over_time": {"bucket": "2 hours", "hop": "network", "channel": "d"},
    "latency_percentiles": {"feed": "f", "channel": "d", "since": "2026-01-01T02:00Z"},
    "latency_waterfall": {"feed": "f", "until": "2026-01-01T02:00Z"},
    "liquidation_cascades": {"max_pause": "2 hours", "min_count": "3", "symbol": "ethusdt"},
    "liquidation_totals": {"bucket": "3 hours", "symbol": "ETHUSDT", "exchange": "okx"},
    "listings": {"ticker": "eth", "exchange": "okx", "limit": "3"},
    "listing_reaction": {"ticker": "eth", "max_age": "2 hours", "horizons": "[1 hour]"},
    "open_interest_changes": {"period": "2 hours", "exchange": "okx", "limit": "1"},
    "rejects_summary": {"channel": "d", "feed": "f", "until": "2026-01-01T05:00Z"},
    "slowest_frames": {"hop": "network", "channel": "d", "limit": "3"},
    "whale_clusters": {"span": "3 hours", "min_whales": "2", "asset": "eth"},
    "whale_moves": {"min_usd": "3", "symbol": "ETHUSDT", "exchange": "okx", "limit": "2"},
}


def fill(connection: Connection) -> None:
    """Ten hours of everything, in two exchanges, symbols, channels and feeds."""
    for i in range(40):
        at = i * HOUR // 4
        own: dict[str, Any] = {
            "feed": "fg"[i % 5 == 0],
            "channel": "cd"[i // 2 % 2],
            "exchange": ("binance", "okx")[i % 2],
            "symbol": ("BTCUSDT", "ETHUSDT")[i // 2 % 2],
        }
        for table in EVENT_TABLES:
            put(connection, table, at, **own, item=1)
        put(connection, "whales", at, **own, notional_usd=float(i), kind="trade")
        put(connection, "funding", at, **own, rate=i / 1000, interval_hours=8.0)
        put(connection, "liquidations", at, **own, notional_usd=float(i), position_side="long")
        put(connection, "listings", at, **own, ticker=own["symbol"][:3])
        put(connection, "open_interest", at, **own, open_interest=float(i + 1))
        put(connection, "prices", at, **own, kind="last", price=float(i + 1))
        put(connection, "latency", at, **own, total_ns=i, network_ns=i, publish_ns=START)
        put(connection, "rejects", at, **own, reason=f"reason {i % 3}", payload=b"{")
        times = {"opened_ns": START + at, "closed_ns": START + at + HOUR, "frames": 9, "bytes": 99}
        own["line_group"] = own.pop("channel")
        put(connection, "connections", at, **own, line="AB"[i % 2], **times)
        put(
            connection,
            "gaps",
            at,
            **own,
            line="AB"[i % 2],
            from_ns=START + at,
            to_ns=START + at + SECOND,
        )
    for i, word in enumerate(("complete", "degraded")):
        columns = [c.name for c in CONDITIONS.columns if " NOT NULL" in c.type]
        values = {
            "feed": "f", "day": f"2026-01-0{i + 1}", "condition": word, "causes": "[]",

        }  # fmt: skip
        connection.execute(
            f"INSERT INTO conditions ({', '.join(columns)}) "
            f"VALUES ({', '.join('?' * len(columns))})",
            [values.get(name, [] if name == "line_groups" else 0) for name in columns],
        )


@pytest.fixture(scope="module")
def full(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Ten hours of everything and the macros, to be read only."""
    path = shutil.copy(empty, tmp_path_factory.mktemp("full"))
    with duckdb.connect(str(path)) as connection:
        connection.begin()
        fill(connection)
        connection.commit()
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.mark.parametrize("name", sorted(QUERIES.keys() - {"line_race"}))  # it reads raw files
def test_the_macro_answers_as_the_text_does(full: Connection, name: str) -> None:
    given = MACRO_PARAMETERS[name]
    arguments = ", ".join(f"\"{key}\" := '{value}'" for key, value in given.items())
    text = canned.run(full, QUERIES[name], given)
    macro = full.sql(f"FROM {name}({arguments})").to_arrow_table()
    assert text.num_rows > 0
    assert macro.to_pylist() == text.to_pylist()
    default = canned.run(full, QUERIES[name], {})
    assert default.to_pylist() != text.to_pylist()
    assert full.sql(f"FROM {name}()").to_arrow_table().to_pylist() == default.to_pylist()


def test_the_macros_live_in_a_database_for_older_clients(tmp_path: Path) -> None:
    path = tmp_path / "recorder.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS made (STORAGE_VERSION 'v1.4.0')")
        connection.execute("USE made")
        publish.define(connection, NOWHERE)
    with duckdb.connect(str(path), read_only=True) as reader:
        for name in QUERIES | {n: q for n, q in SHARED.items() if not q.scalar}:
            assert reader.sql(f"FROM {name}()").fetchall() == []
        assert reader.sql("SELECT asset_of('BTC-USDT-SWAP')").fetchall() == [("BTC",)]


# --- latency ---------------------------------------------------------------------------------


def test_latency_percentiles_are_exact_and_in_milliseconds(database: Connection) -> None:
    for i in range(101):
        put(database, "latency", i, total_ns=i * 1_000_000, backfill=False)
    put(database, "latency", 200, total_ns=9_000_000_000, backfill=True)
    [row] = ask(database, "latency_percentiles")
    assert row == {
        "feed": "f",
        "channel": "c",
        "hop": "total",
        "count": 101,
        "p50": 50.0,
        "p90": 90.0,
        "p99": 99.0,
        "p99_9": None,  # of 101 frames it would be the maximum by another name
        "max": 100.0,
        "negatives": 0,
        "clock_error_p50": None,
        "clock_error_max": None,
    }


def test_each_hop_of_the_latency_is_measured_where_it_is_known(database: Connection) -> None:
    times = {
        "publish_ns": START,
        "detected_ns": START + 2_000_000,
        "dispatch_ns": START + 1_000_000,
    }
    put(database, "latency", 7_000_000, **times, total_ns=7_000_000, network_ns=6_000_000)
    put(database, "latency", 9_000_000, publish_ns=START, total_ns=9_000_000)
    rows = {row["hop"]: row for row in ask(database, "latency_percentiles")}
    assert {hop: (row["count"], row["max"]) for hop, row in rows.items()} == {
        "detection": (1, 2.0),
        "dispatch": (1, -1.0),
        "network": (1, 6.0),
        "total": (2, 9.0),
    }
    assert rows["dispatch"]["negatives"] == 1
    assert rows["total"]["p50"] == 8.0


def test_latency_over_time_puts_each_frame_in_its_bucket(database: Connection) -> None:
    for at, ms in ((0, 1), (HOUR - 1, 3), (HOUR, -5)):
        put(database, "latency", at, total_ns=ms * 1_000_000)
    rows = ask(database, "latency_over_time")
    assert [(r["time"], r["count"], r["p50"], r["max"], r["negatives"]) for r in rows] == [
        (DAY, 2, 2.0, 3.0, 0),
        (DAY + timedelta(hours=1), 1, -5.0, -5.0, 1),
    ]
    assert len(ask(database, "latency_over_time", bucket="1 day")) == 1
    assert ask(database, "latency_over_time", hop="network") == []


# --- funding ---------------------------------------------------------------------------------


def test_funding_is_the_latest_and_annualised_by_its_own_interval(database: Connection) -> None:
    put(database, "funding", 1, rate=0.5, interval_hours=8.0)
    put(database, "funding", 2, rate=0.0001, interval_hours=8.0, next_funding_ns=START + HOUR)
    put(database, "funding", 3, mark_price=1.0)  # an update without a rate hides none
    put(database, "funding", 2, exchange="hyperliquid", symbol="BTC", rate=0.0001, interval_hours=1)
    put(database, "funding", 2, exchange="deribit", rate=0.0001)
    put(database, "funding", 2, exchange="okx", rate=0.0001, interval_hours=0)
    found = {row["exchange"]: row for row in ask(database, "funding_rates")}
    assert found["binance"]["annualised"] == pytest.approx(0.0001 * 3 * 365)
    assert found["binance"]["next_funding_time"] == DAY + timedelta(hours=1)
    assert found["hyperliquid"]["annualised"] == pytest.approx(0.0001 * 24 * 365)
    assert found["deribit"]["annualised"] is None
    assert found["okx"]["annualised"] is None
    assert [r["exchange"] for r in ask(database, "funding_rates", limit="1")] == ["hyperliquid"]
    early = datetime.fromtimestamp(0, UTC).isoformat()
    assert ask(database, "funding_rates", until=early) == []


def test_funding_over_time_is_the_last_rate_of_each_bucket(database: Connection) -> None:
    put(database, "funding", 1, rate=0.5, interval_hours=8.0)
    put(database, "funding", 2, rate=0.0001, interval_hours=8.0)
    put(database, "funding", 3, mark_price=1.0)  # no rate, no observation
    put(database, "funding", 4, rate=0.7, interval_hours=8.0, backfill=True)
    put(database, "funding", 3 * HOUR, rate=-0.0002)
    first, later = ask(database, "funding_over_time")
    assert (first["time"], first["rate"], first["count"]) == (DAY, 0.0001, 2)
    assert first["annualised"] == pytest.approx(0.0001 * 3 * 365)
    assert (later["time"], later["rate"]) == (DAY + timedelta(hours=3), -0.0002)
    assert later["annualised"] is None
    [day] = ask(database, "funding_over_time", bucket="1 day")
    assert (day["rate"], day["count"]) == (-0.0002, 3)


def test_the_spread_is_per_hour_and_between_two_exchanges(database: Connection) -> None:
    def rate(exchange: str, symbol: str, rate: float, hours: float | None, at: int = 0) -> None:
        values = {"exchange": exchange, "symbol": symbol, "rate": rate, "interval_hours": hours}
        put(database, "funding", at, **values)

    rate("binance", "BTCUSDT", 0.0008, 8)  # 0.0001 an hour: the highest
    rate("binance", "BTCUSDC", 0.0, 8)  # the lowest, but of the same exchange
    rate("okx", "BTC-USDT-SWAP", 0.0002, 4)  # 0.00005 an hour
    rate("hyperliquid", "BTC", 0.00001, 1)  # the lowest elsewhere
    rate("deribit", "BTC-PERPETUAL", 9.0, None)  # of unknown interval: not comparable
    [row] = ask(database, "funding_spread")
    assert (row["asset"], row["basis"]) == ("BTC", "hour")
    assert row["spread"] == pytest.approx(0.00009)
    assert row["spread_annualised"] == pytest.approx(0.00009 * 24 * 365)
    assert (row["high_exchange"], row["high_symbol"]) == ("binance", "BTCUSDT")
    assert (row["low_exchange"], row["low_symbol"]) == ("hyperliquid", "BTC")
    rate("bitmex", "XBTUSD", 1.0, None)
    by_basis = {row["basis"]: row for row in ask(database, "funding_spread")}
    assert by_basis["interval"]["spread"] == 8.0
    assert by_basis["interval"]["spread_annualised"] is None


def test_a_stale_rate_is_compared_with_none(database: Connection) -> None:
    put(database, "funding", 0, exchange="okx", rate=0.1, interval_hours=24)
    put(database, "funding", 25 * HOUR, rate=0.2, interval_hours=8)
    put(database, "funding", 8 * HOUR, exchange="bybit", rate=9, interval_hours=8)  # over two ago
    assert ask(database, "funding_spread") == []
    assert len(ask(database, "funding_spread", max_age="2 days")) == 1
    assert len(ask(database, "funding_spread", max_age="null")) == 1


@pytest.mark.parametrize(
    ("symbol", "asset"),
    [
        ("BTCUSDT", "BTC"),
        ("btcusdt", "BTC"),
        ("BTCUSDC", "BTC"),
        ("BTCUSD_PERP", "BTC"),
        ("BTC-USDT-SWAP", "BTC"),
        ("BTC-USD-SWAP", "BTC"),
        ("BTC-PERPETUAL", "BTC"),
        ("BTC_USDC-PERPETUAL", "BTC"),
        ("BTC/USDT:USDT", "BTC"),
        ("PF_XBTUSD", "BTC"),
        ("XBTUSDTM", "BTC"),
        ("BTCPERP", "BTC"),
        ("BTC", "BTC"),
        ("1000PEPEUSDT", "PEPE"),
        ("kPEPE", "PEPE"),
        ("1INCHUSDT", "1INCH"),
        ("PERPUSDT", "PERP"),
        ("USDCUSDT", "USDC"),
        ("BTC-27DEC30", "BTC"),
    ],
)
def test_a_symbol_is_brought_to_its_asset(database: Connection, symbol: str, asset: str) -> None:
    put(database, "funding", 0, symbol=symbol, rate=0.1)
    put(database, "funding", 0, exchange="other", symbol=symbol, rate=0.1)
    assert [row["asset"] for row in ask(database, "funding_spread")] == [asset]


# --- events ----------------------------------------------------------------------------------


def test_the_event_history_is_one_timeline_of_every_table(database: Connection) -> None:
    for i, table in enumerate(EVENT_TABLES):
        put(database, table, i)
    rows = ask(database, "event_history")
    assert [row["kind"] for row in rows] == list(reversed(EVENT_TABLES))
    assert [r["kind"] for r in ask(database, "event_history", limit="1")] == ["system_status"]
    assert [r["kind"] for r in ask(database, "event_history", kind="flows")] == ["flows"]
    assert len(ask(database, "event_history", since="2026-01-01", until="2026-01-02")) == 9


def test_an_event_is_summed_up_in_one_line(database: Connection) -> None:
    put(
        database,
        "liquidations",
        0,
        position_side="long",
        quantity=1.5,
        quantity_unit="base",
        price=61000.5,
        notional_usd=91500.75,
        event_ns=START - 5,
    )
    put(database, "listings", 1, ticker="FOO", listing_type="spot_listing", title="a\nb\x1b[31m")
    listing, liquidation = ask(database, "event_history")
    assert liquidation["summary"] == "long 1.5 base @ 61000.5"
    assert liquidation["notional_usd"] == 91500.75
    assert liquidation["event_ns"] == START - 5
    assert listing["summary"] == "spot_listing FOO a b [31m"
    assert listing["notional_usd"] is None


def test_listings_are_newest_first_and_found_by_ticker(database: Connection) -> None:
    put(database, "listings", 250_000_000, ticker="FOO", publish_ns=START)
    put(database, "listings", HOUR, ticker="BAR")
    newest, oldest = ask(database, "listings")
    assert (newest["ticker"], newest["latency_ms"], newest["publish_time"]) == ("BAR", None, None)
    assert (oldest["latency_ms"], oldest["publish_time"]) == (250.0, DAY)
    assert [row["ticker"] for row in ask(database, "listings", ticker="foo")] == ["FOO"]


def test_whale_moves_are_biggest_first_and_an_unknown_value_is_last(database: Connection) -> None:
    for i, usd in enumerate((5.0, None, 20.0)):
        put(database, "whales", i, notional_usd=usd, asset="BTC", wallet="0xAB")
    assert [row["notional_usd"] for row in ask(database, "whale_moves")] == [20.0, 5.0, None]
    assert [r["notional_usd"] for r in ask(database, "whale_moves", min_usd="10")] == [20.0]
    assert len(ask(database, "whale_moves", symbol="btc", wallet="0xab", limit="2")) == 2


def test_a_liquidation_of_unknown_value_is_in_no_sum(database: Connection) -> None:
    for side, usd in (("long", 100.0), ("long", None), ("short", None), (None, 7.0)):
        put(database, "liquidations", 0, position_side=side, notional_usd=usd)
    put(database, "liquidations", HOUR, position_side="long", notional_usd=1.0)
    rows = ask(database, "liquidation_totals")
    assert [
        (r["time"].hour, r["position_side"], r["count"], r["notional_usd"], r["without_usd"])
        for r in rows
    ] == [
        (0, "long", 2, 100.0, 1),
        (0, "short", 1, None, 1),
        (0, "unknown", 1, 7.0, 0),
        (1, "long", 1, 1.0, 0),
    ]


def test_rejects_are_counted_by_reason_with_the_newest_example(database: Connection) -> None:
    put(database, "rejects", 0, reason="no JSON", payload=b"old")
    put(database, "rejects", HOUR, reason="no JSON", payload=b"new " + b"x" * 200)
    put(database, "rejects", 0, reason="no UTF-8", payload=b"\xff\xfe")
    text, binary = ask(database, "rejects_summary")
    assert (text["count"], text["example"]) == (2, "new " + "x" * 116)
    assert (text["first_time"], text["last_time"]) == (DAY, DAY + timedelta(hours=1))
    assert binary["example"] == "FFFE"


# --- coverage and rates ----------------------------------------------------------------------


def test_coverage_is_cut_at_midnight_and_counts_what_is_still_open(database: Connection) -> None:
    connected(database, 0, 6 * HOUR)
    gap(database, 6 * HOUR, 7 * HOUR)
    connected(database, 5 * HOUR, 6 * HOUR + 1200 * SECOND, line="B")  # covers a third
    connected(database, 7 * HOUR, None, last_heard_ns=START + 26 * HOUR, frames=20)
    connected(database, None, None)  # a failed attempt
    gap(database, 25 * HOUR, None, line="B")  # lasts: up to the newest record, 26:00
    first, _, second, other_line = ask(database, "coverage")
    assert first == {
        "day": DAY,
        "feed": "f",
        "line": "A",
        "channels": 1,
        "connected_seconds": 23 * 3600.0,
        "gap_seconds": 3600.0,
        "gap_share": 1.0,
        "uptime": 23 / 24,
        "gaps": 1,
        "worst_gap_seconds": 3600.0,
        "uncovered_seconds": 2400.0,
        "frames": 30,
    }
    assert (second["day"], second["line"]) == (DAY + timedelta(days=1), "A")
    assert (second["connected_seconds"], second["uptime"], second["gaps"]) == (7200.0, 1.0, 0)
    assert (second["worst_gap_seconds"], second["frames"]) == (None, None)
    assert (other_line["line"], other_line["gap_seconds"], other_line["uptime"]) == ("B", 3600, 0)
    assert other_line["uncovered_seconds"] == 0  # A lives on


def test_time_inside_a_gap_is_not_connected_and_overlaps_count_once(database: Connection) -> None:
    connected(database, 0, 600 * SECOND)
    connected(database, 60 * SECOND, 300 * SECOND)  # make before break: overlaps the first
    gap(database, 400 * SECOND, 700 * SECOND)  # the socket lived on, mute
    connected(database, 0, 700 * SECOND, line_group="other group")
    [row] = ask(database, "coverage")
    assert (row["channels"], row["connected_seconds"], row["gap_seconds"]) == (2, 400, 300)
    assert row["gap_share"] == 0.5
    assert row["uptime"] == pytest.approx((400 + 700) / 1400)


def test_an_outage_of_several_channels_lasts_as_long_as_that_of_one(database: Connection) -> None:
    for group in "abcdef":
        connected(database, 0, 100 * SECOND, line_group=group)
        gap(database, 100 * SECOND, 162 * SECOND, line_group=group)
        connected(database, 162 * SECOND, 170 * SECOND, line_group=group)
    [row] = ask(database, "coverage")
    assert (row["connected_seconds"], row["gap_seconds"]) == (108, 62)
    assert (row["channels"], row["gap_share"], row["gaps"]) == (6, 1, 6)
    assert row["uptime"] == pytest.approx(108 / 170)


def test_a_clean_stop_is_no_gap(database: Connection) -> None:
    stopped = {"line_group": "c", "cause": "the recorder was stopped"}
    connected(database, 0, 100 * SECOND, reason="stopping", last_heard_ns=START + 99 * SECOND)
    gap(database, 99 * SECOND, None, **stopped)
    connected(database, 0, 101 * SECOND, reason="stopping", feed="later")
    gap(database, 101 * SECOND, None, **(stopped | {"feed": "later"}))
    assert [(r["gaps"], r["uptime"]) for r in ask(database, "coverage")] == [(0, 1), (0, 1)]
    connected(database, 0, None, feed="goes on", last_heard_ns=START + 199 * SECOND)
    first, *_ = ask(database, "coverage")
    assert (first["gaps"], first["gap_seconds"], first["uncovered_seconds"]) == (1, 100, 100)


def test_only_what_no_other_line_covered_is_bare(database: Connection) -> None:
    connected(database, 0, 100 * SECOND)
    gap(database, 100 * SECOND, 200 * SECOND)
    connected(database, 200 * SECOND, 300 * SECOND)
    connected(database, 0, 110 * SECOND, line="B")
    gap(database, 110 * SECOND, 115 * SECOND, line="B")
    connected(database, 115 * SECOND, 300 * SECOND, line="B", last_heard_ns=START + 299 * SECOND)
    connected(database, 0, 300 * SECOND, line="B", line_group="another")
    first, second = ask(database, "coverage")
    assert (first["gap_seconds"], first["uncovered_seconds"]) == (100, 5)
    assert (second["gap_seconds"], second["uncovered_seconds"]) == (5, 5)
    for at, kind in ((105, "covered"), (112, "bare"), (117, "covered")):
        put(database, "liquidations", at * SECOND, symbol=kind, notional_usd=1.0)
    bursts = ask(database, "liquidation_cascades", min_count="1", max_pause="1 second")
    assert {row["symbol"]: row["gap"] for row in bursts} == {"covered": False, "bare": True}


def test_coverage_is_clipped_to_the_period_asked_for(database: Connection) -> None:
    connected(database, 0, 10 * HOUR)
    gap(database, 10 * HOUR, 12 * HOUR)
    [row] = ask(database, "coverage", since="2026-01-01T09:00Z", until="2026-01-01T11:00Z")
    assert (row["connected_seconds"], row["gap_seconds"], row["uptime"]) == (3600, 3600, 0.5)
    assert row["frames"] == 10
    assert ask(database, "coverage", since="2026-01-02") == []


def test_a_connection_that_never_lived_has_no_uptime(database: Connection) -> None:
    connected(database, 0, None)
    [row] = ask(database, "coverage")
    assert (row["connected_seconds"], row["gap_seconds"], row["uptime"]) == (0, 0, None)


def test_rates_are_per_minute_of_the_recording(database: Connection) -> None:
    connected(database, 0, 600 * SECOND)
    connected(database, 0, None, last_heard_ns=START + 1200 * SECOND)
    for i in range(40):
        put(database, "whales", i * SECOND)
    put(database, "prices", 0, feed="unconnected")
    frames, whales, prices = ask(database, "feed_rates")
    assert (frames["source"], frames["count"], frames["per_minute"]) == ("frames", 20, 1.0)
    assert (frames["bytes"], frames["bytes_per_minute"]) == (200, 10.0)
    assert (whales["source"], whales["count"], whales["per_minute"]) == ("whales", 40, 2.0)
    assert (prices["feed"], prices["count"], prices["per_minute"]) == ("unconnected", 1, None)
    _, late = ask(database, "feed_rates", feed="f", since="2026-01-01T00:00:30Z")
    assert (late["count"], late["per_minute"]) == (10, pytest.approx(10 / 19.5))


def test_frames_are_counted_by_the_time_of_their_receipt(database: Connection) -> None:
    """A connection that the period cuts is counted in raw: 60 s of it, not the whole of it."""
    connected(database, 0, 600 * SECOND)
    frames = [
        {"feed": "f", "connection": "one", "seq": n, "recv_ns": START + n * 10 * SECOND,
         "kind": "stats" if n == 7 else "text", "payload": b"12345"}
        for n in range(60)
    ]  # fmt: skip
    minute = {"since": "2026-01-01T00:01:00Z", "until": "2026-01-01T00:02:00Z"}
    [row] = ask(database, "feed_rates", **minute)
    assert (row["count"], row["minutes"]) == (None, 1.0)  # without raw it is not known
    made.frames(database, frames)
    [row] = ask(database, "feed_rates", **minute)
    assert (row["count"], row["per_minute"], row["bytes"]) == (5, 5.0, 25)
