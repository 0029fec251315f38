"""`recorder run`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, TextIO, cast

import click

from recorder.cli import options

if TYPE_CHECKING:
    from recorder.supervision.child import ChildSpec
    from recorder.supervision.supervisor import Supervisor

#: Seconds that those who only watch get for a clean end.
_WATCHERS_PATIENCE = 15.0


@click.command(epilog="\b\nExamples:\n  recorder run\n  recorder run --no-serve --data-dir data")
@options.directory
@options.shard
@click.option("--no-ingest", is_flag=True, help="Leave the tables to another process.")
@click.option("--no-serve", is_flag=True, help="Without the page.")
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
    """Record, ingest, serve and alert on one machine: all of it, for months.

    Runs `capture`, `ingest --follow`, `serve` and, if there are rules, `alerts` as processes of
    their own, and starts again what dies. Ctrl-C or SIGTERM ends them in this order, so that the
    tables get the last frame; a second Ctrl-C ends all at once. SIGHUP makes capture read its
    settings again, and tries once more what had ended for good.
    """
    from recorder.capture.notify import Notifier
    from recorder.cli.reload import Selection
    from recorder.redact import Redactor
    from recorder.supervision.stderr import StderrWriter, line_format
    from recorder.supervision.supervisor import Supervisor

    chosen = Selection(where, (), shard).read()  # one process reports what is wrong
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
    """The children in the order of the flow."""
    from recorder.supervision.child import ChildSpec

    ingest = ("ingest", *everyone)
    return [
        ChildSpec("capture", ("capture", *everyone, *share), 0, notifies=True),
        ChildSpec("ingest", (*ingest, "--follow"), 1, finish=ingest),
        ChildSpec("serve", ("serve", *everyone, *page), 2, patience=_WATCHERS_PATIENCE),
        ChildSpec("alerts", ("alerts", *everyone), 2, patience=_WATCHERS_PATIENCE),
    ]


async def _main(supervisor: Supervisor) -> int:
    loop = asyncio.get_running_loop()
    asked: list[int] = []
    on_terminal = sys.stderr.isatty()

    def hang_up() -> None:
        if on_terminal and not os.isatty(2):
            supervisor.stop()  # the terminal is gone: nobody asked for a reload
        else:
            supervisor.hang_up()

    def ask(number: int) -> None:
        if asked and number == signal.SIGINT:
            supervisor.kill()
            os._exit(130)  # what was received is in the journal already
        asked.append(number)
        supervisor.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask, number)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    return await supervisor.run()
