"""What the heads of a record say, read again only where a head grew."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from recorder.record import heads
from recorder.record.layout import Layout

T = TypeVar("T")


@dataclass(slots=True)
class KnownHeads(Generic[T]):
    """The heads of a record; `parse(run, data)` makes of a head's bytes what its user needs."""

    layout: Layout
    parse: Callable[[str, bytes], T]
    _here: dict[Path, tuple[int, T]] = field(default_factory=dict)
    _copies: dict[str, list[T]] = field(default_factory=dict)

    def copies(self, feed: str) -> list[T]:
        """Return what the copies of a feed's heads in the bucket say; they are read once.

        Raises:
            StoreError: the bucket is unavailable.
        """
        if feed not in self._copies:
            found = self.layout.store.heads(feed).items()
            self._copies[feed] = [self.parse(name, data) for name, data in found]
        return self._copies[feed]

    def here(self, feed: str) -> tuple[list[T], bool]:
        """Return what a feed's heads here say, the oldest first, and whether one was read now."""
        found: list[T] = []
        grew = False
        for run in heads.runs(self.layout, feed):
            path = heads.path_of(self.layout, feed, run)
            with suppress(FileNotFoundError):
                size = path.stat().st_size
                if path not in self._here or self._here[path][0] != size:
                    self._here[path], grew = (size, self.parse(run, path.read_bytes())), True
                found.append(self._here[path][1])
        return found, grew
