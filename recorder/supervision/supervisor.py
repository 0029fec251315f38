"""Keeping several processes alive, and ending them in their order. `supervise` decides."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recorder.capture.notify import Notifier
from recorder.supervision import child, supervise
from recorder.supervision.child import Child, Hear, Spec

#: How long the first child may take to be at work before the others are started anyway.
_HEAD_START = 10.0

#: Where an end takes long, that is told so often.
_TELL = 10.0


@dataclass(slots=True)
class _Kept:
    """One child over all its lives."""

    spec: Spec
    living: Child | None = None
    failures: int = 0
    code: int = 0  # of its last life
    left: bool = False  # it is not started again
    ending: bool = False  # it was asked to end
    wake: asyncio.Event = field(default_factory=asyncio.Event)  # try again now
    task: asyncio.Task[None] | None = None


class Supervisor:
    """Build it, then `await run()`.

    `specs` are in the order of the flow; the first is the one that matters: it `beats`, and the
    service manager hears READY and WATCHDOG from it alone.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        hear: Hear,
        log: Any,
        *,
        notifier: Notifier | None = None,
        policy: supervise.Policy | None = None,
    ) -> None:
        self._kept = {spec.name: _Kept(spec) for spec in specs}
        self._first = specs[0].name
        self._hear, self._log = hear, log
        self._notifier = notifier or Notifier({})
        self._policy = policy or supervise.Policy()
        self._stop, self._ready = asyncio.Event(), asyncio.Event()
        self._others = asyncio.Event()  # the others may be started
        self._status = ""

    def stop(self) -> None:
        """Ask for a clean end."""
        self._stop.set()

    def kill(self) -> None:
        """End every child at once. What was received is in the journal already."""
        for kept in self._kept.values():
            if kept.living is not None:
                kept.living.signal(signal.SIGKILL)

    def hang_up(self) -> None:
        """Settings changed: the first child reads them again, and what was left is tried again."""
        first = self._kept[self._first]
        if first.living is not None:
            first.living.signal(signal.SIGHUP)
        for kept in self._kept.values():
            if kept.left:
                kept.wake.set()

    async def run(self) -> int:
        """Keep the children until `stop`; the exit code."""
        for kept in self._kept.values():
            if self._stop.is_set():
                break
            kept.task = asyncio.create_task(self._keep(kept))
            if kept.spec.name == self._first:
                await self._until(self._stop, self._others, seconds=_HEAD_START)
        await self._stop.wait()
        self._notifier.say(STOPPING=1, STATUS="stopping")
        for stage in sorted({kept.spec.stage for kept in self._kept.values()}):
            await asyncio.gather(
                *(self._drain(kept) for kept in self._kept.values() if kept.spec.stage == stage)
            )
        return supervise.exit_code({name: kept.code for name, kept in self._kept.items()})

    # -- while it runs

    async def _keep(self, kept: _Kept) -> None:
        """Start a child, and again when it dies, until everything stops."""
        while not self._stop.is_set():
            try:
                kept.living = await child.start(kept.spec, self._hear, self._beat)
            except OSError as error:  # no memory, no process left: as if it had died at once
                self._log.error("cannot be started", process=kept.spec.name, why=str(error))
                await self._after(kept, 1, 0.0)
                continue
            if kept.ending:
                kept.living.signal(signal.SIGTERM)
            self._log.info("started", process=kept.spec.name, pid=kept.living.pid)
            self._say()
            kept.code = await kept.living.ended()
            ran = asyncio.get_running_loop().time() - kept.living.started
            kept.living = None
            if not self._stop.is_set():
                await self._after(kept, kept.code, ran)

    async def _after(self, kept: _Kept, code: int, ran: float) -> None:
        """Wait until it is to be started again."""
        self._others.set()
        decided = supervise.after(code, ran, kept.failures, self._policy, random.random)
        said = self._log.bind(process=kept.spec.name, how=supervise.ending(code))
        if isinstance(decided, supervise.Restart):
            kept.failures = decided.failures
            said.error("died; starting it again", seconds=round(decided.delay, 1))
            self._say()
            await self._until(self._stop, seconds=decided.delay)
            return
        kept.left, kept.failures = True, 0
        said.error("ended for good", why=decided.why, next="correct it, then SIGHUP or restart")
        self._say()
        if kept.spec.name == self._first and not self._ready.is_set():
            self.stop()  # it never worked: nothing here does without it
        await self._until(self._stop, kept.wake)
        if kept.wake.is_set():
            kept.left = False
            kept.wake.clear()

    async def _until(self, *any_of: asyncio.Event, seconds: float | None = None) -> None:
        """Wait for one of these events, or for so long."""
        waiting = [asyncio.ensure_future(event.wait()) for event in any_of]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()

    # -- the end

    async def _drain(self, kept: _Kept) -> None:
        """Ask one child for a clean end, and wait for it."""
        if kept.task is None:
            return
        kept.ending = True
        if kept.living is not None:
            kept.living.signal(signal.SIGTERM)
        else:
            kept.code = kept.code if kept.left else -signal.SIGTERM  # it waits for its next life
        began, patience = asyncio.get_running_loop().time(), kept.spec.patience
        while not kept.task.done():
            waited = asyncio.get_running_loop().time() - began
            if patience is not None and waited >= patience:
                break
            if waited > 1:
                self._log.info("still ending", process=kept.spec.name, seconds=round(waited))
            await asyncio.wait([kept.task], timeout=patience or _TELL)
        if not kept.task.done() and kept.living is not None:
            self._log.warning("does not end; killed", process=kept.spec.name)
            kept.living.signal(signal.SIGKILL)
        await kept.task
        if kept.code not in {0, *supervise.FINAL} and kept.spec.rest:
            await self._take_rest(kept)
        elif kept.code == -signal.SIGTERM:  # it had not got as far as to listen
            kept.code = 0
        self._log.info("ended", process=kept.spec.name, how=supervise.ending(kept.code))

    async def _take_rest(self, kept: _Kept) -> None:
        """What one that had no clean end would have done at it."""
        spec = replace(kept.spec, arguments=kept.spec.rest)
        try:
            kept.living = await child.start(spec, self._hear, self._beat)
        except OSError as error:
            self._log.error("cannot be started", process=spec.name, why=str(error))
            return
        kept.code = await kept.living.ended()
        kept.living = None

    # -- telling

    def _beat(self, name: str, told: dict[str, str]) -> None:
        """Pass a child's beat on as it comes: the manager hears nothing that was not so."""
        if name != self._first:
            return
        if "READY" in told:
            if not self._ready.is_set():
                self._notifier.say(READY=1)
            self._ready.set()
            self._others.set()
        if "WATCHDOG" in told:
            self._notifier.say(WATCHDOG=1)
        if "STATUS" in told:
            self._status = told["STATUS"]
            self._say()

    def _say(self) -> None:
        away = [name for name, kept in self._kept.items() if kept.living is None and kept.task]
        note = f"; not running: {', '.join(away)}" if away else ""
        self._notifier.say(STATUS=f"{self._status or 'starting'}{note}")
