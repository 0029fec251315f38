"""`recorder status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from recorder.cli import options

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
@click.option("--json", "as_json", is_flag=True, help="The status as JSON; watched, one a line.")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks, with --watch.",
)
def status(where: options.RecordOptions, as_json: bool, watch: bool, every: float) -> None:
    """Show how the recorder in a data directory fares: connections, rates, gaps of today, disk.

    It reads files only, so it can be asked at any time, of a running recorder or of none.
    """
    import contextlib
    import json
    import sys

    from recorder.status import Watcher
    from recorder.status.view import lines, panels

    layout, settings = there(where)
    watcher = Watcher(layout, settings)
    terminal = sys.stdout.isatty()
    with contextlib.suppress(KeyboardInterrupt):
        if watch and terminal and not as_json:
            _live(watcher.look, every)
        while True:
            found = watcher.look()
            if as_json:
                click.echo(json.dumps(found.as_dict(), indent=None if watch else 2))
            elif terminal:
                _console().print(panels(found))
            else:
                click.echo("\n".join(lines(found)))
            if not watch:
                break
            _wait(every)


def there(where: options.RecordOptions) -> tuple[Layout, Settings]:
    """The data directory and the settings.

    Raises:
        UsageError: there is no such directory.
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
