"""`recorder query`: canned queries on the published database or a lake."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from recorder.answers import canned
from recorder.cli import answers, complete, options
from recorder.cli.parameters import QueryCommand
from recorder.errors import UsageError, did_you_mean

#: The menu lists the topics in this order, then queries without a topic.
_OTHER = "More"
_TOPICS = ("Events", "Funding", "Latency", "Record")


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=query.title)
        for name, query in _queries(ctx.params.get("query_dir")).items()
        if name.startswith(incomplete)
    ]


def _parameters(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    query = _queries(ctx.params.get("query_dir")).get(ctx.params.get("name") or "")
    return complete.parameters(ctx, query, incomplete) if query else []


@click.command(
    cls=QueryCommand,
    epilog="\b\nExamples:\n  recorder query\n"
    "  recorder query whale_moves --min-usd 1000000 --since 1d\n"
    "  recorder query latency_over_time --bucket '5 minutes' --plot latency.png\n"
    "  recorder query coverage --tables-url s3://bucket/tables",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("name", required=False, shell_complete=_names)
@click.option(
    "-p",
    "--param",
    "parameters",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    shell_complete=_parameters,
    help="Set a parameter; the same as --NAME VALUE. Times may be ISO 8601, an epoch, or '2h ago'.",
)
@answers.shown
@options.tables
@click.option(
    "--query-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Directory of your own queries; they replace canned ones of the same name.",
)
@click.option("--list", "menu", is_flag=True, help="List the queries and their parameters.")
@click.option("--help-params", is_flag=True, hidden=True, help="The same as --help after a NAME.")
@click.pass_context
def query(
    ctx: click.Context,
    name: str | None,
    parameters: tuple[tuple[str, str], ...],
    how: answers.AnswerOptions,
    where: options.RecordOptions,
    query_dir: Path | None,
    menu: bool,
    help_params: bool,
) -> None:
    """Run a canned query on recorder.duckdb or a lake.

    Without NAME, list the queries; `recorder query NAME --help` explains one, whose parameters are
    options. Rows go to stdout, everything else to stderr.
    """
    queries = _queries(query_dir)
    if menu or name is None:
        _print_menu(queries)
        return
    if name not in queries:
        raise UsageError(f"no query '{name}'", hint=did_you_mean(name, queries))
    if help_params:
        click.echo(ctx.get_help())
        return
    _answer(queries[name], _given(parameters), how, where, mine=query_dir is not None)


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
    """Print the queries by topic, each with its parameters."""
    width = max(map(len, queries)) + 2

    def place(query: canned.Query) -> tuple[int, str]:
        topic = query.topic or _OTHER
        return (_TOPICS.index(topic) if topic in _TOPICS else len(_TOPICS), topic)

    for (_, topic), group in groupby(sorted(queries.values(), key=place), place):
        click.secho(topic, bold=True)
        for query in group:
            click.echo(f"  {click.style(query.name, fg='cyan')}", nl=False)
            click.echo(f"{' ' * (width - len(query.name))}{query.title}")
            takes = ", ".join(p.name for p in query.parameters) or "no parameters"
            click.secho(f"  {'':{width}}{takes}", dim=True)
        click.echo()
    click.echo("Explain one:  recorder query NAME --help", err=True)
    click.echo("Run one:      recorder query NAME --PARAMETER VALUE", err=True)


def _answer(
    query: canned.Query,
    given: Mapping[str, str],
    how: answers.AnswerOptions,
    where: options.RecordOptions,
    *,
    mine: bool,
) -> None:
    from recorder.answers import database

    for name in given:  # report a wrong name before opening a database
        query.parameter(name)
    how.check()
    # A user's query may call any macro.
    with where.source().connect(None if mine else query) as connection:
        try:
            table = canned.run(connection, query, given)
        except RuntimeError as error:  # DuckDB's word for Ctrl-C
            raise KeyboardInterrupt from error
        age = database.freshness(connection)
    subtitle = ", ".join(f"{name} {value}" for name, value in given.items())
    answers.show(table, how, title=query.title, note=f"; {age}", plot=query.plot, subtitle=subtitle)


query.queries = _queries
