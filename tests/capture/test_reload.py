"""SIGHUP: what changed in the settings is applied, what did not is not touched."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from kit.captures import (
    Child,
    capturing,
    eventually,
    journals,
    marker,
    received,
    recorded,
    write_settings,
)
from kit.servers import Message, Peer, serving
from plugged import install

from recorder import durable
from recorder.record.layout import Layout

pytestmark = pytest.mark.process

Feeds = dict[str, dict[str, Any]]


async def stream(peer: Peer) -> None:
    """Numbered frames until the client is gone; a question is answered."""
    await peer.accept()
    for number in itertools.count():
        if peer.closed is not None:
            return
        await peer.send(("text", b"%d" % number))
        await asyncio.sleep(0.005)


class Running:
    """A capture whose settings change."""

    def __init__(self, data: Path, child: Child) -> None:
        self.data, self.child = data, child
        self._reloads = 0

    def write(self, feeds: Feeds, **capture: Any) -> None:
        write_settings(self.data.parent / f"{self.data.name}.toml", feeds, capture)

    async def reload(self, feeds: Feeds, says: str = "settings were reloaded", **more: Any) -> None:
        """Change the settings, and wait until the capture has said what came of it."""
        self.write(feeds, **more)
        await self.hang_up(says)

    async def hang_up(self, says: str) -> None:
        before = self.child.said.count(says)
        self.child.signal(signal.SIGHUP)
        await eventually(lambda: self.child.said.count(says) > before)

    async def stopped(self) -> None:
        assert await self.child.stopped() == 0, self.child.said


@contextlib.asynccontextmanager
async def running(
    tmp_path: Path, feeds: Feeds, env: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    data = tmp_path / "data"
    environment = install(tmp_path / "site") | dict(env or {})
    async with capturing(data, feeds, env=environment) as child:
        yield Running(data, child)


def whole(data: Path, feed: str, peer: Peer) -> None:
    """One connection, of which every frame was recorded until it was closed."""
    [frames] = recorded(data, feed)
    assert received(frames) == peer.sent[: len(received(frames))]
    assert len(received(frames)) >= len(peer.sent) - 3  # on their way while it closed


def said(peer: Peer) -> list[str]:
    return [text.decode() for text in peer.heard]


async def test_a_feed_is_added_and_removed_and_the_other_is_not_touched(tmp_path: Path) -> None:
    async with serving(stream) as one, serving(stream, connections=2) as two:
        stays: Feeds = {"stays": {"url": one.url}}
        both = stays | {"goes": {"url": two.url}}
        async with running(tmp_path, stays) as capture:
            await eventually(lambda: one.peers and len(one.peers[0].sent) > 20)
            await capture.reload(both)
            await eventually(lambda: two.peers and len(two.peers[0].sent) > 20)
            await capture.reload(stays)
            assert two.peers[0].closed is not None
            lock = Layout(capture.data).journal_dir("goes") / ".lock"
            os.close(durable.claim(lock, "a test"))
            await eventually(lambda: not [p for p in journals(capture.data) if "goes" in str(p)])
            await capture.reload(both)
            await eventually(lambda: len(two.peers) == 2 and len(two.peers[1].sent) > 20)
            await capture.stopped()
    whole(capture.data, "stays", one.peers[0])
    assert len(one.peers) == 1
    first, second = recorded(capture.data, "goes")
    assert marker(first[-1])["reason"] == "no longer configured"
    assert marker(second[-1])["reason"] == "stopping"
    assert "Traceback" not in capture.child.said


async def test_a_channel_is_added_by_a_message_on_the_living_connection(tmp_path: Path) -> None:
    async with serving(stream) as server:
        feed = {"kind": "subscribing", "url": server.url, "channels": ["x:1", "x:2"]}
        async with running(tmp_path, {"mine": feed}) as capture:
            await eventually(lambda: server.peers and len(server.peers[0].heard) == 2)
            await capture.reload({"mine": feed | {"channels": ["x:2", "x:3"]}})
            await eventually(lambda: len(server.peers[0].heard) == 4)
            await capture.stopped()
    [peer] = server.peers
    assert said(peer) == ["subscribe x:1", "subscribe x:2", "unsubscribe x:1", "subscribe x:3"]
    whole(capture.data, "mine", peer)


async def test_a_group_of_channels_is_added_and_another_removed(tmp_path: Path) -> None:
    async with serving(stream) as server:
        feed = {"kind": "subscribing", "url": server.url}
        before = {"mine": feed | {"channels": ["x:1", "y:1"]}}
        async with running(tmp_path, before) as capture:
            await eventually(lambda: sum(len(p.heard) for p in server.peers) == 2)
            await capture.reload({"mine": feed | {"channels": ["y:1", "z:1"]}})
            await eventually(lambda: sum(len(p.heard) for p in server.peers) == 3)
            await capture.stopped()
    reasons = {
        marker(frames[0])["group"]: marker(frames[-1])["reason"]
        for frames in recorded(capture.data, "mine")
    }
    assert reasons == {"x": "no longer configured", "y": "stopping", "z": "stopping"}


async def test_another_endpoint_takes_over_without_a_gap(tmp_path: Path) -> None:
    async with (
        serving(stream) as old,
        serving(stream) as new,
        running(tmp_path, {"mine": {"url": old.url}}) as capture,
    ):
        await eventually(lambda: old.peers and len(old.peers[0].sent) > 20)
        await capture.reload({"mine": {"url": new.url}})
        await eventually(lambda: old.peers[0].closed)
        await capture.stopped()
    assert old.peers[0].closed == (1000, "the settings changed")
    before, after = recorded(capture.data, "mine")
    assert received(after)[:1] == [("text", b"0")]
    assert after[1].recv_ns < before[-1].recv_ns  # it brought data before the old one closed


async def test_a_broken_file_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with serving(stream) as server:
        feeds: Feeds = {"mine": {"url": server.url}}
        refused = "nothing changed"
        async with running(tmp_path, feeds) as capture:
            await eventually(lambda: server.peers and len(server.peers[0].sent) > 20)
            await capture.reload({"mine": {"url": server.url, "lins": 2}}, refused)
            assert "lines" in capture.child.said and "feeds.mine.lins" in capture.child.said
            await capture.reload({"mine": {"url": server.url}, "other": {}}, refused)
            tls = {"url": "wss://127.0.0.1:1", "ca_file": "absent"}
            await capture.reload({"tls": tls, "mine": {"url": server.url, "lines": 2}}, refused)
            (tmp_path / "data.toml").write_text("not TOML", "utf-8")
            await capture.hang_up(refused)
            (tmp_path / "data.toml").unlink()
            await capture.hang_up(refused)
            await capture.reload(feeds)
            await capture.stopped()
    assert len(server.peers) == 1
    whole(capture.data, "mine", server.peers[0])


async def test_what_needs_a_restart_is_said_and_the_feeds_change(tmp_path: Path) -> None:
    async with serving(stream) as one, serving(stream) as two:
        feeds: Feeds = {"one": {"url": one.url}}
        async with running(tmp_path, feeds) as capture:
            await eventually(lambda: one.peers)
            await capture.reload(feeds | {"two": {"url": two.url}}, rotate_seconds=7, fsync_ms=50)
            await eventually(lambda: two.peers)
            await capture.stopped()
    [line] = [line for line in capture.child.said.splitlines() if "need a restart" in line]
    assert "rotate_seconds" in line and "fsync_ms" in line and "rotate_mb" not in line


async def test_without_a_feed_it_waits_for_the_next_reload(tmp_path: Path) -> None:
    async with serving(stream, connections=2) as server:
        feeds: Feeds = {"mine": {"url": server.url}}
        async with running(tmp_path, feeds) as capture:
            await eventually(lambda: server.peers and server.peers[0].sent)
            await capture.reload({}, "no feed is configured any more")
            await capture.reload(feeds)
            await eventually(lambda: len(server.peers) == 2 and server.peers[1].sent)
            await capture.stopped()
    assert len(recorded(capture.data, "mine")) == 2


async def test_a_feed_that_another_process_records_is_left_out(tmp_path: Path) -> None:
    async with serving(stream) as one, serving(stream) as two, serving(stream) as three:
        feeds: Feeds = {"one": {"url": one.url}}
        async with running(tmp_path, feeds) as capture:
            await eventually(lambda: one.peers)
            lock = Layout(capture.data).journal_dir("two") / ".lock"
            held = durable.claim(lock, "a test")
            await capture.reload(feeds | {"two": {"url": two.url}, "three": {"url": three.url}})
            await eventually(lambda: three.peers)
            os.close(held)
            await capture.stopped()
    assert two.peers == []
    assert "not recorded" in capture.child.said and "already running" in capture.child.said


async def test_a_feed_that_gave_up_is_tried_again_with_its_new_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("the-wrong-key", "utf-8")
    key.chmod(0o600)

    async def script(peer: Peer) -> None:
        await (stream(peer) if "the-right-key" in peer.head else peer.refuse(401))

    async with serving(script, connections=2) as server, serving(stream) as other:
        feed = {"url": server.url, "headers": {"X-Key": "{key}"}, "key_file": str(key)}
        feeds: Feeds = {"mine": feed, "other": {"url": other.url}}
        async with running(tmp_path, feeds) as capture:
            await eventually(lambda: "gave up" in capture.child.said)
            key.write_text("the-right-key", "utf-8")
            await capture.reload(feeds)
            await eventually(lambda: len(server.peers) == 2 and server.peers[1].sent)
            await capture.stopped()
    assert len(other.peers) == 1
    messages: list[Message] = received(recorded(capture.data, "mine")[-1])
    assert messages[0] == ("text", b"0")
    assert "the-right-key" not in capture.child.said
