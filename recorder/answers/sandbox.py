"""The sandbox for untrusted SQL: it can read the record and nothing else.

Four independent barriers:

1. One statement that returns rows (`statement`): SELECT, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE,
   or EXPLAIN of one of them.
2. The database is opened read-only, or is in memory and read in a read-only transaction.
3. No files: `enable_external_access = false`, then `lock_configuration = true`. Arrow reads
   `raw` outside DuckDB, so that the SQL cannot open even the raw directory. An allowed directory
   would be writable: `WITH x AS (COPY … TO 'raw/…') FROM x` is a SELECT.
4. Memory and threads are limited, and `interrupting` stops a query that takes too long.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from recorder.answers import database, frames
from recorder.answers.unread import unread
from recorder.errors import DataError, RecorderError, UsageError
from recorder.record.layout import Layout
from recorder.schema.versions import explained

if TYPE_CHECKING:
    from collections.abc import Callable

#: How often (s) a query's memory is compared with its limit.
_LOOK_SECONDS = 0.02

#: Settings of the sandbox: no Python variable is a table; DuckDB neither installs nor spills.
_CLOSED: dict[str, str | bool | int] = {
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_persistent_secrets": False,
    "temp_directory": "",
}
_ALLOWED = "a SELECT, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN is"
_EXPLAIN = re.compile(r"EXPLAIN\b\s*(?:ANALYZE\b|\([^)]*\))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """The limits of one query; None for `seconds` or `rows`: unlimited."""

    seconds: float | None = 60.0
    rows: int | None = None
    memory_mb: int = 2048
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows, and whether the limit cut off more."""

    table: pa.Table
    more: bool


def connect(
    layout: Layout, limits: QueryLimits, raw_url: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Open the published database with tables, macros and `raw`, without access to anything else.

    `raw` includes the journals, and the sealed files of the bucket at `raw_url`.

    Raises:
        DataError, BusyError: the database or the raw frames cannot be read.
    """
    connection = database.connect(layout.database, **settings(limits))
    try:
        frames.show(connection, layout, raw_url)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        connection.close()
        what = f"cannot read the raw frames: {_first_line(error)}"
        hint = "examine them: recorder verify"
        raise DataError(what, where=str(layout.raw), hint=hint) from error
    shut(connection)
    return connection


def settings(limits: QueryLimits) -> dict[str, str | bool | int]:
    """Return the settings with which to open a connection that `shut` closes off later."""
    memory = {"memory_limit": f"{limits.memory_mb}MB"}
    return _CLOSED | memory | ({"threads": limits.threads} if limits.threads else {})


def shut(connection: duckdb.DuckDBPyConnection) -> None:
    """Forbid a connection all access beyond what it has already."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def freeze(connection: duckdb.DuckDBPyConnection) -> None:
    """Forbid writes in an in-memory database, which cannot be opened read-only.

    It holds for one query: an error ends the transaction.
    """
    connection.execute("BEGIN TRANSACTION READ ONLY")


def statement(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return the only statement of the text.

    Raises:
        UsageError: the text has none or several, or the statement is not allowed.
    """
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise _refused(error) from error
    if not statements:
        raise UsageError("no SQL given", hint="for example: recorder sql 'SHOW TABLES'")
    if len(statements) > 1:
        hint = "run one at a time; WITH combines several steps"
        raise UsageError(f"{len(statements)} statements were given, one is allowed", hint=hint)
    [only] = statements
    kind = only.type
    if kind == duckdb.StatementType.EXPLAIN:
        inner = _EXPLAIN.sub("", only.query, count=1)
        statement(connection, inner)
    elif kind == duckdb.StatementType.MULTI:
        hint = "name the values of a PIVOT: PIVOT t ON column IN ('a', 'b') …"
        raise UsageError("a statement that becomes several is not allowed", hint=hint)
    elif kind != duckdb.StatementType.SELECT:
        hint = f"{_ALLOWED}; the database is opened read-only"
        raise UsageError(f"{kind.name} is not allowed here", hint=hint)
    query: str = only.query
    return query


def run(connection: duckdb.DuckDBPyConnection, sql: str, limits: QueryLimits) -> Answer:
    """Run one statement within the limits; return its rows.

    Raises:
        RecorderError: the statement is refused, fails or exceeds a limit.
    """
    query = statement(connection, sql)
    try:
        with interrupting(connection.interrupt, limits.seconds) as late:
            return _read(connection, query, limits)
    except (duckdb.InterruptException, RuntimeError) as error:
        if late.is_set():
            raise too_late(limits) from error
        raise KeyboardInterrupt from error
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        if (other := explained(connection)) is None:
            raise _refused(error, limits) from error
        what = f"{_first_line(error)}; these are {other.what}"
        raise DataError(what, where=other.where, hint=other.hint) from error
    except duckdb.Error as error:
        raise _refused(error, limits) from error


def _read(connection: duckdb.DuckDBPyConnection, query: str, limits: QueryLimits) -> Answer:
    """Read in batches, so that an endless answer stops at a limit instead of filling memory."""
    reader = connection.sql(query).to_arrow_reader(10_000)
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        batches.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if limits.rows is not None and rows > limits.rows:
            break
        if size > limits.memory_mb << 20:
            hint = "select fewer rows or columns (--limit, LIMIT, GROUP BY), or raise --memory"
            raise RecorderError(f"the answer is larger than {limits.memory_mb} MB", hint=hint)
    table = pa.Table.from_batches(batches, reader.schema)
    more = limits.rows is not None and rows > limits.rows
    return Answer(table.slice(0, limits.rows) if more else table, more)


@contextlib.contextmanager
def interrupting(stop: Callable[[], None], seconds: float | None) -> Iterator[threading.Event]:
    """Call `stop` after `seconds` unless the block has ended; the yielded event is then set."""
    late = threading.Event()

    def ring() -> None:
        late.set()
        stop()

    timer = threading.Timer(seconds or 0, ring)
    timer.daemon = True
    if seconds:
        timer.start()
    try:
        yield late
    finally:
        timer.cancel()


@contextlib.contextmanager
def within_memory(end: Callable[[], None], memory_mb: int) -> Iterator[None]:
    """Call `end`, which has to end the process, once the block takes more than `memory_mb` (Linux).

    DuckDB's own limit leaves out the memory of single values: `repeat('a', 900000000)`. The
    process's memory is compared every `_LOOK_SECONDS`, so a block may exceed it by what the machine
    writes in that time: some 200 MB.
    """
    start, over = _own_memory(), threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            if _own_memory() - start > memory_mb << 20:
                end()

    watch = threading.Thread(target=look, daemon=True)
    if start:
        watch.start()
    try:
        yield
    finally:
        over.set()


def _own_memory() -> int:
    """Return the bytes of memory that are this process's alone; 0 where the kernel does not say."""
    try:
        status = Path("/proc/self/status").read_bytes()
    except OSError:
        return 0
    found = re.search(rb"RssAnon:\s+(\d+) kB", status)
    return int(found[1]) << 10 if found else 0


def too_much(limits: QueryLimits) -> RecorderError:
    """Return the error for a query that was ended because of its memory."""
    hint = "aggregate earlier, read fewer columns, or choose a shorter period"
    return RecorderError(f"the query needs more memory than {limits.memory_mb} MB", hint=hint)


def too_late(limits: QueryLimits) -> RecorderError:
    """Return the error for a query that was stopped."""
    hint = "narrow it (e.g. WHERE recv_time > …), or allow more with --timeout"
    return RecorderError(f"the query was stopped after {limits.seconds:g} s", hint=hint)


def _refused(error: duckdb.Error, limits: QueryLimits | None = None) -> RecorderError:
    """Return DuckDB's error as ours: what, where in the SQL, what to do next."""
    text = str(error).strip()
    if isinstance(error, duckdb.OutOfMemoryException):
        limit = f"{limits.memory_mb} MB" if limits else "its limit"
        hint = "aggregate earlier, read fewer columns, or raise --memory"
        return RecorderError(f"the query needs more memory than {limit}", hint=hint)
    if isinstance(error, duckdb.PermissionException):
        hint = "only the tables, the macros and 'raw' can be read here"
        return UsageError(_first_line(error), hint=hint)
    if frames.NAME in text and "failed" in text:
        what = f"raw frames cannot be read: {text.partition('failed: ')[2].splitlines()[0]}"
        return DataError(what, hint="examine them: recorder verify")
    if lost := unread(error):
        return lost
    if "read-only mode" in text:
        return UsageError("the query writes", hint=f"only {_ALLOWED} allowed")
    what, _, rest = text.partition("\n")
    return UsageError(what, hint=rest.strip("\n").replace("\n", "\n  ") or "recorder sql --help")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
