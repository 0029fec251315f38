"""`recorder capture` as a child process, and what it left on disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from recorder.frame import Frame
from recorder.record.layout import Layout

from .servers import Message, Script, Server, serving

PATIENCE = 20.0
RECEIVED = {"text", "binary"}


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    return json.dumps(value)


def write_settings(
    path: Path, feeds: Mapping[str, Mapping[str, Any]], capture: Mapping[str, Any]
) -> None:
    """A `recorder.toml`; a feed is generic unless it says its kind."""
    lines = ["[capture]", *(f"{name} = {toml(value)}" for name, value in capture.items())]
    for name, settings in feeds.items():
        lines.append(f"[feeds.{name}]")
        lines += [f"{k} = {toml(v)}" for k, v in ({"kind": "generic"} | dict(settings)).items()]
    path.write_text("\n".join(lines), "utf-8")


class Child:
    """A running capture: its pid, what it says, how it ends."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid, self.said = process.pid, ""
        self._process = process
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        for stream in (self._process.stderr, self._process.stdout):
            assert stream is not None
            while data := await stream.read(1 << 16):
                self.said += data.decode()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end; the exit code (negative: the signal that killed it)."""
        async with asyncio.timeout(PATIENCE):
            await self._listening
            return await self._process.wait()

    async def stopped(self) -> int:
        """Ask for a clean end and wait for it."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def killed(self) -> None:
        """`kill -9`; the child that seals may live on."""
        self._process.kill()
        async with asyncio.timeout(PATIENCE):
            await self._process.wait()

    async def end_of_test(self) -> None:
        if self._process.returncode is None:
            await self.killed()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._listening, PATIENCE)


@contextlib.asynccontextmanager
async def capturing(
    data: Path,
    feeds: Mapping[str, Mapping[str, Any]],
    *arguments: str,
    python: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    **capture: Any,
) -> AsyncIterator[Child]:
    """Run `recorder capture` on these feeds; `capture` is the settings' table of that name."""
    settings = data.parent / f"{data.name}.toml"
    write_settings(settings, feeds, capture)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RECORDER_", "CREDENTIALS_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *python,
        *("-m", "recorder", "capture", "--config", str(settings), "--data-dir", str(data)),
        *arguments,
        env=kept | dict(env or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    child = Child(process)
    try:
        yield child
    finally:
        await child.end_of_test()


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - neither files nor processes send events
            await asyncio.sleep(0.01)


@dataclass
class Story:
    """What a script does on the connections to one feed, and the feed's settings."""

    script: Script
    connections: int = 1
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """How a story went: the server that told it, and the frames recorded per connection."""

    server: Server
    connections: list[list[Frame]]


@dataclass(frozen=True)
class Outcome:
    """One capture of several stories."""

    code: int
    said: str
    stories: dict[str, Told]


async def tell(
    data: Path,
    stories: Mapping[str, Story],
    *arguments: str,
    env: Mapping[str, str] | None = None,
    **capture: Any,
) -> Outcome:
    """Record all stories at once, to the end of each."""
    async with contextlib.AsyncExitStack() as stack:
        servers = {
            name: await stack.enter_async_context(serving(story.script, story.connections))
            for name, story in stories.items()
        }
        feeds = {name: {"url": s.url} | stories[name].settings for name, s in servers.items()}
        child = await stack.enter_async_context(
            capturing(data, feeds, *arguments, env=env, **capture)
        )
        async with asyncio.timeout(PATIENCE):
            for server in servers.values():
                await server.done.wait()
        code = await child.stopped()
        told = {name: Told(server, recorded(data, name)) for name, server in servers.items()}
        return Outcome(code, child.said, told)


def rows(data: Path, feed: str) -> list[Frame]:
    """All frames of a feed's sealed files, as they lie there."""
    layout = Layout(data)
    found: list[Frame] = []
    for stem in layout.sealed(feed):
        table = pq.ParquetFile(layout.parquet(feed, stem)).read()
        found += map(Frame._make, zip(*(c.to_pylist() for c in table.columns), strict=True))
    return found


def recorded(data: Path, feed: str) -> list[list[Frame]]:
    """The frames of each connection, oldest connection first.

    Checks on the way what holds for all of them: numbers without a hole, in the order of the
    files; a steady clock; one `open` before everything, one `closed` after everything.
    """
    found: dict[str, list[Frame]] = {}
    for frame in rows(data, feed):
        found.setdefault(frame.connection, []).append(frame)
    for frames in found.values():
        assert [frame.seq for frame in frames] == list(range(len(frames)))
        stamps = [(frame.recv_ns, frame.mono_ns) for frame in frames]
        assert stamps == sorted(stamps)
        kinds = [frame.kind for frame in frames]
        assert "open" not in kinds[1:] and "closed" not in kinds[:-1]
    return [found[name] for name in sorted(found)]


def received(frames: list[Frame]) -> list[Message]:
    """What the service sent: opcode and payload."""
    return [(frame.kind, frame.payload) for frame in frames if frame.kind in RECEIVED]


def marker(frame: Frame) -> dict[str, Any]:
    """What a marker holds."""
    told = json.loads(frame.payload)
    assert isinstance(told, dict)
    return told


def journals(data: Path) -> list[Path]:
    """The journals not yet sealed."""
    return sorted(data.glob("journal/*/*.journal"))


def litter(data: Path) -> list[Path]:
    """Half-made files."""
    return sorted(data.rglob("*.tmp"))
