"""The child process that seals: it starts when a journal is finished, and ends without work."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: A child that takes longer is logged, again each time: sealing a journal takes about a second.
_SLOW_SECONDS = 300.0

#: How long the end of capture waits for sealing.
_PATIENCE_SECONDS = 60.0


class Sealer:
    """A runner of `recorder.record.seal`: one child at a time, and another if requested meanwhile.

    `level` is the zstd level; `then` is called after each run.
    """

    def __init__(
        self, data_dir: Path, level: int, log: Any, then: Callable[[], None] = lambda: None
    ) -> None:
        self._data_dir, self._level, self._log, self._then = data_dir, level, log, then
        self._task: asyncio.Task[None] | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._again = False
        self.failed = False
        self.slow, self.patience = _SLOW_SECONDS, _PATIENCE_SECONDS

    def request(self) -> None:
        """Start sealing the finished journals. Never waits."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def drain(self) -> None:
        """Wait until all requests are done, at most `patience` seconds; then kill the child.

        The journals are kept, and the next capture seals them.
        """
        if self._task is None:
            return
        done, _ = await asyncio.wait([self._task], timeout=self.patience)
        if not done:
            pid = self._child.pid if self._child else None
            what = "sealing does not end and is killed; the journals are kept"
            self._log.error(what, pid=pid, seconds=self.patience)
            self.failed = True
            self._task.cancel()
            if self._child is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._child.kill()
                await self._child.wait()

    async def _output(self, child: asyncio.subprocess.Process) -> bytes:
        """Wait for a child and return its stderr; log an error while it seems to hang."""
        ending = asyncio.ensure_future(child.communicate())
        waited = 0.0
        while not (await asyncio.wait([ending], timeout=self.slow))[0]:
            waited += self.slow
            self._log.error("sealing hangs; journals pile up", pid=child.pid, seconds=waited)
        return ending.result()[1]

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "recorder.record.seal",
            str(self._data_dir),
            str(self._level),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for capture; the child finishes its file
        )

    async def _work(self) -> None:
        while self._again:
            self._again = False
            try:
                child = await self._start()
            except (OSError, RuntimeError) as error:  # no descriptor, process, thread or memory
                self.failed = True
                what = "sealing cannot start; the journals are kept, and the next one tries again"
                self._log.error(what, why=str(error))
                return
            self._child = child
            output = await self._output(child)
            self._child = None
            for line in output.decode("utf-8", "replace").splitlines():
                self._log.warning("sealing", says=line)
            self.failed = child.returncode != 0
            if self.failed:
                self._log.error("sealing failed; the journals are kept", code=child.returncode)
            self._then()
