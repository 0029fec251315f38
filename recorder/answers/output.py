"""The output of an answer as table, CSV, JSON, Markdown, Parquet or Arrow.

A feed's bytes are untrusted: on a terminal, control and invisible characters become escapes
(`\\x1b`), and nothing is read as markup.
"""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from recorder.answers.cells import cells, is_number, is_whole, json_of, text_of, values, visible
from recorder.errors import UsageError, did_you_mean

if TYPE_CHECKING:  # help and completion must not load it
    import pyarrow as pa
    from rich.console import JustifyMethod

FORMATS = ("table", "csv", "json", "jsonl", "parquet", "arrow", "md")

_TERMINAL_ROWS = 1000
_BATCH_ROWS = 10_000
_READABLE, _NARROWEST = 24, 12  # cells that a cut text keeps if possible, and at least
_BETWEEN = 2  # cells between two columns


def write(table: pa.Table, format: str | None, stream: TextIO) -> None:
    """Write the rows to a text stream; the default is a table on a terminal, CSV elsewhere.

    Parquet and Arrow (the IPC file format) go to the stream's binary buffer, never to a terminal.

    Raises:
        UsageError: an unknown format, or a binary one on a terminal.
    """
    terminal = stream.isatty()
    match format or ("table" if terminal else "csv"):
        case "table":
            _write_table(table, stream, terminal)
        case "csv":
            _write_csv(table, stream, terminal)
        case "json":
            _write_json(table, stream)
        case "jsonl":
            stream.writelines(f"{line}\n" for line in _objects(table))
        case "md":
            _write_markdown(table, stream)
        case "parquet" | "arrow" as binary:
            if terminal:
                hint = f"send it to a file: ... --format {binary} > rows.{binary}"
                raise UsageError(f"{binary} would garble the terminal", hint=hint)
            stream.flush()
            _write_binary(table, binary, stream.buffer)
        case other:
            raise UsageError(f"no format '{other}'", hint=did_you_mean(other, FORMATS))
    stream.flush()


# --- for programs --------------------------------------------------------------------------------


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Yield the rows as Python values: times in UTC, bytes as text."""
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        yield from zip(*(values(column) for column in batch.columns), strict=True)


def _write_csv(table: pa.Table, stream: TextIO, terminal: bool) -> None:
    writer = csv.writer(_UnixLines(stream))
    shown = visible if terminal else str
    writer.writerow(map(shown, table.column_names))
    for row in _rows(table):
        writer.writerow([shown(_inert(value)) for value in row])


#: A spreadsheet runs a text that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _inert(value: Any) -> str:
    """Return a value as text, with an apostrophe in front if a spreadsheet would run it."""
    text = text_of(value)
    if not isinstance(value, str) or not text.startswith(_FORMULA) or _is_number(text):
        return text
    return f"'{text}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _UnixLines:
    """A stream that ends lines with "\\n" only, although csv.writer still quotes a lone "\\r"."""

    stream: TextIO

    def write(self, row: str) -> int:
        return self.stream.write(row.removesuffix("\r\n") + "\n")


def _objects(table: pa.Table) -> Iterator[str]:
    names = table.column_names
    return (json_of(dict(zip(names, row, strict=True))) for row in _rows(table))


def _write_json(table: pa.Table, stream: TextIO) -> None:
    stream.write("[")
    for i, line in enumerate(_objects(table)):
        stream.write(f"{',' if i else ''}\n{line}")
    stream.write("\n]\n")


def _write_binary(table: pa.Table, format: str, stream: BinaryIO) -> None:
    if format == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, stream, compression="zstd")
        return
    import pyarrow as pa

    with pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)


# --- for people ----------------------------------------------------------------------------------


def _write_markdown(table: pa.Table, stream: TextIO) -> None:
    columns = [cells(column) for column in table.columns]
    ends = ["---:" if is_number(f.type) else "---" for f in table.schema]
    lines = itertools.chain([table.column_names, ends], zip(*columns, strict=True))
    for i, line in enumerate(lines):
        shown = line if i == 1 else [_markdown(cell or "") for cell in line]
        stream.write(f"| {' | '.join(str(cell) for cell in shown)} |\n")


def _markdown(text: str) -> str:
    text = visible(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\|`*[]" else c for c in text)


def _write_table(table: pa.Table, stream: TextIO, terminal: bool) -> None:
    """Write a table: on a terminal what fits and a note of the rest, elsewhere everything."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    plain = not terminal or bool(os.environ.get("NO_COLOR"))
    console = Console(file=stream, force_terminal=terminal, color_system=None if plain else "auto")
    shown = table.slice(0, _TERMINAL_ROWS) if terminal else table
    columns = [cells(column) for column in shown.columns]
    names = [visible(name) for name in table.column_names]
    widths = [_widest(name, texts) for name, texts in zip(names, columns, strict=True)]
    if terminal:
        widths = _fitted(widths, [is_whole(field.type) for field in table.schema], console.width)
    else:
        console.width = sum(widths) + _BETWEEN * len(widths)
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name, field, width in zip(names, table.schema, widths, strict=False):
        justify: JustifyMethod = "right" if is_number(field.type) else "left"
        drawn.add_column(Text(name), justify=justify, width=width, no_wrap=True)
    dash = Text("-", style="dim")
    for row in zip(*columns[: len(widths)], strict=True):
        drawn.add_row(*(dash if cell is None else Text(cell) for cell in row))
    console.print(drawn)
    if note := _left_out(table.num_rows - shown.num_rows, names[len(widths) :]):
        console.print(Text(note, style="dim"), soft_wrap=True)


def _widest(name: str, texts: list[str | None]) -> int:
    from rich.cells import cell_len

    return max(cell_len(text or "-") for text in (name, *texts))


def _fitted(natural: list[int], whole: list[bool], room: int) -> list[int]:
    """Return the widths of the columns, from the left, that fit; the widest texts are cut.

    No text is cut below _READABLE to fit one more column, except to show the start of a last text.
    """
    columns = list(zip(natural, whole, strict=True))
    ends = [*itertools.accumulate((n if w else min(n, _READABLE)) + _BETWEEN for n, w in columns)]
    fitting = max(1, sum(end - _BETWEEN <= room for end in ends))
    if fitting < len(columns) and not whole[fitting] and ends[fitting - 1] + _NARROWEST <= room:
        fitting += 1
    room -= _BETWEEN * (fitting - 1)
    widths = [n if w else min(n, _NARROWEST) for n, w in columns[:fitting]]
    for limit in range(_NARROWEST + 1, min(max(natural), room) + 1):
        wider = [n if w else min(n, limit) for n, w in columns[:fitting]]
        if sum(wider) > room:
            break
        widths = wider
    return widths


def _left_out(rows: int, names: list[str]) -> str:
    parts = [f"{rows:,} more rows"] if rows > 0 else []
    if names:
        parts.append(f"more columns: {', '.join(names)}")
    return f"{'; '.join(parts)} (--format csv shows all)" if parts else ""
