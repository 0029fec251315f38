"""The child process that runs one query: `python -m recorder.serve.answer`.

It reads one JSON object from stdin, and writes an HTTP status, a newline and the body to stdout.
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

#: Address space for data in addition to the query's limit; the kernel refuses more than that.
_OVERHEAD_MB = 3072
#: What the process may take beyond a query's limit: libraries, the plan, the encoded answer.
_LIBRARIES_MB = 256

#: DuckDB's names of Arrow types.
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


class QueryRequest(msgspec.Struct):
    """A canned query by name, SQL, or data for the calendar, according to `kind`."""

    data_dir: str
    kind: str
    limits: sandbox.QueryLimits
    name: str = ""
    sql: str = ""
    params: dict[str, str] = {}
    format: str = "json"


def answer(request: QueryRequest) -> bytes:
    """Return the body of the answer, as JSON or CSV.

    Raises:
        RecorderError: the query is wrong, too slow or too large, or there is no database.
    """
    from pathlib import Path

    layout = Layout(Path(request.data_dir))
    with sandbox.connect(layout, request.limits) as connection:
        result = _run(connection, request)
        if request.format == "csv":
            stream = io.StringIO(newline="")
            output.write(result.table, "csv", stream)
            return stream.getvalue().encode()
        newest = calendar.newest_ns(connection)
        return _json(request.name or request.kind, result, database.freshness(connection), newest)


def _run(connection: duckdb.DuckDBPyConnection, request: QueryRequest) -> sandbox.Answer:
    if request.kind == "sql":
        return sandbox.run(connection, request.sql, request.limits)
    stop = connection.interrupt
    with sandbox.interrupting(stop, request.limits.seconds) as late:
        try:
            table = _table(connection, request)
        except (duckdb.InterruptException, RuntimeError) as error:
            if late.is_set():
                raise sandbox.too_late(request.limits) from error
            raise
    most = request.limits.rows
    more = most is not None and table.num_rows > most
    return sandbox.Answer(table.slice(0, most) if more else table, more)


def _table(connection: duckdb.DuckDBPyConnection, request: QueryRequest) -> pa.Table:
    if request.kind == "coverage":
        return calendar.coverage(connection, int(request.params["days"]))
    if request.kind == "gaps":
        return calendar.gaps(connection, request.params["feed"], request.params["day"])
    queries = canned.load()
    if request.name not in queries:
        hint = did_you_mean(request.name, queries)
        raise UsageError(f"there is no query '{request.name}'", hint=hint)
    return canned.run(connection, queries[request.name], request.params)


def _json(name: str, result: sandbox.Answer, freshness: str, newest_ns: int | None) -> bytes:
    columns = [{"name": f.name, "type": _type(f.type)} for f in result.table.schema]
    values = [cells.values(column) for column in result.table.columns]
    rows = [list(row) for row in zip(*values, strict=True)]
    body = {"name": name, "columns": columns, "rows": rows, "more": result.more}
    body |= {"freshness": freshness, "newest_ns": newest_ns}
    return cells.json_of(body).encode()


def _type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP WITH TIME ZONE" if kind.tz else "TIMESTAMP"
    return _TYPES.get(str(kind), str(kind).upper())


def refusal(error: RecorderError) -> tuple[int, bytes]:
    """Return an error as an HTTP status and a JSON body: {error, where, next}."""
    status = 400 if isinstance(error, UsageError) else 503 if isinstance(error, DataError) else 422
    body = {"error": error.what, "where": error.where, "next": error.hint}
    return status, cells.json_of(body).encode()


def main() -> None:
    """Run the query of stdin; write the answer to stdout."""
    text = sys.stdin.buffer.read()
    if not text:  # this process was started ahead and not needed
        return
    request = msgspec.json.decode(text, type=QueryRequest)
    most = (request.limits.memory_mb + _OVERHEAD_MB) << 20
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    seconds = (request.limits.seconds or 0) + 2
    memory_mb = request.limits.memory_mb + _LIBRARIES_MB
    with (
        sandbox.interrupting(lambda: os._exit(1), seconds),
        sandbox.within_memory(lambda: _end(request.limits), memory_mb),
    ):
        try:
            status, body = 200, answer(request)
        except RecorderError as error:
            status, body = refusal(error)
        except (MemoryError, pa.ArrowMemoryError):
            what = "the query needs more memory than allowed"
            hint = "choose a shorter period or fewer rows"
            status, body = refusal(RecorderError(what, hint=hint))
        except Exception as error:
            status, body = refusal(RecorderError(f"{type(error).__name__}: {str(error)[:500]}"))
    sys.stdout.buffer.write(b"%d\n" % status + body)
    sys.stdout.buffer.flush()


def _end(limits: sandbox.QueryLimits) -> None:
    """End the process, with an answer that says why."""
    status, body = refusal(sandbox.too_much(limits))
    with contextlib.suppress(OSError):
        os.write(1, b"%d\n" % status + body)
    os._exit(1)


if __name__ == "__main__":
    main()
