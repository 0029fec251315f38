"""Progress of long work on stderr: a bar on a terminal, else a line every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from recorder.clock import NS
from recorder.reporter import QUIET, Reporter
from recorder.times import duration

if TYPE_CHECKING:
    from rich.progress import Progress

#: Seconds between two lines where stderr is not a terminal; short work prints none.
EVERY_SECONDS = 10.0


def line(what: str, done: int, total: int, seconds: float) -> str:
    """Return the progress as text, with the time left if `total` is not reached yet."""
    rate = done / max(seconds, 1e-9)
    if done >= total or rate == 0:
        return f"{what}: {done:,} frames, {rate:,.0f}/s"
    left = duration(int((total - done) / rate * NS))
    return f"{what}: {done:,} of {total:,} frames, {rate:,.0f}/s, {left} left"


@contextmanager
def frames(what: str, total: int, reporter: Reporter = QUIET) -> Iterator[Reporter]:
    """Yield a copy of `reporter` that shows progress in frames, from the first report on.

    `total` frames are expected; if more come, the time left is unknown.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield replace(reporter, progress=_lines(what, total))
        return
    progress = Progress(BarColumn(), TextColumn("{task.description}"), console=console)
    try:
        yield replace(reporter, progress=_bar(progress, what, total))
    finally:
        progress.stop()


def _bar(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    begin, done = time.monotonic(), 0
    task = progress.add_task(what, total=total or None)

    def show(count: int) -> None:
        nonlocal done
        done += count
        progress.start()
        text = line(what, done, total, time.monotonic() - begin)
        # Past the expected total the end is unknown: rich then shows a pulsing bar.
        progress.update(
            task, completed=done, total=total if done <= total else None, description=text
        )

    return show


def _lines(what: str, total: int) -> Callable[[int], None]:
    begin = printed = time.monotonic()
    done = 0

    def show(count: int) -> None:
        nonlocal done, printed
        done += count
        now = time.monotonic()
        if now - printed >= EVERY_SECONDS:
            printed = now
            click.echo(line(what, done, total, now - begin), err=True)

    return show
