"""The parts that all export formats share: row filter, target directory, files written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorder import durable
from recorder.errors import UsageError
from recorder.stream.event import Filter

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Written:
    """A file that an export wrote, with its number of rows."""

    path: Path
    rows: int


@dataclass(slots=True)
class Job:
    """One export of the rows that match `wanted` into the directory `out`.

    `progress(file)` is called after each file. `notes` collects remarks on the result for the user.
    """

    connection: duckdb.DuckDBPyConnection
    out: Path
    wanted: Filter
    force: bool = False
    progress: Callable[[Written], None] = lambda written: None
    written: list[Written] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def view(self, name: str, sql: str) -> None:
        """Create a temporary view of `sql`, with its `{where}` replaced by the job's condition."""
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {self.where(sql)}")

    def where(self, sql: str) -> str:
        """Return the SQL with `{where}` replaced by the condition on receive time, feed and symbol.

        The values are literals, since DuckDB's views take no parameters.
        """
        span = self.wanted.span
        parts = [f"recv_ns >= {int(span.since_ns)}", f"recv_ns < {int(span.until_ns)}"]
        for column, chosen in (("feed", self.wanted.feeds), ("symbol", self.wanted.symbols)):
            if chosen is not None:
                parts.append(f"{column} IN ({', '.join(map(quoted, chosen)) or 'NULL'})")
        return sql.replace("{where}", " AND ".join(parts))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query with a small result."""
        return list(self.connection.execute(sql).fetchall())

    @contextmanager
    def file(self, path: Path) -> Iterator[Path]:
        """Yield a temporary path to write to; publish it as `path` when the block succeeds.

        Raises:
            UsageError: the file exists, and `force` is not set.
        """
        if path.exists() and not self.force:
            hint = "choose another --out, or add --force to replace it"
            raise UsageError("the file exists", where=str(path), hint=hint)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            yield temporary
            durable.publish(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def done(self, path: Path, rows: int) -> None:
        """Add a finished file to `written` and report it."""
        self.written.append(Written(path, rows))
        self.progress(self.written[-1])

    def copy(self, select: str, path: Path, options: str) -> None:
        """Write the rows of a SELECT to a file with DuckDB's COPY."""
        with self.file(path) as temporary:
            copied = f"COPY ({select}) TO {quoted(str(temporary))} ({options})"
            [(rows,)] = self.connection.execute(copied).fetchall()
        self.done(path, int(rows))


def quoted(text: str) -> str:
    """Return a text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def safe(name: str) -> str:
    """Return a name without the characters that are not safe in a file name, such as slashes."""
    return "".join(c if c.isalnum() or c in "-_.+" else "-" for c in name).lstrip(".") or "-"
