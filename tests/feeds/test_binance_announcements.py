"""Binance's announcements: the signed URL, what answers mean, a capture of a scripted one."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from kit.exchange import Exchange, Talk, capturing, until
from websockets.frames import Frame, Opcode

from recorder.errors import ConfigError
from recorder.feed import CREDENTIALS, Options, Plan, Refusal
from recorder.feeds.binance_announcements import FEED

from .recording import holds

KEY, SECRET = "vmPUZE6mv9SD5VNHk4", "NhqPtmdSJYdKjVHjA7PZj4"
WALL_NS = 1_790_000_000_123_456_789


def plan(key: str = f"{KEY}:{SECRET}", **options: Any) -> Plan:
    [found] = FEED.plan(Options("here", key=key, **options))
    return found


def signed(found: Plan, wall_ns: int = WALL_NS) -> str:
    assert found.sign is not None
    return found.sign(found.urls[0], wall_ns)


def genuine(url: str, secret: str) -> bool:
    """What the service checks: a signature over everything before it."""
    query, _, signature = urlsplit(url).query.partition("&signature=")
    return hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest() == signature


def test_each_attempt_is_signed_anew() -> None:
    url = signed(plan())
    assert url.startswith("wss://api.binance.com/sapi/wss?")
    query = dict(parse_qsl(urlsplit(url).query))
    assert list(query) == ["random", "recvWindow", "timestamp", "topic", "signature"]
    assert query["topic"] == "com_announcement_en"
    assert query["timestamp"] == "1790000000123"
    assert 0 < int(query["recvWindow"]) <= 60_000
    assert 0 < len(query["random"]) <= 32
    assert genuine(url, SECRET)
    assert not genuine(url, "another")
    assert signed(plan()) == url  # it depends on nothing else
    assert signed(plan(), WALL_NS + 1) != url


def test_topics_and_the_user_s_query_are_signed_too() -> None:
    url = signed(plan(channels=("b", "a", "b"), url="ws://x/sapi?lang=en"))
    assert dict(parse_qsl(urlsplit(url).query))["topic"] == "b|a"
    assert "lang=en" in url
    assert genuine(url, SECRET)


def test_the_key_is_a_header_and_the_secret_is_nowhere() -> None:
    found = plan()
    assert found.headers == {"X-MBX-APIKEY": KEY}
    assert SECRET not in repr(found)
    assert KEY not in repr(found)
    assert SECRET not in signed(found)


def test_it_pings_in_time_and_comes_back_before_it_is_ended() -> None:
    found = plan()
    assert found.control_ping_every is not None
    assert found.control_ping_every < 30
    assert found.max_age == 23.5 * 3600


@pytest.mark.parametrize("key", ["", "KEY", "KEY:", ":SECRET", "A:B:C"])
def test_a_key_without_its_secret_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(key)
    assert caught.value.where == "feeds.here.key"
    assert "KEY:SECRET" in str(caught.value)
    assert "SECRET" not in caught.value.what.replace("KEY:SECRET", "")
    assert "A:B:C" not in str(caught.value)


@pytest.mark.parametrize("channel", ["", "*", "com_*", "a b", "a|b", "a&b"])
def test_what_is_no_topic_is_refused(channel: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(channels=(channel,))
    assert caught.value.where == "feeds.here.channels"


@pytest.mark.parametrize("code", [-1022, -2014, -2015])
def test_a_refused_key_or_signature_is_fatal(code: int) -> None:
    told = json.dumps({"code": code, "msg": "Signature for this request is not valid."})
    verdict = FEED.on_refused(Refusal(400, {}, told))
    assert (verdict.fatal, verdict.exit_code) == (True, CREDENTIALS)
    notice = FEED.notice(told.encode())
    assert notice is not None
    assert notice.verdict is not None
    assert notice.verdict.fatal


def test_a_clock_that_is_off_is_no_dead_key() -> None:
    verdict = FEED.on_refused(Refusal(400, {}, '{"code":-1021,"msg":"Timestamp for this request"}'))
    assert not verdict.fatal


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ('{"type":"COMMAND","data":"SUCCESS","subType":"SUBSCRIBE","code":"00000000"}', None),
        ('{"type":"COMMAND","data":"FAIL","subType":"SUBSCRIBE","code":"1"}', "SUBSCRIBE FAIL 1"),
        ('{"type":"DATA","topic":"t","data":"{\\"type\\":\\"ERROR\\"}"}', None),
        ('{"code":-1003,"msg":"Too many requests"}', "-1003 Too many requests"),
    ],
)
def test_answers_that_are_no_success_are_told(payload: str, says: str | None) -> None:
    assert FEED.control is not None
    look = FEED.control.search(payload.encode(), 0, 200)
    notice = FEED.notice(payload.encode()) if look else None
    assert (notice and notice.text) == (says and f"the service reports: {says}")


# -- a scripted exchange


class Announcements(Exchange):
    """Checks each signature, announces, and ends who sends no PING frame for a while."""

    patience = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.pings: dict[Talk, int] = {}

    async def keep_up(self, talk: Talk) -> None:
        self._count(talk)
        request = talk.socket.request
        assert request is not None
        query = dict(parse_qsl(urlsplit(talk.path).query))
        late = abs(time.time() * 1000 - int(query.get("timestamp", "0")))
        if request.headers.get("X-MBX-APIKEY") != "key" or not genuine(talk.path, "secret"):
            await talk.end("a request that is not signed")
        if late > int(query["recvWindow"]):
            await talk.end("a request out of its time")
        talk.subscribed |= set(query["topic"].split("|"))
        inner = {"catalogId": 48, "title": "Binance Will List Foo (FOO)", "publishDate": 1}
        told = {"type": "DATA", "topic": query["topic"], "data": json.dumps(inner)}
        await talk.send(json.dumps(told))
        while True:
            pings = self.pings[talk]
            await asyncio.sleep(self.patience)
            if self.pings[talk] == pings:
                await talk.end("no PING frame for too long")

    def _count(self, talk: Talk) -> None:
        """Count the PING frames, which the server library answers by itself."""
        self.pings[talk] = 0
        process = talk.socket.process_event

        def counting(event: Any) -> None:
            if isinstance(event, Frame) and event.opcode is Opcode.PING:
                self.pings[talk] += 1
            process(event)

        talk.socket.process_event = counting  # type: ignore[method-assign]


@pytest.mark.process
async def test_it_stays_connected_and_signs_again_after_a_reset(tmp_path: Path) -> None:
    exchange = Announcements()
    async with exchange.open("/sapi/wss"):
        settings = f'url = "{exchange.url}"'
        hasty = {"control_ping_every": 0.3, "silence": 3.0}
        async with capturing(tmp_path, "binance_announcements", settings, **hasty):
            await until(lambda: exchange.talks and exchange.pings[exchange.talks[0]] > 6)
            exchange.talks[0].reset()
            await until(lambda: len(exchange.talks) == 2 and exchange.pings[exchange.talks[1]] > 3)
    first, second = exchange.talks
    assert exchange.complaints == []
    assert first.subscribed == second.subscribed == {"com_announcement_en"}
    assert first.path != second.path
    signature = first.path.partition("signature=")[2]
    assert signature
    assert holds(tmp_path, signature) == []
