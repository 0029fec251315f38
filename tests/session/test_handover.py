"""One connection takes over from another: when, and what never happens meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from kit.effort import examples

from recorder.feed import Plan, RetryPolicy, Verdict
from recorder.session.budget import Budget
from recorder.session.events import Event, Finish
from recorder.session.handover import QUIET_SECONDS, Handover, LinkView, Move
from recorder.session.machine import Machine, State

from .driven import plan
from .test_properties import FATAL, numbers, plans, policies, services, verdicts
from .world import TICK, End, Service, Socket, World

LIVE = LinkView(State.LIVE, greeted_at=0.0, data_at=1.0)
WAITING = LinkView(State.WAITING)
OVER = LinkView(State.FINISHED, finish=Finish("stopped", 0))
REFUSED = LinkView(State.FINISHED, finish=Finish("dead key", 4))


def wanted() -> Handover:
    """Just about to have a successor."""
    handover = Handover()
    assert handover.move(0.0, LIVE, None) is Move.NOTHING
    handover.want("planned reconnect")
    assert handover.move(0.0, LIVE, None) is Move.BEGIN
    return handover


# -- one decision at a time


@pytest.mark.parametrize("state", [State.WAITING, State.CONNECTING, State.CLOSING])
def test_the_old_connection_stays_while_the_successor_is_not_live(state: State) -> None:
    assert wanted().move(1e6, LIVE, LinkView(state)) is Move.NOTHING


def test_a_successor_takes_over_with_its_first_data_frame() -> None:
    handover = wanted()
    quiet = LinkView(State.LIVE, greeted_at=100.0)
    assert handover.move(101.0, LIVE, quiet) is Move.NOTHING
    assert handover.move(101.0, LIVE, LinkView(State.LIVE, 100.0, data_at=99.9)) is Move.PROMOTE


def test_a_successor_that_subscribes_takes_over_with_data_after_the_last_subscription() -> None:
    handover = wanted()
    for greeted_at, data_at in [(None, 200.0), (100.0, 99.0)]:
        early = LinkView(State.LIVE, greeted_at, data_at, subscribes=True)
        assert handover.move(105.0, LIVE, early) is Move.NOTHING
    granted = LinkView(State.LIVE, 100.0, 100.1, subscribes=True)
    assert handover.move(100.2, LIVE, granted) is Move.NOTHING  # others may still be granted
    assert handover.move(101.0, LIVE, granted) is Move.PROMOTE


def test_a_successor_on_a_quiet_channel_takes_over_after_a_while() -> None:
    handover = wanted()
    quiet = LinkView(State.LIVE, greeted_at=100.0, subscribes=True)
    assert handover.move(100.0 + QUIET_SECONDS - 0.1, LIVE, quiet) is Move.NOTHING
    assert handover.move(100.0 + QUIET_SECONDS, LIVE, quiet) is Move.PROMOTE


def test_the_successor_follows_at_once_when_the_old_connection_ends_first() -> None:
    handover = wanted()
    assert handover.move(1.0, LinkView(State.CLOSING), WAITING) is Move.NOTHING
    assert handover.move(1.0, WAITING, LinkView(State.CONNECTING)) is Move.PROMOTE


def test_while_the_old_one_closes_no_third_is_begun() -> None:
    handover = wanted()
    assert handover.move(1.0, LIVE, LIVE) is Move.PROMOTE
    handover.want("planned reconnect")
    assert handover.move(2.0, LIVE, LinkView(State.CLOSING)) is Move.NOTHING
    assert handover.move(3.0, LIVE, OVER) is Move.RELEASE
    assert handover.move(3.0, LIVE, None) is Move.BEGIN


def test_a_refused_successor_lets_the_old_one_go_on_to_its_end_and_none_follows() -> None:
    handover = wanted()
    assert handover.move(1.0, LIVE, REFUSED) is Move.RELEASE
    assert handover.move(1e6, LIVE, None) is Move.NOTHING
    assert handover.move(1e6, WAITING, None) is Move.STOP
    assert handover.move(1e6, OVER, None) is Move.NOTHING
    assert handover.fatal == Finish("dead key", 4)


def test_a_later_change_gives_a_refused_line_another_chance() -> None:
    handover = wanted()
    handover.move(1.0, LIVE, REFUSED)
    handover.want("the settings changed")
    assert handover.fatal is None
    assert handover.move(2.0, LIVE, None) is Move.BEGIN


def test_a_successor_that_is_to_be_replaced_never_takes_over() -> None:
    handover = wanted()
    handover.abandon()
    handover.want("the settings changed")
    assert handover.move(1.0, LIVE, LIVE) is Move.NOTHING
    assert handover.move(1.0, WAITING, LIVE) is Move.NOTHING
    assert handover.move(2.0, LIVE, OVER) is Move.RELEASE
    assert handover.move(2.0, LIVE, None) is Move.BEGIN


def test_after_a_stop_nothing_begins_and_nothing_takes_over() -> None:
    handover = wanted()
    handover.stopping = True
    assert handover.move(1.0, LIVE, LIVE) is Move.NOTHING
    handover.want("planned reconnect")
    assert handover.move(2.0, LIVE, OVER) is Move.RELEASE
    assert handover.move(2.0, LIVE, None) is Move.NOTHING


# -- whatever happens, in whatever order


class Line(World):
    """A world of one line: does with links what the shell does with them."""

    def __init__(self, facts: Plan, budget: Budget, random: list[float]) -> None:
        super().__init__(facts, budget, random, lines=1, retries=None)
        self.facts, self.handover = facts, Handover()
        self.current, self.other = self.ends[0], None
        self.handovers = 0
        self._told: set[int] = set()

    other: End | None

    def happens(self, end: End, event: Event) -> None:
        super().happens(end, event)
        if end.renewed and id(end) not in self._told:
            self._told.add(id(end))
            self.handover.want("planned reconnect")
        if not end.renewed:
            self._told.discard(id(end))
        self.decide()

    def decide(self) -> None:
        while True:
            other = None if self.other is None else self._view(self.other)
            match self.handover.move(self.now, self._view(self.current), other):
                case Move.NOTHING:
                    return
                case Move.BEGIN:
                    self._begin()
                case Move.PROMOTE:
                    assert self.other is not None
                    self.current, self.other = self.other, self.current
                    self.handovers += 1
                    self.stop(self.other)
                case Move.RELEASE:
                    self.other = None
                case Move.STOP:
                    self.stop(self.current)

    def _view(self, end: End) -> LinkView:
        data = end.data if end.data >= end.opened else 0.0
        return LinkView.of(end.machine, data, end.finish)

    def _begin(self) -> None:
        machine = Machine(self.facts, self.budget, self._draw, start_at=self.now)
        self.other = End(machine, self.facts, service=self.current.service)
        self.ends.append(self.other)

    def stop_all(self) -> None:
        self.handover.stopping = True
        for end in self.links():
            self.stop(end)

    def links(self) -> list[End]:
        return [end for end in self.ends if end.finish is None]

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        assert len(self.links()) <= 2, "more than two links"
        reconnecting = [end for end in self.links() if end.socket is not Socket.OPEN]
        assert len(reconnecting) < 2 or self.other in reconnecting
        assert set(map(id, self.links())) <= {id(self.current), id(self.other)}


class Handovers(RuleBasedStateMachine):
    """One line whose connections grow old, fail, are refused or replaced."""

    @initialize(facts=plans, policy=policies, random=numbers)
    def begin(self, facts: Plan, policy: RetryPolicy, random: list[float]) -> None:
        self.line = Line(facts, Budget(policy), random)

    @rule(seconds=st.sampled_from([TICK, 1.0, 7.0, 30.0, 65.0]))
    def time_passes(self, seconds: float) -> None:
        self.line.advance(seconds)

    @rule(number=st.integers(0, 1), service=services)
    def the_service_changes(self, number: int, service: Service) -> None:
        for end in self.line.links()[number:]:
            end.service = service

    @rule(number=st.integers(0, 1), verdict=st.one_of(verdicts, verdicts, st.just(FATAL)))
    def the_service_hangs_up(self, number: int, verdict: Verdict) -> None:
        for end in self.line.links()[number : number + 1]:
            self.line.hang_up(end, verdict)

    @rule()
    def the_plan_changes(self) -> None:
        if self.line.other is not None:
            self.line.handover.abandon()
            self.line.stop(self.line.other)
        self.line.handover.want("the settings changed")
        self.line.decide()

    @rule()
    def all_is_well_again(self) -> None:
        """Then whatever handover was under way comes to its end."""
        self.line.facts = plan()
        for end in self.line.links():
            end.service = Service()
        self.line.advance(600.0)
        assert len(self.line.links()) <= 1

    def teardown(self) -> None:
        if not hasattr(self, "line"):
            return
        self.line.stop_all()
        for end in self.line.links():
            end.service = Service()
        self.line.advance(30.0)
        assert self.line.links() == []


TestHandovers = Handovers.TestCase
TestHandovers.settings = settings(max_examples=examples(60), stateful_step_count=25, deadline=None)


@given(
    plans.filter(lambda facts: facts.max_age is not None and facts.cadence is None),
    st.floats(0.0, 9.0),
    st.booleans(),
    st.sampled_from(
        [
            RetryPolicy(attempts_per_minute=10),
            RetryPolicy(spacing=6.0),
            RetryPolicy(attempts_per_minute=6),
        ]
    ),
)
@settings(max_examples=examples(40), deadline=None)
def test_no_moment_is_without_a_connection_where_all_goes_well(
    facts: Plan, answers_after: float, talks: bool, policy: RetryPolicy
) -> None:
    line = Line(facts, Budget(policy), [0.5])
    service = Service(answers_after=answers_after, talks=talks)
    line.current.service = service
    line.advance(answers_after + 1.0)
    while line.now < 400.0 and line.current.finish is None:
        line.advance(TICK)
        live = [end for end in line.links() if end.socket is Socket.OPEN]
        assert live or (not talks and facts.control_ping_every is None)
    if talks:
        assert line.handovers >= 400 // ((facts.max_age or 0) + QUIET_SECONDS + 20) - 1


def test_a_successor_that_is_refused_again_and_again_leaves_the_old_one_and_backs_off() -> None:
    facts = plan(max_age=20.0, silence=1e9)
    line: Any = Line(facts, Budget(RetryPolicy(first=1.0, longest=60.0)), [0.5])
    line.advance(20.4)
    line.other.service = Service(refuses=Verdict("busy"))
    line.advance(600.0)
    assert line.current is line.ends[0] and line.current.socket is Socket.OPEN
    assert 10 < len(line.attempts) < 40
    line.other.service = Service()
    line.advance(80.0)
    assert line.current is not line.ends[0]
