"""The child process that seals: started when a journal is finished, gone when it has no work."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Sealer:
    """Runs `recorder.record.seal` in a child process, one at a time, again if asked meanwhile.

    `level` is zstd's; `then` is called after each run.
    """

    def __init__(
        self, data_dir: Path, level: int, log: Any, then: Callable[[], None] = lambda: None
    ) -> None:
        self._data_dir, self._level, self._log, self._then = data_dir, level, log, then
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self.failed = False

    def request(self) -> None:
        """Seal what is finished, soon. Never waits."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def drain(self) -> None:
        """Wait until everything asked for is sealed."""
        if self._task is not None:
            await self._task

    async def _work(self) -> None:
        while self._again:
            self._again = False
            child = await asyncio.create_subprocess_exec(
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
            _, said = await child.communicate()
            for line in said.decode("utf-8", "replace").splitlines():
                self._log.warning("sealing", says=line)
            self.failed = child.returncode != 0
            if self.failed:
                self._log.error("sealing failed; the journals are kept", code=child.returncode)
            self._then()
