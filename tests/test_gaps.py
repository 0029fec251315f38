"""Intervals without cover, against a witness that paints every nanosecond by docs/semantics.md."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.record import gaps as rule
from recorder.record.gaps import KILLED, STOPPED, Lifetime, LineGap, gaps

NS = 1_000_000_000

#: Worlds are this many nanoseconds long; the one behind them stands for all of the future.
LATEST = 16


@st.composite
def worlds(draw: st.DrawFn) -> list[Lifetime]:
    """Connections of up to three lines in two groups; the clock may be set back during any."""
    found = []
    for number in range(draw(st.integers(0, 9))):
        opened, length, more = (draw(st.integers(0, LATEST // 2)) for _ in range(3))
        back = draw(st.sampled_from([0, 0, 0, more]))
        found.append(
            Lifetime(
                draw(st.sampled_from(["x", "x", "x", None])),
                draw(st.sampled_from(["A", "A", "B", "B", "C", None])),
                f"{draw(st.sampled_from('ab'))}{number}",
                opened,
                draw(st.sampled_from([None, max(opened + length - back, 0)])),
                draw(st.sampled_from([None, opened, opened + more])),
                draw(st.sampled_from(["stopping", "closed 1006"])),
                lost=draw(st.sampled_from([False, False, True])),
            )
        )
    return found


def end(life: Lifetime, world: list[Lifetime]) -> int:
    """Return the last proof of life, not after the close; LATEST + 1 where it may live on."""
    heard = life.opened_ns if life.last_heard_ns is None else life.last_heard_ns
    if life.closed_ns is not None:
        return min(heard, life.closed_ns)
    mates = [one for one in world if one[:2] == life[:2]]
    if life.lost or any(one.opened_ns > heard for one in mates):
        return heard
    return LATEST + 1


def heard(life: Lifetime) -> int:
    return end(life, [life._replace(lost=True)]) if life.lost else end(life._replace(lost=True), [])


Row = tuple[str | None, str | None, str, str | None, int, int | None, str | None, bool]


def painted(world: list[Lifetime]) -> list[Row]:
    """Return the gaps of a world, found by painting each nanosecond of each line."""
    found: list[tuple[Lifetime, Lifetime | None, int, int | None, bool]] = []
    for key in {one[:2] for one in world}:
        mine = sorted(
            (one for one in world if one[:2] == key), key=lambda one: (one[3], one.connection)
        )
        for count, following in enumerate([*mine[1:], None], start=1):
            until = LATEST + 1 if following is None else following.opened_ns
            ends = {one.connection: end(one, world) for one in mine[:count]}
            bare = [at for at in range(until) if all(at >= ended for ended in ends.values())]
            if not bare:
                continue
            last = max(
                (one for one in mine[:count] if ends[one.connection] == bare[0]),
                key=lambda one: one.connection,
            )
            others = [
                (one.opened_ns, end(one, world) if following is None else heard(one))
                for one in world
                if one.line_group == key[0]
                and one.line != key[1]
                and one.line is not None
                and key[1] is not None
            ]
            covered = all(any(begin <= at < over for begin, over in others) for at in bare)
            found.append((last, following, bare[0], None if following is None else until, covered))
    # What follows one connection is covered as a whole, or not at all.
    together = {last.connection for last, *_, covered in found if not covered}
    return [
        (
            *(last.line_group, last.line, last.connection),
            *(following and following.connection, begin, over, cause(last)),
            last.connection not in together,
        )
        for last, following, begin, over, _ in found
    ]


def cause(life: Lifetime) -> str | None:
    if life.closed_ns is None:
        return "the recorder ended without closing"
    return "the recorder was stopped" if life.reason == "stopping" else life.reason


def row(gap: LineGap) -> Row:
    following = gap.next and gap.next.connection
    return (
        *(*gap.key, gap.last.connection, following),
        *(gap.from_ns, gap.to_ns, gap.last.cause, gap.covered),
    )


@settings(max_examples=400)
@given(worlds())
def test_the_intervals_are_those_that_painting_finds(world: list[Lifetime]) -> None:
    assert sorted(map(repr, map(row, gaps(world)))) == sorted(map(repr, painted(world)))


def test_the_causes_are_the_words_of_the_tables() -> None:
    life = Lifetime("x", "A", "a", 0)
    assert life.cause == KILLED
    assert life._replace(closed_ns=1, reason="stopping").cause == STOPPED
    assert life._replace(closed_ns=1, reason="closed 1006").cause == "closed 1006"


def steps(work: Callable[[], Any]) -> int:
    """Return how many lines of the rule's module run."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename != rule.__file__:
            return None
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("lines", ["A", "AB"])
def test_a_day_of_reconnects_costs_as_much_a_connection_as_an_hour_of_them(lines: str) -> None:
    def reconnecting(number: int) -> list[Lifetime]:
        return [
            Lifetime("x", lines[i % len(lines)], f"{i:09}", i * NS, i * NS + NS // 2)
            for i in range(number)
        ]

    few, many = reconnecting(200), reconnecting(2000)
    assert steps(lambda: gaps(many)) < 11 * steps(lambda: gaps(few))
