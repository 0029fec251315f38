"""`recorder health`."""

from __future__ import annotations

import click

from recorder.cli import options


@click.command(
    epilog="\b\nExamples:\n  recorder health\n"
    "  recorder health --wait 60 --data-dir /var/lib/recorder"
)
@options.directory
@click.option(
    "--wait",
    type=click.FloatRange(0, 86_400),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Give it so long to become healthy.",
)
@click.option("--json", "as_json", is_flag=True, help="The verdict and the problems as JSON.")
@click.pass_context
def health(
    ctx: click.Context,
    where: options.RecordOptions,
    wait: float,
    as_json: bool,
) -> None:
    """Exit 0 if all is well, 10 if not; the reasons are on stderr.

    Made for a container's health check: it reads the newest files only and loads no database.
    A warning is told, but leaves the exit code 0.
    """
    import json
    import time
    from dataclasses import asdict

    from recorder.record.layout import Layout
    from recorder.status import Watcher

    settings = where.settings()
    watcher = Watcher(Layout(settings.data_dir), settings, history=False)
    until = time.monotonic() + wait
    found = watcher.look()
    while not found.healthy and (left := until - time.monotonic()) > 0:
        time.sleep(min(0.5, left))
        found = watcher.look()
    if as_json:
        told = [asdict(problem) for problem in found.problems]
        click.echo(json.dumps({"healthy": found.healthy, "problems": told}))
    else:
        click.echo("healthy" if found.healthy else "unhealthy")
        for problem in found.problems:
            click.echo(f"{problem.severity}: {problem}", err=True)
    ctx.exit(0 if found.healthy else 10)
