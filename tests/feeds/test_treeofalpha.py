"""Tree of Alpha: what is opened and said, and a capture of a scripted one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from kit.exchange import Exchange, Talk, capturing, until

from recorder.errors import ConfigError
from recorder.feed import Notice, Options, Plan
from recorder.feeds.treeofalpha import FEED


def plan(**options: Any) -> Plan:
    [found] = FEED.plan(Options("here", **options))
    return found


def test_no_key_is_needed_and_one_is_sent_where_there_is_one() -> None:
    assert FEED.key_help is None
    assert plan().urls == ("wss://news.treeofalpha.com/ws",)
    assert plan().hello == ()
    assert plan(key="k-1").hello == ("login k-1",)
    assert plan(url="ws://x/").urls == ("ws://x/",)


def test_news_have_no_cadence_and_pings_prove_life() -> None:
    assert plan().cadence is None
    assert plan().control_ping_every == 20.0


@pytest.mark.parametrize("channel", ["", "*", "listings", "news:*"])
def test_it_has_one_channel(channel: str) -> None:
    assert plan(channels=("news",)).channels == ("news",)
    with pytest.raises(ConfigError) as caught:
        plan(channels=(channel,))
    assert caught.value.where == "feeds.here.channels"


def noticed(payload: bytes) -> Notice | None:
    assert FEED.control is not None
    return FEED.notice(payload) if FEED.control.search(payload, 0, 200) else None


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"ping", Notice(reply="pong")),
        (b" ping\n", Notice(reply="pong")),
        (b"pong", None),
        (b'{"error":"invalid key"}', Notice("the service reports: invalid key")),
        (b'{"error":{"message":"no"}}', Notice("the service reports: no")),
        (b'{"error":[]}', Notice("the service reports: an error")),
        (b'{"error":"x","title":"an error that is news"}', None),
        (b'{"user":{"username":"someone"}}', None),
        (b'{"title":"\\"error\\": ping"}', None),
    ],
)
def test_what_it_says_of_the_connection(payload: bytes, expected: Notice | None) -> None:
    assert noticed(payload) == expected


class TreeOfAlpha(Exchange):
    """Sends news and a text ping; ends whoever does not answer."""

    pause, patience = 0.1, 20.0

    async def keep_up(self, talk: Talk) -> None:
        await talk.send(json.dumps({"user": None}))
        while True:
            asked = talk.heard.count("pong")
            await talk.send("ping", json.dumps({"title": "x", "time": 1, "source": "Blogs"}))
            try:
                await until(lambda: talk.heard.count("pong") > asked, self.patience)  # noqa: B023
            except TimeoutError:
                await talk.end("a ping was not answered")
            await asyncio.sleep(self.pause)


@pytest.mark.process
async def test_its_pings_are_answered_and_a_key_is_sent_again_after_a_reset(
    tmp_path: Path,
) -> None:
    tree = TreeOfAlpha()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(tree.open("/ws"))
        settings = f'url = "{tree.url}"'
        await stack.enter_async_context(capturing(tmp_path, "treeofalpha", settings, silence=10.0))
        await until(lambda: tree.talks and tree.talks[0].heard.count("pong") >= 3)
        tree.talks[0].reset()
        await until(lambda: len(tree.talks) == 2 and tree.talks[1].heard.count("pong") >= 3)
    assert [talk.heard[0] for talk in tree.talks] == ["login key:secret"] * 2
    assert tree.complaints == []
