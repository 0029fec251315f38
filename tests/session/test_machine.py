"""The decisions of one line, one rule at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from recorder.feed import RetryPolicy, Verdict
from recorder.session.budget import Budget
from recorder.session.events import Close, Finish, Opened, Ping, Renew
from recorder.session.machine import NOT_CONNECTED, State
from recorder.verdict import DOUBTS

from .driven import TICK, Driven, closes, plan, texts

FATAL = Verdict("dead key", fatal=True, exit_code=4)
UNLIMITED = 1_000_000


def backing_off(random: Callable[[], float] = lambda: 1.0) -> Driven:
    policy = RetryPolicy(first=1.0, longest=60.0, healthy=30.0, attempts_per_minute=UNLIMITED)
    return Driven(policy=policy, random=random)


# -- coming back


def test_the_first_attempt_is_made_at_once() -> None:
    assert Driven().connects() == 0.0


def test_back_off_doubles_and_is_capped() -> None:
    line = backing_off()
    line.connects()
    assert [line.waits() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_back_off_has_full_jitter() -> None:
    numbers = iter([0.0, 0.5, 0.25])
    line = backing_off(random=lambda: next(numbers))
    line.connects()
    assert [line.waits() for _ in range(3)] == [0.0, 1.0, 1.0]


def test_a_thousand_failures_do_not_overflow() -> None:
    line = backing_off()
    line.connects()
    assert [line.waits() for _ in range(1100)][-1] == 60.0


def test_a_short_lived_connection_does_not_reset_the_back_off() -> None:
    line = backing_off()
    line.connects()
    waits = []
    for _ in range(4):
        line.opens()
        line.until(line.now + 29.0)
        waits.append(line.waits())
    assert waits == [1, 2, 4, 8]


def test_a_healthy_connection_resets_the_back_off() -> None:
    line = backing_off()
    line.connects()
    assert [line.waits() for _ in range(4)] == [1, 2, 4, 8]
    line.opens()
    line.until(line.now + 30.0)
    assert line.waits() == 1.0


@pytest.mark.parametrize("wait", [0.0, 60.0, 3600.0])
def test_the_wait_of_a_verdict_is_honoured(wait: float) -> None:
    line = backing_off()
    line.connects()
    assert line.waits(Verdict("come back later", wait=wait)) == wait


@pytest.mark.parametrize("opened", [True, False])
def test_a_fatal_verdict_finishes(opened: bool) -> None:
    line = Driven()
    line.connects()
    if opened:
        line.opens()
    assert line.ends(FATAL) == [Finish("dead key", 4)]
    assert line.machine.state is State.FINISHED
    assert line.until(line.now + 3600) == []


def test_retries_are_limited_where_the_user_says_so() -> None:
    line = Driven(max_retries=2)
    line.connects()
    line.waits()
    line.waits()
    [finish] = line.ends(Verdict("no route to host"))
    assert isinstance(finish, Finish)
    assert finish.code == NOT_CONNECTED
    assert "no route to host" in finish.reason


REFUSED = Verdict("refused (HTTP 403)", patient=True)
DOUBT = Verdict("refused (HTTP 403)", patient=True, doubt=True)


def test_a_refusal_that_can_pass_waits_long_and_longer() -> None:
    line = backing_off()
    line.connects()
    assert [line.waits(REFUSED) for _ in range(6)] == [30, 60, 120, 240, 480, 600]
    quick = backing_off(random=lambda: 0.0)
    quick.connects()
    assert [quick.waits(REFUSED) for _ in range(2)] == [15, 30]
    assert quick.waits(Verdict("refused (HTTP 403)", wait=7.0, patient=True)) == 7.0


def test_one_refusal_at_a_reconnect_ends_nothing() -> None:
    line = backing_off().live()
    line.until(60.0)
    line.waits()
    line.waits(REFUSED)
    line.opens()
    assert line.machine.state is State.LIVE


def test_many_doubts_in_a_row_are_a_dead_key() -> None:
    machine = Driven().machine
    verdicts = [machine.weigh(DOUBT) for _ in range(DOUBTS)]
    assert [verdict.fatal for verdict in verdicts] == [False] * (DOUBTS - 1) + [True]
    assert verdicts[-1].exit_code == 4
    assert "HTTP 403" in verdicts[-1].reason


def test_a_connection_or_another_failure_clears_the_doubts() -> None:
    line = Driven()
    line.connects()
    for _ in range(DOUBTS - 1):
        line.machine.weigh(DOUBT)
    line.opens()
    assert not line.machine.weigh(DOUBT).fatal
    line.machine.weigh(Verdict("cannot connect"))
    assert not any(line.machine.weigh(DOUBT).fatal for _ in range(DOUBTS - 1))


def test_a_limit_of_the_address_holds_back_every_line_of_the_endpoint() -> None:
    budget = Budget(RetryPolicy(first=1.0))
    first, second = Driven(budget=budget), Driven(budget=budget)
    first.connects()
    second.connects()
    assert first.waits(Verdict("rate limited (HTTP 429)", wait=40.0, limited=True)) == 40.0
    assert second.waits() == 40.0


def test_retries_have_no_limit_by_default() -> None:
    line = backing_off()
    line.connects()
    for _ in range(100):
        line.waits()
    assert line.machine.state is State.CONNECTING


# -- the budget of attempts


def test_at_most_the_budget_in_the_first_minute() -> None:
    line = Driven(policy=RetryPolicy(first=0.0, attempts_per_minute=10))
    attempts = [line.connects()]
    for _ in range(25):
        line.opens()  # accepted and closed at once
        line.ends(Verdict("closed", wait=0.0))
        attempts.append(line.connects())
    assert attempts == [0.0] * 10 + [60.0] * 10 + [120.0] * 6


def test_the_lines_of_one_endpoint_share_its_budget() -> None:
    budget = Budget(RetryPolicy(first=0.0, attempts_per_minute=3))
    lines = [Driven(budget=budget) for _ in range(4)]
    connected = [bool(line.at(0.0)) for line in lines]
    assert connected == [True, True, True, False]
    assert lines[3].until(59.75) == []
    assert lines[3].connects() == 60.0


def test_attempts_at_one_endpoint_are_spaced() -> None:
    budget = Budget(RetryPolicy(spacing=6.0))
    first, second = Driven(budget=budget), Driven(budget=budget)
    assert first.connects() == 0.0
    assert second.connects() == 6.0
    first.until(7.0)
    assert first.waits(Verdict("at once", wait=0.0)) == 5.0


def test_nobody_who_waits_for_an_attempt_is_overtaken() -> None:
    budget = Budget(RetryPolicy(attempts_per_minute=1))
    hasty, patient = Driven(budget=budget), Driven(budget=budget)
    hasty.connects()
    assert patient.at(0.0) == []
    for turn in range(1, 5):
        hasty.now = turn * 60.0 - 1
        if hasty.machine.state is State.CONNECTING:
            hasty.ends(Verdict("at once", wait=0.0))
        first = [bool(line.at(turn * 60.0)) for line in (hasty, patient)]
        assert first == [turn % 2 == 0, turn % 2 == 1]
        if patient.machine.state is State.CONNECTING:
            patient.ends(Verdict("at once", wait=0.0))
            patient.at(patient.now)


def test_a_line_that_is_stopped_gives_its_place_in_the_queue_to_the_next() -> None:
    budget = Budget(RetryPolicy(attempts_per_minute=1))
    lines = [Driven(budget=budget) for _ in range(3)]
    assert [bool(line.at(0.0)) for line in lines] == [True, False, False]
    lines[1].stops()
    assert lines[2].connects() == 60.0


# -- what is sent


def test_the_hello_is_sent_on_every_connection() -> None:
    line = Driven(plan(hello=("auth", "subscribe")))
    for _ in range(2):
        line.connects()
        assert texts(line.opens()) == ["auth", "subscribe"]
        line.ends()


def test_messages_are_paced() -> None:
    line = Driven(plan(hello=("1", "2", "3"), send_every=1.0, ping="ping", ping_every=1.5))
    line.connects()
    sent = [(line.now, text) for text in texts(line.opens())]
    while line.now < 6:
        sent += [(line.now, text) for text in texts(line.at(line.now + TICK))]
    assert sent == [(0, "1"), (1, "2"), (2, "3"), (3, "ping"), (4.5, "ping"), (6, "ping")]


def test_the_keep_alive_message_is_sent_at_its_interval() -> None:
    line = Driven(plan(ping="ping", ping_every=30.0)).live()
    assert texts(line.until(29.75)) == []
    assert texts(line.until(90.0)) == ["ping"] * 3


def test_control_pings_are_sent_at_their_interval() -> None:
    line = Driven(plan(control_ping_every=20.0)).live()
    assert [type(action) for action in line.until(60.0)] == [Ping] * 3


# -- silence and muteness


def test_silence_aborts() -> None:
    line = Driven(plan(silence=60.0)).live()
    assert line.until(59.75) == []
    assert line.until(60.0) == [Close("silent for 60 s", abort=True)]


def test_a_new_connection_gets_the_whole_limit_of_silence() -> None:
    line = Driven(plan(silence=60.0))
    line.now = 1000.0
    line.connects()
    line.does(Opened(1000.0))  # and nothing was ever heard
    assert line.until(1059.75) == []
    assert closes(line.until(1060.0))


def test_rare_events_never_lead_to_a_reconnect_while_bytes_come() -> None:
    line = Driven(plan(silence=60.0)).live()
    for _ in range(1000):
        line.heard = line.now  # a pong, a heartbeat; never a data frame
        assert closes(line.until(line.now + 50.0)) == []


def test_pings_leave_time_for_a_pong_before_a_short_limit() -> None:
    line = Driven(plan(silence=6.0, control_ping_every=20.0)).live()
    for _ in range(100):
        if Ping() in line.until(line.now + 1):
            line.heard = line.now
    assert line.machine.state is State.LIVE


def test_a_new_connection_is_pinged_soon_and_then_at_its_interval() -> None:
    line = Driven(plan(silence=600.0, control_ping_every=20.0)).live()
    line.heard = 1e9
    begun = line.now
    pinged = []
    while line.now < begun + 45.0:
        if Ping() in line.until(line.now + 0.25):
            pinged.append(line.now - begun)
    assert pinged == [1.0, 21.0, 41.0]


def test_a_connection_whose_pings_may_count_against_us_is_sent_none() -> None:
    line = Driven(plan(silence=600.0, control_ping_every=None)).live()
    line.heard = 1e9
    assert Ping() not in line.until(line.now + 60.0)


def test_a_mute_channel_is_asked_for_again_once_and_then_the_line_reconnects() -> None:
    line = Driven(plan(cadence=30.0, hello=("subscribe",))).live()
    line.heard = 1e9
    assert texts(line.until(29.75)) == []
    assert texts(line.until(30.0)) == ["subscribe"]
    assert line.until(59.75) == []
    [close] = line.until(60.0)
    assert close == Close("connected but mute for 60 s")


def test_a_channel_that_speaks_again_after_being_asked_stays_connected() -> None:
    line = Driven(plan(cadence=30.0, hello=("subscribe",))).live()
    line.heard = 1e9
    assert texts(line.until(30.0)) == ["subscribe"]
    line.until(31.0)
    line.data = 31.0
    assert line.until(60.75) == []
    assert texts(line.until(61.0)) == ["subscribe"]


def test_a_mute_channel_without_a_subscription_to_repeat_reconnects_directly() -> None:
    line = Driven(plan(cadence=30.0)).live()
    line.heard = 1e9
    assert line.until(29.75) == []
    assert line.until(30.0) == [Close("connected but mute for 30 s")]


def test_another_connection_is_asked_for_once_at_the_age_and_this_one_goes_on() -> None:
    line = Driven(plan(max_age=3600.0)).live()
    line.heard = 1e9
    assert line.until(3599.75) == []
    assert line.until(3600.0) == [Renew("planned reconnect")]
    assert line.until(9000.0) == []
    assert line.machine.state is State.LIVE
    line.waits()
    line.opens()
    line.heard = 1e9
    assert line.until(line.now + 3600.0) == [Renew("planned reconnect")]


def test_a_service_that_announces_the_end_is_left_for_another_connection_once() -> None:
    line = Driven(plan(max_age=3600.0))
    assert line.is_warned("too early") == []
    line.live()
    assert line.is_warned("shutting down") == [Renew("shutting down")]
    assert line.is_warned("shutting down") == []
    line.heard = 1e9
    assert line.until(9000.0) == []  # nor is it asked for again at the age
    assert line.machine.state is State.LIVE


# -- a plan that changes


def test_a_change_is_said_on_the_living_connection_and_begins_the_next() -> None:
    line = Driven(plan(hello=("a",))).live()
    assert texts(line.changes(plan(hello=("a", "b")), "b")) == ["b"]
    line.ends()
    line.connects()
    assert texts(line.opens()) == ["a", "b"]


def test_a_change_without_a_connection_needs_no_messages() -> None:
    line = Driven(plan(hello=("a",)))
    assert line.changes(plan(hello=("b",)), "not a", "b") == []
    line.connects()
    assert line.changes(plan(hello=("c",)), "not b", "c") == []
    assert texts(line.opens()) == ["c"]


def test_a_change_during_the_hello_is_said_behind_it() -> None:
    line = Driven(plan(hello=("a", "b"), send_every=1.0)).live()
    assert texts(line.changes(plan(hello=("b", "c"), send_every=1.0), "not a", "c")) == []
    assert texts(line.until(5.0)) == ["b", "not a", "c"]


def test_what_is_left_of_a_change_is_not_said_on_the_next_connection() -> None:
    line = Driven(plan(hello=("a",), send_every=1.0)).live()
    line.changes(plan(hello=("b",), send_every=1.0), "not a", "b")
    line.ends()
    line.connects()
    assert texts(line.opens() + line.until(line.now + 5)) == ["b"]


def test_a_connection_that_must_say_more_is_greeted_only_then() -> None:
    line = Driven(plan(hello=("a",), send_every=1.0)).live()
    greeted = [line.machine.greeted_at]
    line.changes(plan(hello=("a", "b"), send_every=1.0), "b")
    greeted.append(line.machine.greeted_at)
    line.until(1.0)
    assert [*greeted, line.machine.greeted_at] == [0.0, None, 1.0]


# -- what the service asks


def test_an_answer_is_said_before_the_rest_of_a_long_hello_and_paced() -> None:
    """A key goes first; a service that waits for a pong may end the connection meanwhile."""
    line = Driven(plan(hello=("auth", "subscribe", "more"), send_every=1.0))
    line.connects()
    assert line.is_asked("early answer") == []  # asked together with the handshake
    sent = [(line.now, text) for text in texts(line.opens() + line.is_asked("answer"))]
    while line.now < 5:
        sent += [(line.now, text) for text in texts(line.at(line.now + TICK))]
    expected = ["auth", "early answer", "answer", "subscribe", "more"]
    assert sent == list(enumerate(expected))


def test_an_answer_does_not_survive_its_connection() -> None:
    line = Driven(plan(send_every=1.0)).live()
    assert texts(line.is_asked("one") + line.is_asked("two")) == ["one"]
    line.ends()
    line.is_asked("three")
    line.connects()
    assert texts(line.opens() + line.until(line.now + 5)) == []


def test_a_service_that_asks_without_end_hears_the_newest_answers() -> None:
    line = Driven(plan(send_every=1.0)).live()
    for number in range(10_000):
        line.is_asked(str(number))
    assert texts(line.until(100.0)) == [str(number) for number in range(9936, 10_000)]


# -- what the service says


def test_a_service_that_refuses_the_key_ends_the_line() -> None:
    line = Driven().live()
    assert line.is_rejected(FATAL) == [Close("dead key")]
    assert line.ends(Verdict("closed 1000")) == [Finish("dead key", 4)]


def test_what_is_told_together_with_the_handshake_counts() -> None:
    line = Driven(plan(hello=("auth",)))
    line.connects()
    assert line.is_rejected(FATAL) == []
    assert line.opens() == [Close("dead key")]
    assert line.ends() == [Finish("dead key", 4)]


# -- the end


@pytest.mark.parametrize("state", list(State))
def test_stop_ends_every_state(state: State) -> None:
    line = Driven()
    if state in {State.CONNECTING, State.LIVE, State.CLOSING}:
        line.connects()
    if state in {State.LIVE, State.CLOSING}:
        line.opens()
    if state is State.CLOSING:
        line.is_rejected(Verdict("go away"))
    if state is State.FINISHED:
        line.connects()
        line.ends(FATAL)
    assert line.machine.state is state
    actions = line.stops()
    if state is State.LIVE:
        assert actions == [Close("stopping")]
        assert line.machine.ending == "stopping"
    if state in {State.CONNECTING, State.LIVE, State.CLOSING}:
        actions = line.ends(Verdict("closed 1000"))
    assert actions == ([] if state is State.FINISHED else [Finish("stopped", 0)])


def test_a_connection_that_opens_after_stop_is_closed_at_once() -> None:
    line = Driven(plan(hello=("auth",)))
    line.connects()
    assert line.stops() == []
    assert line.opens() == [Close("stopping")]
    assert line.ends() == [Finish("stopped", 0)]


def test_stopping_twice_is_stopping_once() -> None:
    line = Driven().live()
    assert line.stops() == [Close("stopping")]
    assert line.stops() == []
