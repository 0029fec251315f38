"""The condition of a day: what is decided from facts, and the facts, recounted second by second."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples
from kit.frames import RUN, T0

from recorder.clock import DAY_NS, NS, ulid
from recorder.record.layout import Layout, stem
from recorder.tables import markers, publish
from recorder.tables.condition import Bare, DayCondition, DayFacts, judge
from recorder.tables.conditions import Conditions

DAY = T0 // DAY_NS * DAY_NS
FEED = "toy"


# -- the decision


@pytest.mark.parametrize(
    ("facts", "condition", "seconds"),
    [
        (DayFacts(True), "complete", 0),
        (DayFacts(False), "missing", 0),
        (DayFacts(True, bare=(Bare(0, NS, "x"),)), "degraded", 1),
        (DayFacts(True, faults=("x",)), "degraded", 0),
        (DayFacts(True, doubts=("x",)), "unverified", 0),
        (DayFacts(True, faults=("x",), doubts=("y",)), "degraded", 0),
        (DayFacts(False, doubts=("x",)), "missing", 0),
        (DayFacts(True, bare=(Bare(0, 5 * NS, "x"), Bare(3 * NS, 9 * NS, "y"))), "degraded", 9),
    ],
)
def test_a_condition_is_decided_from_facts(facts: DayFacts, condition: str, seconds: float) -> None:
    found = judge(facts)
    assert (found.condition, found.bare_seconds) == (condition, seconds)


def test_causes_are_told_with_their_seconds_and_the_longest_comes_first() -> None:
    bare = (Bare(0, NS, "short"), Bare(2 * NS, 9 * NS, "long"), Bare(3 * NS, 5 * NS, "long"))
    found = judge(DayFacts(True, bare, faults=("short", "hurt"), doubts=("a doubt",)))
    assert found.causes == (("long", 7.0), ("short", 1.0), ("a doubt", 0.0), ("hurt", 0.0))


# -- the facts, against a recount


class Life(NamedTuple):
    group: str
    line: str
    opened: int  # seconds since the day's beginning
    heard: int
    closed: int | None


class Hole(NamedTuple):
    group: str
    begin: int
    end: int


@st.composite
def days(draw: st.DrawFn) -> tuple[int, list[Life], list[Hole]]:
    """Draw the seconds that are over, connections of two groups and lines, and lost frames."""
    over = draw(st.integers(200, 900))
    lives, holes = [], []
    for _ in range(draw(st.integers(1, 7))):
        opened = draw(st.integers(-60, over - 1))
        heard = draw(st.integers(opened, over))
        closed = draw(st.none() | st.integers(opened, over))
        group, line = draw(st.sampled_from("gh")), draw(st.sampled_from("AB"))
        lives.append(Life(group, line, opened, heard, closed))
    for _ in range(draw(st.integers(0, 2))):
        begin = draw(st.integers(0, over - 1))
        group = draw(st.sampled_from([life.group for life in lives]))
        holes.append(Hole(group, begin, draw(st.integers(begin, over))))
    return over, lives, holes


def recount(over: int, lives: list[Life], holes: list[Hole]) -> int:
    """Count the seconds of the day at which some group had no line, or had lost frames."""
    bare = 0
    for second in range(over):
        without = {life.group for life in lives}
        for life in lives:
            end = life.heard if life.closed is None else min(life.heard, life.closed)
            if life.closed is None and life.heard >= over - 120:
                end = over
            if life.opened <= second < end:
                without.discard(life.group)
        without |= {hole.group for hole in holes if hole.begin <= second < hole.end}
        bare += bool(without)
    return bare


@settings(max_examples=examples(60), deadline=None)
@given(days())
def test_a_day_has_the_bare_seconds_of_a_recount(
    known: tuple[int, list[Life], list[Hole]],
) -> None:
    over, lives, holes = known
    # A group that is not connected any more on a day is not judged: begin them all on the day.
    lives = [one._replace(heard=max(one.heard, 0)) for one in lives]
    lives = [one._replace(closed=one.closed and max(one.closed, 0)) for one in lives]
    found = _judged(over, lives, holes)
    seconds = recount(over, lives, holes)
    assert found["bare_seconds"] == seconds
    assert found["condition"] == ("degraded" if seconds or holes else "complete")
    assert sum(one["seconds"] for one in json.loads(found["causes"])) >= seconds


@functools.cache
def _tables() -> duckdb.DuckDBPyConnection:
    db = duckdb.connect()
    publish.tables(db)
    return db


def _judged(over: int, lives: list[Life], holes: list[Hole]) -> dict[str, Any]:
    """Return the row of `conditions` of a feed with these connections, up to now."""
    db = _tables()
    for name in ("connections", "gaps", "ledger", "conditions", "prices"):
        db.execute(f"DELETE FROM {name}")
    for number, one in enumerate(lives):
        name = ulid(DAY, number.to_bytes(10, "big"))
        closed_ns = None if one.closed is None else DAY + one.closed * NS
        opened_ns, heard_ns = DAY + one.opened * NS, DAY + one.heard * NS
        row = (FEED, one.group, one.line, name, *[opened_ns] * 3, heard_ns, closed_ns)
        db.execute(
            "INSERT INTO connections (feed, line_group, line, connection, recv_ns, opened_ns, "
            "first_frame_ns, last_heard_ns, closed_ns, recv_time, seq, item, frames, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, to_timestamp(0), 0, 0, 1, 'closed 1006')",
            row,
        )
    markers.apply_gaps(db, FEED)
    for number, hole in enumerate(holes):
        name, begin_ns = ulid(DAY, number.to_bytes(10, "big")), DAY + hole.begin * NS
        db.execute(
            "INSERT INTO gaps (feed, line_group, line, recv_ns, recv_time, connection, seq, item, "
            "from_ns, to_ns, cause, frames_missing, covered) VALUES "
            "(?, ?, 'A', ?, to_timestamp(0), ?, 9, 0, ?, ?, 'lost', 3, false)",
            (FEED, hole.group, begin_ns, name, begin_ns, DAY + hole.end * NS),
        )
    db.execute(
        "INSERT INTO ledger VALUES (?, ?, DATE '1970-01-01' + ?::INTEGER, 10, 0, false, ?, ?, '')",
        (FEED, stem(DAY, RUN, 1), DAY // DAY_NS, DAY, DAY),
    )
    db.execute(
        "INSERT INTO prices (feed, recv_ns, recv_time, connection, seq, item) "
        "VALUES (?, ?, to_timestamp(0), ?, 5, 0)",
        (FEED, DAY, ulid(DAY, (0).to_bytes(10, "big"))),
    )
    Conditions(Layout(Path("nowhere")), lambda _: None).judge(db, DAY + over * NS)
    [row] = db.execute("FROM conditions WHERE channel IS NULL").fetchall()
    return dict(zip([column[0] for column in db.description], row, strict=True))


def test_a_group_that_gave_up_covers_nothing_and_another_line_covers_its_moments() -> None:
    """Line A was away for 300 s, B for 60 s of them: 60 s are bare, though no gap is covered."""
    lives = [
        Life("g", "A", 0, 100, 100), Life("g", "A", 400, 600, None),
        Life("g", "B", 0, 200, 200), Life("g", "B", 260, 600, None),
    ]  # fmt: skip
    found = _judged(600, lives, [])
    assert (found["condition"], found["bare_seconds"]) == (DayCondition.DEGRADED, 60.0)
    assert json.loads(found["causes"]) == [{"cause": "closed 1006", "seconds": 60.0}]
