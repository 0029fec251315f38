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

#: Seconds between two runs, if nothing is sealed meanwhile.
_EVERY = 60.0
#: Seconds that the check of the bucket at the start, and the last run at the end, may take.
_CHECK = 60.0
_LAST = 30.0


class Left(NamedTuple):
    """The files that wait for the bucket."""

    files: int = 0
    bytes: int = 0


class Uploader:
    """A runner of `recorder.bucket.upload` after each sealing; it retries with back-off.

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
        """Check that the bucket accepts objects, before anything is recorded.

        An unavailable bucket does not prevent recording: it is logged.

        Raises:
            CredentialsError: the store refuses our key.
            StoreError: there is no such bucket, or it accepts nothing.
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
        """Start sending: the files of an earlier run, then each sealed file."""
        if self._url is not None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    def request(self) -> None:
        """Start sending the sealed files. Never waits."""
        self._wanted.set()

    async def drain(self) -> None:
        """Send the waiting files once more, within a time limit; then stop."""
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
            if failures:  # a sealing does not shorten the back-off
                await asyncio.sleep(1.0 + self._backoff.delay(failures, random.random))
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY):
                    await self._wanted.wait()

    async def _send(self) -> bool:
        """Send waiting files and drop old local copies; return True on success."""
        code, said, left = await self._run(str(self._bucket.keep_local_hours))
        said = said or (f"the process ended with code {code}" if code else "")
        if said and said != self._said:
            event = "the bucket is away; files wait here" if code == _AWAY else "sending files"
            self._log.warning(event, says=said)
        if self._said and not said and not code:
            self._log.info("the bucket takes files again")
        self._said = said
        self._check_spool(left)
        return code == 0

    async def _run(self, what: str) -> tuple[int, str, str]:
        """Run the child; return its exit code, stderr and stdout."""
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
        except OSError as error:  # no process or memory: retry, as if the bucket were away
            return _AWAY, f"cannot start: {error}", ""
        left, said = await child.communicate()
        self._child = None
        code = child.returncode or 0
        return code, said.decode("utf-8", "replace").strip(), left.decode("utf-8", "replace")

    def _kill(self) -> None:
        """Kill the child: safe at any point, as it leaves no partial object and loses no file."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()

    def _check_spool(self, report: str) -> None:
        """Log a warning when the spool passes a limit of its budget, once per limit."""
        with contextlib.suppress(ValueError, KeyError):  # no report: the child was killed
            left = json.loads(report)
            self._left = Left(left["files"], left["bytes"])
        budget = self._bucket.spool_gb
        level = spool.level(self._left.bytes, budget)
        if level > self._level:
            event = "THE SPOOL IS FILLING" if level == spool.NEARLY else "THE SPOOL IS OVER BUDGET"
            self._log.warning(event, says=spool.warning(*self._left, budget))
        self._level = level
