"""What every export has in common: what to take, where to put it, what was written."""

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
    """A file of an export, and how many rows it holds."""

    path: Path
    rows: int


@dataclass(slots=True)
class Job:
    """One export of the rows `wanted` into the directory `out`.

    `tell(files)` hears of each file; `notes` gathers what a user must know of the result.
    """

    connection: duckdb.DuckDBPyConnection
    out: Path
    wanted: Filter
    force: bool = False
    tell: Callable[[Written], None] = lambda written: None
    written: list[Written] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def view(self, name: str, sql: str) -> None:
        """Make a temporary view of rows: `sql` may end in a condition with `{where}`.

        DuckDB's views take no parameters: names are quoted here.
        """
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {self.where(sql)}")

    def where(self, sql: str) -> str:
        """The SQL with `{where}` replaced by the condition on receive time, feed and symbol."""
        span = self.wanted.span
        parts = [f"recv_ns >= {int(span.since_ns)}", f"recv_ns < {int(span.until_ns)}"]
        for column, chosen in (("feed", self.wanted.feeds), ("symbol", self.wanted.symbols)):
            if chosen is not None:
                parts.append(f"{column} IN ({', '.join(map(quoted, chosen)) or 'NULL'})")
        return sql.replace("{where}", " AND ".join(parts))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Some few rows."""
        return list(self.connection.execute(sql).fetchall())

    @contextmanager
    def file(self, path: Path) -> Iterator[Path]:
        """A place to write to, which becomes `path` once it is whole.

        Raises:
            UsageError: the file is there already, and `force` is not set.
        """
        if path.exists() and not self.force:
            hint = "choose another --out, or --force to replace it"
            raise UsageError("is there already", where=str(path), hint=hint)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            yield temporary
            durable.publish(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def done(self, path: Path, rows: int) -> None:
        """Note a finished file."""
        self.written.append(Written(path, rows))
        self.tell(self.written[-1])

    def copy(self, select: str, path: Path, options: str) -> None:
        """Write the rows of a SELECT with DuckDB's COPY; none, no file."""
        with self.file(path) as temporary:
            copied = f"COPY ({select}) TO {quoted(str(temporary))} ({options})"
            [(rows,)] = self.connection.execute(copied).fetchall()
        self.done(path, int(rows))


def quoted(text: str) -> str:
    """A SQL string."""
    return "'" + text.replace("'", "''") + "'"


def safe(name: str) -> str:
    """A name as a part of a file's name: symbols may hold slashes and worse."""
    return "".join(c if c.isalnum() or c in "-_.+" else "-" for c in name).lstrip(".") or "-"
