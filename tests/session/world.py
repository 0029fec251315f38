"""A simulated world around machines: services that answer or not, and a clock moved by hand.

The world does what the shell does with actions, and asserts what must hold at every step.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from recorder.feed import Plan, Verdict
from recorder.session.budget import Budget
from recorder.session.events import (
    Action,
    Close,
    Connect,
    Ended,
    Event,
    Finish,
    Opened,
    Ping,
    Rejected,
    Renew,
    Reply,
    Send,
    Stop,
    Tick,
)
from recorder.session.machine import Machine, State

TICK = 0.2
_CLOSING_TAKES = 0.5  # seconds for the peer to answer a close
_PONG_TAKES = 0.05


class Socket(Enum):
    """What there is of a connection, seen from outside."""

    NONE = "none"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"


@dataclass(slots=True)
class Service:
    """How the other side behaves from now on."""

    answers_after: float = 0.1
    refuses: Verdict | None = None  # the handshake
    hangs_up_after: float | None = None  # seconds after the handshake
    mute: bool = False  # no byte, though connected: no pong either
    talks: bool = True  # data frames come


@dataclass(slots=True)
class End:
    """One line: its machine, its socket and what happened to it."""

    machine: Machine
    plan: Plan
    service: Service = field(default_factory=Service)
    socket: Socket = Socket.NONE
    due: float = 0.0  # when the opening or closing is answered
    opened: float = 0.0
    heard: float = 0.0
    data: float = 0.0
    verdict: Verdict = field(default_factory=lambda: Verdict("closed"))
    attempts: list[float] = field(default_factory=list)
    hello: deque[str] = field(default_factory=deque)  # expected next on this connection
    last_sent: float = float("-inf")
    asked: deque[str] = field(default_factory=deque)  # by the service, not yet answered
    renewed: bool = False  # on this connection
    finish: Finish | None = None
    stopped: bool = False


class World:
    """Lines that share one endpoint, and everything that happens to them."""

    def __init__(
        self, plan: Plan, budget: Budget, random: list[float], lines: int, retries: int | None
    ) -> None:
        self.now, self.budget = 0.0, budget
        self._random, self._drawn = random, 0
        self.attempts: list[float] = []
        self.ends = [
            End(Machine(plan, budget, self._draw, start_at=0.0, max_retries=retries), plan)
            for _ in range(lines)
        ]

    def _draw(self) -> float:
        self._drawn += 1
        return self._random[self._drawn % len(self._random)]

    def advance(self, seconds: float) -> None:
        """Let time pass in ticks."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + TICK, until)
            for end in self.ends:
                self._nature(end)
                self.happens(end, Tick(self.now, end.heard, end.data))
                self._check(end)

    def happens(self, end: End, event: Event) -> None:
        """Give a machine an event, and do what it says."""
        if isinstance(event, Stop):
            end.stopped = True
        for action in end.machine.handle(event):
            assert end.finish is None, "it acts after its end"
            self._act(end, action)

    def tell(self, end: End, verdict: Verdict) -> None:
        if end.socket in {Socket.OPENING, Socket.OPEN, Socket.CLOSING}:
            self.happens(end, Rejected(self.now, verdict))

    def ask(self, end: End, text: str) -> None:
        if end.socket is Socket.OPEN:
            end.asked.append(text)
            self.happens(end, Reply(self.now, text))

    def stop(self, end: End) -> None:
        self.happens(end, Stop(self.now))

    def hang_up(self, end: End, verdict: Verdict) -> None:
        """The service ends the connection or the attempt."""
        if end.socket is not Socket.NONE:
            self._gone(end, verdict)

    # -- what the machine does to the world

    def _act(self, end: End, action: Action) -> None:
        match action:
            case Connect():
                assert end.socket is Socket.NONE, "two connections on one line"
                assert not end.stopped, "it connects after being stopped"
                end.socket, end.due = Socket.OPENING, self.now + end.service.answers_after
                self._spend()
            case Send(text):
                assert end.socket is Socket.OPEN, "it sends without a connection"
                self._sent(end, text)
            case Ping():
                assert end.socket is Socket.OPEN, "it pings without a connection"
                if not end.service.mute:
                    end.heard = self.now + _PONG_TAKES
            case Close(reason, abort):
                assert end.socket is Socket.OPEN, "it closes what is not open"
                assert not abort or self._silent(end) >= end.plan.silence, reason
                end.socket = Socket.CLOSING
                end.due = self.now + (0.0 if abort else _CLOSING_TAKES)
            case Renew():
                assert end.socket is Socket.OPEN, "it renews what is not open"
                assert end.plan.max_age is not None and not end.renewed
                assert self.now - end.opened >= end.plan.max_age
                end.renewed = True
            case Finish(_, code):
                assert end.socket is Socket.NONE, "it finishes with a connection"
                assert code == 0 or not end.stopped
                end.finish = action

    def _spend(self) -> None:
        policy = self.budget.policy
        if self.attempts:
            assert self.now - self.attempts[-1] >= policy.spacing - 1e-9, "attempts not spaced"
        self.attempts.append(self.now)
        recent = [at for at in self.attempts if at > self.now - 60.0 + 1e-9]
        assert len(recent) <= policy.attempts_per_minute, "a retry storm"

    def _sent(self, end: End, text: str) -> None:
        assert self.now - end.last_sent >= end.plan.send_every - 1e-9, "messages not paced"
        end.last_sent = self.now
        if text == end.plan.ping:
            return
        if text in end.plan.hello:
            if not end.hello:  # asked again
                end.hello = deque(end.plan.hello)
            assert text == end.hello.popleft(), "the hello out of order"
            return
        assert not end.hello, "an answer before the hello"
        assert text == end.asked.popleft(), "answers out of order, or on another connection"

    # -- what the world does to the machine

    def _nature(self, end: End) -> None:
        service = end.service
        if end.socket is Socket.OPENING and self.now >= end.due:
            if service.refuses is not None:
                self._gone(end, service.refuses)
            else:
                self._open(end)
        elif end.socket is Socket.CLOSING and self.now >= end.due:
            self._gone(end, Verdict("closed 1000"))
        elif end.socket is Socket.OPEN:
            if service.hangs_up_after is not None and self.now - end.opened >= (
                service.hangs_up_after
            ):
                self._gone(end, Verdict("closed 1001"))
            elif service.talks and not service.mute:
                end.heard = end.data = self.now

    def _open(self, end: End) -> None:
        end.socket, end.opened = Socket.OPEN, self.now
        end.heard = self.now
        end.hello, end.last_sent = deque(end.plan.hello), float("-inf")
        end.asked, end.renewed = deque(), False
        self.happens(end, Opened(self.now))

    def _gone(self, end: End, verdict: Verdict) -> None:
        end.socket = Socket.NONE
        self.happens(end, Ended(self.now, verdict))

    # -- what must hold after every tick

    def _silent(self, end: End) -> float:
        return self.now - max(end.heard, end.opened)

    def _check(self, end: End) -> None:
        state = end.machine.state
        assert (state is State.FINISHED) == (end.finish is not None)
        if end.socket is Socket.NONE:
            assert state in {State.WAITING, State.FINISHED}
            assert not (end.stopped and state is State.WAITING), "stopped, yet waiting"
        if end.socket is Socket.OPEN:
            assert self._silent(end) < end.plan.silence + TICK, "silent for too long"
            age = end.plan.max_age
            due = age is not None and self.now - end.opened >= age + TICK
            assert end.renewed or not due or state is not State.LIVE, "old, and nobody was told"
