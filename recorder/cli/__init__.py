"""The command line: parse, call, print. A command's imports happen when it runs."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

import click

from recorder.cli.unexpected import explained
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
    "seal-day": "recorder.cli.seal_day",
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
    "run": "Run capture, ingest, serve and alerts, and restart what fails.",
    "alerts": "Evaluate alert rules and send notifications.",
    "serve": "Serve a live status page for the browser.",
    "status": "Show recorder status.",
    "health": "Check health: exit 0 if healthy, 10 if not.",
    "top": "Show live status in the terminal.",
    "query": "Run a canned query on recorder.duckdb or a lake.",
    "sql": "Run read-only SQL over the tables, the macros and raw.",
    "replay": "Replay recorded frames to stdout or to WebSocket clients.",
    "backtest": "Backtest a strategy and print a report.",
    "export": "Export the record to Parquet, CSV and other formats.",
    "verify": "Verify the record: checksums, frame numbers, days, ledger.",
    "seal-day": "Seal a day: write down what the record holds, to prove it later.",
    "prune": "Remove old data; merge small raw files.",
    "upload": "Upload sealed files to the bucket.",
    "config": "Show the effective settings and where each comes from.",
    "doctor": "Check the machine, the settings and the data directory.",
    "demo": "Try the whole pipeline without network or keys.",
    "simulate": "Run a simulated feed on this machine.",
    "feeds": "List the feeds, their channels, tables and keys.",
    "completion": "Print a shell completion script.",
}


class _Commands(click.Group):
    """A group that imports a command only when it runs, so that help is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] == "help":
            args = [*args[1:], "--help"]
            if len(args) == 1:
                click.echo(ctx.get_help())
                ctx.exit()
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
@click.version_option(__version__, "-V", "--version", prog_name="recorder")
@click.option("--debug", is_flag=True, help="Show tracebacks and debug messages.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Record every frame of crypto WebSocket feeds, and query the record."""
    ctx.ensure_object(dict)["debug"] = debug


def main(argv: list[str] | None = None) -> Any:
    """Run the command line; print an error as one message and exit with its documented code.

    `--debug` prints the traceback too.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if "_RECORDER_COMPLETE" in os.environ:  # the shell asks for completions
        from recorder.cli import bash

        bash.register()
    try:
        return cli.main(args=arguments, prog_name="recorder", standalone_mode=True)
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        known = error if isinstance(error, RecorderError) else explained(error)
        if known is not None:
            click.echo(f"recorder: {known}", err=True)
            sys.exit(known.exit_code)
        click.echo(f"recorder: {type(error).__name__}: {error}", err=True)
        click.echo(f"  for a traceback: recorder --debug {' '.join(arguments)}", err=True)
        sys.exit(RecorderError.exit_code)
