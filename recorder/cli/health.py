"""`recorder health`."""

from __future__ import annotations

import click

from recorder.cli import options, types

#: The exit code of `recorder health` and `recorder status` where the recorder is not healthy.
UNHEALTHY = 10


@click.command(
    epilog="\b\nExamples:\n  recorder health\n"
    "  recorder health --wait 60 --data-dir /var/lib/recorder"
)
@options.directory
@click.option(
    "--wait",
    type=types.Seconds(most=86_400),
    default=0.0,
    show_default=True,
    help="Wait up to this time for the recorder to become healthy.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdict and the problems as JSON.")
@click.pass_context
def health(
    ctx: click.Context,
    where: options.RecordOptions,
    wait: float,
    as_json: bool,
) -> None:
    """Check health: exit 0 if healthy, 10 if not; print the problems on stderr.

    Meant for a container's health check: it reads only the newest files and opens no database. A
    warning is printed but does not change the exit code.
    """
    import json
    import time
    from dataclasses import asdict

    from recorder.record.layout import Layout
    from recorder.status import Watcher

    settings = where.settings()
    watcher = Watcher(Layout(settings.data_dir), settings, history=False)
    until = time.monotonic() + wait
    status = watcher.look()
    while not status.healthy and (left := until - time.monotonic()) > 0:
        time.sleep(min(0.5, left))
        status = watcher.look()
    if as_json:
        problems = [asdict(problem) for problem in status.problems]
        click.echo(json.dumps({"healthy": status.healthy, "problems": problems}))
    else:
        click.echo("healthy" if status.healthy else "unhealthy")
        for problem in status.problems:
            click.echo(f"{problem.severity}: {problem}", err=True)
    ctx.exit(0 if status.healthy else UNHEALTHY)
