"""When which of a group's URLs is asked next. Pure; times are monotonic seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recorder.backoff import Backoff
from recorder.feed import PATIENCE, Plan
from recorder.verdict import Verdict

#: The part of an interval by which a request may be early or late: many recorders are not in step.
_JITTER = 0.1
_FIRST_WITHIN = 5.0  # seconds: the first request after the start
_SPACING = 0.1  # the least seconds between two requests of a group
_REFUSED_EVERY = 20  # a URL that does not exist is asked this many times less often
_LONGEST_WAIT = 24 * 3600.0


@dataclass(slots=True)
class Url:
    """One URL: when it is due, and its newest body in the record."""

    url: str
    due: float
    etag: str | None = None
    modified: str | None = None
    digest: bytes = b""
    stream: str = ""  # the connection that has the body
    refused: bool = False  # the service does not have it; said once


class Schedule:
    """The URLs of a plan, each due once in `Plan.every`, spread over it."""

    def __init__(self, plan: Plan, backoff: Backoff, now: float, dice: Callable[[], float]) -> None:
        assert plan.every is not None
        self._every, self._backoff, self._dice = plan.every, backoff, dice
        self._spacing = max(plan.send_every, _SPACING)
        first = now + dice() * min(_FIRST_WITHIN, plan.every)
        step = plan.every / len(plan.urls)
        self._urls = [Url(url, first + step * n) for n, url in enumerate(plan.urls)]
        self._not_before = now
        self.failures = 0  # in a row

    @property
    def many(self) -> bool:
        """True if there are several URLs."""
        return len(self._urls) > 1

    @property
    def due(self) -> float:
        """When the next request is due."""
        return max(self.next().due, self._not_before)

    def next(self) -> Url:
        """Return the URL that is due next."""
        return min(self._urls, key=lambda one: one.due)

    def answered(self, url: Url, now: float) -> None:
        """Plan the next request after an answer."""
        self.failures = 0
        url.refused = False
        self._again(url, now, self._every)

    def refused(self, url: Url, now: float) -> None:
        """Plan the next request of a URL that the service does not have."""
        url.refused = True
        self._again(url, now, _REFUSED_EVERY * self._every)

    def failed(self, url: Url, now: float, verdict: Verdict) -> float:
        """Plan the next request after a failure, and return the seconds until then."""
        self.failures += 1
        wait = verdict.wait
        if wait is None:
            backoff = PATIENCE if verdict.patient else self._backoff
            wait = max(backoff.delay(self.failures, self._dice), min(self._every, 1.0))
        wait = min(wait, _LONGEST_WAIT)
        self._not_before = now + wait
        if self.many:
            self._again(url, now, max(self._every, wait))
        else:
            url.due = self._not_before
        return wait

    def _again(self, url: Url, now: float, after: float) -> None:
        url.due = now + after * (1 + _JITTER * (2 * self._dice() - 1))
        self._not_before = max(self._not_before, now + self._spacing)
