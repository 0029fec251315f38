"""Which of a line's links is the current one, and when another takes over. Pure.

A line has one link, or two during a handover: the current one with its successor, and then the
successor, current now, with the old one until that has closed. There is never a third.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from recorder.session.events import Finish
from recorder.session.machine import Machine, State

#: A successor on a quiet channel takes over without having heard a data frame.
QUIET_SECONDS = 10.0

#: Time for the last of several subscriptions to be granted after the first data frame came.
_SETTLING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LinkView:
    """What the decision needs to know of one link. Times are monotonic seconds."""

    state: State
    greeted_at: float | None = None  # its connection's hello was said; None: not yet
    data_at: float = 0.0  # its connection's last data frame
    subscribes: bool = False  # it says a hello at all
    finish: Finish | None = None

    @classmethod
    def of(cls, machine: Machine, data_at: float, finish: Finish | None) -> LinkView:
        """As it stands."""
        return cls(machine.state, machine.greeted_at, data_at, bool(machine.plan.hello), finish)

    def brings_data(self, now: float) -> bool:
        """True if it may be relied on from now on."""
        if self.state is not State.LIVE or self.greeted_at is None:
            return False
        since = now - self.greeted_at
        if since >= QUIET_SECONDS:
            return True
        if not self.subscribes:
            return self.data_at > 0
        return since >= _SETTLING_SECONDS and self.data_at >= self.greeted_at


class Move(Enum):
    """What the line is to do next."""

    NOTHING = auto()
    BEGIN = auto()  # a second link, as the current one's successor
    PROMOTE = auto()  # the successor is the current one now; the old is to stop
    RELEASE = auto()  # the other link is over
    STOP = auto()  # the current link is to stop: nothing may follow it


class Handover:
    """One line's decisions; ask `move` until it says NOTHING, whenever something happened."""

    def __init__(self) -> None:
        self.wanted = ""  # why a successor is due; empty: none is
        self.reason = ""  # why the handover under way began
        self.doom: Finish | None = None  # the successor's end: no connection will follow
        self.stopping = False
        self._leaving = False  # the other link is to end, and so succeeds nobody

    def want(self, reason: str) -> None:
        """A successor is due as soon as there is room for one; forgets what ended an earlier."""
        self.wanted, self.doom = reason, None

    def abandon(self) -> None:
        """The successor is being stopped, for another is due."""
        self._leaving = True

    def move(self, now: float, current: LinkView, other: LinkView | None) -> Move:
        """What is next, given how the links stand now."""
        if other is None:
            return self._alone(current)
        if other.state is State.FINISHED:
            return self._release(other)
        if self._leaving or self.stopping:
            return Move.NOTHING
        gone = current.state not in {State.LIVE, State.CLOSING}
        if gone or other.brings_data(now):
            self._leaving = True
            return Move.PROMOTE
        return Move.NOTHING

    def _alone(self, current: LinkView) -> Move:
        if self.stopping or current.state is State.FINISHED:
            return Move.NOTHING
        if self.wanted:
            self.reason, self.wanted, self._leaving = self.wanted, "", False
            return Move.BEGIN
        if self.doom is not None and current.state is State.WAITING:
            self.stopping = True
            return Move.STOP
        return Move.NOTHING

    def _release(self, other: LinkView) -> Move:
        if not self._leaving and other.finish is not None and other.finish.code:
            self.doom = other.finish
        self._leaving = False
        return Move.RELEASE
