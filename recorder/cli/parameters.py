"""A query's parameters as options of `recorder query`: `recorder query listings --since 1h`.

The options depend on the query that is named, so they are made once its name is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from recorder.answers.canned import Parameter, Query
from recorder.cli import complete

_META = "recorder.query"
_PAIR = re.compile(r"([A-Za-z]\w*)=(.*)", re.DOTALL)
#: How the help calls a value of each type.
_VALUES = {
    "TIMESTAMPTZ": "TIME",
    "INTERVAL": "DURATION",
    "INTERVAL[]": "DURATIONS",
    "DOUBLE": "NUMBER",
    "BIGINT": "NUMBER",
    "VARCHAR": "TEXT",
    "BOOLEAN": "true|false",
}

Queries = Callable[[Path | None], Mapping[str, Query]]


class QueryCommand(click.Command):
    """A command that takes the parameters of the query that its arguments name as options.

    Each may be given as `--min-usd 5`, `-p min_usd 5` or `-p min_usd=5`.
    """

    #: The queries by name, with those of a user's directory.
    queries: Queries

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the query that is named, then read its options."""
        if ctx.resilient_parsing:  # click would report that `-p NAME` lacks a value
            args = complete.set_aside(ctx, args)
        args = _split_pairs(args)
        ctx.meta[_META] = self._named(ctx, args)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the query's options before the command's own."""
        fixed = super().get_params(ctx)
        query: Query | None = ctx.meta.get(_META)
        return [*_options(query, fixed), *fixed] if query else fixed

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command with the query's options among its `parameters`."""
        given = [
            (name.removeprefix(_OURS), value)
            for name, value in ctx.params.items()
            if name.startswith(_OURS) and value is not None
        ]
        ctx.params = {n: v for n, v in ctx.params.items() if not n.startswith(_OURS)}
        ctx.params["parameters"] = (*ctx.params["parameters"], *given)
        return super().invoke(ctx)

    def _named(self, ctx: click.Context, args: list[str]) -> Query | None:
        """Return the query that the arguments name; None if they name none."""
        parser = super().make_parser(ctx)
        parser.ignore_unknown_options = True
        try:
            found, rest, _ = parser.parse_args(list(args))
            place = found.get("query_dir")
            queries = self.queries(Path(place) if place else None)
        except (click.UsageError, OSError):  # it is reported when the arguments are read
            return None
        words = (str(found.get("name")), *rest)
        return next((queries[word] for word in words if word in queries), None)

    # -- help

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name the query."""
        query: Query | None = ctx.meta.get(_META)
        if query is None:
            super().format_usage(ctx, formatter)
        else:
            formatter.write_usage(ctx.command_path, f"{query.name} [OPTIONS]")

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say what the query answers."""
        query: Query | None = ctx.meta.get(_META)
        if query is None:
            super().format_help_text(ctx, formatter)
            return
        with formatter.indentation():
            for text in (f"{query.title}.", query.description):
                formatter.write_paragraph()
                formatter.write_text(text)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the query's parameters and columns, then the command's options."""
        query: Query | None = ctx.meta.get(_META)
        if query is None:
            super().format_options(ctx, formatter)
            return
        for title, kind in ((f"Parameters of {query.name}", _Option), ("Options", click.Option)):
            rows = [
                row
                for one in self.get_params(ctx)
                if type(one) is kind and (row := one.get_help_record(ctx)) is not None
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
            if kind is _Option and query.columns:
                with formatter.section("Columns of the answer"):
                    formatter.write_dl([(c.name, c.meaning) for c in query.columns])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the query's example."""
        query: Query | None = ctx.meta.get(_META)
        if query is None:
            super().format_epilog(ctx, formatter)
            return
        with formatter.section("Example"):
            formatter.write_text(query.example)


#: Before the names of these options among click's parameters.
_OURS = "parameter_"


class _Option(click.Option):
    """The option of a query's parameter."""


def _options(query: Query, fixed: list[click.Parameter]) -> list[click.Parameter]:
    """Return an option for each parameter; not where another option has its name."""
    taken = {name for one in fixed for name in one.opts}
    return [_option(query, one) for one in query.parameters if _flag(one.name) not in taken]


def _option(query: Query, parameter: Parameter) -> click.Option:
    def values(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
        return complete.values(ctx, query, parameter, typed)

    default = "" if parameter.default == "NULL" else f"  [default: {parameter.default}]"
    return _Option(
        [_flag(parameter.name), f"{_OURS}{parameter.name}"],
        metavar=_VALUES.get(parameter.type, parameter.type),
        help=f"{parameter.meaning}{default}",
        shell_complete=values,
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _split_pairs(args: list[str]) -> list[str]:
    """Return the arguments with each `-p NAME=VALUE` as `-p NAME VALUE`."""
    split: list[str] = []
    for word in args:
        pair = _PAIR.fullmatch(word) if split and split[-1] in {"-p", "--param"} else None
        split += pair.groups() if pair else [word]
    return split
