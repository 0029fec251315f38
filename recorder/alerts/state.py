"""The files of alerts: a log of alerts and deliveries, and the state for a restart.

`work/alerts.jsonl` has one JSON object per line: `"kind": "alert"` when an alert fires, then
`"kind": "delivery"` with the same `id` for its outcome at each destination. Only this module writes
it.
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

#: A log of this size is rotated; only one old log is kept.
_LOG_BYTES = 32 << 20

_VERSION = 1


def log_path(layout: Layout) -> Path:
    """Return the path of the log of alerts."""
    return layout.work / "alerts.jsonl"


class Log:
    """Appends to the log; each line is one `write()`. Safe to use from several threads."""

    def __init__(self, layout: Layout, hide: Redactor, reporter: Reporter) -> None:
        self.path, self._hide, self._reporter = log_path(layout), hide, reporter
        self._lock = threading.Lock()
        durable.make_directory(layout.work)

    def alert(self, alert: Alert) -> None:
        """Log that an alert fired."""
        destinations = {name: {"outcome": "queued"} for name in alert.to}
        self._write({"kind": "alert", **alert.as_dict(), "destinations": destinations})

    def delivery(self, at_ns: int, made: Delivery) -> None:
        """Log the outcome of a delivery."""
        entry: dict[str, Any] = {
            "kind": "delivery",
            "id": made.alert.id,
            "at_ns": at_ns,
            "rule": made.alert.rule,
            "destination": made.destination,
            "outcome": made.outcome,
            "attempts": made.attempts,
        }
        self._write(entry | ({"why": made.why} if made.why else {}))

    def _write(self, entry: dict[str, Any]) -> None:
        line = self._hide(json_of(entry)) + "\n"
        try:
            with self._lock:
                self._append(line.encode())
        except OSError as error:  # a full disk must not stop alerts
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
    """Return the state of the last run; empty if it is missing or unreadable."""
    try:
        state = json.loads(_state_path(layout).read_bytes())
    except (OSError, ValueError):
        return {}
    valid = isinstance(state, dict) and state.get("version") == _VERSION
    return state if valid else {}


def save_state(layout: Layout, state: dict[str, Any]) -> None:
    """Replace the state in one step; a crash leaves the old one or the new one.

    Raises:
        OSError: the file cannot be written.
    """
    path = _state_path(layout)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"version": _VERSION, **state}), "utf-8")
    durable.publish(temporary, path)


def _state_path(layout: Layout) -> Path:
    return layout.work / "alerts.json"
