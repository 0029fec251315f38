"""Shell completion of a query's parameters: their names, and values from the record."""

from __future__ import annotations

import os
import re
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from recorder.answers import canned
from recorder.schema.tables import TABLES

if TYPE_CHECKING:
    from recorder.answers.canned import Parameter, Query
    from recorder.lake.source import TableSource

_SET_ASIDE = "recorder.query.parameter"
_MOST = 200
_AGO = ("15min ago", "1h ago", "6h ago", "1d ago", "7d ago")
_WIDTHS = ("1 minute", "5 minutes", "15 minutes", "1 hour", "1 day")
_LISTED = re.compile(r"(\w+(?:, \w+)+) or (\w+)")


def set_aside(ctx: click.Context, args: list[str]) -> list[str]:
    """Return the arguments without a last `-p` or `-p NAME`; keep the NAME in the context."""
    for length in (1, 2):
        if len(args) >= length and args[-length] in {"-p", "--param"}:
            ctx.meta[_SET_ASIDE] = args[len(args) - length + 1 :]
            return args[:-length]
    return args


def parameters(ctx: click.Context, query: Query, incomplete: str) -> list[CompletionItem]:
    """Return the names not yet given or, after a name, its values."""
    typed = ctx.meta.get(_SET_ASIDE, [])
    if typed:
        known = {p.name: p for p in query.parameters}
        return values(ctx, query, known[typed[0]], incomplete) if typed[0] in known else []
    given = {name for name, _ in ctx.params.get("parameters") or ()}
    return [
        CompletionItem(p.name, help=p.meaning)
        for p in query.parameters
        if p.name.startswith(incomplete) and p.name not in given
    ]


def values(
    ctx: click.Context, query: Query, parameter: Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the values of a parameter that begin with what was typed."""
    found = _values(ctx, query, parameter)
    return [CompletionItem(_quoted(value)) for value in found if value.startswith(incomplete)]


def _quoted(value: str) -> str:
    """Return the value quoted for bash, which inserts it verbatim; zsh and fish quote it."""
    in_bash = os.environ.get("_RECORDER_COMPLETE", "").startswith("bash")
    return shlex.quote(value) if in_bash else value


def _values(ctx: click.Context, query: Query, parameter: Parameter) -> list[str]:
    match parameter.type:
        case "TIMESTAMPTZ":
            return [*_AGO, datetime.now(UTC).strftime("%Y-%m-%d")]
        case "INTERVAL":
            return [*_WIDTHS]
        case "BOOLEAN":
            return ["true", "false"]
        case "VARCHAR":
            if listed := _LISTED.search(parameter.meaning):
                return [*listed[1].split(", "), listed[2]]
            return _recorded(ctx, query, parameter.name)
        case _:
            return []


def _recorded(ctx: click.Context, query: Query, column: str) -> list[str]:
    """Return the values of that column in the tables that the query reads."""
    words = set(re.findall(r"\w+", query.sql))
    for name, shared in canned.shared().items():
        if name in words:
            words |= set(re.findall(r"\w+", shared.sql))
    names = [
        table.name
        for table in TABLES.values()
        if table.name in words and any(c.name == column for c in table.columns)
    ]
    known = ["connections"] if column in {"feed", "line"} else []
    try:
        from recorder.cli.options import RecordOptions

        names_of = ("config", "data_dir", "tables_url")
        source = RecordOptions(**{name: ctx.params.get(name) for name in names_of}).source()
        # A lake is slow: only its small table is read.
        return _distinct(source, known if source.tables_url else names or known, column)
    except Exception:  # completion offers nothing rather than an error
        return []


def _distinct(source: TableSource, names: list[str], column: str) -> list[str]:
    """Return the distinct values of a column over these tables."""
    from recorder.answers.cells import visible

    if not names:
        return []
    each = " UNION ".join(f'SELECT "{column}" AS value FROM {name}' for name in names)  # noqa: S608
    known = f"SELECT DISTINCT value FROM ({each}) WHERE value IS NOT NULL"  # noqa: S608
    sql = f"{known} ORDER BY value LIMIT {_MOST}"
    query = canned.load()["coverage"]  # it reads the same tables
    with source.connect(query) as connection:
        rows = connection.execute(sql).fetchall()
    return [value for (value,) in rows if visible(value) == value]
