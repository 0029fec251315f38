"""`recorder status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from recorder.cli import options, types
from recorder.cli.health import UNHEALTHY

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from recorder.record.layout import Layout
    from recorder.settings.config import Settings
    from recorder.status import Status


@click.command(
    epilog="\b\nExamples:\n  recorder status\n  recorder status --watch\n  recorder status --json"
)
@options.directory
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; with --watch, one line per status."
)
@click.option("--watch", is_flag=True, help="Repeat until Ctrl-C.")
@click.option(
    "--every",
    type=types.Seconds(0.1, most=3600),
    default=1.0,
    show_default=True,
    help="With --watch: time between updates.",
)
@click.pass_context
def status(
    ctx: click.Context, where: options.RecordOptions, as_json: bool, watch: bool, every: float
) -> None:
    """Show recorder status: connections, rates, today's gaps, disk.

    Exit 0 if healthy, 10 if not, as `recorder health` does. It only reads files of the data
    directory, so it works whether the recorder runs or not.
    """
    import contextlib
    import json
    import sys

    from recorder.status import Watcher
    from recorder.status.view import lines, panels

    layout, settings = existing_layout(where)
    watcher = Watcher(layout, settings)
    terminal = sys.stdout.isatty()
    with contextlib.suppress(KeyboardInterrupt):
        if watch and terminal and not as_json:
            _live(watcher.look, every)
        while True:
            current = watcher.look()
            if as_json:
                click.echo(json.dumps(current.as_dict(), indent=None if watch else 2))
            elif terminal:
                _console().print(panels(current))
            else:
                click.echo("\n".join(lines(current)))
            if not watch:
                ctx.exit(0 if current.healthy else UNHEALTHY)
            _wait(every)


def existing_layout(where: options.RecordOptions) -> tuple[Layout, Settings]:
    """Return the data directory and the settings.

    Raises:
        UsageError: the directory does not exist.
    """
    from recorder.errors import UsageError
    from recorder.record.layout import Layout

    settings = where.settings()
    layout = Layout(settings.data_dir)
    if not layout.root.is_dir():
        raise UsageError(
            "no such data directory",
            where=str(layout.root),
            hint="name it with --data-dir, or record something first: recorder capture",
        )
    return layout, settings


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _live(look: Callable[[], Status], every: float) -> None:
    from rich.live import Live

    from recorder.status.view import panels

    with Live(panels(look()), console=_console(), screen=True, auto_refresh=False) as live:
        while True:
            _wait(every)
            live.update(panels(look()), refresh=True)


def _wait(seconds: float) -> None:
    import time

    time.sleep(seconds)
