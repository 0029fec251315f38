"""Questions to the published database, each in a child process: it can end, fail or be killed.

The child opens the database as it is now (ingest replaces it under us), shut off from files and
network as `recorder sql` is, with limits of time, rows and memory. One child waits, already
started, so that an answer does not wait for an interpreter.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from recorder.answers.sandbox import Limits
from recorder.errors import BusyError, RecorderError

#: What a question from the page may use.
LIMITS = Limits(seconds=30.0, rows=10_000, memory_mb=1024, threads=1)

#: So many at once; others wait so long.
AT_ONCE, PATIENCE_SECONDS = 2, 20.0

#: How long after its time limit a child is killed, and how much it may say.
_GRACE_SECONDS = 3.0
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: an HTTP status and a body in the format that was asked for."""

    status: int
    body: bytes


class Asking:
    """Starts the children, at most `AT_ONCE`, and ends them."""

    def __init__(self, data_dir: str, limits: Limits = LIMITS) -> None:
        self._data_dir, self._limits = data_dir, limits
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._spare: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._running: set[asyncio.subprocess.Process] = set()

    async def ask(self, question: Mapping[str, Any]) -> Answer:
        """Ask a child; a wrong question is an answer too, with its status.

        Raises:
            BusyError: no turn came in time.
            RecorderError: the child took too long or died.
        """
        try:
            await asyncio.wait_for(self._turn.acquire(), PATIENCE_SECONDS)
        except TimeoutError:
            raise BusyError("too many questions at once", hint="try again in a moment") from None
        try:
            return await self._ask(question)
        finally:
            self._turn.release()

    async def _ask(self, question: Mapping[str, Any]) -> Answer:
        child = await self._child()
        self._running.add(child)
        told = {"data_dir": self._data_dir, "limits": asdict(self._limits), **question}
        seconds = (self._limits.seconds or 0) + _GRACE_SECONDS
        try:
            answer = await asyncio.wait_for(_exchange(child, msgspec.json.encode(told)), seconds)
        except TimeoutError:
            what = f"the query was stopped after {self._limits.seconds:g} s"
            raise RecorderError(what, hint="ask for less: a shorter time, fewer rows") from None
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()
            self._running.discard(child)
            self.prepare()
        status, _, body = answer.partition(b"\n")
        if not status.isdigit():
            hint = "it may have needed more memory than it is allowed: ask for less"
            raise RecorderError("the query's process died", hint=hint)
        return Answer(int(status), body)

    def prepare(self) -> None:
        """Start a child ahead of the next question."""
        if self._spare is None:
            self._spare = asyncio.create_task(_start())

    async def _child(self) -> asyncio.subprocess.Process:
        self.prepare()
        assert self._spare is not None
        spare, self._spare = self._spare, None
        child = await spare
        return child if child.returncode is None else await _start()

    async def close(self) -> None:
        """End every child."""
        if self._spare is not None:
            self._running.add(await self._spare)
            self._spare = None
        for child in self._running:
            if child.returncode is None:
                child.kill()
                await child.wait()


async def _start() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "recorder.serve.answer",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _exchange(child: asyncio.subprocess.Process, question: bytes) -> bytes:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(question)
    child.stdin.write_eof()
    parts, size = [], 0
    while part := await child.stdout.read(1 << 16):
        size += len(part)
        if size > _MOST_BYTES:
            hint = "ask for fewer rows or columns (LIMIT, GROUP BY)"
            raise RecorderError(f"the answer is larger than {_MOST_BYTES >> 20} MB", hint=hint)
        parts.append(part)
    return b"".join(parts)
