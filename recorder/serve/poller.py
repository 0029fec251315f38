"""What is not in the journals' tails: how everything is, and which alerts fired."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recorder.errors import RecorderError
from recorder.record.layout import Layout
from recorder.status import Status, Watcher

_MOST_READ = 1 << 20
_KEPT = 100


class Lookout:
    """Looks once a second; its methods block, and are called from one thread at a time."""

    def __init__(self, layout: Layout, watch: Callable[[], Status]) -> None:
        self._watch = watch
        self._alerts = Lines(layout.work / "alerts.jsonl")
        self.status: Status | None = None
        self.told: dict[str, Any] | None = None
        self.fired: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def look(self) -> dict[str, Any] | None:
        """The status as of now, JSON-ready; None where it cannot be told."""
        try:
            self.status = self._watch()
            self.told = self.status.as_dict()
        except (RecorderError, OSError):
            return None
        return self.told

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that fired since the last call; how they were delivered is the log's."""
        fired = [told for told in self._alerts.new() if told.get("kind") == "alert"]
        self.fired += fired
        return fired


class Lines:
    """The end of a file of JSON objects, one a line, that another process writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._offset = self._now()

    def _now(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return 0, 0
        return found.st_ino, found.st_size

    def new(self) -> list[dict[str, Any]]:
        """The objects written since the last call; what is no JSON object is left out."""
        inode, size = self._now()
        if inode != self._inode or size < self._offset:
            self._inode, self._offset = inode, 0
        if size <= self._offset:
            return []
        try:
            with self._path.open("rb") as file:
                file.seek(max(self._offset, size - _MOST_READ))
                text = file.read(_MOST_READ)
        except OSError:
            return []
        whole, _, _ = text.rpartition(b"\n")
        self._offset = max(self._offset, size - _MOST_READ) + (len(whole) + 1 if whole else 0)
        return [found for line in whole.splitlines() if (found := _object(line)) is not None]


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def watcher(layout: Layout, config: Any) -> Callable[[], Status]:
    """What looks at a data directory."""
    return Watcher(layout, config).look
