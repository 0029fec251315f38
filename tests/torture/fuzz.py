"""Frames of any content: none stops capture or ingest, each is in raw, each is accounted for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import duckdb
from kit.captures import capturing, eventually, received, rows
from kit.servers import Message
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from recorder.frame import Frame
from recorder.schema.tables import EVENT_TABLES

from .fuzzed import ends_the_feed, fuzzed
from .kills import clean
from .network import ingested
from .outcome import Outcome, Scale

_FEEDS: dict[str, dict[str, Any]] = {
    "binance": {"channels": ["btcusdt@aggTrade"]},
    "cryptolisting": {},
    "smartmoney": {"channels": ["whales:BTC"]},
}
_KEYS = {f"RECORDER_{name.upper()}_KEY": "dsk_" + "0" * 64 for name in _FEEDS}


def fuzz(seed: int, scale: Scale) -> Outcome:
    """Fuzzed frames through capture and ingest of all interpreted feeds."""
    outcome, dice = Outcome(), Random(seed)
    with tempfile.TemporaryDirectory() as place:
        each = scale.of(short=700, full=34_000)
        sent: dict[str, list[Message]] = {name: [] for name in _FEEDS}
        for name, messages in sent.items():
            while len(messages) < each:
                message = fuzzed(name, dice)
                if not ends_the_feed(name, message[1]):
                    messages.append(message)
        asyncio.run(_run(Path(place) / "data", sent, outcome))
    return outcome


async def _run(data: Path, sent: dict[str, list[Message]], outcome: Outcome) -> None:
    done: set[str] = set()

    def sender(name: str) -> Any:
        async def send(connection: ServerConnection) -> None:
            with contextlib.suppress(ConnectionClosed):
                for kind, payload in sent[name]:
                    await connection.send(payload, text=kind == "text")
                for _ in range(2):
                    await (await connection.ping())
                done.add(name)
                await connection.wait_closed()

        return send

    async with contextlib.AsyncExitStack() as stack:
        feeds = {}
        for name, settings in _FEEDS.items():
            serving = serve(sender(name), "127.0.0.1", 0, compression=None, ping_interval=None)
            server = await stack.enter_async_context(serving)
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            feeds[name] = {"kind": name, "url": url, **settings}
        child = await stack.enter_async_context(capturing(data, feeds, env=_KEYS, rotate_mb=2))
        await eventually(lambda: len(done) == len(_FEEDS), 120)
        code = await child.stopped()
    with ingested(data) as tables:
        for name, messages in sent.items():
            _judge(data, name, messages, tables, outcome)
        outcome.survive(clean(data, code, child.said))


def _judge(
    data: Path,
    feed: str,
    sent: list[Message],
    tables: duckdb.DuckDBPyConnection,
    outcome: Outcome,
) -> None:
    """Raw: the very list that was sent. Tables: each frame is an event, control, or a reject."""
    frames = [frame for frame in rows(data, feed) if frame.kind in {"text", "binary"}]
    found = received(frames)
    outcome.acknowledged += len(sent)
    outcome.recovered += len(found)
    outcome.lost += max(0, len(sent) - len(found))
    outcome.duplicated += max(0, len(found) - len(sent))
    outcome.altered += sum(a != b for a, b in zip(sent, found, strict=False))
    rejected = _numbers(tables, feed, ["rejects"])
    there = _numbers(tables, feed, [*EVENT_TABLES, "prices", "latency"])
    outcome.survive(_unaccounted(feed, frames, there | rejected))
    for what, count in (("frames in tables", there), ("frames quarantined", rejected)):
        outcome.figures[what] = outcome.figures.get(what, 0) + len(count)


def _numbers(
    tables: duckdb.DuckDBPyConnection, feed: str, names: list[str]
) -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    for name in names:
        query = f"SELECT DISTINCT connection, seq FROM {name} WHERE feed = $feed"
        found.update(tables.execute(query, {"feed": feed}).fetchall())
    return found


def _unaccounted(feed: str, frames: list[Frame], known: set[tuple[str, int]]) -> str:
    left = [f for f in frames if (f.connection, f.seq) not in known and not _control(feed, f)]
    return f"{len(left)} of {feed} unaccounted for: {left[0].payload[:300]!r}" if left else ""


_CONTROL = {
    "cryptolisting": "welcome heartbeat error test_announcement changelog renewal_notice",
    "smartmoney": "pong ping welcome heartbeat authenticated auth_success auth_ok subscribed"
    " unsubscribed subscription_success error auth_error ack",
}


def _control(feed: str, frame: Frame) -> bool:
    """True for a frame that no table is due to hold: an answer, a heartbeat, a free-tier notice."""
    try:
        told = json.loads(frame.payload, object_pairs_hook=_first_wins)
    except ValueError:
        return False
    if feed == "binance":
        inner = told.get("data") if isinstance(told, dict) else None
        data = inner if isinstance(inner, (dict, list)) else told
        answers = ("result", "id", "error", "msg")
        return data == [] or any(told.get(name) is not None for name in answers)
    if not isinstance(told, dict):
        return False
    if told.get("type") == "announcement":
        return told.get("ticker") == "" and told.get("listingType") != "not_listing"
    return told.get("type") in _CONTROL[feed].split()


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))
