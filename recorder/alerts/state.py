"""What alerts leave on disk: a log of everything told, and the state to go on from.

`work/alerts.jsonl`: one JSON object a line. `"kind": "alert"` when one fires; `"kind": "delivery"`
with the same `id` when it is known what became of it at a destination. Only this module writes it.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from recorder import durable
from recorder.alerts.alert import Alert
from recorder.alerts.delivery import Delivery
from recorder.answers.cells import json_of
from recorder.record.layout import Layout
from recorder.redact import Redactor
from recorder.reporter import Reporter

#: A log of this size is put aside, and the one put aside before goes.
_LOG_BYTES = 32 << 20

_VERSION = 1


def log_path(layout: Layout) -> Path:
    """The log of what was told."""
    return layout.work / "alerts.jsonl"


class Log:
    """Appends to the log; each line is one `write()`. Safe to use from several threads."""

    def __init__(self, layout: Layout, hide: Redactor, reporter: Reporter) -> None:
        self.path, self._hide, self._reporter = log_path(layout), hide, reporter
        self._lock = threading.Lock()
        durable.make_directory(layout.work)

    def alert(self, alert: Alert) -> None:
        """Note that one fired."""
        destinations = {name: {"outcome": "queued"} for name in alert.to}
        self._write({"kind": "alert", **alert.as_dict(), "destinations": destinations})

    def delivery(self, at_ns: int, made: Delivery) -> None:
        """Note what became of one."""
        told: dict[str, Any] = {
            "kind": "delivery",
            "id": made.alert.id,
            "at_ns": at_ns,
            "rule": made.alert.rule,
            "destination": made.destination,
            "outcome": made.outcome,
            "attempts": made.attempts,
        }
        self._write(told | ({"why": made.why} if made.why else {}))

    def _write(self, told: dict[str, Any]) -> None:
        line = self._hide(json_of(told)) + "\n"
        try:
            with self._lock:
                self._append(line.encode())
        except OSError as error:  # that the disk is full must be told all the more
            self._reporter.warn(f"{self.path} cannot be written: {error.strerror}")

    def _append(self, line: bytes) -> None:
        if self.path.exists() and self.path.stat().st_size > _LOG_BYTES:
            self.path.rename(self.path.with_suffix(".1.jsonl"))
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)


def load_state(layout: Layout) -> dict[str, Any]:
    """The state that the last run left; empty where there is none, or none that can be read."""
    try:
        found = json.loads(_state_path(layout).read_bytes())
    except (OSError, ValueError):
        return {}
    right = isinstance(found, dict) and found.get("version") == _VERSION
    return found if right else {}


def save_state(layout: Layout, state: dict[str, Any]) -> None:
    """Replace the state in one step; a crash leaves the old one or the new one.

    Raises:
        OSError: the disk refuses.
    """
    path = _state_path(layout)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"version": _VERSION, **state}), "utf-8")
    durable.publish(temporary, path)


def _state_path(layout: Layout) -> Path:
    return layout.work / "alerts.json"
