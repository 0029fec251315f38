"""The canned queries: `queries/<name>.sql`, one SELECT over the tables each.

The same text serves `recorder query`, a table macro inside `recorder.duckdb` and the documentation.
A file begins with its header:

    -- title: ...
    -- description: ...                                (a deeper indented line continues the text)
    -- param NAME TYPE = DEFAULT  -- meaning           (DEFAULT: any SQL expression, often NULL)
    -- column NAME: meaning                            (of the answer, in its order)
    -- topic: ...                                      (its heading in the menu; may be left out)
    -- plot: line x=time y=p50,p99 series=feed         (see recorder/plot/spec.py; may be left out)
    -- example: recorder query NAME --since '1d ago'

Its SQL uses the parameters as `$NAME`. Inside a macro, DuckDB silently resolves an unqualified
column with a parameter's name to the parameter: qualify it (`w.symbol`; the tests check).

Every query that reads a table also takes `as_of`, not listed in its header: see
`recorder.answers.known`.

Shared SQL is in `queries/shared/`, written the same way and called as a macro
(`FROM latency_hops(since := $since)`); a file there may be an expression instead of a SELECT. A
line `-- with: NAME TYPE, ...` in an expression's file begins another expression: the same macro
with these arguments, which have no defaults.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorder.answers.given import value_of
from recorder.answers.known import AS_OF, limited
from recorder.answers.unread import unread
from recorder.errors import DataError, UsageError, did_you_mean
from recorder.schema.files import sql_directory

if TYPE_CHECKING:  # completion and help must not load them
    import duckdb
    import pyarrow as pa

#: Under this name the table `about` keeps the digest of the stored macros.
STORED = "macros"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query's parameter: its DuckDB type, its default as an SQL expression, its meaning."""

    name: str
    type: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class AnswerColumn:
    """A column of a query's answer, and its meaning."""

    name: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Query:
    """A canned query; `sql` is one SELECT (or expression) that uses the parameters as `$name`."""

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    example: str
    sql: str
    columns: tuple[AnswerColumn, ...] = ()
    topic: str = ""
    plot: str = ""
    others: tuple[tuple[dict[str, str], str], ...] = ()
    """The same macro with other arguments: their types by name, and the expression."""

    @property
    def scalar(self) -> bool:
        """True if the SQL is an expression, for a scalar macro."""
        return _is_expression(self.sql)

    def parameter(self, name: str) -> Parameter:
        """Return the parameter of that name.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        known = {p.name: p for p in self.parameters}
        if name not in known:
            hint = did_you_mean(name, known) if known else "it does not take parameters"
            raise UsageError(f"query '{self.name}' has no parameter '{name}'", hint=hint)
        return known[name]


def _is_expression(sql: str) -> bool:
    return re.match(r"(SELECT|WITH|FROM|DELETE)\b", sql, re.IGNORECASE) is None


def load(directory: Path | None = None) -> dict[str, Query]:
    """Return every query of a directory by name, sorted."""
    files = sorted((directory or sql_directory()).glob("*.sql"))
    return {f.stem: parse(f.stem, f.read_text("utf-8"), where=str(f)) for f in files}


@cache
def shared() -> Mapping[str, Query]:
    """Return the macros that canned queries share and any SQL may call."""
    return load(sql_directory() / "shared")


_ENTRY = re.compile(r"-- (?:(title|description|example|topic|plot):|(param|column) )(.*)")
_CONTINUED = re.compile(r"--\s{2,}(\S.*)")
_COLUMN = re.compile(r"([a-z]\w*): (\S.*)")
_PARAMETER = re.compile(r"([a-z]\w*)\s+(\S.*?)\s*=\s*(\S.*?)\s+--\s+(\S.*)")
_WITH = re.compile(r"^-- with: (.+)$", re.MULTILINE)
#: Text in which a dollar sign does not begin a parameter (strings, comments), or a parameter.
_TOKEN = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|\$([A-Za-z_]\w*)",
    re.DOTALL,
)


def parse(name: str, text: str, where: str = "") -> Query:
    """Return the query of a file's text.

    Raises:
        DataError: the header lacks a line, or the parameters do not match the SQL.
    """
    header = list(itertools.takewhile(lambda line: line.startswith("--"), text.splitlines()))
    entries = _entries(header)
    found = {key: value for key, value in entries if value}
    for key in ("title", "description", "example"):
        if key not in found:
            raise DataError(f"no '-- {key}: ...' line in its header", where=where)
    parameters = tuple(_parameter(value, where) for key, value in entries if key == "param")
    columns = tuple(_column(value, where) for key, value in entries if key == "column")
    body, *more = _WITH.split("\n".join(text.splitlines()[len(header) :]))
    sql = body.strip().rstrip("; \n")
    others = tuple(
        (dict(_typed(argument) for argument in arguments.split(",")), other.strip())
        for arguments, other in zip(more[::2], more[1::2], strict=True)
    )
    declared = {p.name for p in parameters}
    if AS_OF[0] not in declared and not _is_expression(sql):
        sql = limited(sql)
    used = {match[2] for match in _TOKEN.finditer(sql) if match[2]}
    if AS_OF[0] in used - declared:
        parameters, declared = (*parameters, Parameter(*AS_OF)), declared | {AS_OF[0]}
    for parameter in sorted(used ^ declared):
        what = "is not used" if parameter in declared else "has no '-- param' line"
        raise DataError(f"${parameter} {what}", where=where)
    title, description, example = (found[key] for key in ("title", "description", "example"))
    topic, plot = found.get("topic", ""), found.get("plot", "")
    return Query(name, title, description, parameters, example, sql, columns, topic, plot, others)


def _typed(argument: str) -> tuple[str, str]:
    name, _, kind = argument.strip().partition(" ")
    return name, kind


def _entries(header: list[str]) -> list[tuple[str, str]]:
    """Return the header's entries in order, each with its continuation lines."""
    entries: list[tuple[str, str]] = []
    for line in header:
        if match := _ENTRY.match(line):
            entries.append((match[1] or match[2], match[3].strip()))
        elif entries and (match := _CONTINUED.match(line)):
            key, value = entries.pop()
            entries.append((key, f"{value} {match[1].strip()}"))
    return entries


def _parameter(text: str, where: str) -> Parameter:
    if match := _PARAMETER.fullmatch(text):
        return Parameter(*match.groups())
    hint = "write: -- param NAME TYPE = DEFAULT  -- meaning"
    raise DataError(f"cannot read parameter '{text}'", where=where, hint=hint)


def _column(text: str, where: str) -> AnswerColumn:
    if match := _COLUMN.fullmatch(text):
        return AnswerColumn(*match.groups())
    raise DataError(
        f"cannot read column '{text}'", where=where, hint="write: -- column NAME: meaning"
    )


def _replaced(sql: str, value: Callable[[str], str]) -> str:
    """Return the SQL with every `$name` outside strings and comments replaced."""
    return _TOKEN.sub(lambda match: value(match[2]) if match[2] else match[0], sql)


def macro_sql(query: Query) -> str:
    """Return the SQL that creates the query's macro: `FROM name(since := '2026-01-01')`."""
    return _macro(query, "MACRO")


def _macro(query: Query, kind: str) -> str:
    types = {p.name: p.type for p in query.parameters}
    defaults = ", ".join(f'"{p.name}" := {p.default}' for p in query.parameters)
    body = _body(query.sql, types)
    body = f"({body})" if query.scalar else f"TABLE\n{body}"
    forms = [f"({defaults}) AS {body}"]
    for arguments, sql in query.others:
        names = ", ".join(f'"{name}"' for name in arguments)
        forms.append(f"({names}) AS ({_body(sql, arguments)})")
    return f'CREATE OR REPLACE {kind} "{query.name}"' + ", ".join(forms)


def _body(sql: str, types: Mapping[str, str]) -> str:
    return _replaced(sql, lambda name: f'CAST("{name}" AS {types[name]})')


def install_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Store every canned and shared query as a macro with its title as comment."""
    for sql in macros():
        connection.execute(sql)


@cache
def macros() -> tuple[str, ...]:
    """Return the statements that store every canned and shared query as a macro.

    DuckDB before 2.0 has no function `if`, which is how 2.0 writes a stored CASE.
    """
    made = ['CREATE OR REPLACE MACRO "if"(test, yes, no) AS CASE WHEN test THEN yes ELSE no END']
    known = shared()
    names = _called(" ".join(f"{name}()" for name in known), known)
    for query in (*(known[name] for name in names), *load().values()):
        title = query.title.replace("'", "''")
        kind = "MACRO" if query.scalar else "MACRO TABLE"
        made += [macro_sql(query), f"COMMENT ON {kind} \"{query.name}\" IS '{title}'"]
    return tuple(made)


def _share(connection: duckdb.DuckDBPyConnection, query: Query) -> None:
    """Define the shared macros that the query calls, for this connection only."""
    _define(connection, query.sql)


def _called(sql: str, known: Mapping[str, Query]) -> list[str]:
    """Return the shared macros that a text calls, each after those that it calls itself."""
    found: dict[str, None] = {}

    def add(text: str) -> None:
        for name, query in known.items():
            if name not in found and re.search(rf"\b{name}\(", text):
                for form in _forms(query):
                    add(form)
                found[name] = None

    add(sql)
    return list(found)


def _forms(query: Query) -> tuple[str, ...]:
    """Return the SQL of a macro for each number of arguments that it takes."""
    return (query.sql, *(sql for _, sql in query.others))


def run_sql(query: Query) -> list[str]:
    """Return every SQL that a run of the query may execute: its own and its macros' forms."""
    known = shared()
    macros = (known[name] for name in _called(query.sql, known))
    return [*_forms(query), *(form for macro in macros for form in _forms(macro))]


def share(connection: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Define these shared macros, and those that they call, for this connection only."""
    _define(connection, " ".join(f"{name}()" for name in names))


def _define(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Define the shared macros that a text calls, unless the database has this version's."""
    from recorder.schema.versions import about, digest

    known = shared()
    names = _called(sql, known)
    if names and about(connection, STORED) != digest(macros()):
        for name in names:
            connection.execute(_macro(known[name], "TEMP MACRO"))


def run(
    connection: duckdb.DuckDBPyConnection,
    query: Query,
    parameters: Mapping[str, str | None],
    *,
    now_ns: int | None = None,
) -> pa.Table:
    """Run the query and return its rows.

    Times and durations are in the grammar of `recorder.times`, relative to `now_ns` (None: the
    clock's time). DuckDB casts other texts.

    Raises:
        UsageError: an unknown parameter, or an invalid value.
        DataError: the tables are of another version or unreadable.
    """
    import duckdb

    from recorder.schema.versions import explained

    now = time.time_ns() if now_ns is None else now_ns
    given = {n: _value(connection, query.parameter(n), text, now) for n, text in parameters.items()}
    texts = {p.name: f"CAST(({p.default}) AS {p.type})" for p in query.parameters}
    texts |= {n: f"CAST(${n} AS {query.parameter(n).type})" for n in given}
    sql = _replaced(query.sql, texts.__getitem__)
    try:
        _share(connection, query)
        return connection.sql(sql, params=given).to_arrow_table()
    except (duckdb.CatalogException, duckdb.BinderException, duckdb.OperationalError) as error:
        if (other := explained(connection)) is not None:
            raise other from error
        if isinstance(error, duckdb.BinderException):
            raise _misused(query, error) from error
        hint = "if the tables are of another version, rebuild them: recorder ingest --rebuild"
        raise DataError(_first_line(error), where=f"query '{query.name}'", hint=hint) from error
    except (duckdb.DataError, duckdb.ProgrammingError, duckdb.NotSupportedError) as error:
        if lost := unread(error):
            raise lost from error
        raise _misused(query, error) from error


def _misused(query: Query, error: Exception) -> UsageError:
    hint = f"see its parameters: recorder query {query.name} --help"
    return UsageError(_first_line(error), where=f"query '{query.name}'", hint=hint)


def _value(
    connection: duckdb.DuckDBPyConnection, parameter: Parameter, text: str | None, now_ns: int
) -> Any:
    try:
        return value_of(connection, parameter.type, text, now_ns)
    except UsageError as error:
        hint = f"{parameter.meaning}; {error.hint}" if error.hint else parameter.meaning
        raise UsageError(f"parameter '{parameter.name}': {error.what}", hint=hint) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def markdown(queries: Mapping[str, Query]) -> str:
    """Return the reference of the queries in Markdown, as in `docs/queries.md`."""
    lines = []
    for query in queries.values():
        lines += [f"## {query.name}", "", f"{query.title}.", "", query.description, ""]
        lines += ["| parameter | type | default | meaning |", "|---|---|---|---|"]
        for p in query.parameters:
            lines.append(f"| `{p.name}` | {p.type} | `{p.default}` | {p.meaning} |")
        if query.columns:
            lines += ["", "| column | meaning |", "|---|---|"]
            lines += [f"| `{c.name}` | {c.meaning} |" for c in query.columns]
        lines += ["", "```sh", query.example, "```", ""]
    return "\n".join(lines)
