"""A machine with a clock moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recorder.feed import Plan, RetryPolicy, Verdict
from recorder.session.budget import Budget
from recorder.session.events import (
    Action,
    Change,
    Close,
    Connect,
    EndAnnounced,
    Ended,
    Event,
    Opened,
    Rejected,
    Reply,
    Send,
    Stop,
    Tick,
)
from recorder.session.machine import Machine

TICK = 0.25
LOST = Verdict("lost")


def plan(**facts: Any) -> Plan:
    """A quiet plan: what a test is not about does not happen."""
    quiet: dict[str, Any] = {"control_ping_every": None, "silence": 1e9}
    return Plan(group="all", urls=("ws://127.0.0.1",), **(quiet | facts))


class Driven:
    """One machine and the time; each method says what happens and gives what the machine does."""

    def __init__(
        self,
        facts: Plan | None = None,
        policy: RetryPolicy | None = None,
        *,
        budget: Budget | None = None,
        random: Callable[[], float] = lambda: 1.0,
        max_retries: int | None = None,
    ) -> None:
        budget = budget or Budget(policy or RetryPolicy(attempts_per_minute=1000))
        self.now = 0.0
        self.heard = self.data = 0.0
        self.machine = Machine(
            facts or plan(), budget, random, start_at=0.0, max_retries=max_retries
        )

    def does(self, event: Event) -> list[Action]:
        return self.machine.handle(event)

    def at(self, now: float) -> list[Action]:
        """One tick, at this time."""
        self.now = now
        return self.does(Tick(now, self.heard, self.data))

    def until(self, now: float) -> list[Action]:
        """Ticks up to this time."""
        actions = []
        while self.now < now:
            actions += self.at(min(self.now + TICK, now))
        return actions

    def connects(self) -> float:
        """Waits until the machine connects; when it did."""
        for _ in range(1000):
            actions = self.at(self.now)
            if actions:
                assert [type(action) for action in actions] == [Connect]
                return self.now
            assert self.machine.retry_at is not None
            self.now = self.machine.retry_at
        raise AssertionError("it never connected")

    def opens(self) -> list[Action]:
        self.heard = self.data = self.now
        return self.does(Opened(self.now))

    def ends(self, verdict: Verdict = LOST) -> list[Action]:
        return self.does(Ended(self.now, verdict))

    def is_rejected(self, verdict: Verdict) -> list[Action]:
        return self.does(Rejected(self.now, verdict))

    def is_asked(self, text: str) -> list[Action]:
        return self.does(Reply(self.now, text))

    def changes(self, facts: Plan, *messages: str) -> list[Action]:
        return self.does(Change(self.now, facts, messages))

    def is_warned(self, reason: str) -> list[Action]:
        return self.does(EndAnnounced(self.now, reason))

    def stops(self) -> list[Action]:
        return self.does(Stop(self.now))

    def live(self) -> Driven:
        """Connected, its hello said."""
        self.connects()
        self.opens()
        return self

    def waits(self, verdict: Verdict = LOST) -> float:
        """The connection ends; how long until the next attempt."""
        assert self.ends(verdict) == []
        before = self.now
        return self.connects() - before


def texts(actions: list[Action]) -> list[str]:
    """What is sent."""
    return [action.text for action in actions if isinstance(action, Send)]


def closes(actions: list[Action]) -> list[Close]:
    return [action for action in actions if isinstance(action, Close)]
