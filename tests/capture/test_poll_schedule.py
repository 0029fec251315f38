"""When which URL is asked: by a clock and dice moved by hand."""

from __future__ import annotations

from itertools import pairwise

from recorder.backoff import Backoff
from recorder.capture.poll_schedule import Schedule
from recorder.feed import Plan
from recorder.verdict import Verdict


def _schedule(*urls: str, every: float = 10.0) -> Schedule:
    plan = Plan(group="all", urls=urls, every=every)
    return Schedule(plan, Backoff(first=1.0, most=60.0), 100.0, lambda: 0.5)


def test_urls_are_asked_in_turn_each_once_in_the_interval() -> None:
    schedule, now = _schedule("a", "b"), 100.0
    asked: list[tuple[str, float]] = []
    for _ in range(6):
        now = max(now, schedule.due)
        url = schedule.next()
        asked.append((url.url, now))
        schedule.answered(url, now)
    assert [url for url, _ in asked] == ["a", "b"] * 3
    times = [at for url, at in asked if url == "a"]
    assert [b - a for a, b in pairwise(times)] == [10.0, 10.0]


def test_a_url_that_the_service_has_not_is_asked_seldom_and_told_once_until_it_is_there() -> None:
    schedule = _schedule("a", "b")
    url = schedule.next()
    schedule.refused(url, 100.0)
    assert (url.refused, url.due) == (True, 300.0)
    assert schedule.failures == 0
    schedule.answered(url, 300.0)
    assert not url.refused


def test_nothing_is_asked_before_a_ban_ends() -> None:
    schedule = _schedule("a", "b")
    assert schedule.failed(schedule.next(), 100.0, Verdict("banned", wait=120.0)) == 120.0
    assert schedule.due >= 220.0
    assert schedule.failures == 1
