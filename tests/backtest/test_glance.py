"""The fast path of following returns the events of the slow path, or leaves them to it."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.effort import cases
from kit.frames import T0, events
from kit.journals import Writer, eventful, seal_all
from kit.records import Published

import recorder
from recorder.clock import NS, Clock
from recorder.errors import UsageError
from recorder.feeds import KINDS
from recorder.feeds import feed as feed_of
from recorder.reporter import Reporter
from recorder.schema.raw import RAW
from recorder.stream import event
from recorder.stream.event import Event
from recorder.stream.glance import CONNECTION_COLUMNS, Glance, supports
from recorder.stream.incremental import (
    NEWEST_COUNTS,
    KnownConnection,
    PollSchedule,
    Stretch,
    clock_errors,
    is_contiguous,
    without_overlap,
)
from recorder.stream.live import Follower, Pace
from recorder.tables import normalise
from recorder.tables.rules import Rules, RulesOf

TABLES = tuple(event.CLASSES)
FRAME = [*((field.name, field.type) for field in RAW), *CONNECTION_COLUMNS]
SHARE = 1_000.0  # so much of a core that nobody waits


def glancing(root: Path) -> Follower:
    layout = Published(root).layout
    pace = Pace(poll=0.01, hold=0.0, share=SHARE)
    return Follower.open(layout, RulesOf(layout), TABLES, pace=pace, clock=Clock(lambda: T0))


def test_a_feed_whose_sql_is_wrong_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.sql"
    wrong.write_text("-- step: messages\nSELECT nonsense FROM frames;\n")
    writers = [Writer(tmp_path, feed) for feed in ("alone", "binance")]
    for writer in writers:
        writer.put(writer.open(), *events("binance", 1))
        writer.beat()
    layout, said = Published(tmp_path).layout, []
    rules = {"alone": Rules(wrong), "binance": RulesOf(layout)("binance")}
    pace = Pace(poll=0.01, hold=0.0, share=SHARE)
    follower = Follower.open(
        layout, lambda feed: rules[feed], TABLES, pace=pace, clock=Clock(lambda: T0),
        reporter=Reporter(said.append),
    )  # fmt: skip
    found = list(follower.ready(everything=True))
    follower.close()
    assert {event.feed for event in found} == {"binance"}
    assert said and all("'alone' is left out: " in text for text in said)


def recorded(root: Path) -> list[Event]:
    return list(recorder.events(TABLES, data_dir=root))


def test_events_of_the_fast_path_are_those_of_the_tables(tmp_path: Path) -> None:
    """Between markers a glance is enough; journals are sealed and published meanwhile."""
    writers = [Writer(tmp_path, feed) for feed in ("binance", "cryptolisting")]
    streams = [(writer, writer.open()) for writer in writers]
    follower = glancing(tmp_path)
    looked: list[int] = []
    plain = Glance.events
    found: list[Event] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Glance, "events", lambda self, table: looked.append(len(table)) or plain(self, table)
        )
        for number in range(10):
            for writer, stream in streams:
                writer.now = T0 + (2 * number + (writer.feed == "binance")) * NS
                writer.put(stream, *events(writer.feed, number))
                writer.beat()
                found += follower.ready(everything=True)
                if number in {3, 7}:
                    writer.finish()
            if number in {4, 8}:
                seal_all(Published(tmp_path).layout)
                Published(tmp_path).ingest()
    follower.close()
    Published(tmp_path).ingest()
    assert sorted(found, key=event.place) == recorded(tmp_path)
    assert len(looked) >= 16  # all but each feed's first batch


def test_intervals_that_were_observed_are_those_of_the_tables(tmp_path: Path) -> None:
    """The time of funding moves between looks; what it moved by is carried on."""
    writer = Writer(tmp_path, "binance")
    stream, funded = writer.open(), T0 - T0 % (4 * 3600 * NS)
    follower = glancing(tmp_path)
    found: list[Event] = []
    for minutes in (-1, 1, 2, 239, 241, 242):
        writer.now = funded + minutes * 60 * NS
        ends = funded + (1 + minutes // 240) * 4 * 3600 * NS
        mark = {"e": "markPriceUpdate", "E": writer.now // 10**6, "s": "NEWUSDT", "p": "1",
                "r": "0.0001", "T": ends // 10**6}  # fmt: skip
        writer.put(stream, json.dumps(mark).encode())
        writer.beat()
        found += follower.ready(everything=True)
        if minutes == 2:
            follower._incremental.settle("binance")
    follower.close()
    writer.finish()
    Published(tmp_path).ingest()
    assert sorted(found, key=event.place) == recorded(tmp_path)
    hours = [one.interval_hours for one in recorded(tmp_path) if isinstance(one, event.Funding)]
    assert hours == [None, 4.0, 4.0, 4.0, 4.0, 4.0]


@pytest.mark.parametrize("seed", cases(0, 1, 2))
def test_in_a_life_of_closes_gaps_and_two_lines_nothing_differs(tmp_path: Path, seed: int) -> None:
    random, writer = Random(seed), Writer(tmp_path, "binance")
    follower = glancing(tmp_path)
    found: list[Event] = []
    for _ in range(8):
        eventful(writer, random, random.randrange(1, 12))
        writer.beat()
        found += follower.ready(everything=True)
    follower.close()
    writer.finish()
    Published(tmp_path).ingest()
    assert sorted(found, key=event.place) == recorded(tmp_path)


def test_a_frame_that_breaks_the_sql_takes_the_slow_path(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "binance")
    stream = writer.open()
    follower = glancing(tmp_path)
    found = []
    for payload in (
        b"",
        b"\xff\xfe",
        b'{"e":"aggTrade","p":"1e999","s":[]}',
        b"[1]",
        b"x" * 100_000,
    ):
        writer.put(stream, *events("binance", 1), payload)
        writer.beat()
        found += follower.ready(everything=True)
    follower.close()
    writer.finish()
    Published(tmp_path).ingest()
    assert sorted(found, key=event.place) == recorded(tmp_path)


def test_every_feed_s_sql_works_on_the_fast_path_or_is_refused(tmp_path: Path) -> None:
    glanced = 0
    nothing = pa.table({name: pa.nulls(0, kind) for name, kind in FRAME})
    for kind in KINDS:
        sql = feed_of(kind).normalise
        if sql is None or not supports(normaliser := normalise.load(sql)):
            continue
        follower = glancing(tmp_path)
        glance = Glance(follower._memory.db.cursor(), normaliser, kind, TABLES, Rules(sql))
        assert glance.events(nothing) == []  # it can be planned
        glanced += 1
        glance.close()
        follower.close()
    assert glanced >= 4


def test_the_fast_path_has_no_reads_as_of_now(tmp_path: Path) -> None:
    follower = glancing(tmp_path)
    with pytest.raises(UsageError, match="keeps no tables"):
        _ = follower.as_of
    follower.close()


def test_sealed_files_of_the_past_are_passed_over(tmp_path: Path) -> None:
    for hours in (3, 2, 0):
        writer = Writer(tmp_path, "binance", now=T0 - hours * 3600 * NS)
        writer.put(writer.open(), *events("binance", hours))
        writer.finish()
        seal_all(Published(tmp_path).layout)
    follower = glancing(tmp_path)
    times = {found.recv_ns // NS for found in follower.ready(everything=True)}
    follower.close()
    assert times and min(times) >= T0 // NS - 2 * 3600


# -- pure decisions

LIFE = KnownConnection("all", "A", 100, None, None, 9, 1_000)


def stretch(first: int, last: int, rows: int | None = None) -> Stretch:
    return Stretch(first, last, last - first + 1 if rows is None else rows, 2_000, 3_000)


@pytest.mark.parametrize(
    ("batch", "whole"),
    [
        ({"c": stretch(10, 12)}, True), ({"c": stretch(11, 12)}, False),
        ({"c": stretch(9, 12)}, False),
        ({"c": stretch(10, 12, 2)}, False), ({"d": stretch(10, 12)}, False),
    ],
)  # fmt: skip
def test_frames_go_on_where_none_is_missing(batch: dict[str, Stretch], whole: bool) -> None:
    assert is_contiguous(batch, {"c": LIFE}) is whole


def test_connections_do_not_overlap_unless_two_of_a_group_may_be_open() -> None:
    batch = {"c": stretch(10, 12)}
    other = KnownConnection("all", "B", 100, 1_500, None, 5, 1_400)
    assert not without_overlap(batch, [LIFE, other])  # it closed less than a second before
    assert without_overlap(batch, [LIFE, KnownConnection("news", "A", 100, None, None, 5, 1_400)])
    assert without_overlap(batch, [LIFE, KnownConnection("all", "B", None, 1_500, None, 5, None)])
    long_ago = KnownConnection("all", "B", 100, 2_000 - 2 * NS, None, 5, 100)
    assert without_overlap(batch, [LIFE, long_ago])


def test_the_clock_s_error_is_read_without_the_slow_path() -> None:
    stats = [b'{"clock":{"error_ns":7,"synchronised":true}}', b'{"clock":null}', b"{", b"[]", b"{}"]
    rows = pa.table(
        {
            "connection": ["c"] * 6,
            "kind": ["stats"] * 5 + ["text"],
            "payload": pa.array([*stats, b'{"clock":{"error_ns":9}}'], pa.binary()),
        }
    )
    assert clock_errors(rows) == [(0, "c", 7)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.001, 0.5)), max_size=40))
def test_looks_take_no_more_than_their_share(looks: list[tuple[str, float]]) -> None:
    now, spent = [0.0], 0.0
    schedule = PollSchedule(0.25, lambda: now[0])
    for feed, cost in looks:
        while not schedule.due(feed):
            now[0] += 0.01
        schedule.took(feed, now[0], cost)
        spent += cost
        now[0] += cost
    assert schedule.due("c")  # a feed that was never polled need not wait
    # Each feed's debt is its mean a few dozen times over; it is paid by the looks that follow.
    assert spent <= 0.25 * now[0] + 2 * 0.5 / NEWEST_COUNTS


def test_steady_looks_come_to_take_their_share_exactly() -> None:
    now, spent = [0.0], 0.0
    schedule = PollSchedule(0.25, lambda: now[0])
    for _ in range(400):
        while not schedule.due("a"):
            now[0] += 0.001
        schedule.took("a", now[0], 0.02)
        spent += 0.02
    assert spent / now[0] == pytest.approx(0.25, rel=0.1)


def test_an_expensive_poll_is_paid_for_by_many_others() -> None:
    now = [0.0]
    schedule = PollSchedule(0.25, lambda: now[0])
    waits = []
    for number in range(600):
        began = now[0]
        schedule.took("a", began, 0.2 if number == 300 else 0.01)
        while not schedule.due("a"):
            now[0] += 0.00001
        waits.append(now[0] - began)
    assert max(waits) < 2 * waits[299]  # nobody waits for long
    assert sum(waits[300:]) - 300 * waits[299] == pytest.approx(0.19 / 0.25, rel=0.2)  # all is paid
