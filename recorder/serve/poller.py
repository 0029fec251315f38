"""Polls the recorder's status and the log of fired alerts."""

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


class StatusPoller:
    """The last status and the last fired alerts.

    Its methods block; one thread at a time calls them.
    """

    def __init__(self, layout: Layout, watch: Callable[[], Status]) -> None:
        self._watch = watch
        self._alerts = JsonTail(layout.work / "alerts.jsonl")
        self.status: Status | None = None
        self.latest: dict[str, Any] | None = None
        self.fired: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def poll(self) -> dict[str, Any] | None:
        """Return the status now, ready for JSON, or None if it is not available."""
        try:
            self.status = self._watch()
            self.latest = self.status.as_dict()
        except (RecorderError, OSError):
            return None
        return self.latest

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that fired since the last call, without their deliveries."""
        fired = [entry for entry in self._alerts.new() if entry.get("kind") == "alert"]
        self.fired += fired
        return fired


class JsonTail:
    """The new lines of a file of JSON objects that another process appends to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._offset = self._stat()

    def _stat(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except OSError:
            return 0, 0
        return stat.st_ino, stat.st_size

    def new(self) -> list[dict[str, Any]]:
        """Return the objects written since the last call, without lines of anything else."""
        inode, size = self._stat()
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
        return [entry for line in whole.splitlines() if (entry := _object(line)) is not None]


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def watcher(layout: Layout, config: Any) -> Callable[[], Status]:
    """Return the function that reads the status of a data directory."""
    return Watcher(layout, config).look
