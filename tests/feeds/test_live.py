"""The feeds, recorded from their simulated services by the real command."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from recorder import log
from recorder.capture.capture import Capture
from recorder.capture.sources import sources
from recorder.feeds.smartmoney import FEED as SMARTMONEY
from recorder.redact import Redactor
from recorder.settings.config import load
from recorder.simulate import cryptolisting, smartmoney
from recorder.simulate.server import Server

from .recording import Outcome, capture, holds, payloads, raw

pytestmark = pytest.mark.process

LISTING_KEY = "dsk_" + "0123456789abcdef" * 4
MONEY_KEY = 'a key with "quotes", 100 % & more'
KEYS = {"RECORDER_CRYPTOLISTING_KEY": LISTING_KEY, "RECORDER_SMARTMONEY_KEY": MONEY_KEY}


async def listings(**options: Any) -> Server:
    """cryptolisting with a client that must answer pings to live."""
    impatient = {"limits": None, "rate": 20.0, "ping_seconds": 0.5, "pong_seconds": 1.0}
    return await cryptolisting.serve(
        cryptolisting.CryptolistingOptions(**{"record": True, **impatient, **options})
    )


async def money(**options: Any) -> Server:
    """Smart Money with a client that must answer pings to live."""
    impatient = {"rate": 200.0, "ping_seconds": 0.5, "pong_seconds": 1.0}
    return await smartmoney.serve(
        smartmoney.SmartMoneyOptions(**{"record": True, **impatient, **options})
    )


def received(server: Server) -> list[list[dict[str, Any]]]:
    """What each connection's client said."""
    return [[json.loads(frame.payload) for frame in entry.received] for entry in server.logs]


def complaint(outcome: Outcome) -> str:
    """The line that says why a feed was given up."""
    [line] = [entry for entry in outcome.log if entry["event"] == "gave up"]
    return f"{line['feed']}: {line['why']}"


def all_recorded(server: Server, data_dir: Path, feed: str, kind: str) -> None:
    """What each connection was sent is in raw: byte for byte, once, in order, with its opcode."""
    recorded = sorted(payloads(frames, kind) for frames in raw(data_dir, feed).values())
    sent = sorted([frame.payload for frame in entry.sent] for entry in server.logs)
    assert len(recorded) == len(sent)
    for ours, theirs in zip(recorded, sent, strict=True):
        assert len(ours) > 1
        assert ours == theirs[: len(ours)]


async def test_both_services_are_recorded_whole(tmp_path: Path) -> None:
    async with await listings() as announcements, await money() as events:
        feeds = {"cryptolisting": {"url": announcements.url}, "smartmoney": {"url": events.url}}
        outcome = await capture(tmp_path, feeds, seconds=3, **KEYS)
    assert outcome.code == 0, outcome.err
    data = tmp_path / "data"

    assert announcements.connections == 1
    assert events.connections == 6  # one per data type
    assert received(announcements) == [[]]  # it may count what we say: we say nothing
    said = [message for messages in received(events) for message in messages]
    assert {message["channel"] for message in said if message["type"] == "subscribe"} == {
        *SMARTMONEY.default_channels
    }
    for messages in received(events):
        assert messages[0] == {"type": "auth", "api_key": MONEY_KEY}

    all_recorded(announcements, data, "cryptolisting", "binary")
    all_recorded(events, data, "smartmoney", "text")
    for secret in (LISTING_KEY, MONEY_KEY, json.dumps(MONEY_KEY)[1:-1]):
        assert secret not in outcome.err + outcome.out
        assert holds(data, secret) == []


@pytest.fixture
def quiet() -> Iterator[None]:
    """A capture in this process: its log lines go nowhere, and it leaves nothing changed."""
    log.configure(Redactor(), stream=io.StringIO())
    yield
    structlog.reset_defaults()
    gc.unfreeze()


@pytest.mark.usefixtures("quiet")
async def test_the_service_s_own_ping_is_kept_up(tmp_path: Path) -> None:
    async with await money() as server:
        config = tmp_path / "recorder.toml"
        config.write_text(f'[feeds.smartmoney]\nurl = "{server.url}"\nchannels = ["whales:BTC"]')
        settings = load(config, data_dir=tmp_path / "data")
        [source] = sources(settings, {"smartmoney": "k"})
        hasty = replace(source, plans=tuple(replace(p, ping_every=0.3) for p in source.plans))
        run = Capture(settings, [hasty], Redactor(["k"]), log.logger())
        assert await run.run(duration=1.5) == 0
    [messages] = received(server)
    pings = [message for message in messages if message == {"type": "ping"}]
    assert len(pings) >= 3
    [frames] = raw(tmp_path / "data", "smartmoney").values()
    assert payloads(frames, "text").count(b'{"type":"pong"}') == len(pings)
    assert payloads(frames, "sent").count(b'{"type":"ping"}') == len(pings)


async def test_a_test_announcement_can_be_asked_for(tmp_path: Path) -> None:
    async with await listings(rate=0.001) as server:
        feeds = {"cryptolisting": {"url": server.url, "channels": ["announcements", "test"]}}
        outcome = await capture(tmp_path, feeds, seconds=2, **KEYS)
    assert outcome.code == 0, outcome.err
    assert received(server) == [[{"type": "test"}]]
    [frames] = raw(tmp_path / "data", "cryptolisting").values()
    heard = [json.loads(payload)["type"] for payload in payloads(frames, "binary")]
    assert heard.count("test_announcement") == 1


async def test_a_refused_key_ends_its_feed_and_the_others_go_on(tmp_path: Path) -> None:
    async with (
        await listings() as announcements,
        await money(keys=frozenset({"another"})) as events,
    ):
        feeds = {
            "cryptolisting": {"url": announcements.url},
            "smartmoney": {"url": events.url, "channels": ["whales:BTC"]},
        }
        outcome = await capture(tmp_path, feeds, seconds=2, **KEYS)
    assert outcome.code == 4
    assert "smartmoney: the key was refused: invalid_api_key" in complaint(outcome)
    assert MONEY_KEY not in outcome.err
    assert events.connections == 1  # a refused key is not tried again
    [frames] = raw(tmp_path / "data", "cryptolisting").values()
    assert len(payloads(frames, "binary")) > 10


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        ({"keys": frozenset({"another"})}, "credentials refused (HTTP 403)"),
        ({"expired_keys": frozenset({LISTING_KEY})}, "the key is no longer valid (key_expired)"),
    ],
)
async def test_a_key_that_is_refused_or_dead_ends_the_recorder(
    tmp_path: Path, refusal: dict[str, Any], why: str
) -> None:
    async with await listings(**refusal) as server:
        feeds = {"cryptolisting": {"url": server.url}}
        outcome = await capture(tmp_path, feeds, seconds=60, **KEYS)
    assert outcome.code == 4
    assert complaint(outcome) == f"cryptolisting: {why}"
    assert LISTING_KEY not in outcome.err
    assert server.connections + server.refused == 1


async def test_a_channel_that_is_refused_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with await money() as server:
        channels = ["market:alerts", "market:nonsense", "whales:BTC"]
        feeds = {"smartmoney": {"url": server.url, "channels": channels}}
        outcome = await capture(tmp_path, feeds, seconds=2, **KEYS)
    assert outcome.code == 0
    notices = [entry["says"] for entry in outcome.log if entry["event"] == "notice"]
    assert len(notices) == 1
    assert "market:nonsense" in notices[0]
    heard = b"".join(
        payload
        for frames in raw(tmp_path / "data", "smartmoney").values()
        for payload in payloads(frames, "text")
    )
    assert b'"alert"' in heard
    assert b'"whale_update"' in heard
