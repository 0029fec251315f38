"""`recorder run`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

import click

from recorder.cli import options

if TYPE_CHECKING:
    from recorder.supervision.child import ChildSpec
    from recorder.supervision.supervisor import Supervisor

#: Seconds that those who only watch get for a clean end.
_WATCHERS_PATIENCE = 15.0


@click.command(epilog="\b\nExamples:\n  recorder run\n  recorder run --no-serve --data-dir data")
@options.config
@options.data_dir
@options.shard
@click.option("--no-ingest", is_flag=True, help="Leave the tables to another process.")
@click.option("--no-serve", is_flag=True, help="Without the page.")
@click.option("--host", help="For serve: the address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), help="For serve: the port to listen on.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="For serve: ask for the token in this file.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="For serve: a further name under which the page is opened (repeatable).",
)
@options.logging
@click.pass_context
def run(
    ctx: click.Context,
    config_path: Path | None,
    data_dir: Path | None,
    shard: str | None,
    no_ingest: bool,
    no_serve: bool,
    host: str | None,
    port: int | None,
    token_file: Path | None,
    names: tuple[str, ...],
    log_format: str,
    log_level: str,
) -> None:
    """Record, ingest, serve and alert on one machine: all of it, for months.

    Runs `capture`, `ingest --follow`, `serve` and, if there are rules, `alerts` as processes of
    their own, and starts again what dies. Ctrl-C or SIGTERM ends them in this order, so that the
    tables get the last frame; a second Ctrl-C ends all at once. SIGHUP makes capture read its
    settings again, and tries once more what had ended for good.
    """
    from recorder import log
    from recorder.capture.notify import Notifier
    from recorder.cli.reload import Selection
    from recorder.redact import Redactor
    from recorder.supervision.stderr import StderrWriter, line_format
    from recorder.supervision.supervisor import Supervisor

    chosen = Selection(config_path, data_dir, (), shard).read()  # what is wrong is said once
    stderr, line_of = StderrWriter(), line_format(json=log_format == "json")
    log.configure(
        Redactor(chosen.secrets),
        level=log_level,
        json=log_format == "json",
        stream=cast(TextIO, stderr),
    )
    everyone = _given(config=config_path, data_dir=data_dir, log_format=log_format,
                      log_level=log_level)  # fmt: skip
    page = _given(host=host, port=port, token_file=token_file)
    page += tuple(word for name in names for word in ("--allow-host", name))
    wanted = {
        "ingest": not no_ingest,
        "serve": not no_serve,
        "alerts": bool(chosen.settings.alerts),
    }

    def on_line(name: str, line: str) -> None:
        stderr.write(line_of(name, line))

    specs = _specs(everyone, _given(shard=shard), page)
    supervisor = Supervisor(
        [spec for spec in specs if wanted.get(spec.name, True)],
        on_line,
        log.logger(),
        notifier=Notifier(os.environ),
    )
    try:
        code = asyncio.run(_main(supervisor))
    finally:
        stderr.close()
    ctx.exit(code)


def _given(**options: object) -> tuple[str, ...]:
    """Those options that were given, as arguments."""
    given = {name: value for name, value in options.items() if value is not None}
    return tuple(
        word
        for name, value in given.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    )


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
