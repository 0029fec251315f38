"""Measures what makes receive times wrong: event-loop delays and steps of the wall clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from recorder.clock import Clock


class LoopLag:
    """The event loop's worst recent delay, by which a receive stamp may be late."""

    def __init__(self) -> None:
        self._worst = 0.0

    async def watch(self, every: float = 0.1) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + every
            await asyncio.sleep(every)
            self._worst = max(self._worst, loop.time() - due)

    def take(self) -> float:
        """Return the worst delay since the last call, in seconds."""
        worst, self._worst = self._worst, 0.0
        return round(worst, 6)


@dataclass(slots=True)
class ClockSteps:
    """Finds steps of the wall clock: it and the monotonic clock must advance alike."""

    clock: Clock
    tolerance_ns: int = 20_000_000  # slewing moves a clock by at most 0.5 ms a second
    _ahead_ns: int | None = None

    def look(self) -> int | None:
        """Return the step (ns) of the wall clock since the last call; None if there was none."""
        began, wall, ended = self.clock.mono_ns(), self.clock.wall_ns(), self.clock.mono_ns()
        if ended - began > self.tolerance_ns // 10:
            return None  # this process was delayed between the two clocks: try again next time
        before, self._ahead_ns = self._ahead_ns, wall - began
        step = self._ahead_ns - before if before is not None else 0
        return step if abs(step) > self.tolerance_ns else None
