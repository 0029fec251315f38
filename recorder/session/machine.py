"""The decisions of one link: when to connect, what to send, when to give up. Pure.

Events go in, actions come out. Every event carries the time (monotonic seconds), so tests move
the clock by hand. A link never has two connections at once: `Opened` or `Ended` follows each
`Connect`, and only `Ended` leads to the next `Connect`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum

from recorder.feed import Plan
from recorder.session.budget import Budget
from recorder.session.events import (
    Action,
    Change,
    Close,
    Connect,
    EndAnnounced,
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
from recorder.verdict import DOUBTS, Verdict, key_doubted

NOT_CONNECTED = 3

PLANNED = "planned reconnect"

#: A service that asks faster than `send_every` lets us reply gets only the newest replies.
_MOST_REPLIES = 64

#: Seconds after the handshake: a quiet connection's first pong shows that it brings what is sent,
#: before it takes over from another one, and ends a gap.
_FIRST_PING = 1.0


class State(Enum):
    """The state of a link."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    LIVE = "live"
    CLOSING = "closing"
    FINISHED = "finished"


class Machine:
    """The state machine of one link. `random` returns numbers in [0, 1) for the jitter."""

    def __init__(
        self,
        plan: Plan,
        budget: Budget,
        random: Callable[[], float],
        *,
        start_at: float,
        max_retries: int | None = None,
    ) -> None:
        self.plan, self.budget, self.policy = plan, budget, budget.policy
        self._random, self.max_retries = random, max_retries
        self.state = State.WAITING
        self.until = start_at  # while waiting: when to connect, if the budget allows it
        self.failures = 0  # in a row, since the last healthy connection
        self.reason = ""
        self._doubts = 0  # refusals in a row that may mean the key
        self.greeted_at: float | None = None  # when the last message of this hello was sent
        self._live_since: float | None = None
        self._hello: deque[str] = deque()  # of this connection, not yet sent
        self._first = False  # nothing of it was sent
        self._replies: deque[str] = deque(maxlen=_MOST_REPLIES)  # of this connection, not yet sent
        self._next_send = self._next_ping = self._next_control = 0.0
        self._resubscribed_at: float | None = None  # when a mute link sent its hello again
        self._renewed = False  # a successor of this connection was asked for
        self._stopping = ""  # why no connection may follow; empty: not stopping
        self._own_end: Verdict | None = None  # why we closed; outranks the peer's reason

    def handle(self, event: Event) -> list[Action]:
        """Take one event; return what to do now."""
        if self.state is State.FINISHED:
            return []
        match event:
            case Opened(at):
                return self._opened(at)
            case Ended(at, verdict):
                return self._ended(at, verdict)
            case Tick():
                return self._tick(event)
            case Rejected(_, verdict):
                return self._rejected(verdict)
            case Reply(at, text):
                return self._reply(at, text)
            case EndAnnounced(_, reason):
                return self._renew(reason) if self.state is State.LIVE else []
            case Change(at, plan, messages):
                return self._change(at, plan, messages)
            case Stop(_, reason):
                return self._stop(reason)

    def weigh(self, verdict: Verdict) -> Verdict:
        """Return the verdict on a failed attempt, or a fatal one after many that doubt the key."""
        self._doubts = self._doubts + 1 if verdict.doubt else 0
        return key_doubted(verdict) if self._doubts >= DOUBTS else verdict

    @property
    def retry_at(self) -> float | None:
        """When the next attempt is due, monotonic seconds; None unless waiting for it."""
        return self.budget.earliest(self.until) if self.state is State.WAITING else None

    @property
    def own_end(self) -> Verdict | None:
        """Why we closed the connection, which outranks what the peer then says; None: we did not.

        None also where the link was asked to stop.
        """
        return self._own_end

    @property
    def ending(self) -> str:
        """Why we are closing the connection; empty if we are not."""
        return self._own_end.reason if self._own_end else self._stopping

    # -- events

    def _opened(self, at: float) -> list[Action]:
        if self.ending:
            self.state = State.CLOSING
            return [Close(self.ending)]
        self.state, self._live_since, self.reason = State.LIVE, at, ""
        self._doubts = 0
        self._hello = deque(self.plan.hello)
        self._first = bool(self._hello)
        self._next_send = at
        self._next_ping = at + self.plan.ping_every
        self._next_control = at + min(self._control_ping_every or 0.0, _FIRST_PING)
        self._resubscribed_at = None
        self._renewed = False
        return self._due_messages(at)

    def _ended(self, at: float, verdict: Verdict) -> list[Action]:
        if self._live_since is not None and at - self._live_since >= self.policy.healthy:
            self.failures = 0
        self._live_since = self.greeted_at = None
        self._replies.clear()
        verdict, self._own_end = self._own_end or verdict, None
        self.reason = verdict.reason
        if self._stopping:
            return self._finish("stopped", 0)
        if verdict.fatal:
            return self._finish(verdict.reason, verdict.exit_code)
        self.failures += 1
        if self.max_retries is not None and self.failures > self.max_retries:
            return self._finish(f"failures in a row: {self.failures}; {self.reason}", NOT_CONNECTED)
        delay = verdict.wait
        if delay is None:
            backoff = self.policy.patience if verdict.patient else self.policy.backoff
            delay = backoff.delay(self.failures, self._random)
        elif verdict.limited:
            self.budget.hold(at + delay)
        self.state, self.until = State.WAITING, at + delay
        return []

    def _tick(self, tick: Tick) -> list[Action]:
        if self.state is State.WAITING:
            if tick.at < self.until or not self.budget.take(self, tick.at):
                return []
            self.state = State.CONNECTING
            return [Connect(self.failures)]
        if self.state is not State.LIVE:
            return []
        return self._overdue(tick) or self._renewal(tick.at) + self._due_messages(tick.at)

    def _rejected(self, verdict: Verdict) -> list[Action]:
        if self.state is State.CONNECTING:
            self._own_end = verdict
        return self._close(verdict)

    def _reply(self, at: float, text: str) -> list[Action]:
        if self.state is State.CONNECTING:
            self._replies.append(text)
        if self.state is not State.LIVE:
            return []
        self._replies.append(text)
        return self._due_messages(at)

    def _change(self, at: float, plan: Plan, messages: tuple[str, ...]) -> list[Action]:
        """Take the plan; send its messages after the rest of the present hello."""
        self.plan = plan
        if self.state is not State.LIVE:
            return []  # the next connection begins with the new plan's hello
        if messages:
            self._hello.extend(messages)
            self.greeted_at = None
        return self._due_messages(at)

    def _stop(self, reason: str) -> list[Action]:
        self._stopping = self._stopping or reason
        if self.state is State.WAITING:
            return self._finish("stopped", 0)
        if self.state is State.LIVE:
            self.state = State.CLOSING
            return [Close(self._stopping)]
        return []

    # -- rules of a live connection

    @property
    def _control_ping_every(self) -> float | None:
        """Seconds between WebSocket pings, short enough for a pong before the silence limit."""
        every = self.plan.control_ping_every
        return None if every is None else min(every, self.plan.silence / 3)

    def _renewal(self, at: float) -> list[Action]:
        """Ask once for a successor when the connection has reached its maximum age."""
        most, since = self.plan.max_age, self._live_since or 0.0
        return [] if most is None or at - since < most else self._renew(PLANNED)

    def _renew(self, reason: str) -> list[Action]:
        renewed, self._renewed = self._renewed, True
        return [] if renewed else [Renew(reason)]

    def _overdue(self, tick: Tick) -> list[Action]:
        """Close a connection without bytes; resubscribe, then close, one without data frames."""
        plan, since = self.plan, self._live_since or 0.0
        silent = tick.at - max(tick.heard, since)
        if silent >= plan.silence:
            return self._close(Verdict(f"silent for {silent:.0f} s"), abort=True)
        if plan.cadence is None:
            return []
        resubscribed = self._resubscribed_at
        if resubscribed is not None and tick.data > resubscribed:
            resubscribed = self._resubscribed_at = None
        if tick.at - max(tick.data, since, resubscribed or 0.0) < plan.cadence:
            return []
        if resubscribed is None and plan.hello:
            self._resubscribed_at = tick.at
            self._hello.extend(plan.hello)
            return self._due_messages(tick.at)
        return self._close(
            Verdict(f"connected but mute for {tick.at - max(tick.data, since):.0f} s")
        )

    def _close(self, verdict: Verdict, *, abort: bool = False) -> list[Action]:
        if self.state is not State.LIVE:
            return []
        self.state, self._own_end = State.CLOSING, verdict
        return [Close(verdict.reason, abort)]

    def _due_messages(self, at: float) -> list[Action]:
        actions: list[Action] = []
        while at >= self._next_send and (text := self._next_message(at)) is not None:
            actions.append(Send(text))
            self._next_send = at + self.plan.send_every
        if self.greeted_at is None and not self._hello:
            self.greeted_at = at
        every = self._control_ping_every
        if every is not None and at >= self._next_control:
            actions.append(Ping())
            self._next_control = at + every
        return actions

    def _next_message(self, at: float) -> str | None:
        # The first message may be a key. A long hello must not keep a ping waiting: a service that
        # gets no answer closes the connection.
        if self._replies and not self._first:
            return self._replies.popleft()
        if self._hello:
            self._first = False
            return self._hello.popleft()
        if self.plan.ping is not None and at >= self._next_ping:
            self._next_ping = at + self.plan.ping_every
            return self.plan.ping
        return None

    # -- endings

    def _finish(self, reason: str, code: int) -> list[Action]:
        self.budget.leave(self)
        self.state, self.reason = State.FINISHED, reason
        return [Finish(reason, code)]
