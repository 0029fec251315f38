"""A rule's condition: one boolean SQL expression over a table's columns, run in a sandbox.

The condition is checked before use: DuckDB parses it, and only comparisons, logic, arithmetic,
CASE, CAST and pure functions are allowed. It runs in an in-memory database that holds only the
rows in question and cannot open files; it is stopped when it exceeds its time or memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from recorder.answers.sandbox import interrupting
from recorder.errors import ConfigError, UsageError, did_you_mean
from recorder.schema import arrow, duck
from recorder.schema.tables import TABLES
from recorder.stream.event import CLASSES, Event, columns

#: The allowed parts of an expression, as DuckDB's parser names them.
_CLASSES = {"COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "FUNCTION", "OPERATOR"}
_CLASSES |= {"CAST", "TYPE", "CASE", "BETWEEN", "COLLATE", "LAMBDA"}

#: Functions that return the time are allowed; other impure functions are not.
_TIME = {"now", "today", "current_date", "get_current_timestamp", "transaction_timestamp"}

#: The time limit for one batch of rows, in seconds.
_SECONDS = 5.0
_MEMORY = "256MB"


@cache
def types_of(table: str) -> dict[str, str]:
    """Return the columns that a condition can name, with their DuckDB types."""
    return TABLES[table].types


class Judge:
    """Evaluates conditions on rows in the sandbox. One per process, for one thread."""

    def __init__(self) -> None:
        self._db = duck.connect(
            None,
            memory_limit=_MEMORY,
            threads=1,
            python_enable_replacements=False,
            autoinstall_known_extensions=False,
            autoload_known_extensions=False,
            allow_persistent_secrets=False,
            temp_directory="",
        )
        self._pure = self._pure_functions()
        self._db.execute("SET enable_external_access = false")
        self._db.execute("SET lock_configuration = true")

    def close(self) -> None:
        """Close the database and release its memory."""
        self._db.close()

    def _pure_functions(self) -> set[str]:
        sql = """
            SELECT DISTINCT function_name FROM duckdb_functions()
            WHERE function_type = 'macro'
               OR (function_type = 'scalar' AND stability = 'CONSISTENT' AND NOT has_side_effects)
        """
        return {name for (name,) in self._db.execute(sql).fetchall()} | _TIME

    # -- before it is used

    def check(self, table: str, when: str, where: str) -> None:
        """Check a condition on a table; `where` is its place in the settings.

        Raises:
            ConfigError: no such table, or not a boolean expression over its columns.
        """
        if table not in CLASSES:
            hint = did_you_mean(table, CLASSES)
            raise ConfigError(f"no table '{table}' of events", where=where, hint=hint)
        try:
            self._examine(when)
            sql = f"SELECT ({when}\n) AS verdict FROM ({_no_rows_of(table)}) AS {table}"  # noqa: S608
            kind = str(self._db.sql(sql).types[0])
        except duckdb.Error as error:
            what, _, rest = str(error).strip().partition("\n")
            raise ConfigError(what, where=where, hint=rest.strip("\n")) from None
        except UsageError as error:
            raise ConfigError(error.what, where=where, hint=error.hint) from None
        if kind != "BOOLEAN":
            what = f"is of type {kind}, expected true or false"
            raise ConfigError(what, where=where, hint='for example: when = "notional_usd > 1e6"')

    def _examine(self, when: str) -> None:
        sql = f"SELECT 1 FROM t WHERE ({when}\n)"  # noqa: S608 - it is parsed, not run
        found = self._db.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchall()[0][0]
        tree = json.loads(found)
        if tree.get("error"):
            raise UsageError(str(tree.get("error_message", "is not valid SQL")))
        condition = _only_condition(tree)
        for node in _nodes(condition):
            kind = node.get("class")
            if kind is not None and kind not in _CLASSES:
                what = f"{kind.lower().replace('_', ' ')} is not allowed in a condition"
                hint = "compare columns of the row with each other and with values"
                raise UsageError(what, hint=hint)
            name = node.get("function_name")
            if name and (name not in self._pure or node.get("schema") or node.get("catalog")):
                hint = "only functions that depend on nothing but their arguments, and now()"
                raise UsageError(f"the function {name} is not allowed in a condition", hint=hint)

    # -- in use

    def true_of(self, table: str, events: Sequence[Event], when: str) -> list[int]:
        """Return the indices of the events for which a checked condition is true.

        Raises:
            duckdb.Error: it fails on these rows, or exceeds its time or memory.
        """
        names = columns(table)
        schema = pa.schema([(name, arrow.TYPES[types_of(table)[name]]) for name in names])
        values = {name: [getattr(event, name) for event in events] for name in names}
        rows = pa.table(values, schema).append_column("_place", pa.array(range(len(events))))
        self._db.register("batch", rows)
        try:
            sql = (
                f"SELECT _place FROM ({_rows_of(table)}) AS {table} "  # noqa: S608
                f"WHERE ({when}\n) ORDER BY _place"
            )
            with interrupting(self._db.interrupt, _SECONDS):
                return [place for (place,) in self._db.execute(sql).fetchall()]
        finally:
            self._db.unregister("batch")


def _no_rows_of(table: str) -> str:
    """Return a SELECT of a table's columns with their types and without rows."""
    named = (f"NULL::{kind} AS {name}" for name, kind in types_of(table).items())
    return f"SELECT {', '.join(named)} WHERE false"


def _rows_of(table: str) -> str:
    """Return a SELECT of a table's columns with their types from the registered rows."""
    stored = {name: kind for name, kind in types_of(table).items() if name != "recv_time"}
    named = (f"{name}::JSON AS {name}" if kind == "JSON" else name for name, kind in stored.items())
    return (
        f"SELECT _place, {', '.join(named)}, make_timestamptz(recv_ns // 1000) AS recv_time "  # noqa: S608
        "FROM batch"
    )


def _only_condition(tree: dict[str, Any]) -> Any:
    """Return the WHERE clause of a statement.

    Raises:
        UsageError: the statement has anything else.
    """
    refused = UsageError("is not one expression", hint='e.g. when = "notional_usd > 1e6"')
    if len(tree["statements"]) != 1:
        raise refused
    node = tree["statements"][0]["node"]
    empty = ("modifiers", "group_expressions", "group_sets", "having", "sample", "qualify")
    plain = node["type"] == "SELECT_NODE" and not any(node[name] for name in empty)
    if not plain or node["from_table"].get("table_name") != "t" or not node["where_clause"]:
        raise refused
    return node["where_clause"]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a JSON tree."""
    ahead = [tree]
    while ahead:
        node = ahead.pop()
        if isinstance(node, dict):
            yield node
            ahead += node.values()
        elif isinstance(node, list):
            ahead += node
