"""The command line: parse, call, print. Each command imports what it needs when it runs."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

import click

from recorder.errors import RecorderError, did_you_mean
from recorder.version import __version__

#: Command name -> module that holds a click command of the same name.
COMMANDS = {
    "init": "recorder.cli.init",
    "capture": "recorder.cli.capture",
    "ingest": "recorder.cli.ingest",
    "run": "recorder.cli.run",
    "alerts": "recorder.cli.alerts",
    "serve": "recorder.cli.serve",
    "status": "recorder.cli.status",
    "health": "recorder.cli.health",
    "top": "recorder.cli.top",
    "query": "recorder.cli.query",
    "sql": "recorder.cli.sql",
    "replay": "recorder.cli.replay",
    "backtest": "recorder.cli.backtest",
    "export": "recorder.cli.export",
    "verify": "recorder.cli.verify",
    "prune": "recorder.cli.prune",
    "upload": "recorder.cli.upload",
    "config": "recorder.cli.config",
    "doctor": "recorder.cli.doctor",
    "demo": "recorder.cli.demo",
    "simulate": "recorder.cli.simulate",
    "feeds": "recorder.cli.feeds",
    "completion": "recorder.cli.completion",
}

SUMMARIES = {
    "init": "Write a settings file for the feeds you pick.",
    "capture": "Record every frame of the configured feeds.",
    "ingest": "Normalise recorded frames into the tables of recorder.duckdb.",
    "run": "Keep capture, ingest, serve and alerts alive on one machine.",
    "alerts": "Watch for what the rules say, and tell who should know.",
    "serve": "Watch the record live in the browser.",
    "status": "Show how the recorder fares.",
    "health": "Exit 0 if all is well, 10 if not.",
    "top": "Watch the record live in the terminal.",
    "query": "Answer a canned question from recorder.duckdb.",
    "sql": "Run read-only SQL over the tables, the macros and raw.",
    "replay": "Emit recorded frames again: to stdout, or to WebSocket clients.",
    "backtest": "Run a strategy over the tables, and say what came of it.",
    "export": "Write files that other programs read.",
    "verify": "Prove what was recorded: checksums, numbers, days, ledger.",
    "prune": "Remove what is old; merge small raw files.",
    "upload": "Send sealed files to the bucket.",
    "config": "Show the settings that hold, and where each comes from.",
    "doctor": "Examine the machine, the settings and the data directory.",
    "demo": "See the whole flow at work, without network or key.",
    "simulate": "Serve a simulated feed on this machine.",
    "feeds": "List the feeds, their channels, tables and key needs.",
    "completion": "Print the shell's completion script.",
}


class _Commands(click.Group):
    """A group whose commands are imported when they are run: help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"no command '{args[0]}'; {did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  recorder demo",
)
@click.version_option(__version__, prog_name="recorder")
@click.option("--debug", is_flag=True, help="Show tracebacks and debug messages.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Record crypto WebSocket feeds, every frame, and ask the record questions."""
    ctx.ensure_object(dict)["debug"] = debug


def main(argv: list[str] | None = None) -> Any:
    """Run the command line; errors become one message and the documented exit code.

    The traceback is for `--debug`.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if "_RECORDER_COMPLETE" in os.environ:  # the shell asks
        from recorder.cli import bash

        bash.register()
    try:
        return cli.main(args=arguments, prog_name="recorder", standalone_mode=True)
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        if isinstance(error, RecorderError):
            click.echo(f"recorder: {error}", err=True)
            sys.exit(error.exit_code)
        click.echo(f"recorder: {type(error).__name__}: {error}", err=True)
        click.echo(f"  where in the code: recorder --debug {' '.join(arguments)}", err=True)
        sys.exit(RecorderError.exit_code)
