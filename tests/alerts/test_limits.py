"""Rates, cooldowns, back-off and memory, with a clock moved by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kit.frames import MS, T0

from recorder.alerts.delivery import next_delay
from recorder.alerts.gate import Gate
from recorder.alerts.health import Watch
from recorder.alerts.seen import OVERLAP_NS, Seen
from recorder.alerts.send import Outcome
from recorder.status import Problem
from recorder.status.conditions import CAPTURE_STOPPED

from .made import row, rows

TIMES = st.lists(st.floats(0, 30), max_size=200)


@given(TIMES, st.integers(1, 5), st.floats(0.5, 10))
def test_no_more_pass_than_the_rate_allows_and_none_is_forgotten(
    pauses: list[float], most: int, seconds: float
) -> None:
    gate, now = Gate(most, seconds), 0.0
    passed: list[float] = []
    told = 0
    for pause in pauses:
        now += pause
        if gate.admit(now):
            passed.append(now)
        told += gate.due(now)
    for first, last in zip(passed, passed[most:], strict=False):
        assert last - first >= seconds * (1 - 1e-9)
    assert len(passed) + told + gate.due(now, everything=True) == len(pauses)


def test_what_is_held_back_is_told_once_when_its_time_is_over() -> None:
    gate = Gate(2, 60)
    assert [gate.admit(t) for t in (0, 1, 2, 3, 4)] == [True, True, False, False, False]
    assert gate.due(61) == 0
    assert gate.due(62) == 3
    assert gate.due(63) == 0
    assert gate.admit(64)


def found(where: str = "here") -> Problem:
    return CAPTURE_STOPPED.problem("capture is not running", where)


def test_a_condition_is_told_once_and_so_is_its_end() -> None:
    watch = Watch(lasting=10, cooldown=600, resolved=True)
    assert watch.look(0, [found()]) == []
    assert watch.look(9, [found()]) == []
    assert watch.look(10, [found()]) == [(found(), False)]
    assert watch.look(500, [found()]) == []
    assert watch.look(501, []) == [(found(), True)]
    assert watch.look(502, []) == []


def test_one_that_comes_and_goes_is_told_once_per_cooldown() -> None:
    watch = Watch(lasting=0, cooldown=100, resolved=True)
    told = [
        (now, over)
        for now in range(0, 250, 5)
        for _, over in watch.look(now, [found()] if now % 10 == 0 else [])
    ]
    assert told == [(0, False), (5, True), (100, False), (105, True), (200, False), (205, True)]


def test_one_that_was_too_short_is_never_told() -> None:
    watch = Watch(lasting=10, cooldown=100, resolved=True)
    for now in range(0, 100, 5):
        assert watch.look(now, [found()] if now % 10 == 0 else []) == []


def test_each_place_has_a_separate_problem_and_ends_may_be_left_out() -> None:
    watch = Watch(lasting=0, cooldown=100, resolved=False)
    assert watch.look(0, [found("a"), found("b")]) == [(found("a"), False), (found("b"), False)]
    assert watch.look(1, [found("a")]) == []


def test_a_restart_neither_repeats_a_condition_nor_forgets_its_end() -> None:
    watch = Watch(lasting=0, cooldown=100, resolved=True)
    watch.look(1_000, [found("a"), found("b")])
    watch.look(1_010, [found("a")])
    state = watch.state(1_020)
    again = Watch(lasting=0, cooldown=100, resolved=True)
    again.restore(5, state, away=20)  # another process: its clock begins again
    assert again.look(5, [found("a"), found("b")]) == []
    assert again.look(6, [found("b")]) == [(found("a"), True)]
    assert again.look(64, [found("b")]) == []
    assert again.look(65, [found("b")]) == [(found("b"), False)]


@given(st.integers(1, 40), st.floats(0, 1, exclude_max=True), st.floats(0, 100))
def test_a_failed_delivery_is_tried_again_until_its_time_is_over(
    failures: int, dice: float, elapsed: float
) -> None:
    delay = next_delay(Outcome(False), failures, elapsed, 90, lambda: dice)
    if delay is not None:
        assert 0 <= delay <= min(60, 2 ** (failures - 1))
        assert elapsed + delay <= 90
    assert next_delay(Outcome(False, final=True), failures, elapsed, 90, lambda: dice) is None
    asked = next_delay(Outcome(False, wait=30), 1, 0, 90, lambda: dice)
    assert asked is not None and 30 <= asked <= 31


def test_a_row_matches_a_rule_once_over_restarts_too() -> None:
    events = rows(5)
    seen = Seen()
    for event in events[:3]:
        seen.moved(event.recv_ns)
        assert seen.first_time("one", event)
    assert seen.first_time("other", events[0])
    again = Seen.of_state(seen.state())
    assert again.since_ns == events[2].recv_ns - OVERLAP_NS
    assert [again.first_time("one", event) for event in events] == [False] * 3 + [True] * 2
    assert not again.first_time("other", events[0])


def test_so_many_matches_are_remembered_and_before_them_nothing_is_looked_at() -> None:
    seen = Seen()
    events = [row(seq=n, recv_ns=T0 + n * MS) for n in range(12_000)]
    for event in events:
        seen.moved(event.recv_ns)
        assert seen.first_time("one", event)
    state = seen.state()
    assert len(state["matched"]) == 10_000
    again = Seen.of_state(state)
    assert again.since_ns == events[1_999].recv_ns + 1
    later = [event for event in events if event.recv_ns >= again.since_ns]
    assert not any(again.first_time("one", event) for event in later)
