"""How far long work is: a bar on a terminal, elsewhere a line now and then; both on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from recorder.clock import NS
from recorder.times import duration

if TYPE_CHECKING:
    from rich.progress import Progress

#: Where there is no terminal, one line in so many seconds: short work says nothing.
EVERY_SECONDS = 10.0


def line(what: str, done: int, total: int, seconds: float) -> str:
    """Progress in words; the time left where it can be told."""
    rate = done / max(seconds, 1e-9)
    if done >= total or rate == 0:
        return f"{what}: {done:,} frames, {rate:,.0f}/s"
    left = duration(int((total - done) / rate * NS))
    return f"{what}: {done:,} of {total:,} frames, {rate:,.0f}/s, {left} left"


@contextmanager
def frames(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives the function that is told of frames as they are done; `total` are expected.

    More may come: then how long it will take is no longer known.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _lines(what, total)
        return
    with Progress(BarColumn(), TextColumn("{task.description}"), console=console) as progress:
        yield _bar(progress, what, total)


def _bar(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    begin, done = time.monotonic(), 0
    task = progress.add_task(what, total=total or None)

    def tell(count: int) -> None:
        nonlocal done
        done += count
        said = line(what, done, total, time.monotonic() - begin)
        # A bar without an end moves to and fro: as much is known.
        progress.update(
            task, completed=done, total=total if done <= total else None, description=said
        )

    return tell


def _lines(what: str, total: int) -> Callable[[int], None]:
    begin = said = time.monotonic()
    done = 0

    def tell(count: int) -> None:
        nonlocal done, said
        done += count
        now = time.monotonic()
        if now - said >= EVERY_SECONDS:
            said = now
            click.echo(line(what, done, total, now - begin), err=True)

    return tell
