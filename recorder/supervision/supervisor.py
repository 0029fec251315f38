"""The supervisor: restarts its child processes and stops them in order, as `supervise` decides."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recorder.capture.notify import Notifier
from recorder.supervision import child, supervise
from recorder.supervision.child import Child, ChildSpec, OnLine

#: The longest wait in s for the first child to be ready before the others are started.
_HEAD_START = 10.0

#: The time in s between two log lines about a child that is slow to stop.
_LOG_EVERY = 10.0


@dataclass(slots=True)
class _Supervised:
    """One child across its restarts."""

    spec: ChildSpec
    running: Child | None = None
    failures: int = 0
    code: int = 0  # of its last end
    final: bool = False  # it ended with a code after which it is not restarted
    stopping: bool = False  # the supervisor is stopping it
    retry: asyncio.Event = field(default_factory=asyncio.Event)  # restart it although it is final
    task: asyncio.Task[None] | None = None


class Supervisor:
    """Runs child processes and restarts those that die; `await run()` after construction.

    `specs` are in the order of the data flow. The first child is the one that records: it
    `notifies`, and READY and WATCHDOG for the service manager come from it alone.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        on_line: OnLine,
        log: Any,
        *,
        notifier: Notifier | None = None,
        policy: supervise.Policy | None = None,
    ) -> None:
        self._children = {spec.name: _Supervised(spec) for spec in specs}
        self._first = specs[0].name
        self._on_line, self._log = on_line, log
        self._notifier = notifier or Notifier({})
        self._policy = policy or supervise.Policy()
        self._stop, self._ready = asyncio.Event(), asyncio.Event()
        self._start_others = asyncio.Event()
        self._status = ""

    def stop(self) -> None:
        """Stop the children in order; `run` then returns."""
        self._stop.set()

    def kill(self) -> None:
        """Kill every child at once. Frames that were received are in the journal already."""
        for each in self._children.values():
            if each.running is not None:
                each.running.signal(signal.SIGKILL)

    def hang_up(self) -> None:
        """Make the first child reload its settings, and restart children that ended as final."""
        first = self._children[self._first]
        if first.running is not None:
            first.running.signal(signal.SIGHUP)
        for each in self._children.values():
            if each.final:
                each.retry.set()

    async def run(self) -> int:
        """Run the children until `stop`; return the exit code."""
        children = self._children.values()
        for each in children:
            if self._stop.is_set():
                break
            each.task = asyncio.create_task(self._supervise(each))
            if each.spec.name == self._first:
                await self._until(self._stop, self._start_others, seconds=_HEAD_START)
        await self._stop.wait()
        self._notifier.say(STOPPING=1, STATUS="stopping")
        for stage in sorted({each.spec.stage for each in children}):
            await asyncio.gather(
                *(self._stop_child(each) for each in children if each.spec.stage == stage)
            )
        return supervise.exit_code({name: each.code for name, each in self._children.items()})

    # -- while it runs

    async def _supervise(self, each: _Supervised) -> None:
        """Start a child, and restart it when it ends, until the supervisor stops."""
        while not self._stop.is_set():
            try:
                each.running = await child.start(each.spec, self._on_line, self._on_notification)
            except OSError as error:  # out of memory or processes: treat it as an immediate death
                self._log.error("cannot be started", process=each.spec.name, why=str(error))
                await self._wait_for_restart(each, 1, 0.0)
                continue
            if each.stopping:
                each.running.signal(signal.SIGTERM)
            self._log.info("started", process=each.spec.name, pid=each.running.pid)
            self._report_status()
            each.code = await each.running.ended()
            ran = asyncio.get_running_loop().time() - each.running.started
            each.running = None
            if not self._stop.is_set():
                await self._wait_for_restart(each, each.code, ran)

    async def _wait_for_restart(self, each: _Supervised, code: int, ran: float) -> None:
        """Wait until a child that ended is to be restarted, or the supervisor stops."""
        self._start_others.set()
        decision = supervise.next_step(code, ran, each.failures, self._policy, random.random)
        log = self._log.bind(process=each.spec.name, how=supervise.exit_text(code))
        if isinstance(decision, supervise.Restart):
            each.failures = decision.failures
            log.error("died; restarting", seconds=round(decision.delay, 1))
            self._report_status()
            await self._until(self._stop, seconds=decision.delay)
            return
        each.final, each.failures = True, 0
        hint = "correct it, then send SIGHUP or restart"
        log.error("ended; not restarting", why=decision.why, next=hint)
        self._report_status()
        if each.spec.name == self._first and not self._ready.is_set():
            self.stop()  # the first child never worked, and the others are of no use without it
        await self._until(self._stop, each.retry)
        if each.retry.is_set():
            each.final = False
            each.retry.clear()

    async def _until(self, *any_of: asyncio.Event, seconds: float | None = None) -> None:
        """Wait for one of these events, at most `seconds`."""
        waiting = [asyncio.ensure_future(event.wait()) for event in any_of]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()

    # -- the end

    async def _stop_child(self, each: _Supervised) -> None:
        """Send SIGTERM to one child and wait for its end; kill it after its patience."""
        if each.task is None:
            return
        each.stopping = True
        if each.running is not None:
            each.running.signal(signal.SIGTERM)
        elif not each.final:
            each.code = -signal.SIGTERM  # it is waiting for its restart
        began, patience = asyncio.get_running_loop().time(), each.spec.patience
        while not each.task.done():
            waited = asyncio.get_running_loop().time() - began
            if patience is not None and waited >= patience:
                break
            if waited > 1:
                self._log.info("still stopping", process=each.spec.name, seconds=round(waited))
            await asyncio.wait([each.task], timeout=patience or _LOG_EVERY)
        if not each.task.done() and each.running is not None:
            self._log.warning("did not stop in time; killed", process=each.spec.name)
            each.running.signal(signal.SIGKILL)
        await each.task
        if each.code not in {0, *supervise.FINAL} and each.spec.finish:
            await self._finish(each)
        elif each.code == -signal.SIGTERM:  # it got SIGTERM before it had a handler for it
            each.code = 0
        self._log.info("ended", process=each.spec.name, how=supervise.exit_text(each.code))

    async def _finish(self, each: _Supervised) -> None:
        """Run the command that does what a child left undone when it did not end cleanly."""
        spec = replace(each.spec, arguments=each.spec.finish)
        try:
            each.running = await child.start(spec, self._on_line, self._on_notification)
        except OSError as error:
            self._log.error("cannot be started", process=spec.name, why=str(error))
            return
        each.code = await each.running.ended()
        each.running = None

    # -- reports to the service manager

    def _on_notification(self, name: str, fields: dict[str, str]) -> None:
        """Pass the first child's notifications on as they arrive; the supervisor adds no beats."""
        if name != self._first:
            return
        if "READY" in fields:
            if not self._ready.is_set():
                self._notifier.say(READY=1)
            self._ready.set()
            self._start_others.set()
        if "WATCHDOG" in fields:
            self._notifier.say(WATCHDOG=1)
        if "STATUS" in fields:
            self._status = fields["STATUS"]
            self._report_status()

    def _report_status(self) -> None:
        down = [name for name, each in self._children.items() if each.task and not each.running]
        note = f"; not running: {', '.join(down)}" if down else ""
        self._notifier.say(STATUS=f"{self._status or 'starting'}{note}")
