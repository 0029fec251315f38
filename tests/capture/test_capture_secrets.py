"""A key reaches the service, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pyarrow.parquet as pq
import pytest
from kit.captures import capturing, eventually, recorded, rows
from kit.servers import Peer, Server, serving

pytestmark = pytest.mark.process

# Characters that a URL, JSON and a log line each write in a way of their own.
_KEY = 'k+/,"\\ &=%41-' + "9876543210fedcba" * 3
_GENERIC = {
    "headers": {"X-Api-Key": "Token {key}"},
    "query": {"token": "{key}", "cex": "binance,upbit"},
    "subscribe": ['{"op":"auth","key":"{key}"}', "plain {key}"],
}
_MONEY = {"kind": "smartmoney", "channels": ["whales:BTC", "onchain:flows"]}
_ENV = {"RECORDER_MINE_KEY": _KEY, "RECORDER_MONEY_KEY": _KEY}


async def _repeats_the_key(peer: Peer) -> None:
    """A service that tells the key wherever it can, data frames apart."""
    told = f"{'x' * 60} {_KEY}"
    if peer.number == 0:
        await peer.refuse(500, json.dumps({"error": told}).encode(), Reason=quote(told))
    elif peer.number == 1:
        await peer.accept()
        await peer.close(4000, told)
        await peer.gone.wait()
    else:
        await peer.accept()
        await eventually(lambda: len(peer.heard) >= 2)
        await peer.send(("text", b"welcome"))


async def _complains(peer: Peer) -> None:
    await peer.accept()
    await eventually(lambda: len(peer.heard) >= 2)
    error = {"type": "error", "code": 7, "message": f"{'x' * 70} {_KEY} is slow"}
    await peer.write(b"\x81\x7e", len(text := json.dumps(error).encode()).to_bytes(2), text)


async def _well(peer: Peer) -> None:
    await peer.accept()
    await eventually(lambda: len(peer.heard) >= 2)
    await peer.send(("text", b'{"type":"pong"}'))


def _forms() -> Iterator[str]:
    """The key as it may be written, and its parts: half a key is a secret too."""
    yield from (_KEY, quote_plus(_KEY), quote_plus(_KEY, safe=","), quote(_KEY, ""))
    yield json.dumps(_KEY)[1:-1]
    yield from (_KEY[start : start + 12] for start in range(len(_KEY) - 11))


def _files(data: Path) -> Iterator[tuple[Path, str]]:
    """Everything below the data directory, what is compressed in Parquet included."""
    for path in data.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            yield path, str(pq.read_schema(path).metadata)
    for feed in ("mine", "money"):
        for frame in rows(data, feed):
            yield data / feed / frame.kind, frame.payload.decode("utf-8", "replace")


def _assert_hidden(text: str, where: object) -> None:
    for form in _forms():
        assert form not in text, f"the key shows in {where}: {form}"


async def test_a_key_reaches_the_service_but_no_file_and_no_output(
    tmp_path: Path,
) -> None:
    async with serving(_repeats_the_key, 3) as mine, serving(_well, 2) as money:
        await _record_and_look(tmp_path / "data", mine, money)


async def _record_and_look(data: Path, mine: Server, money: Server) -> None:
    feeds = {"mine": {"url": mine.url, **_GENERIC}, "money": {"url": money.url, **_MONEY}}
    arguments = ("--log-level", "debug")
    async with capturing(data, feeds, *arguments, env=_ENV) as child:
        await asyncio.wait_for(mine.done.wait(), 20)
        await asyncio.wait_for(money.done.wait(), 20)
        await asyncio.sleep(0.2)
        await child.killed()
    _assert_hidden(child.said, "the output")
    for path, text in _files(data):
        _assert_hidden(text, path)
    async with capturing(data, feeds, *arguments, env=_ENV) as child:
        await eventually(lambda: child.said.count("] open") == 3)
        assert await child.stopped() == 0
    _assert_hidden(child.said, "the output")
    for path, text in _files(data):
        _assert_hidden(text, path)

    well = mine.peers[2]
    assert f"GET /?token={quote_plus(_KEY, safe=',')}&cex=binance,upbit " in well.head
    assert f"X-Api-Key: Token {_KEY}\r\n" in well.head
    assert well.heard == [f'{{"op":"auth","key":"{_KEY}"}}'.encode(), f"plain {_KEY}".encode()]
    assert json.loads(money.peers[0].heard[0]) == {"type": "auth", "api_key": _KEY}
    sent = [f.payload for f in recorded(data, "mine")[2] if f.kind == "sent"]
    assert sent == [b'{"op":"auth","key":"***"}', b"plain ***"]


async def test_a_message_that_repeats_the_key_is_shown_without_it(tmp_path: Path) -> None:
    async with serving(_complains) as server:
        feeds = {"money": {"url": server.url, **_MONEY, "channels": ["whales:BTC"]}}
        async with capturing(tmp_path / "data", feeds, env=_ENV) as child:
            await eventually(lambda: "notice" in child.said)
            assert await child.stopped() == 0
    _assert_hidden(child.said, "the output")
