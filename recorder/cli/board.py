"""The live status of a capture: a table per connection on a terminal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from recorder.capture.capture import Capture
from recorder.capture.recording import AnyLine
from recorder.clock import NS
from recorder.session.machine import State
from recorder.times import age, duration

_COLOURS = {State.LIVE: "green", State.FINISHED: "red"}


class Board:
    """The status table of a capture; rich redraws it a few times a second in a thread."""

    def __init__(self, capture: Capture, data_dir: Path) -> None:
        self._capture, self._data_dir = capture, data_dir
        self._before: dict[int, tuple[float, int, int, float, float]] = {}

    def __call__(self) -> RenderableType:
        """Return the current status."""
        return Group(self._table(self._capture.lines), self._footer())

    def _table(self, lines: Sequence[AnyLine]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("connection")
        table.add_column("state", min_width=16)
        for name in ("up", "msg/s", "kB/s", "frames", "rtt", "conns", "last"):
            table.add_column(name, justify="right")
        for line in lines:
            table.add_row(*self._row(line))
        return table

    def _row(self, line: AnyLine) -> list[RenderableType]:
        now = time.monotonic()
        frames, size = line.frames, line.bytes
        rate, speed = self._rates(line, now, frames, size)
        name = f"{line.wiring.name} {line.plan.group}"
        if line.wiring.feed.kind == "generic":
            name = line.wiring.name
        up = "" if line.opened_ns is None else age(line.opened_ns, time.time_ns())
        last = duration(int((now - line.data_at) * NS)) if line.data_at else ""
        return [
            f"{name} {line.letter}",
            _state(line, now),
            up,
            f"{rate:,.0f}",
            f"{speed / 1000:,.1f}",
            f"{frames:,}",
            "" if line.rtt is None else f"{line.rtt * 1000:.1f} ms",
            str(line.tally.connections),
            last,
        ]

    def _rates(self, line: AnyLine, now: float, frames: int, size: int) -> tuple[float, float]:
        """Return messages and bytes per second, measured over at least the last second."""
        then, old_frames, old_size, rate, speed = self._before.get(
            id(line), (now, frames, size, 0.0, 0.0)
        )
        if now - then >= 1.0:
            rate, speed = (frames - old_frames) / (now - then), (size - old_size) / (now - then)
            then, old_frames, old_size = now, frames, size
        self._before[id(line)] = (then, old_frames, old_size, rate, speed)
        return rate, speed

    def _footer(self) -> Text:
        text = Text(style="dim")
        trouble = [j.trouble for j in self._capture.journals.values() if j.trouble]
        if trouble:
            text.append(f"{trouble[0]}: recording into memory\n", style="bold red")
        free = shutil.disk_usage(self._data_dir).free / 1e9 if self._data_dir.exists() else 0
        text.append(f"{self._data_dir} · {free:,.0f} GB free · Ctrl-C closes, syncs and seals")
        return text


def _state(line: AnyLine, now: float) -> Text:
    state = line.state
    words = {State.LIVE: "open", State.FINISHED: "ended"}.get(state, state.value)
    retry_at = line.retry_at
    if retry_at is not None and line.failures:
        words = f"retry in {max(retry_at - now, 0):.0f} s"
    dot = "●" if state is State.LIVE else "○"
    return Text(f"{dot} {words}", style=_COLOURS.get(state, "yellow"))
