"""The network fails: half-open connections, resets, a service that accepts and then closes."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import duckdb
from kit.captures import capturing, eventually, rows
from kit.servers import Peer, serving

from recorder.frame import Frame
from recorder.record.layout import Layout

from .kills import clean
from .outcome import Outcome, Scale, by_connection, judge
from .proxy import Proxy
from .source import Source

_SILENCE = 3.0
_FEEDS = 5  # at once, each with a server and attempts of its own
_PAUSES = (0.01, 0.05, 0.2, 0.4, 60.0)  # seconds; in the last one pongs alone prove life


def ingested(data: Path) -> duckdb.DuckDBPyConnection:
    """Run `recorder ingest` to its end and open the published tables."""
    command = [sys.executable, "-m", "recorder", "ingest", "--data-dir", str(data)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=data)
    if done.returncode:
        raise RuntimeError(f"ingest ended with {done.returncode}: {done.stderr[-500:]}")
    return duckdb.connect(str(Layout(data).database), read_only=True)


def of_feed(data: Path, feed: str, source: Source, outcome: Outcome) -> str:
    """Compare one feed's record with its source; what is wrong."""
    return outcome.add(judge(source.talks, by_connection(rows(data, feed))))


def half_open(seed: int, scale: Scale) -> Outcome:
    """The peer vanishes without a word: noticed by silence, and the gap is where it was."""
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=4)):
        with tempfile.TemporaryDirectory() as place:
            asyncio.run(_half_open(Path(place) / "data", dice, outcome))
    return outcome


async def _half_open(data: Path, dice: Random, outcome: Outcome) -> None:
    async with contextlib.AsyncExitStack() as stack:
        sources, proxies, feeds = {}, {}, {}
        for number in range(_FEEDS):
            name = f"f{number}"
            source = Source(dice.randrange(1 << 30), batch=5, pause=_PAUSES[number])
            sources[name] = await stack.enter_async_context(source.serving())
            proxies[name] = await stack.enter_async_context(Proxy(source.port).serving())
            feeds[name] = {"url": proxies[name].url, "silence_seconds": _SILENCE}
        child = await stack.enter_async_context(capturing(data, feeds, fsync_ms=50))
        await asyncio.gather(*(_freeze(dice.random(), proxy) for proxy in proxies.values()))
        await asyncio.sleep(0.5)
        code = await child.stopped()
    with ingested(data) as tables:
        for name, proxy in proxies.items():
            source = sources[name]
            wrong = clean(data, code, child.said)
            outcome.survive(
                of_feed(data, name, source, outcome), _gap(tables, name, proxy, outcome), wrong
            )


async def _freeze(delay: float, proxy: Proxy) -> None:
    await eventually(lambda: proxy.accepted)
    await asyncio.sleep(0.5 + delay)
    proxy.freeze()
    await eventually(lambda: len(proxy.accepted) > 1)


def _gap(tables: duckdb.DuckDBPyConnection, feed: str, proxy: Proxy, outcome: Outcome) -> str:
    """Compare notice and gap with the proxy's own clock (the same machine's)."""
    took = proxy.noticed_at - proxy.froze_at
    outcome.worst("slowest notice, s", took)
    late = "" if took <= _SILENCE + 2 else f"{feed}: noticed after {took:.1f} s"
    found = tables.execute(
        "SELECT from_ns, to_ns FROM gaps WHERE feed = $feed AND to_ns IS NOT NULL", {"feed": feed}
    ).fetchall()
    if len(found) != 1:
        return f"{late} {feed}: {len(found)} gaps, expected 1"
    ((since, until),) = found
    off = max(abs(since / 1e9 - proxy.froze_at), abs(until / 1e9 - proxy.accepted[1]))
    mute = feed == f"f{_FEEDS - 1}"
    outcome.worst(f"gap off by at most{', pongs only' if mute else ''}, s", off)
    allowed = _SILENCE / 3 + 0.5 if mute else 1.0  # a ping each third of the limit
    return late or ("" if off <= allowed else f"{feed}: the gap is off by {off:.2f} s")


def resets(seed: int, scale: Scale) -> Outcome:
    """TCP resets in mid-stream."""
    outcome, dice = Outcome(), Random(seed)
    with tempfile.TemporaryDirectory() as place:
        seconds = scale.of(short=2.5, full=60)
        asyncio.run(_resets(Path(place) / "data", dice, seconds, outcome))
    return outcome


async def _resets(data: Path, dice: Random, seconds: float, outcome: Outcome) -> None:
    async with contextlib.AsyncExitStack() as stack:
        sources = {f"f{n}": Source(dice.randrange(1 << 30)) for n in range(_FEEDS)}
        for source in sources.values():
            await stack.enter_async_context(source.serving())
        feeds = {name: {"url": source.url} for name, source in sources.items()}
        child = await stack.enter_async_context(capturing(data, feeds))
        await eventually(lambda: all(source.live for source in sources.values()))
        ended = asyncio.get_running_loop().time() + seconds
        counts = await asyncio.gather(*(_reset(s, dice, ended) for s in sources.values()))
        for source in sources.values():
            await source.settle()
        code = await child.stopped()
    for (name, source), count in zip(sources.items(), counts, strict=True):
        problem = of_feed(data, name, source, outcome)
        for _ in range(count):
            outcome.survive(problem, clean(data, code, child.said))


async def _reset(source: Source, dice: Random, until: float) -> int:
    """Reset again and again; how often."""
    count = 0
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        with contextlib.suppress(TimeoutError):
            await eventually(lambda: source.live, until - loop.time())
            await asyncio.sleep(dice.random())
            count += bool(source.live)
            source.reset()
            await eventually(lambda: not source.live)
    return count


def accept_then_close(seed: int, scale: Scale) -> Outcome:
    """A service that accepts and closes at once is not stormed."""
    del seed
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as place:
        seconds = scale.of(short=12, full=60)
        asyncio.run(_accept_then_close(Path(place) / "data", seconds, outcome))
    return outcome


async def _accept_then_close(data: Path, seconds: float, outcome: Outcome) -> None:
    async def close(peer: Peer) -> None:
        await peer.accept()
        await peer.close(1001, "going away")
        await peer.gone.wait()

    async def drop(peer: Peer) -> None:
        await peer.accept()
        peer.reset()

    async with serving(close) as closing, serving(drop) as dropping:
        feeds = {"closing": {"url": closing.url}, "dropping": {"url": dropping.url}}
        async with capturing(data, feeds) as child:
            await eventually(lambda: closing.peers and dropping.peers)
            await asyncio.sleep(seconds)
            counts = {"closing": len(closing.peers), "dropping": len(dropping.peers)}
            code = await child.stopped()
    for name, count in counts.items():
        outcome.worst("most connections to one service", count)
        many = f"{count} connections in {seconds} s" if count > 10 else ""
        # It goes on trying, and each connection has left its two markers.
        few = "" if count >= 2 else "it gave up"
        outcome.survive(many, few, _markers(rows(data, name), count), clean(data, code, child.said))


def _markers(found: list[Frame], count: int) -> str:
    opened = sum(frame.kind == "open" for frame in found)
    closed = sum(frame.kind == "closed" for frame in found)
    return "" if opened == count <= closed else f"{opened} opened, {closed} closed of {count}"
