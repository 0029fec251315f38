"""Filters, conflation, a client's queue, the series: decisions without I/O."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import UsageError
from recorder.serve import conflate, filters
from recorder.serve.client import MOST_WAITING, SHOWN_AT_ONCE, LiveClient
from recorder.serve.conflate import Allowance
from recorder.serve.live_event import DEFAULT_TABLES, LiveEvent
from recorder.serve.poller import JsonTail
from recorder.serve.series import LiveSeries
from recorder.stream.event import CLASSES, Event, columns


def made(table: str, recv_ns: int = 1, **values: Any) -> Event:
    given = {"feed": "f", "connection": "c", "seq": 1, "item": 0, "recv_ns": recv_ns, **values}
    return CLASSES[table](*(given.get(name) for name in columns(table)))


def shown(table: str = "whales", recv_ns: int = 1, **values: Any) -> LiveEvent:
    return LiveEvent(made(table, recv_ns, **values))


WHALE = {"exchange": "Binance", "symbol": "BTCUSDT", "notional_usd": 5e5, "wallet": "0xAbc"}


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        ({}, True), ({"tables": ["whales"]}, True), ({"tables": []}, False),
        ({"tables": ["listings"]}, False), ({"exchange": "BINANCE"}, True),
        ({"exchange": "okx"}, False),
        ({"symbol": "btc*"}, True), ({"symbol": "ETH* BTCUSD?"}, True), ({"symbol": "ETH*"}, False),
        ({"symbol": "[", }, False), ({"min_usd": 5e5}, True), ({"min_usd": 5e5 + 1}, False),
        ({"text": "0XABC"}, True), ({"text": "nothing"}, False),
        ({"text": "", "symbol": None}, True),
    ],
)  # fmt: skip
def test_an_event_passes_a_filter(wanted: dict[str, Any], passes: bool) -> None:
    assert filters.parse(wanted)(shown(**WHALE)) is passes


def test_the_least_value_leaves_tables_without_one_alone() -> None:
    wanted = filters.parse({"min_usd": 1})
    assert wanted(shown("listings"))
    assert not wanted(shown("whales"))  # its value is unknown
    assert not wanted(shown("flows", amount_usd=0.5))
    assert not filters.parse({})(shown("prices"))


@pytest.mark.parametrize(
    "wrong",
    [
        None, [], {"table": []}, {"tables": "whales"}, {"tables": ["whale"]}, {"tables": [1]},
        {"min_usd": "1"}, {"min_usd": True}, {"symbol": 1}, {"text": "x" * 201}, {"exchange": []},
    ],
)  # fmt: skip
def test_a_wrong_filter_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError):
        filters.parse(wrong)


@given(st.text(max_size=200))
def test_any_pattern_is_a_filter(pattern: str) -> None:
    wanted = filters.parse({"symbol": pattern})
    assert wanted(shown(symbol="A" * 5_000)) in {True, False}


ranks = st.lists(st.lists(st.integers(), max_size=8), min_size=3, max_size=3)


@given(ranks, st.integers(0, 20))
def test_what_matters_more_is_left_out_last_and_the_newest_of_each_stays(
    waiting: list[list[int]], room: int
) -> None:
    total = sum(map(len, waiting))
    queues = [deque(rank) for rank in waiting]
    chosen, left_out = conflate.newest(queues, room)
    assert len(chosen) == min(room, total)
    assert left_out == total - len(chosen)
    assert not any(queues)
    expected: list[int] = []
    for rank in waiting:
        keep = min(len(rank), room - len(expected))
        expected += rank[len(rank) - keep :]
    assert chosen == expected


@given(ranks, st.integers(0, 20))
def test_a_full_queue_drops_the_oldest_of_what_matters_least(
    waiting: list[list[int]], most: int
) -> None:
    total = sum(map(len, waiting))
    queues = [deque(rank) for rank in waiting]
    dropped = conflate.drop_oldest(queues, most)
    assert dropped == max(0, total - most)
    assert sum(map(len, queues)) == total - dropped
    for before, after in zip(waiting, queues, strict=True):
        assert list(after) == before[len(before) - len(after) :]
    if queues[2]:
        assert [len(q) for q in queues[:2]] == [len(rank) for rank in waiting[:2]]


def test_an_allowance_fills_up_with_time() -> None:
    allowance = Allowance.full(10.0, 5, at=0.0)
    assert allowance.room(0.0) == 5
    allowance.used(5)
    assert allowance.room(0.25) == 2
    assert allowance.room(100.0) == 5


def test_a_client_that_does_not_read_keeps_the_newest_and_counts_the_rest() -> None:
    client = LiveClient(clock=lambda: 0.0)
    client.offer([shown("listings", 1)])
    for number in range(3 * MOST_WAITING):
        client.offer([shown(recv_ns=number)])
    [text] = client.take()
    message = json.loads(text)
    assert message["dropped"] == 2 * MOST_WAITING + 1
    assert message["left_out"] == MOST_WAITING - SHOWN_AT_ONCE
    assert len(message["events"]) == SHOWN_AT_ONCE
    assert sum(event["table"] == "listings" for event in message["events"]) == 1
    assert message["events"][-1]["recv_ns"] == str(3 * MOST_WAITING - 1)
    assert client.take() == []


def test_a_burst_larger_than_the_queue_is_left_out_not_dropped() -> None:
    client = LiveClient(clock=lambda: 0.0)
    client.offer([shown(recv_ns=number) for number in range(MOST_WAITING + 7)])
    message = json.loads(client.take()[0])
    assert message["dropped"] == 0
    assert message["left_out"] == MOST_WAITING + 7 - SHOWN_AT_ONCE


def test_a_paused_client_gets_none_but_what_it_watches() -> None:
    client = LiveClient()
    client.change(filters.parse({"tables": ["whales"]}))
    client.watched = frozenset({"listings"})
    client.pause(True)
    client.offer([shown(), shown("listings", ticker="A")])
    [text] = client.take()
    assert json.loads(text)["type"] == "watched"
    client.pause(False)
    client.offer([shown()])
    assert json.loads(client.take()[0])["type"] == "events"


def test_an_event_is_plain_json_with_exact_times_and_cut_texts() -> None:
    title = "<script>\x1b\u202e" + "x" * 1_000_000
    message = json.loads(
        shown("listings", 1_790_000_000_123_456_789, title=title, publish_ns=5).json
    )
    assert message["recv_ns"] == "1790000000123456789"
    assert message["publish_ns"] == "5"
    assert message["recv_ms"] == pytest.approx(1_790_000_000_123.457)
    assert message["title"].startswith("<script>\x1b\u202e")
    assert len(message["title"]) < 3_000
    assert "ticker" not in message
    assert "payload" not in json.loads(shown("rejects", payload=b"\xff").json)
    assert json.loads(shown(price=float("nan")).json)["price"] is None


def test_the_series_count_seconds_and_measure_hops() -> None:
    series = LiveSeries()
    series.count("f", frames=10, size=1000, events=4)
    row = made("latency", total_ns=5_000_000, publish_ns=0, detected_ns=1_000_000,
               dispatch_ns=2_000_000, network_ns=3_000_000, clock_error_ns=7)  # fmt: skip
    series.measure([row, made("latency", total_ns=9, backfill=True)])
    rates, latency = series.second(100, 2.0)
    assert rates == {"f": {"frames": 5.0, "bytes": 500.0, "events": 2.0}}
    assert set(latency["f"]) == {"total", "network", "detection", "dispatch"}
    assert latency["f"]["total"] == {
        "p50": 5.0,
        "p95": 5.0,
        "p99": 5.0,
        "n": 1,
        "clock_error_ns": 7,
    }
    series.second(101, 1.0)
    message = series.rates(900)
    assert message["t"] == [100, 101]
    assert {"feed": "f", "name": "frames", "values": [5.0, 0.0]} in message["series"]
    assert series.rates(1)["t"] == [101]
    buckets = series.latency(900)
    assert buckets["t"] == [100]
    assert {"feed": "f", "hop": "total", "name": "p99", "values": [5.0]} in buckets["series"]


def test_lines_are_read_as_they_come_and_when_the_file_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "alerts.jsonl"
    lines = JsonTail(file)
    assert lines.new() == []
    file.write_text('{"a": 1}\nnonsense\n[1]\n{"b"')
    assert lines.new() == [{"a": 1}]
    with file.open("a") as more:
        more.write(": 2}\n")
    assert lines.new() == [{"b": 2}]
    file.unlink()
    assert lines.new() == []
    file.write_text('{"c": 3}\n')
    assert lines.new() == [{"c": 3}]
    assert JsonTail(file).new() == []  # what was there before is past


def test_default_tables_leave_out_floods() -> None:
    assert "prices" not in DEFAULT_TABLES
