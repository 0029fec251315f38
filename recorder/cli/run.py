"""`recorder run`."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, TextIO, cast

import click

from recorder.cli import options, signals

if TYPE_CHECKING:
    from recorder.supervision.child import ChildSpec
    from recorder.supervision.supervisor import Supervisor

#: Seconds that serve and alerts get to stop cleanly.
_READERS_PATIENCE = 15.0

#: A feed that gave up while others are recorded starts again after these seconds.
_REVIVE = ("--revive", "60")


@click.command(epilog="\b\nExamples:\n  recorder run\n  recorder run --no-serve --data-dir data")
@options.directory
@options.shard
@click.option("--no-ingest", is_flag=True, help="Do not ingest; another process does.")
@click.option("--no-serve", is_flag=True, help="Do not serve the status page.")
@options.page(None)
@options.logging
@click.pass_context
def run(
    ctx: click.Context,
    where: options.RecordOptions,
    shard: str | None,
    no_ingest: bool,
    no_serve: bool,
    page: options.PageOptions,
    logs: options.LogOptions,
) -> None:
    """Run capture, ingest, serve and alerts, and restart what fails.

    Runs `capture`, `ingest --follow`, `serve` and, if there are rules, `alerts`, each as a
    separate process, and restarts a process that exits. Ctrl-C or SIGTERM stops them in this
    order, so that the tables get the last frame; a second Ctrl-C kills all at once. SIGHUP makes
    capture reload its settings, and restarts a process that had failed for good.
    """
    from recorder.capture.notify import Notifier
    from recorder.cli.reload import Selection
    from recorder.redact import Redactor
    from recorder.supervision.stderr import StderrWriter, line_format
    from recorder.supervision.supervisor import Supervisor

    chosen = Selection(where, (), shard).read()  # report wrong settings once, not from each process
    stderr, line_of = StderrWriter(), line_format(json=logs.json)
    say = logs.begin(Redactor(chosen.secrets), cast(TextIO, stderr))
    wanted = {
        "ingest": not no_ingest,
        "serve": not no_serve,
        "alerts": bool(chosen.settings.alerts),
    }

    def on_line(name: str, line: str) -> None:
        stderr.write(line_of(name, line))

    everyone = (*where.words(), *logs.words())
    specs = _specs(everyone, options.words(shard=shard), page.words())
    supervisor = Supervisor(
        [spec for spec in specs if wanted.get(spec.name, True)],
        on_line,
        say,
        notifier=Notifier(os.environ),
    )
    try:
        code = asyncio.run(_main(supervisor))
    finally:
        stderr.close()
    ctx.exit(code)


def _specs(
    everyone: tuple[str, ...], share: tuple[str, ...], page: tuple[str, ...]
) -> list[ChildSpec]:
    """Return the processes to run, in the order in which data flows."""
    from recorder.supervision.child import ChildSpec

    ingest = ("ingest", *everyone)
    return [
        ChildSpec("capture", ("capture", *everyone, *share, *_REVIVE), 0, notifies=True),
        ChildSpec("ingest", (*ingest, "--follow"), 1, finish=ingest),
        ChildSpec("serve", ("serve", *everyone, *page), 2, patience=_READERS_PATIENCE),
        ChildSpec("alerts", ("alerts", *everyone), 2, patience=_READERS_PATIENCE),
    ]


async def _main(supervisor: Supervisor) -> int:
    signals.handle(supervisor.stop, supervisor.hang_up, supervisor.kill)
    return await supervisor.run()
