"""`recorder sql`: read-only SQL over the record."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recorder.answers.cells import visible
from recorder.cli import answers, options, types
from recorder.errors import RecorderError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from recorder.answers.sandbox import QueryLimits

#: Seconds that an interrupted query gets to stop before the process exits.
_GRACE_SECONDS = 5.0
#: Address space for data beyond the query's limit; the kernel refuses more than that.
_EXTRA_MB = 3072
#: Memory that a query may take beyond DuckDB's limit and that of the answer, which is the same.
_LIBRARIES_MB = 512


class _Sql(click.Command):
    """A command whose SQL may begin with a comment: `--` followed by a space is not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        begins = ("-- ", "--\n")
        return super().parse_args(ctx, [f" {a}" if a.startswith(begins) else a for a in args])


@click.command(
    cls=_Sql,
    epilog="\b\nExamples:\n"
    "  recorder sql \"FROM liquidations WHERE symbol = 'BTCUSDT'\"\n"
    "  recorder sql --file question.sql --plot answer.png\n"
    "  recorder sql 'SHOW TABLES' --tables-url s3://bucket/tables",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("text", metavar="[SQL]", required=False)
@click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read the SQL from this file.",
)
@answers.shown
@options.tables
@click.option(
    "--timeout",
    type=types.Seconds(),
    default=60.0,
    show_default=True,
    help="Stop a query after this time: seconds, or e.g. 5m; 0: no limit.",
)
@click.option("--limit", type=click.IntRange(min=0), metavar="ROWS", help="Show at most ROWS rows.")
@click.option(
    "--memory",
    type=click.IntRange(min=64),
    default=2048,
    show_default=True,
    metavar="MB",
    help="Memory limit of the query.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads of the query.  [default: one per core]"
)
def sql(
    text: str | None,
    file: Path | None,
    how: answers.AnswerOptions,
    where: options.RecordOptions,
    timeout: float,
    limit: int | None,
    memory: int,
    threads: int | None,
) -> None:
    """Run read-only SQL over the tables, the macros and raw.

    SQL is one SELECT (or FROM, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN); - reads it from stdin. It can
    read only the record: no other file, no network, no settings. raw holds every sealed frame;
    its column text is the payload as text.
    """
    from recorder.answers import database, sandbox

    question = _question(text, file)
    limits = sandbox.QueryLimits(timeout or None, limit, memory, threads)
    how.check()
    with where.source().sandboxed(limits) as connection:
        age = database.freshness(connection)
        with _exit_if_stuck(limits), _exit_if_large(limits), _limit_memory(limits):
            answer = sandbox.run(connection, question, limits)
    note = f"; truncated by --limit {limit}" if answer.more else ""
    _show(answer.table, how, _title(question), f"{note}; {age}")


def _title(question: str) -> str:
    """Return the comment at the beginning of the SQL as a title, else "Answer"."""
    first = question.lstrip().partition("\n")[0]
    title = first.removeprefix("--").strip().removeprefix("title:").strip()
    return visible(title) if first.startswith("--") and title else "Answer"


def _show(table: pa.Table, how: answers.AnswerOptions, title: str, note: str) -> None:
    plan = table.column_names == ["explain_key", "explain_value"]
    if plan and how.format_ is None and how.plot is None:
        # The plan is drawn text, not a table.
        click.echo("\n".join(table["explain_value"].to_pylist()))
        return
    answers.show(table, how, title=title, note=note)


def _question(text: str | None, file: Path | None) -> str:
    """Return the SQL from the argument, the file or stdin.

    Raises:
        UsageError: none or two were given, or the source is unreadable.
    """
    if (text is None) == (file is None):
        what = "no SQL given" if text is None else "SQL and --file exclude each other"
        hint = "write recorder sql 'SHOW TABLES', recorder sql --file FILE, or - for stdin"
        raise UsageError(what, hint=hint)
    try:
        if file is not None:
            return file.read_text("utf-8")
        return sys.stdin.read() if text == "-" else str(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(file or "stdin")) from None


def _exit_if_stuck(limits: QueryLimits) -> AbstractContextManager[threading.Event]:
    """Return a context that exits the process if DuckDB ignores the interrupt.

    DuckDB does not check for it inside one huge list, for example.
    """
    from recorder.answers import sandbox

    def end() -> None:
        error: RecorderError = sandbox.too_late(limits)
        click.echo(f"recorder: {error}", err=True)
        os._exit(error.exit_code)

    return sandbox.interrupting(end, limits.seconds and limits.seconds + _GRACE_SECONDS)


def _exit_if_large(limits: QueryLimits) -> AbstractContextManager[None]:
    """Return a context that exits the process if the query takes more memory than allowed."""
    from recorder.answers import sandbox

    def end() -> None:
        error = sandbox.too_much(limits)
        click.echo(f"recorder: {error}", err=True)
        os._exit(error.exit_code)

    return sandbox.within_memory(end, 2 * limits.memory_mb + _LIBRARIES_MB)


@contextlib.contextmanager
def _limit_memory(limits: QueryLimits) -> Iterator[None]:
    """Limit the process's memory: DuckDB's limit does not count the memory of single values."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = (limits.memory_mb + _EXTRA_MB) << 20
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
