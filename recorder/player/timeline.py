"""The clock of a replay: it runs, pauses, jumps, and goes at another speed. Pure.

Times of the record are in ns since epoch; `now` is any steady clock in seconds, passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from recorder.clock import NS

#: As fast as clients read.
MAX = math.inf


@dataclass(slots=True)
class Timeline:
    """The position of a replay; at `MAX`, `reach` moves it to the time of the sent frames."""

    now: Callable[[], float]
    speed: float = 1.0
    paused: bool = False
    _at: float = 0.0  # `now` when the position was as below
    _position: int | None = field(default=None)

    @property
    def started(self) -> bool:
        """False until `start`."""
        return self._position is not None

    def start(self, position: int) -> None:
        """Begin at a time of the record, or jump there."""
        self._position, self._at = position, self.now()

    def position(self) -> int:
        """Return the current time of the record (ns); 0 before `start`."""
        if self._position is None:
            return 0
        if self.paused or self.speed == MAX:
            return self._position
        return self._position + int((self.now() - self._at) * self.speed * NS)

    def reach(self, position: int) -> None:
        """Move the position to the time of sent frames, at full speed."""
        if self.speed == MAX and not self.paused:
            self._position = position

    def wait(self, due: int) -> float:
        """Return the seconds until a time of the record is due; infinite while paused."""
        if self.paused:
            return math.inf
        if self.speed == MAX or self._position is None:
            return 0.0
        return max(0.0, (due - self._position) / NS / self.speed + self._at - self.now())

    def pause(self) -> None:
        """Pause the clock."""
        self.start(self.position())
        self.paused = True

    def resume(self) -> None:
        """Resume the clock."""
        self.start(self.position())
        self.paused = False

    def go(self, speed: float) -> None:
        """Change the speed from here on."""
        self.start(self.position())
        self.speed = speed
