"""Whatever happens, in whatever order: what a line never does."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from kit.effort import examples

from recorder.feed import Plan, RetryPolicy, Verdict
from recorder.session.budget import Budget
from recorder.session.events import (
    Change,
    Connect,
    EndAnnounced,
    Ended,
    Opened,
    Rejected,
    Reply,
    Stop,
    Tick,
)
from recorder.session.machine import Machine

from .driven import plan
from .world import Service, Socket, World

FATAL = Verdict("dead key", fatal=True, exit_code=4)

verdicts = st.one_of(
    st.just(Verdict("reset")),
    st.builds(Verdict, st.just("wait"), wait=st.sampled_from([0.0, 0.5, 60.0])),
)
plans = st.builds(
    plan,
    hello=st.sampled_from([(), ("auth",), ("auth", "sub 1", "sub 2")]),
    send_every=st.sampled_from([0.0, 0.05, 1.0]),
    ping=st.sampled_from([None, "ping"]),
    ping_every=st.sampled_from([3.0, 30.0]),
    control_ping_every=st.sampled_from([None, 2.0, 20.0]),
    silence=st.sampled_from([2.0, 10.0, 60.0]),
    cadence=st.sampled_from([None, 5.0]),
    max_age=st.sampled_from([None, 20.0, 100.0]),
)
policies = st.builds(
    RetryPolicy,
    first=st.sampled_from([0.0, 1.0]),
    longest=st.sampled_from([1.0, 60.0]),
    healthy=st.sampled_from([0.0, 30.0]),
    attempts_per_minute=st.sampled_from([1, 3, 10]),
    spacing=st.sampled_from([0.0, 6.0]),
)
services = st.builds(
    Service,
    answers_after=st.sampled_from([0.0, 0.3, 10.0]),
    refuses=st.one_of(st.none(), st.none(), verdicts),
    hangs_up_after=st.one_of(st.none(), st.none(), st.sampled_from([0.0, 1.0, 40.0])),
    mute=st.booleans(),
    talks=st.booleans(),
)
numbers = st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=5)
which = st.integers(0, 7)


class Lines(RuleBasedStateMachine):
    """Lines of one endpoint; `World` asserts what must hold at every step."""

    @initialize(
        facts=plans,
        policy=policies,
        random=numbers,
        lines=st.integers(1, 3),
        retries=st.sampled_from([None, None, 0, 5]),
    )
    def begin(
        self, facts: Plan, policy: RetryPolicy, random: list[float], lines: int, retries: int | None
    ) -> None:
        self.world = World(facts, Budget(policy), random, lines, retries)
        self.words = 0

    def end(self, number: int) -> Any:
        return self.world.ends[number % len(self.world.ends)]

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0, 30.0, 65.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(number=which, service=services)
    def the_service_changes(self, number: int, service: Service) -> None:
        self.end(number).service = service

    @rule(number=which, verdict=st.one_of(verdicts, verdicts, st.just(FATAL)))
    def the_service_hangs_up(self, number: int, verdict: Verdict) -> None:
        self.world.hang_up(self.end(number), verdict)

    @rule(number=which, verdict=st.one_of(verdicts, verdicts, st.just(FATAL)))
    def the_service_refuses_to_go_on(self, number: int, verdict: Verdict) -> None:
        self.world.tell(self.end(number), verdict)

    @rule(number=which)
    def the_service_asks(self, number: int) -> None:
        self.words += 1
        self.world.ask(self.end(number), f"answer {self.words}")

    @rule(number=which)
    def the_user_stops(self, number: int) -> None:
        self.world.stop(self.end(number))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        for end in world.ends:  # all is well again
            end.service = Service()
        world.advance(20.0)
        for end in world.ends:
            if self.words % 2:  # so that some are stopped while they connect
                end.service = Service(answers_after=5.0)
                world.hang_up(end, Verdict("restart", wait=0.0))
        world.advance(1.0)
        for end in world.ends:
            world.stop(end)
        world.advance(15.0)
        for end in world.ends:
            assert end.finish is not None, "stopped, and never finished"
            assert end.socket is Socket.NONE


TestLines = Lines.TestCase
TestLines.settings = settings(max_examples=examples(80), stateful_step_count=30, deadline=None)


moments = st.floats(0, 1e6)
events = st.one_of(
    st.builds(Opened, moments),
    st.builds(Ended, moments, st.one_of(verdicts, st.just(FATAL))),
    st.builds(Tick, moments, moments, moments),
    st.builds(Rejected, moments, st.one_of(verdicts, st.just(FATAL))),
    st.builds(EndAnnounced, moments, st.just("soon")),
    st.builds(Reply, moments, st.text(max_size=3)),
    st.builds(Change, moments, plans, st.sampled_from([(), ("one", "two")])),
    st.builds(Stop, moments),
)


@given(plans, policies, st.lists(events, max_size=40))
def test_no_order_of_events_raises(facts: Plan, policy: RetryPolicy, sequence: list[Any]) -> None:
    machine = Machine(facts, Budget(policy), lambda: 0.5, start_at=0.0)
    for event in sequence:
        for action in machine.handle(event):
            assert not (isinstance(action, Connect) and isinstance(event, Stop))


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60), policies)
def test_the_budget_holds_in_every_minute(wishes: list[float], policy: RetryPolicy) -> None:
    budget, taken = Budget(policy), [0.0]
    for wish in sorted(wishes):
        at = budget.earliest(max(wish, taken[-1]))
        assert budget.earliest(at) == at
        assert budget.take("someone", at)
        taken.append(at)
    for first, later in zip(taken[1:], taken[1 + policy.attempts_per_minute :], strict=False):
        assert later - first >= 60.0 - 1e-6
