"""`recorder query`: a canned question, answered from the published database."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from recorder import canned
from recorder.errors import BusyError, DataError, UsageError, did_you_mean
from recorder.output import FORMATS, write

if TYPE_CHECKING:
    import duckdb


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    queries = _queries(ctx.params.get("query_dir"))
    return [
        CompletionItem(name, help=query.title)
        for name, query in queries.items()
        if name.startswith(incomplete)
    ]


@click.command(
    epilog="\b\nExamples:\n  recorder query --list\n"
    "  recorder query whale_moves -p min_usd 1000000 -p since '1d ago'",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("name", required=False, shell_complete=_complete)
@click.option(
    "-p",
    "--param",
    "parameters",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="Set a parameter. Times may be ISO 8601, an epoch, or e.g. '2h ago'.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="How to write the rows.  [default: table on a terminal, else csv]",
)
@click.option("--json", "format_", flag_value="json", help="The same as --format json.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="RECORDER_DATA_DIR",
    default="data",
    show_default=True,
    show_envvar=True,
    help="Where the record is.",
)
@click.option(
    "--query-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A directory of your own queries; they win over canned ones of the same name.",
)
@click.option("--list", "menu", is_flag=True, help="List the queries and their parameters.")
@click.option("--help-params", is_flag=True, help="Explain the query's parameters.")
def query(
    name: str | None,
    parameters: tuple[tuple[str, str], ...],
    format_: str | None,
    data_dir: Path,
    query_dir: Path | None,
    menu: bool,
    help_params: bool,
) -> None:
    """Answer a canned question from recorder.duckdb.

    Without NAME: the menu of questions. Rows go to stdout, everything else to stderr.
    """
    queries = _queries(query_dir)
    if menu or name is None:
        _print_menu(queries)
        return
    if name not in queries:
        raise UsageError(f"no query '{name}'", hint=did_you_mean(name, queries))
    if help_params:
        _print_parameters(queries[name])
        return
    _answer(queries[name], _given(parameters), format_, data_dir / "recorder.duckdb")


def _queries(query_dir: Path | None) -> dict[str, canned.Query]:
    return canned.load() | (canned.load(query_dir) if query_dir else {})


def _given(parameters: tuple[tuple[str, str], ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for key, value in parameters:
        if key in given:
            raise UsageError(f"parameter '{key}' is given twice")
        given[key] = value
    return given


def _print_menu(queries: Mapping[str, canned.Query]) -> None:
    for name, found in queries.items():
        click.echo(f"{name}\n    {found.title}")
        click.echo(f"    -p {', '.join(p.name for p in found.parameters) or '(none)'}\n")
    click.echo("Explain one: recorder query NAME --help-params", err=True)


def _print_parameters(query: canned.Query) -> None:
    formatter = click.HelpFormatter(max_width=100)
    formatter.write_text(f"{query.title}.")
    formatter.write_paragraph()
    formatter.write_text(query.description)
    if query.parameters:
        with formatter.section("Parameters"):
            formatter.write_dl(
                [
                    (f"{p.name} {p.type}", f"{p.meaning}  [default: {p.default}]")
                    for p in query.parameters
                ]
            )
    click.echo(formatter.getvalue() + f"\nExample: {query.example}")


def _answer(query: canned.Query, given: Mapping[str, str], format_: str | None, path: Path) -> None:
    for name in given:  # a wrong name needs no database to be found
        query.parameter(name)
    with _connect(path) as connection:
        try:
            table = canned.run(connection, query, given)
        except RuntimeError as error:  # DuckDB's word for Ctrl-C
            raise KeyboardInterrupt from error
        age = _freshness(connection)
    if isinstance(sys.stdout, io.TextIOWrapper):  # files are UTF-8 whatever the locale
        terminal = sys.stdout.isatty()
        sys.stdout.reconfigure(
            encoding=None if terminal else "utf-8", errors="backslashreplace" if terminal else None
        )
    try:
        write(table, format_, sys.stdout)
    except BrokenPipeError:  # the reader, e.g. `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    rows = "1 row" if table.num_rows == 1 else f"{table.num_rows:,} rows"
    click.echo(f"{query.title}: {rows}; {age}", err=True)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    """The published database, read-only, its clock on UTC."""
    import duckdb

    if not path.exists():
        hint = "record with 'recorder capture', then fill it with 'recorder ingest'; or --data-dir"
        raise DataError("no database yet", where=str(path), hint=hint)
    try:
        connection = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        busy = "lock" in str(error)
        hint = "try again when it has finished" if busy else "renew it: recorder ingest --rebuild"
        what = f"cannot open the database: {str(error).splitlines()[0]}"
        raise (BusyError if busy else DataError)(what, where=str(path), hint=hint) from error
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _freshness(connection: duckdb.DuckDBPyConnection) -> str:
    """How old the newest ingested frame is, in words."""
    import duckdb

    try:
        [(newest,)] = connection.execute("SELECT max(last_recv_ns) FROM ledger").fetchall()
    except duckdb.CatalogException:
        newest = None
    if newest is None:
        return "nothing ingested yet"
    return f"newest frame {_age((time.time_ns() - newest) / 1e9)} old"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
