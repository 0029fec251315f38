"""`recorder capture`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recorder.cli import options, signals, types

if TYPE_CHECKING:
    from recorder.capture.capture import Capture
    from recorder.cli.reload import Reload

_STATUS_SECONDS = 10.0


@click.command(
    epilog="\b\nExamples:\n  recorder capture\n  recorder capture --feed binance --duration 10m\n"
    "  recorder capture --shard 3/8"
)
@options.directory
@click.option("--feed", "only", multiple=True, help="Record only this feed (repeatable).")
@options.shard
@click.option(
    "--duration",
    type=types.Seconds(above=True),
    help="Stop after this time: seconds, or e.g. 10m.",
)
@click.option(
    "--connect-timeout",
    type=types.Seconds(above=True),
    help="Exit with code 3 if no connection is open after this time.",
)
@click.option(
    "--revive",
    type=types.Seconds(above=True),
    hidden=True,
    help="Start a line that gave up again after this many seconds, unless its key is dead.",
)
@options.logging
@click.pass_context
def capture(
    ctx: click.Context,
    where: options.RecordOptions,
    only: tuple[str, ...],
    shard: str | None,
    duration: float | None,
    connect_timeout: float | None,
    revive: float | None,
    logs: options.LogOptions,
) -> None:
    """Record every frame of the configured feeds until stopped.

    Frames are appended to the journal under DATA_DIR/journal as they arrive, then sealed into
    Parquet files under DATA_DIR/raw. Ctrl-C or SIGTERM closes the connections, syncs and seals. A
    second Ctrl-C stops at once: received frames are safe in the journal, and the next start seals
    them. SIGHUP reloads the settings: feeds and channels are added and removed without a gap in
    the others.
    """
    from recorder.capture.capture import Capture
    from recorder.capture.notify import Notifier
    from recorder.cli.reload import Reload, Selection
    from recorder.redact import Redactor

    selection = Selection(where, only, shard)
    chosen = selection.read()
    redactor = Redactor(chosen.secrets)
    _check_writable(chosen.settings.data_dir)
    say = logs.begin(redactor)
    chosen.warn(say)
    notifier = Notifier(os.environ)
    run = Capture(
        chosen.settings, chosen.sources, redactor, say, notifier=notifier, revive_seconds=revive
    )
    reload = Reload(selection, chosen, run)
    with _display(run, chosen.settings.data_dir, wanted=not logs.json):
        code = asyncio.run(_main(run, reload, duration, connect_timeout))
    ctx.exit(code)


def _check_writable(data_dir: Path) -> None:
    from recorder.errors import ConfigError

    place = data_dir
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(
            "the data directory is not writable",
            where=str(data_dir),
            hint="choose another with --data-dir, or change its owner or mode",
        )


async def _main(
    run: Capture, reload: Reload, duration: float | None, connect_timeout: float | None
) -> int:
    signals.handle(run.stop, reload.request)
    reporting = asyncio.create_task(_log_status(run))
    reload.begin()
    try:
        return await run.run(duration=duration, connect_timeout=connect_timeout)
    finally:
        reporting.cancel()
        reload.end()
        _summary(run)


async def _log_status(run: Capture) -> None:
    """Log a status line every ten seconds, unless the table is drawn."""
    if _draws_table():
        return
    before = 0
    while True:
        await asyncio.sleep(_STATUS_SECONDS)
        frames = sum(line.frames for line in run.all_lines)
        live = sum(line.live for line in run.lines)
        run.log.info(
            "status",
            open=f"{live}/{len(run.lines)}",
            frames=frames,
            per_second=round((frames - before) / _STATUS_SECONDS, 1),
            **_missing_channels(run),
        )
        before = frames


def _missing_channels(run: Capture) -> dict[str, str]:
    """Return the wanted channels that deliver nothing: refused ones, and unmatched wildcards."""
    refused = sorted(set().union(*(line.tally.refused_channels for line in run.lines)))
    waiting = [name for one in run.recordings.values() for name in one.source.unmatched]
    names = {"refused": ", ".join(refused), "waiting": ", ".join(waiting)}
    return {name: channels for name, channels in names.items() if channels}


def _summary(run: Capture) -> None:
    lines = run.all_lines
    run.log.info(
        "recorded",
        frames=sum(line.frames for line in lines),
        connections=sum(line.tally.connections for line in lines),
        to=str(run.settings.data_dir),
    )


def _draws_table() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def _display(run: Capture, data_dir: Path, *, wanted: bool) -> Iterator[None]:
    if not (wanted and _draws_table()):
        yield
        return
    from rich.console import Console
    from rich.live import Live

    from recorder.cli.board import Board

    board = Board(run, data_dir)
    with Live(get_renderable=board, console=Console(stderr=True), refresh_per_second=4):
        yield
