"""Standard error of the supervisor and its children, written without waiting for a reader."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec

from recorder.answers.cells import visible


class StderrWriter:
    """A text stream that a thread writes to standard error.

    If the thread cannot keep up, lines are dropped, and a note says how many.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(most)
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Queue a text; never block. Return its length."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread flushes after each text."""

    def isatty(self) -> bool:
        """Return True if standard error is a terminal."""
        return sys.stderr.isatty()

    def close(self) -> None:
        """Write what is queued, for at most a few seconds."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=1)
        self._thread.join(timeout=2)

    def _work(self) -> None:
        while (text := self._lines.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            note = f"({dropped} lines were dropped: nothing read them)\n" if dropped else ""
            with suppress(OSError, ValueError):
                sys.stderr.write(note + text)
                sys.stderr.flush()


def line_format(json: bool) -> Callable[[str, str], str]:
    """Return the function that formats a child's line, given its name: as JSON or as text."""
    return _object if json else _line


def _line(name: str, line: str) -> str:
    return f"{name:7} | {visible(line)}\n"


def _object(name: str, line: str) -> str:
    try:
        fields = msgspec.json.decode(line)
    except msgspec.MsgspecError:
        fields = None
    if not isinstance(fields, dict):
        fields = {"event": line, "level": "info"}
    return msgspec.json.encode({"process": name, **fields}).decode() + "\n"
