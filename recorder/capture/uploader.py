"""The child process that sends sealed files to the bucket; capture itself never waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from typing import Any, NamedTuple

from recorder.backoff import Backoff
from recorder.bucket import spool
from recorder.errors import CredentialsError, StoreError
from recorder.settings.config import Settings

#: The child's exit code while the bucket is away, see `recorder.bucket.upload`.
_AWAY = 75

#: Seconds: how often to look for what waits and what may be dropped, if nothing is sealed.
_EVERY = 60.0
#: ... how long a check of the bucket may take at the start, and the last run at the end.
_CHECK = 60.0
_LAST = 30.0


class Left(NamedTuple):
    """What waits for the bucket."""

    files: int = 0
    bytes: int = 0


class Uploader:
    """Runs `recorder.bucket.upload` after each sealing, and again with back-off while files wait.

    Without a `raw_url` it does nothing.
    """

    def __init__(self, settings: Settings, log: Any) -> None:
        self._url, self._bucket, self._log = settings.raw_url, settings.bucket, log
        self._data_dir = settings.data_dir
        self._backoff = Backoff(most=30.0)
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._level = spool.WELL
        self._left = Left()
        self._said = ""

    async def check(self) -> None:
        """See that the bucket takes objects, before anything is recorded.

        A bucket that is away is no reason not to record: that is only said.

        Raises:
            CredentialsError: the store refuses our key.
            StoreError: there is no such bucket, or it takes nothing.
        """
        if self._url is None:
            return
        try:
            async with asyncio.timeout(_CHECK):
                code, said, _ = await self._run("--check")
        except TimeoutError:
            self._kill()
            code, said = _AWAY, f"{self._url}: does not answer within {_CHECK:g} s"
        what, _, hint = said.partition("\n")
        if code == CredentialsError.exit_code:
            raise CredentialsError(what, hint=hint.strip())
        if code == _AWAY:
            self._log.warning("the bucket is away; recording into the spool", why=what)
        elif code:
            raise StoreError(what, hint=hint.strip())

    def start(self) -> None:
        """Begin to send what an earlier run left, and what will be sealed."""
        if self._url is not None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    def request(self) -> None:
        """Send what was sealed, soon. Never waits."""
        self._wanted.set()

    async def drain(self) -> None:
        """Send what there is once more, as far as that takes no long time; then end."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(_LAST):
                if self._child is not None:
                    await self._child.wait()
                await self._send()
        except TimeoutError:
            self._kill()
        if self._left.files:
            left = self._left.files
            self._log.warning("files wait for the bucket", files=left, next="recorder upload")

    async def _work(self) -> None:
        failures = 0
        while True:
            self._wanted.clear()
            failures = 0 if await self._send() else failures + 1
            if failures:  # each sealing asks, too, but that is no reason to hurry
                await asyncio.sleep(1.0 + self._backoff.delay(failures, random.random))
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY):
                    await self._wanted.wait()

    async def _send(self) -> bool:
        """Send what waits and drop what may go; True if it went well."""
        code, said, left = await self._run(str(self._bucket.keep_local_hours))
        said = said or (f"the process ended with code {code}" if code else "")
        if said and said != self._said:
            event = "the bucket is away; files wait here" if code == _AWAY else "sending files"
            self._log.warning(event, says=said)
        if self._said and not said and not code:
            self._log.info("the bucket takes files again")
        self._said = said
        self._look_at_the_spool(left)
        return code == 0

    async def _run(self, what: str) -> tuple[int, str, str]:
        """Exit code, stderr and stdout of the child."""
        assert self._url is not None
        try:
            child = self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "recorder.bucket.upload",
                str(self._data_dir),
                self._url,
                what,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for capture; the child finishes its file
            )
        except OSError as error:  # no process, no memory: tried again like a bucket that is away
            return _AWAY, f"cannot start: {error}", ""
        left, said = await child.communicate()
        self._child = None
        code = child.returncode or 0
        return code, said.decode("utf-8", "replace").strip(), left.decode("utf-8", "replace")

    def _kill(self) -> None:
        """End the child: whatever it is at, nothing is lost and nothing is half."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()

    def _look_at_the_spool(self, told: str) -> None:
        """Warn loudly when a limit of the budget is passed, once for each."""
        with contextlib.suppress(ValueError, KeyError):  # the child was killed: the next one tells
            left = json.loads(told)
            self._left = Left(left["files"], left["bytes"])
        budget = self._bucket.spool_gb
        level = spool.level(self._left.bytes, budget)
        if level > self._level:
            event = "THE SPOOL IS FILLING" if level == spool.NEARLY else "THE SPOOL IS OVER BUDGET"
            self._log.warning(event, says=spool.warning(*self._left, budget))
        self._level = level
