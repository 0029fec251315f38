"""`recorder run` as a process, what its children say, and their lives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from kit.captures import PATIENCE, eventually, write_settings

LONG = 2 * PATIENCE


class Run:
    """A running supervisor: every line it says, as an object."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.said = process, list[dict[str, Any]]()
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        rest = b""
        while data := await self.process.stderr.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            self.said += [_object(line) for line in lines]

    def starts(self, name: str) -> list[int]:
        """The pids of a child, one for each of its lives."""
        return [
            line["pid"]
            for line in self.said
            if line.get("event") == "started" and line.get("process") == name and "pid" in line
        ]

    def says(self, name: str, event: str) -> list[dict[str, Any]]:
        """The lines in which a child, or the supervisor of it, says this."""
        lines = (line for line in self.said if line.get("process") == name)
        return [line for line in lines if event in str(line.get("event"))]

    async def until(self, name: str, event: str, times: int = 1) -> None:
        """Wait until that was said so often."""
        await eventually(lambda: len(self.says(name, event)) >= times, LONG)

    async def killed(self, name: str) -> None:
        """`kill -9` a child, and wait until it is back."""
        await eventually(lambda: self.starts(name), LONG)
        lives = self.starts(name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(lives[-1], signal.SIGKILL)
        await eventually(lambda: len(self.starts(name)) > len(lives), LONG)

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        async with asyncio.timeout(LONG):
            await self._listening
            return await self.process.wait()

    async def stopped(self) -> int:
        """Ask for a clean end and wait for it."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = {"event": line.decode("utf-8", "replace")}
    assert isinstance(found, dict)
    return found


def alive(pid: int) -> bool:
    """True if a process runs; one that only waits to be buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


RULES = """
[alerts.any]
table = "prices"
when = "price > 0"
"""


@contextlib.asynccontextmanager
async def running(
    data: Path,
    feeds: Mapping[str, Mapping[str, Any]],
    *arguments: str,
    more: str = "",
    env: Mapping[str, str] | None = None,
    **capture: Any,
) -> AsyncIterator[Run]:
    """Run `recorder run` on these feeds; `more` is added to the settings."""
    settings = data.parent / f"{data.name}.toml"
    write_settings(settings, feeds, capture)
    settings.write_text(f"{settings.read_text()}\n{more}")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RECORDER_", "CREDENTIALS_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "recorder", "run", "--config", str(settings)),
        *("--data-dir", str(data), "--log-format", "json", *arguments),
        env=kept | dict(env or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    run = Run(process)
    try:
        yield run
    finally:
        if process.returncode is None:
            process.kill()
        with contextlib.suppress(TimeoutError):
            await run.ended()
        pids = {pid for line in run.said if isinstance(pid := line.get("pid"), int)}
        await eventually(lambda: not any(map(alive, pids)), LONG)
