"""The decisions of a handover: which of a line's links is current, and when another takes over.

A line has one link, or two during a handover: first the current link and its successor, then the
successor as the current link and the old one until it has closed. There is never a third. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from recorder.session.events import Finish
from recorder.session.machine import Machine, State

#: After this time a successor on a quiet channel takes over without a data frame.
QUIET_SECONDS = 10.0

#: The service may grant the last of several subscriptions this long after the first data frame.
_SETTLING_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LinkView:
    """The facts about one link that decide a handover. Times are monotonic seconds."""

    state: State
    greeted_at: float | None = None  # when the last message of the hello was sent; None: not yet
    data_at: float = 0.0  # when the connection's last data frame arrived
    subscribes: bool = False  # its plan has a hello
    finish: Finish | None = None

    @classmethod
    def of(cls, machine: Machine, data_at: float, finish: Finish | None) -> LinkView:
        """Return the present view of a link, from its machine."""
        return cls(machine.state, machine.greeted_at, data_at, bool(machine.plan.hello), finish)

    def brings_data(self, now: float) -> bool:
        """Return True if the link receives its data, so that the other one can be closed."""
        if self.state is not State.LIVE or self.greeted_at is None:
            return False
        since = now - self.greeted_at
        if since >= QUIET_SECONDS:
            return True
        if not self.subscribes:
            return self.data_at > 0
        return since >= _SETTLING_SECONDS and self.data_at >= self.greeted_at


class Move(Enum):
    """The next step of a line."""

    NOTHING = auto()
    BEGIN = auto()  # open a second link, the successor
    PROMOTE = auto()  # make the successor the current link, and stop the old one
    RELEASE = auto()  # drop the other link: it has finished
    STOP = auto()  # stop the current link: no connection may follow it


class Handover:
    """One line's decisions; after each event call `move` until it returns NOTHING."""

    def __init__(self) -> None:
        self.wanted = ""  # why a successor is due; empty: none is due
        self.reason = ""  # why the present handover began
        self.fatal: Finish | None = None  # the successor's fatal end: no connection may follow
        self.stopping = False
        self._other_stops = False  # the other link was stopped: it does not take over

    def want(self, reason: str) -> None:
        """Ask for a successor as soon as there is room for one; clear `fatal`."""
        self.wanted, self.fatal = reason, None

    def abandon(self) -> None:
        """Give up the successor, which the caller stops: another is due."""
        self._other_stops = True

    def move(self, now: float, current: LinkView, other: LinkView | None) -> Move:
        """Return the next step, from the present view of the links."""
        if other is None:
            return self._alone(current)
        if other.state is State.FINISHED:
            return self._release(other)
        if self._other_stops or self.stopping:
            return Move.NOTHING
        gone = current.state not in {State.LIVE, State.CLOSING}
        if gone or other.brings_data(now):
            self._other_stops = True
            return Move.PROMOTE
        return Move.NOTHING

    def _alone(self, current: LinkView) -> Move:
        if self.stopping or current.state is State.FINISHED:
            return Move.NOTHING
        if self.wanted:
            self.reason, self.wanted, self._other_stops = self.wanted, "", False
            return Move.BEGIN
        if self.fatal is not None and current.state is State.WAITING:
            self.stopping = True
            return Move.STOP
        return Move.NOTHING

    def _release(self, other: LinkView) -> Move:
        if not self._other_stops and other.finish is not None and other.finish.code:
            self.fatal = other.finish
        self._other_stops = False
        return Move.RELEASE
