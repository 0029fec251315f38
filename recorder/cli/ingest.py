"""`recorder ingest`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recorder.cli import options

if TYPE_CHECKING:
    from recorder.config import Settings
    from recorder.ingest import Ingest, Rules
    from recorder.segment import Layout

_POLL_SECONDS = 0.5


@click.command(epilog="\b\nExamples:\n  recorder ingest\n  recorder ingest --follow")
@options.config
@options.data_dir
@click.option("--follow", is_flag=True, help="Go on: ingest and publish as capture records.")
@click.option("--rebuild", is_flag=True, help="Make all tables anew from the raw record.")
@options.logging
def ingest(
    config_path: Path | None,
    data_dir: Path | None,
    follow: bool,
    rebuild: bool,
    log_format: str,
    log_level: str,
) -> None:
    """Normalise recorded frames into the tables of DATA_DIR/recorder.duckdb.

    Reads sealed segments and the journals still being written, each frame exactly once. Readers
    of recorder.duckdb are never locked out. Ctrl-C or SIGTERM ends --follow after a last publish.
    """
    from recorder import log
    from recorder.config import load
    from recorder.errors import UsageError
    from recorder.ingest import Ingest
    from recorder.redact import Redactor
    from recorder.segment import Layout

    settings = load(config_path, data_dir=data_dir)
    log.configure(Redactor(), level=log_level, json=log_format == "json")
    layout = Layout(settings.data_dir)
    if not follow and not layout.feeds():
        raise UsageError(
            "nothing is recorded here",
            where=str(layout.root),
            hint="record something first: recorder capture, or recorder demo",
        )
    if rebuild:
        _forget(layout)
    say = log.logger()
    work = Ingest(layout, _RulesOf(layout, settings), say.warning)
    try:
        if follow:
            _follow(work)
        else:
            frames = _once(work)
            click.echo(f"{frames:,} frames ingested into {layout.database}", err=True)
    finally:
        work.close()


class _RulesOf:
    """How each feed is normalised: as configured, else as its own record says."""

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self._layout, self._settings = layout, settings
        self._known: dict[str, Rules] = {}

    def __call__(self, feed: str) -> Rules:
        if feed not in self._known:
            self._known[feed] = self._find(feed)
        return self._known[feed]

    def _find(self, feed: str) -> Rules:
        from recorder.errors import ConfigError
        from recorder.feeds import feed as feed_of
        from recorder.ingest import Rules
        from recorder.raw import kind_of

        chosen = self._settings.feeds.get(feed)
        kind = (chosen.kind or feed) if chosen else kind_of(self._layout, feed) or feed
        try:
            normalise = feed_of(kind).normalise
        except ConfigError:
            normalise = None  # recorded by a plug-in that is not installed here: raw only
        return Rules(normalise, chosen.whale_usd if chosen else 100_000.0)


def _forget(layout: Layout) -> None:
    """Drop the private database; the published one stays until the new one replaces it."""
    from recorder import durable

    lock = durable.claim(layout.work / ".lock", "ingest")
    for path in layout.work.glob("ingest.duckdb*"):
        path.unlink()
    os.close(lock)


def _once(work: Ingest) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("ingest"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} frames"),
        TextColumn("{task.fields[rate]}"),
    )
    start = time.monotonic()
    done = 0
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("ingest", total=None, rate="")

        def tell(frames: int) -> None:
            nonlocal done
            done += frames
            rate = done / max(time.monotonic() - start, 1e-9)
            progress.update(task, completed=done, rate=f"{rate:,.0f}/s")

        total = work.run(tell)
        work.publish()
    return total


def _follow(work: Ingest) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    work.run()
    work.publish()
    while not stop.is_set():
        work.run()
        if work.publish_due():
            work.publish()
        stop.wait(_POLL_SECONDS)
    work.run()
    work.publish()
    print("ingest stopped; everything recorded so far is published", file=sys.stderr)
