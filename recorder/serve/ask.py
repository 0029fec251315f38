"""Queries of the published database, each in a child process that can fail or be killed.

The child opens the current database (ingest replaces the file), without access to files or network
as in `recorder sql`, and with limits of time, rows and memory. One child is started ahead, so that
a query does not wait for the start of an interpreter.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from recorder.answers.sandbox import QueryLimits
from recorder.errors import BusyError, RecorderError

#: The limits of a query.
LIMITS = QueryLimits(seconds=30.0, rows=10_000, memory_mb=1024, threads=1)

#: The most queries at once, and the longest that another one waits.
AT_ONCE, PATIENCE_SECONDS = 2, 20.0

#: The time after a query's limit at which its child is killed, and the longest answer.
_GRACE_SECONDS = 3.0
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class QueryReply:
    """An HTTP status, and a body in the requested format."""

    status: int
    body: bytes


class QueryPool:
    """Runs queries in child processes, at most `AT_ONCE` at a time."""

    def __init__(self, data_dir: str, limits: QueryLimits = LIMITS) -> None:
        self._data_dir, self._limits = data_dir, limits
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._spare: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._running: set[asyncio.subprocess.Process] = set()

    async def run(self, query: Mapping[str, Any]) -> QueryReply:
        """Run a query (the fields of a `QueryRequest`) in a child; return its reply.

        A wrong query is a reply too, with its status.

        Raises:
            BusyError: too many queries are running.
            RecorderError: the child took too long or died.
        """
        try:
            await asyncio.wait_for(self._slots.acquire(), PATIENCE_SECONDS)
        except TimeoutError:
            raise BusyError("too many queries at once", hint="try again in a moment") from None
        try:
            return await self._run(query)
        finally:
            self._slots.release()

    async def _run(self, query: Mapping[str, Any]) -> QueryReply:
        child = await self._child()
        self._running.add(child)
        request = {"data_dir": self._data_dir, "limits": asdict(self._limits), **query}
        seconds = (self._limits.seconds or 0) + _GRACE_SECONDS
        try:
            answer = await asyncio.wait_for(_exchange(child, msgspec.json.encode(request)), seconds)
        except TimeoutError:
            what = f"the query was stopped after {self._limits.seconds:g} s"
            raise RecorderError(what, hint="choose a shorter period or fewer rows") from None
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()
            self._running.discard(child)
            self.prepare()
        status, _, body = answer.partition(b"\n")
        if not status.isdigit():
            hint = "it may have needed more memory than allowed: choose a shorter period"
            raise RecorderError("the query's process died", hint=hint)
        return QueryReply(int(status), body)

    def prepare(self) -> None:
        """Start a child for the next query, if none is waiting."""
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


async def _exchange(child: asyncio.subprocess.Process, request: bytes) -> bytes:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(request)
    child.stdin.write_eof()
    parts, size = [], 0
    while part := await child.stdout.read(1 << 16):
        size += len(part)
        if size > _MOST_BYTES:
            hint = "select fewer rows or columns (LIMIT, GROUP BY)"
            raise RecorderError(f"the answer is larger than {_MOST_BYTES >> 20} MB", hint=hint)
        parts.append(part)
    return b"".join(parts)
