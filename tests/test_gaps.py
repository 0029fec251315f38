"""Intervals without cover, against a witness that paints every nanosecond by docs/semantics.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples

from recorder.answers import canned
from recorder.clock import NS
from recorder.record import gaps as rule
from recorder.record.gaps import Lifetime, LineGap, gaps

#: Nothing happens after this nanosecond: it is painted for all that follow.
LATEST = 16
FUTURE = LATEST + 1


@st.composite
def worlds(draw: st.DrawFn) -> list[Lifetime]:
    """Draw connections of a few lines and groups; the clock may be set back during any."""
    world = []
    for number in range(draw(st.integers(0, 9))):
        opened, length, back, more = (draw(st.integers(0, LATEST // 2)) for _ in range(4))
        closed = max(opened + length - draw(st.sampled_from([0, 0, 0, back])), 0)
        world.append(
            Lifetime(
                draw(st.sampled_from(["x", "x", "x", None])),
                draw(st.sampled_from(["A", "A", "B", "B", "C", None])),
                f"{draw(st.sampled_from('ab'))}{number}",
                opened,
                draw(st.sampled_from([None, closed])),
                draw(st.sampled_from([None, opened, opened + more])),
                draw(st.sampled_from(["stopping", "closed 1006"])),
                lost=draw(st.sampled_from([False, False, True])),
                first_frame_ns=draw(
                    st.sampled_from([opened, opened, opened + more // 2, opened + 1, None])
                ),
            )
        )
    return world


# -- the witness

Row = tuple[str | None, str | None, str, str | None, int, int | None, str | None, bool]


def heard(life: Lifetime) -> int:
    """Return the last proof of life, which is not after the close."""
    last = life.opened_ns if life.last_heard_ns is None else life.last_heard_ns
    return last if life.closed_ns is None else min(last, life.closed_ns)


def end(life: Lifetime, line: Sequence[Lifetime]) -> int:
    """Return when a connection ended; FUTURE if it may live on."""
    over = life.closed_ns is not None or life.lost
    later = any(other.opened_ns > heard(life) for other in line)
    return heard(life) if over or later else FUTURE


def painted(world: Sequence[Lifetime]) -> list[Row]:
    """Return the gaps of a world: the nanoseconds of a line that no connection painted."""
    lines = {key: [one for one in world if one[:2] == key] for key in {one[:2] for one in world}}
    rows: list[Row] = []
    for (group, letter), line in lines.items():
        others = [
            (one.first_frame_ns, heard(one), end(one, lines[one[:2]]))
            for one in world
            if one.line_group == group and letter and one.line and one.line != letter
            and one.first_frame_ns is not None
        ]  # fmt: skip
        spoke = [one for one in line if one.first_frame_ns is not None]
        in_order = sorted(spoke, key=lambda one: (one.first_frame_ns, one.connection))
        for count, following in enumerate([*in_order[1:], None][: len(spoke)], start=1):
            seen = in_order[:count]
            until = FUTURE if following is None else following.first_frame_ns
            assert until is not None
            bare = [at for at in range(until) if all(at >= end(one, line) for one in seen)]
            if not bare:
                continue
            last = max((one.connection, one) for one in seen if end(one, line) == bare[0])[1]
            closed = "the recorder was stopped" if last.reason == "stopping" else last.reason
            covered = all(
                any(
                    begin <= at < (alive if following is None else proof)
                    for begin, proof, alive in others
                )
                for at in bare
            )
            rows.append((
                group, letter, last.connection, following.connection if following else None,
                bare[0], until if following else None,
                "the recorder ended without closing" if last.closed_ns is None else closed,
                covered,
            ))  # fmt: skip
    # Gaps after one connection (the clock was set back in them) are all covered, or none is.
    bare_after = {row[2] for row in rows if not row[-1]}
    return [(*row[:-1], row[2] not in bare_after) for row in rows]


def row(gap: LineGap) -> Row:
    following = gap.next.connection if gap.next else None
    return (
        gap.last.line_group, gap.last.line, gap.last.connection, following, gap.from_ns, gap.to_ns,
        gap.last.cause, gap.covered,
    )  # fmt: skip


@settings(deadline=None, max_examples=examples(1000))
@given(worlds())
def test_gaps_are_the_nanoseconds_that_no_connection_painted(world: list[Lifetime]) -> None:
    assert sorted(map(repr, map(row, gaps(world)))) == sorted(map(repr, painted(world)))


# -- examples


def life(name: str, opened: int, closed: int | None, heard: int | None = None) -> Lifetime:
    """Make a connection `A1`: of line A."""
    return Lifetime("g", name[0], name, opened, closed, heard, "closed 1006", False, opened)


@pytest.mark.parametrize(("waited", "ends"), [(0.4, 12.4), (5.0, 17.0), (5.1, 12.0), (18.0, 12.0)])
def test_a_first_frame_that_takes_longer_than_a_grant_tells_of_a_quiet_stream(
    waited: float, ends: float
) -> None:
    first = life("A1", 0, 10 * NS, 10 * NS)
    opened = 12 * NS
    second = life("A2", opened, None)._replace(first_frame_ns=opened + round(waited * NS))
    [gap] = gaps([first, second])
    assert (gap.from_ns, gap.to_ns) == (10 * NS, round(ends * NS))
    with duckdb.connect() as db:
        canned.share(db, "covers_from")
        told = db.execute("SELECT covers_from(?, ?)", [opened, second.first_frame_ns]).fetchall()
    assert told == [(gap.to_ns,)]


def test_a_gap_ends_with_the_first_frame_and_not_with_the_handshake() -> None:
    first, mute = life("A1", 0, 10, 10), life("A2", 20, 25)._replace(first_frame_ns=None)
    third = life("A3", 30, None, 40)._replace(first_frame_ns=37)
    assert [(gap.from_ns, gap.to_ns, gap.first_opened) for gap in gaps([first, mute])] == [
        (10, None, mute)
    ]
    assert [(gap.from_ns, gap.to_ns, gap.first_opened) for gap in gaps([first, mute, third])] == [
        (10, 37, mute)
    ]


def test_a_handover_leaves_no_gap() -> None:
    assert gaps([life("A1", 0, 12, 12), life("A2", 10, None, 30)]) == []


def test_a_gap_begins_where_the_longest_lived_connection_ended() -> None:
    long, short, last = life("A1", 0, 20, 19), life("A2", 5, 8, 8), life("A3", 30, None)
    assert gaps([last, short, long]) == [
        LineGap(long, last, False, closed_ns=20, first_opened=last)
    ]


def test_an_open_connection_covers_a_gap_that_lasts_but_a_finished_one_up_to_its_last_sign() -> (
    None
):
    first, second, other = life("A1", 0, 10, 10), life("A2", 20, None), life("B1", 0, None, 15)
    assert [gap.covered for gap in gaps([first, other])] == [True]
    assert [gap.covered for gap in gaps([first, second, other])] == [False]


def test_a_gaps_seconds_are_cut_to_a_range() -> None:
    finished, lasting = gaps([life("A1", 0, 10**9, 10**9), life("A2", 3 * 10**9, 4 * 10**9)])
    assert finished.seconds(0, 9 * 10**9) == 2.0
    assert finished.seconds(2 * 10**9, 9 * 10**9) == 1.0
    assert lasting.seconds(0, 9 * 10**9) == 6.0


# -- cost


def reconnects(count: int, lines: int, groups: int) -> list[Lifetime]:
    """Make connections of ten seconds, two seconds between them, the lines a second apart."""
    each = count // (lines * groups)
    return [
        Lifetime(
            *(f"g{group}", f"L{line}", f"{group}.{line}.{n}", at, at + 10, at + 10, "lost"),
            first_frame_ns=at,
        )
        for group in range(groups)
        for line in range(lines)
        for n in range(each)
        for at in [12 * n + line]
    ]


def steps(world: Sequence[Lifetime]) -> int:
    """Count the lines of the rule's module that run for a world."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace if frame.f_code.co_filename == rule.__file__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        gaps(world)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(("lines", "groups"), [(1, 1), (2, 1), (8, 1), (1, 50), (2, 50)], ids=str)
def test_ten_times_the_connections_take_ten_times_the_steps(lines: int, groups: int) -> None:
    few, many = (steps(reconnects(count, lines, groups)) for count in (400, 4000))
    assert many < 11 * few


def test_a_line_more_costs_no_more_than_its_connections() -> None:
    few, many = steps(reconnects(400, 1, 1)), steps(reconnects(4000, 400, 1))
    assert many < 12 * few
