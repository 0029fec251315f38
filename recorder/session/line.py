"""One line of a feed: keeps it connected, and hands over to another connection without a gap."""

from __future__ import annotations

import asyncio
import random
from string import ascii_uppercase

from recorder.clock import NS
from recorder.feed import Feed, Plan
from recorder.session.budget import Budget
from recorder.session.events import Finish
from recorder.session.handover import Handover, LinkView, Move
from recorder.session.link import Link, Slot, Tally, Wiring
from recorder.session.machine import Machine, State

_CHANGED = "the settings changed"


def resubscribe(feed: Feed, old: Plan, new: Plan, line: int = 0) -> tuple[str, ...] | None:
    """Return the messages that change the subscriptions of a connection from `old` to `new`.

    Empty if no subscription changes; None if only a new connection can follow the new plan: it has
    another endpoint for this line, other headers, or another hello for the same channels.

    Raises:
        Exception: whatever the feed's `requests` raises.
    """
    if (old.endpoint(line), old.headers) != (new.endpoint(line), new.headers):
        return None
    if (old.hello, old.channels) == (new.hello, new.channels):
        return ()
    if feed.requests is None or old.channels == new.channels:
        return None
    removed = [channel for channel in old.channels if channel not in set(new.channels)]
    added = [channel for channel in new.channels if channel not in set(old.channels)]
    return (
        *(feed.requests("unsubscribe", removed) if removed else ()),
        *(feed.requests("subscribe", added) if added else ()),
    )


class Line:
    """One of a feed's redundant connections for one group of channels; `number` counts from 0.

    During a handover there are two links; the properties show the current one.
    """

    def __init__(
        self,
        wiring: Wiring,
        plan: Plan,
        number: int,
        budget: Budget,
        max_retries: int | None = None,
    ) -> None:
        self.wiring, self.plan, self.budget = wiring, plan, budget
        self.letter, self._number = ascii_uppercase[number], number
        self.max_retries = max_retries
        self.tally = Tally()
        self.outcome: Finish | None = None
        self._handover = Handover()
        self._tasks: asyncio.TaskGroup | None = None
        self._other: Link | None = None
        self._current = self._new_link()
        self._log = wiring.log.bind(feed=wiring.name, group=plan.group, line=self.letter)

    async def run(self) -> Finish:
        """Keep the line connected until it is stopped or fails for good; return how it ended."""
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._current.run())
            self._decide()
        current = self._current.outcome
        assert current is not None
        self.outcome = self._handover.fatal or current
        return self.outcome

    def stop(self, reason: str = "stopping") -> None:
        """Close the line's links; `run` then returns."""
        self._handover.stopping = True
        for link in self._links():
            link.stop(reason)

    def be_last(self, why: Finish) -> None:
        """Open no further connection: one that lives ends by itself, and then the line with `why`.

        A later change of the plan revokes it.
        """
        self._handover.fatal = why
        self._decide()

    def change(
        self, wiring: Wiring, plan: Plan, budget: Budget, *, reconnect: bool = False
    ) -> None:
        """Follow another plan: by messages where these are enough, else by a handover.

        `reconnect` asks for a handover even if the plan is the same.
        """
        self.wiring, self.plan, self.budget = wiring, plan, budget
        self._handover.fatal = None
        changed = [link for link in self._links() if not reconnect and self._follows(link)]
        if (self._other or self._current) in changed:
            return
        if self._other is not None:
            self._handover.abandon()
            self._other.stop(_CHANGED)
        self._handover.want(_CHANGED)
        self._decide()

    # -- for the board and the status

    @property
    def state(self) -> State:
        """The state of the current link."""
        return self._current.machine.state

    @property
    def live(self) -> bool:
        """True while connected."""
        return self.state is State.LIVE

    @property
    def failures(self) -> int:
        """Failed attempts in a row."""
        return self._current.machine.failures

    @property
    def retry_at(self) -> float | None:
        """When the next attempt is due, monotonic seconds; None unless waiting for it."""
        return self._current.machine.retry_at

    @property
    def opened_ns(self) -> int | None:
        """When the current connection was opened, wall-clock ns; None while there is none."""
        return self._current.opened_ns

    @property
    def rtt(self) -> float | None:
        """The last round-trip time, seconds; None if unknown."""
        return self._current.rtt

    @property
    def data_at(self) -> float:
        """When the last data frame arrived, monotonic seconds; 0: none on this connection."""
        return max(link.data_at for link in self._links())

    @property
    def frames(self) -> int:
        """Frames received so far, on all connections of the line."""
        return self.tally.frames + sum(link.tape.frames for link in self._links() if link.tape)

    @property
    def bytes(self) -> int:
        """Bytes received so far, on all connections of the line."""
        return self.tally.bytes + sum(link.tape.bytes for link in self._links() if link.tape)

    def mark_clock_step(self, step_ns: int) -> None:
        """Record that the wall clock was stepped: later `recv_ns` differ by `step_ns`."""
        for link in self._links():
            link.mark_clock_step(step_ns)

    # -- links

    def _links(self) -> list[Link]:
        return [self._current] if self._other is None else [self._current, self._other]

    def _now(self) -> float:
        return self.wiring.clock.mono_ns() / NS

    def _new_link(self) -> Link:
        machine = Machine(
            self.plan,
            self.budget,
            random.SystemRandom().random,
            start_at=self._now(),
            max_retries=self.max_retries,
        )
        url = self.plan.endpoint(self._number)
        slot = Slot(self.letter, url, self.tally, self._decide, self._handover.want)
        return Link(self.wiring, slot, self.plan, machine)

    def _follows(self, link: Link) -> bool:
        """Change a link's plan on its connection; return False if that needs another link."""
        try:
            messages = resubscribe(self.wiring.feed, link.plan, self.plan, self._number)
        except Exception as error:  # the code of a plug-in feed may fail in any way
            self._log.error("this feed's requests failed", why=repr(error))
            messages = None
        if messages is not None:
            link.change(self.plan, messages)
        return messages is not None

    # -- the handover

    def _decide(self) -> None:
        """Carry out the handover's next steps; do nothing before the line runs."""
        if self._tasks is None:
            return
        while (move := self._handover.move(self._now(), *self._views())) is not Move.NOTHING:
            match move:
                case Move.BEGIN:
                    self._begin()
                case Move.PROMOTE:
                    assert self._other is not None
                    self._current, self._other = self._other, self._current
                    self._other.stop(self._handover.reason)
                case Move.RELEASE:
                    self._other = None
                    if self._handover.fatal is not None:
                        self._log.warning("this connection is the last: none may follow it")
                case Move.STOP:
                    self._current.stop("no connection may follow")

    def _views(self) -> tuple[LinkView, LinkView | None]:
        views = [LinkView.of(link.machine, link.data_at, link.outcome) for link in self._links()]
        return views[0], (views[1] if len(views) > 1 else None)

    def _begin(self) -> None:
        assert self._tasks is not None  # checked by _decide
        self._log.info("another connection is to take over", why=self._handover.reason)
        self._other = self._new_link()
        self._tasks.create_task(self._other.run())
