"""How connections are refused, how they end, and how capture itself ends."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

import pytest
from kit.captures import (
    Child,
    Outcome,
    Story,
    capturing,
    eventually,
    journals,
    marker,
    received,
    recorded,
    tell,
)
from kit.servers import Message, Peer, Script, serving

pytestmark = pytest.mark.process

_HELLO: Message = ("text", b"hello")


async def _well(peer: Peer) -> None:
    await peer.accept()
    await peer.send(_HELLO)


def _refuses_first(status: int, body: bytes = b"", **headers: str) -> Script:
    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.refuse(status, body, **headers)
        else:
            await _well(peer)

    return script


async def _accepts_then_closes(peer: Peer) -> None:
    await peer.accept()
    await peer.close(1001, "going away")
    await peer.gone.wait()


async def _accepts_then_closes_for_five_seconds(peer: Peer) -> None:
    await _accepts_then_closes(peer)
    await asyncio.sleep(5)


async def _resets_in_mid_stream(peer: Peer) -> None:
    await peer.accept()
    await peer.send(*(("text", b"%d-%d" % (peer.number, n)) for n in range(100)))
    if peer.number == 0:
        await peer.kept()
        peer.reset()


def _says(text: str) -> Script:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await eventually(lambda: peer.heard)
        await peer.send(("text", text.encode()))
        await peer.gone.wait()

    return script


_DEEP = b'{"error":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
_UNSPEAKABLE = rb'{"error":"\ud800\u0000","retry_after_s":60}'
_KEYS = {f"RECORDER_{name}_KEY": "dsk_" + "0" * 64 for name in ("DEEP", "UNSPEAKABLE", "FOREIGN")}
_LISTING = {"kind": "cryptolisting"}
_MONEY = {"kind": "smartmoney", "channels": ["whales:BTC"]}
_STORIES = {
    "dead_key": Story(_refuses_first(401), settings={"headers": {"X-Key": "mine"}}),
    "busy": Story(_refuses_first(503, Retry_After="1"), connections=2),
    "limited": Story(_refuses_first(429, Retry_After="2"), connections=2),
    "deep": Story(_refuses_first(500, _DEEP), settings=_LISTING),
    "unspeakable": Story(_refuses_first(429, _UNSPEAKABLE), settings=_LISTING),
    "foreign": Story(
        _says('{"type":"auth_error","message":"' + "密钥" * 90 + '"}'), settings=_MONEY
    ),
    "reset": Story(_resets_in_mid_stream, connections=2),
    "closing": Story(_accepts_then_closes_for_five_seconds),
    "well": Story(_well),
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    data: Path = tmp_path_factory.mktemp("endings") / "data"
    return asyncio.run(tell(data, _STORIES, env=_KEYS))


def test_a_refused_key_ends_its_feed_with_exit_code_4_and_says_so(outcome: Outcome) -> None:
    assert outcome.code == 4
    assert len(outcome.stories["dead_key"].server.peers) == 1
    said = next(line for line in outcome.said.splitlines() if "gave up" in line)
    assert "dead_key" in said and "credentials refused (HTTP 401)" in said
    ((attempt,),) = outcome.stories["dead_key"].connections
    assert attempt.kind == "closed"
    assert (marker(attempt)["opened"], marker(attempt)["code"]) == (False, 401)


def test_the_other_feeds_go_on_after_one_has_ended(outcome: Outcome) -> None:
    assert received(outcome.stories["limited"].connections[-1]) == [_HELLO]
    last = marker(outcome.stories["well"].connections[-1][-1])
    assert last["reason"] == "stopping"


@pytest.mark.parametrize(("name", "seconds"), [("busy", 1.0), ("limited", 2.0)])
def test_a_busy_service_is_asked_again_when_it_said(
    outcome: Outcome, name: str, seconds: float
) -> None:
    first, second = outcome.stories[name].server.peers
    assert seconds <= second.at - first.at < seconds + 15


@pytest.mark.parametrize(("name", "code"), [("deep", 500), ("unspeakable", 429)])
def test_a_refusal_of_any_content_is_recorded_and_waited_out(
    outcome: Outcome, name: str, code: int
) -> None:
    ((attempt,),) = outcome.stories[name].connections
    assert marker(attempt)["code"] == code
    assert "Traceback" not in outcome.said


def test_a_refused_key_in_any_script_ends_the_feed_as_well(outcome: Outcome) -> None:
    told = outcome.stories["foreign"]
    (peer,) = told.server.peers
    assert peer.closed is not None and "the key was refused: 密钥" in peer.closed[1]
    assert "the key was refused: 密钥" in marker(told.connections[0][-1])["reason"]


def test_a_reset_in_mid_stream_reconnects_and_both_connections_are_recorded(
    outcome: Outcome,
) -> None:
    told = outcome.stories["reset"]
    assert [received(c) for c in told.connections] == [peer.sent for peer in told.server.peers]
    assert [marker(c[-1])["code"] for c in told.connections] == [1006, 1000]


def test_a_service_that_accepts_and_then_closes_is_not_stormed(outcome: Outcome) -> None:
    told = outcome.stories["closing"]
    assert 2 <= len(told.server.peers) <= 10
    assert marker(told.connections[0][-1])["code"] == 1001


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async with serving(_well) as other:
        story = Story(_refuses_first(302, Location=other.url + "else?key=secret"), connections=2)
        outcome = await tell(tmp_path / "data", {"mine": story})
        assert other.peers == []
    assert f"it points to {other.url}else?key=***" in outcome.said
    refused, well = outcome.stories["mine"].connections
    assert marker(refused[0])["code"] == 302 and received(well) == [_HELLO]


async def test_nothing_listening_ends_with_exit_code_3_after_the_retries(tmp_path: Path) -> None:
    async with serving(_well) as server:
        url = server.url
    feeds = {"mine": {"url": url, "max_retries": 1}}
    async with capturing(tmp_path / "data", feeds) as child:
        assert await child.ended() == 3
    last = next(line for line in child.said.splitlines() if "gave up" in line)
    assert "cannot connect" in last
    assert [len(attempt) for attempt in recorded(tmp_path / "data", "mine")] == [1, 1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_in_mid_stream_drains_and_seals_all_with_exit_code_0(
    tmp_path: Path, number: int
) -> None:
    data, started = tmp_path / "data", asyncio.Event()

    async def stream(peer: Peer) -> None:
        await peer.accept()
        for n in itertools.count():
            if peer.closed is not None:
                return
            await peer.send(*(("text", b"%d-%d" % (n, index)) for index in range(50)))
            await asyncio.sleep(0.001)
            if n == 20:
                started.set()

    async with serving(stream) as server, capturing(data, {"mine": {"url": server.url}}) as child:
        await asyncio.wait_for(started.wait(), 20)
        child.signal(number)
        assert await child.ended() == 0, child.said
    (connection,) = recorded(data, "mine")
    found = received(connection)
    assert len(found) > 1_000 and found == server.peers[0].sent[: len(found)]
    assert marker(connection[-1])["reason"] == "stopping"
    assert not journals(data)


async def test_that_nobody_reads_what_it_says_ends_no_recording(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with serving(_well) as server:
        settings = tmp_path / "recorder.toml"
        settings.write_text(f'[feeds.mine]\nkind = "generic"\nurl = "{server.url}"\n')
        command = [sys.executable, "-m", "recorder", "capture", "--config", str(settings)]
        reading, writing = os.pipe()
        os.close(reading)
        process = await asyncio.create_subprocess_exec(
            *command, "--data-dir", str(data), "--duration", "1.5", stderr=writing
        )
        os.close(writing)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    (connection,) = recorded(data, "mine")
    assert received(connection) == server.peers[0].sent
    assert not journals(data)


async def _never_answers_a_close(peer: Peer) -> None:
    peer.answers_close = False
    await _well(peer)


async def _is_open(child: Child) -> None:
    await eventually(lambda: "] open" in child.said)


async def test_a_second_interrupt_ends_at_once_with_exit_code_130(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with (
        serving(_never_answers_a_close) as server,
        capturing(data, {"mine": {"url": server.url}}) as child,
    ):
        await _is_open(child)
        child.signal(signal.SIGINT)
        await eventually(lambda: server.peers[0].closed)
        child.signal(signal.SIGINT)
        assert await child.ended() == 130
    assert journals(data)  # what was received is sealed at the next start


async def test_a_second_capture_of_a_feed_is_refused_and_names_the_first(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with serving(_well) as server:
        feeds = {"mine": {"url": server.url}}
        async with capturing(data, feeds) as first:
            await _is_open(first)
            async with capturing(data, feeds) as second:
                assert await second.ended() == 1
            assert f"already running here (pid {first.pid})" in second.said
            assert await first.stopped() == 0
        assert len(server.peers) == 1
