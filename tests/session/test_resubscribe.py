"""Whether another plan can be followed on the living connection, and by which messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from recorder.feed import Feed, Plan
from recorder.session.line import resubscribe


def requests(op: str, channels: Sequence[str]) -> Iterator[str]:
    yield f"{op} {' '.join(channels)}"


FEED = Feed(kind="k", title="t", endpoints=(), plan=lambda options: [], requests=requests)


def plan(*channels: str, urls: tuple[str, ...] = ("ws://a/", "ws://b/")) -> Plan:
    return Plan(group="all", urls=urls, channels=channels, hello=tuple(requests("s", channels)))


def test_what_went_is_unsubscribed_before_what_came_is_subscribed() -> None:
    messages = resubscribe(FEED, plan("a", "b", "c"), plan("c", "d", "e"))
    assert messages == ("unsubscribe a b", "subscribe d e")


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (plan("a"), plan("a", "b"), ("subscribe b",)),
        (plan("a", "b"), plan("a"), ("unsubscribe b",)),
        (plan("a", "b"), plan("b", "a"), ()),
        (plan("a"), replace(plan("a"), silence=5.0), ()),
    ],
)
def test_nothing_else_is_sent(old: Plan, new: Plan, messages: tuple[str, ...]) -> None:
    assert resubscribe(FEED, old, new) == messages


@pytest.mark.parametrize(
    "new",
    [
        plan("b", urls=("ws://c/", "ws://b/")),
        replace(plan("b"), headers={"X-API-Key": "k"}),
        replace(plan("a"), hello=("login k2", "s a")),
    ],
)
def test_another_endpoint_other_headers_or_another_login_need_a_new_connection(new: Plan) -> None:
    assert resubscribe(FEED, plan("a"), new) is None


def test_only_the_lines_of_the_endpoint_that_changed_need_one() -> None:
    old, new = plan("a"), plan("a", "b", urls=("ws://a/", "ws://c/"))
    assert resubscribe(FEED, old, new, line=0) == ("subscribe b",)
    assert resubscribe(FEED, old, new, line=1) is None


def test_a_feed_that_cannot_subscribe_by_message_needs_one() -> None:
    feed = replace(FEED, requests=None)
    assert resubscribe(feed, plan("a"), plan("b")) is None
    assert resubscribe(feed, plan("a"), plan("a")) == ()
