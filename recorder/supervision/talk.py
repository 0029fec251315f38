"""Standard error for a supervisor and its children: nobody waits for who reads it."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec

from recorder.answers.cells import visible


class Talk:
    """A stream that a thread writes out. When that cannot keep up, lines are left out, and told."""

    def __init__(self, most: int = 10_000) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(most)
        self._left_out = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """Take some text; never waits."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._left_out += 1
        return len(text)

    def flush(self) -> None:
        """Nothing waits here: the thread flushes."""

    def isatty(self) -> bool:
        """As standard error is."""
        return sys.stderr.isatty()

    def close(self) -> None:
        """Write what is left, as far as somebody reads it."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=1)
        self._thread.join(timeout=2)

    def _work(self) -> None:
        while (text := self._lines.get()) is not None:
            left_out, self._left_out = self._left_out, 0
            note = f"({left_out} lines were left out: nobody read them)\n" if left_out else ""
            with suppress(OSError, ValueError):
                sys.stderr.write(note + text)
                sys.stderr.flush()


def told(json: bool) -> Callable[[str, str], str]:
    """How a child's line is told: behind its name, or as a JSON object that has it."""
    return _object if json else _line


def _line(name: str, line: str) -> str:
    return f"{name:7} | {visible(line)}\n"


def _object(name: str, line: str) -> str:
    try:
        found = msgspec.json.decode(line)
    except msgspec.MsgspecError:
        found = None
    if not isinstance(found, dict):
        found = {"event": line, "level": "info"}
    return msgspec.json.encode({"process": name, **found}).decode() + "\n"
