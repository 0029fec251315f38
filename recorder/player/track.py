"""One feed's part of a replay, read ahead in a thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from recorder.errors import DataError
from recorder.player.ready import Ready

#: Stretches read per task: each switch between threads costs time.
_AHEAD = 4


@dataclass(slots=True)
class Track:
    """One feed's part of the stream; while some stretches are played, the next are read."""

    feed: str
    source: Iterator[Ready]
    rows: Ready | None = None
    sent: int = 0
    _read: deque[Ready] = field(default_factory=deque)
    _next: asyncio.Task[deque[Ready]] | None = None

    async def turn(self) -> None:
        """Advance to the next stretch; after the last, `rows` becomes None."""
        if not self._read:
            self._read = await (self._next or self._reading())
            self._next = self._reading() if self._read else None
        self.rows, self.sent = self._read.popleft() if self._read else None, 0

    def _reading(self) -> asyncio.Task[deque[Ready]]:
        return asyncio.create_task(asyncio.to_thread(self._several))

    def _several(self) -> deque[Ready]:
        """Return the next stretches; those before an error are played before it is raised."""
        read: deque[Ready] = deque()
        try:
            read.extend(islice(self.source, _AHEAD))
        except DataError as error:
            self.source = _failing(error)
            if not read:
                raise
        return read

    @property
    def due(self) -> int:
        """The time (ns) at which the next frame, note or stretch is due."""
        assert self.rows is not None
        first = self.rows.at[self.sent] if self.sent < len(self.rows.at) else self.rows.last
        return min(first, self.rows.notes[0][0]) if self.rows.notes else first

    async def leave(self) -> None:
        """Stop reading."""
        if self._next is not None:
            await asyncio.gather(self._next, return_exceptions=True)


def _failing(error: DataError) -> Iterator[Ready]:
    """Return an iterator that raises the error at its first item."""

    def ask() -> Ready:
        raise error

    return iter(ask, None)
