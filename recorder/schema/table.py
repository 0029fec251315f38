"""What a table is: columns with their types and meanings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its DuckDB type and its meaning."""

    name: str
    type: str
    comment: str

    @property
    def plain_type(self) -> str:
        """The type alone, without NOT NULL or PRIMARY KEY."""
        return self.type.split()[0]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, the meaning of a row, and its columns in order."""

    name: str
    comment: str
    columns: tuple[Column, ...]

    @property
    def types(self) -> dict[str, str]:
        """The columns' types alone, by name."""
        return {column.name: column.plain_type for column in self.columns}

    @property
    def ddl(self) -> str:
        """The `CREATE TABLE IF NOT EXISTS`, with a comment on the table and on each column."""
        columns = ", ".join(f"{c.name} {c.type}" for c in self.columns)
        comments = [f"COMMENT ON TABLE {self.name} IS {_quoted(self.comment)}"]
        comments += [
            f"COMMENT ON COLUMN {self.name}.{c.name} IS {_quoted(c.comment)}" for c in self.columns
        ]
        return ";\n".join([f"CREATE TABLE IF NOT EXISTS {self.name} ({columns})", *comments])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
