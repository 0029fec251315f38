"""The child process that answers one question: `python -m recorder.serve.answer`.

The question is one JSON object on stdin; the answer, on stdout, an HTTP status, a line's end, and
the body.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import sys

import duckdb
import msgspec
import pyarrow as pa

from recorder.answers import canned, cells, database, output, sandbox
from recorder.errors import DataError, RecorderError, UsageError, did_you_mean
from recorder.record.layout import Layout
from recorder.serve import calendar

#: Memory beside the query's own: the libraries, the answer, the database's pages.
_BESIDE_MB = 3072

#: Arrow's types as DuckDB calls them.
_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "int32": "INTEGER",
    "double": "DOUBLE",
    "float": "FLOAT",
    "bool": "BOOLEAN",
    "date32[day]": "DATE",
    "binary": "BLOB",
}


class Question(msgspec.Struct):
    """What is asked: a canned query by name, SQL, or what the calendar shows."""

    data_dir: str
    kind: str
    limits: sandbox.Limits
    name: str = ""
    sql: str = ""
    params: dict[str, str] = {}
    format: str = "json"


def answer(asked: Question) -> bytes:
    """The body of the answer; every refusal is a RecorderError."""
    from pathlib import Path

    layout = Layout(Path(asked.data_dir))
    with sandbox.connect(layout, asked.limits) as connection:
        found = _found(connection, asked)
        if asked.format == "csv":
            stream = io.StringIO(newline="")
            output.write(found.table, "csv", stream)
            return stream.getvalue().encode()
        newest = calendar.newest_ns(connection)
        return _json(asked.name or asked.kind, found, database.freshness(connection), newest)


def _found(connection: duckdb.DuckDBPyConnection, asked: Question) -> sandbox.Answer:
    if asked.kind == "sql":
        return sandbox.run(connection, asked.sql, asked.limits)
    stop = connection.interrupt
    with sandbox.interrupting(stop, asked.limits.seconds) as late:
        try:
            table = _table(connection, asked)
        except (duckdb.InterruptException, RuntimeError) as error:
            if late.is_set():
                raise sandbox.too_late(asked.limits) from error
            raise
    most = asked.limits.rows
    more = most is not None and table.num_rows > most
    return sandbox.Answer(table.slice(0, most) if more else table, more)


def _table(connection: duckdb.DuckDBPyConnection, asked: Question) -> pa.Table:
    if asked.kind == "coverage":
        return calendar.coverage(connection, int(asked.params["days"]))
    if asked.kind == "gaps":
        return calendar.gaps(connection, asked.params["feed"], asked.params["day"])
    queries = canned.load()
    if asked.name not in queries:
        raise UsageError(f"no query '{asked.name}'", hint=did_you_mean(asked.name, queries))
    return canned.run(connection, queries[asked.name], asked.params)


def _json(name: str, found: sandbox.Answer, freshness: str, newest_ns: int | None) -> bytes:
    columns = [{"name": f.name, "type": _type(f.type)} for f in found.table.schema]
    values = [cells.values(column) for column in found.table.columns]
    rows = [list(row) for row in zip(*values, strict=True)]
    told = {"name": name, "columns": columns, "rows": rows, "more": found.more}
    told |= {"freshness": freshness, "newest_ns": newest_ns}
    return cells.json_of(told).encode()


def _type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP WITH TIME ZONE" if kind.tz else "TIMESTAMP"
    return _TYPES.get(str(kind), str(kind).upper())


def refusal(error: RecorderError) -> tuple[int, bytes]:
    """An error as an HTTP status and a JSON body: {error, where, next}."""
    status = 400 if isinstance(error, UsageError) else 503 if isinstance(error, DataError) else 422
    told = {"error": error.what, "where": error.where, "next": error.hint}
    return status, cells.json_of(told).encode()


def main() -> None:
    """Answer one question, and end."""
    text = sys.stdin.buffer.read()
    if not text:  # a spare that was not needed
        return
    asked = msgspec.json.decode(text, type=Question)
    most = (asked.limits.memory_mb + _BESIDE_MB) << 20
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    seconds = (asked.limits.seconds or 0) + 2
    with sandbox.interrupting(lambda: os._exit(1), seconds):
        try:
            status, body = 200, answer(asked)
        except RecorderError as error:
            status, body = refusal(error)
        except (MemoryError, pa.ArrowMemoryError):
            what = "the query needs more memory than it is allowed"
            status, body = refusal(RecorderError(what, hint="ask for less"))
        except Exception as error:
            status, body = refusal(RecorderError(f"{type(error).__name__}: {str(error)[:500]}"))
    sys.stdout.buffer.write(b"%d\n" % status + body)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
