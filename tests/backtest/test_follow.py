"""Live: what is recorded becomes the same events that the tables give later."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kit.frames import T0, events, frames_of
from kit.journals import Writer, seal_all
from kit.records import Published

import recorder
from recorder import backtest
from recorder.clock import NS, Clock
from recorder.errors import DataError, UsageError
from recorder.stream import event
from recorder.stream.asof import AsOf
from recorder.stream.event import Event
from recorder.stream.live import Follower, Pace
from recorder.tables.rules import Rules, RulesOf

TABLES = tuple(event.CLASSES)


def quick(root: Path, **how: Any) -> Follower:
    layout = Published(root).layout
    return Follower.open(layout, RulesOf(layout), TABLES, pace=Pace(poll=0.01, hold=0.0), **how)


class Every(RulesOf):
    """Rules by which every trade is a whale's."""

    def __call__(self, feed: str) -> Rules:
        return super().__call__(feed)._replace(whale_usd=0.01)


def recorded(root: Path) -> list[Event]:
    return list(recorder.events(TABLES, data_dir=root))


def test_the_record_normalised_in_memory_gives_the_events_of_the_tables(
    made: Published, sample: Path, tmp_path: Path
) -> None:
    for root in (made.layout.root, sample):
        (tmp_path / root.name).mkdir(exist_ok=True)
        bare = Published(tmp_path / str(hash(root)))
        bare.layout.root.mkdir()
        (bare.layout.root / "raw").symlink_to(root / "raw")
        follower = Follower.open(
            bare.layout,
            Every(bare.layout),
            TABLES,
            clock=Clock(lambda: 1 << 62),
        )
        found = list(follower.ready())
        assert found == recorded(root)
        assert follower.late == 0
        follower.close()


def test_what_comes_in_live_is_what_the_tables_say_later(tmp_path: Path) -> None:
    """Journals grow, are sealed, and ingest runs in between: the events are the same."""
    writers = [Writer(tmp_path, feed) for feed in ("smartmoney", "binance")]
    streams = [(w, w.open("A"), w.open("B")) for w in writers]
    record = Published(tmp_path)
    follower = quick(tmp_path, clock=Clock(lambda: 1 << 62))
    found: list[Event] = []
    for number in range(12):
        for writer, one, two in streams:
            frames = events(writer.feed, number)
            writer.now = T0 + (2 * number + (writer.feed == "binance")) * NS
            for payload in frames:
                writer.put(one, payload)
                writer.put(two, payload)
            writer.beat()
            found += follower.ready()
            if number in {3, 7}:
                writer.finish()
                seal_all(record.layout)
            if number == 5:
                record.ingest()
    record.ingest()
    assert found == recorded(tmp_path)
    assert len({e.table for e in found}) > 4
    assert follower.late == 0
    # One that begins behind what was ingested goes on from there, without a second copy.
    again = quick(tmp_path, clock=Clock(lambda: 1 << 62))
    assert list(again.ready()) == found
    for writer, one, _ in streams:
        writer.now = T0 + 100 * NS
        writer.put(one, *events(writer.feed, 99))
        writer.beat()
    new = list(again.ready())
    record.ingest()
    assert found + new == recorded(tmp_path)
    assert new


def test_the_same_strategy_sees_and_decides_the_same_live_and_replayed(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "binance")
    stream = writer.open()
    follower = quick(tmp_path, clock=Clock(lambda: 1 << 62))
    live = Watching()
    orders = []

    def run() -> None:
        orders.extend(order for _, made in backtest.live(live, follower) for order in made)

    watch = threading.Thread(target=run)
    watch.start()
    for number in range(30):
        writer.put(stream, *events("binance", number))
        writer.beat()
        time.sleep(0.005)  # several looks, each at a part
    follower.stop()
    watch.join(60)
    assert not watch.is_alive()
    Published(tmp_path).ingest()
    replayed = Watching()
    result = backtest.run(replayed, data_dir=tmp_path, tables=TABLES)
    assert live.seen == replayed.seen
    assert len(live.seen) > 60
    assert len(orders) == len(result.fills) + len(result.missed) > 0


class Watching:
    """Keeps what it is given and what it reads; buys on every liquidation."""

    def __init__(self) -> None:
        self.seen: list[tuple[Event, Event | None, int]] = []

    def on_event(self, given: Event, as_of: AsOf) -> list[backtest.Order]:
        latest = as_of.latest("prices", given.symbol) if given.table != "rejects" else None
        window = as_of.window("liquidations", given.symbol, NS)
        self.seen.append((given, latest, len(window)))
        if given.table != "liquidations":
            return []
        return [backtest.Order("buy", symbol=given.symbol, usd=1)]


def test_an_event_waits_for_earlier_ones_of_other_feeds(tmp_path: Path) -> None:
    one, other = Writer(tmp_path, "binance"), Writer(tmp_path, "smartmoney")
    now = [T0]
    layout = Published(tmp_path).layout
    follower = Follower.open(
        layout, RulesOf(layout), clock=Clock(lambda: now[0]), pace=Pace(hold=1.0)
    )
    first, second = one.open(), other.open()
    one.now = T0 + 500_000_000
    one.put(first, *events("binance", 1))
    one.beat()
    now[0] = T0 + NS
    assert list(follower.ready()) == []
    other.now = T0 + 400_000_000  # written later, received earlier
    other.put(second, *events("smartmoney", 1))
    other.beat()
    now[0] = T0 + 3 * NS
    found = list(follower.ready())
    assert found == sorted(found, key=event.place)
    assert {e.feed for e in found} == {"binance", "smartmoney"}
    assert follower.late == 0
    other.put(second, *events("smartmoney", 2))  # too late to be in order, and given all the same
    other.beat()
    assert [e.feed for e in follower.ready()] and follower.late > 0


def test_a_frame_that_breaks_the_sql_is_rejected_alone(tmp_path: Path) -> None:
    sql = tmp_path / "breaks.sql"
    sql.write_text(
        "-- step: messages\nSELECT f.*, CASE WHEN json_extract_string(json, '$.n')::INTEGER > 0 "
        "THEN 'one' END AS class, 'none' AS reason FROM frames AS f;\n"
        "-- table: alerts\nSELECT id.*, 0 AS item, 'x' AS channel, NULL AS exchange, "
        "NULL AS symbol, NULL::BIGINT AS event_ns FROM messages WHERE class = 'one';\n"
    )
    record = Published(tmp_path / "data")
    record.seal("mine", frames_of(['{"n": 1}', '{"n": "x"}', '{"n": 2}', '{"n": 0}']))
    follower = Follower.open(
        record.layout, lambda feed: Rules(sql), ["alerts", "rejects"],
        clock=Clock(lambda: 1 << 62),
    )  # fmt: skip
    found = list(follower.ready())
    assert [(e.table, e.seq) for e in found] == [
        ("alerts", 0), ("rejects", 1), ("alerts", 2), ("rejects", 3)
    ]  # fmt: skip
    record.ingest(sql=sql)
    assert list(recorder.events(["alerts", "rejects"], data_dir=record.layout.root)) == found


def test_following_begins_now_and_ends_when_told(made: Published) -> None:
    follower = recorder.follow(data_dir=made.layout.root)
    follower.stop()
    assert list(follower) == []
    since = recorder.follow(["listings"], data_dir=made.layout.root, since=T0)
    since.stop()
    [listing] = since
    assert listing.symbol == "NEWC"
    assert since.as_of.latest("prices", "NEWCUSDT", kind="last") is not None


def test_following_what_is_not_there_is_refused(made: Published, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'binance'"):
        recorder.follow(data_dir=made.layout.root, feeds=["binanse"])
    with pytest.raises(UsageError, match="nothing is recorded here yet"):
        recorder.follow(data_dir=tmp_path, feeds=["binance"])
    broken = tmp_path / "wrong.sql"
    broken.write_text("-- step: messages\nSELECT nonsense FROM frames;\n")
    record = Published(tmp_path / "data")
    record.seal("mine", frames_of(["{}"]))
    follower = Follower.open(record.layout, lambda feed: Rules(broken))
    with pytest.raises(DataError, match="the SQL that normalises 'mine'"):
        list(follower.ready())


def test_old_rows_are_forgotten(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "binance")
    stream = writer.open()
    follower = quick(tmp_path, clock=Clock(lambda: 1 << 62))
    follower._pace = Pace(history=timedelta(minutes=1))
    for minute in range(5):
        writer.now = T0 + minute * 60 * NS
        writer.put(stream, *events("binance", minute))
        writer.beat()
        assert list(follower.ready())
    assert follower.as_of.latest("prices", "BTCUSDT") is not None
    assert len(follower.as_of.window("prices", "BTCUSDT", timedelta(days=1))) <= 6
