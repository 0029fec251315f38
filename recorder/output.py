"""An answer's way out: a table for people, CSV, JSON, Markdown, Parquet or Arrow for programs.

Every byte of a feed is hostile. On a terminal, control and invisible characters are shown as
escapes (`\\x1b`), never sent, and nothing is read as markup.
"""

from __future__ import annotations

import csv
import itertools
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import msgspec

from recorder.errors import UsageError, did_you_mean

if TYPE_CHECKING:  # help and completion never load it
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


def visible(text: str) -> str:
    """The text with control, format and other invisible characters as escapes: one safe line."""
    if text.isprintable():
        return text
    return "".join(map(_visible_character, text))


def _visible_character(c: str) -> str:
    if c.isprintable() or unicodedata.category(c) == "Zs":  # a wide or no-break space is harmless
        return c
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(c)
    return short or (f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{{{ord(c):x}}}")


# --- values --------------------------------------------------------------------------------------


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """The rows as Python values, times in UTC, bytes as text."""
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        yield from zip(*(_values(column) for column in batch.columns), strict=True)


def _values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz not in {None, "UTC"}:
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):  # nanoseconds, or a year that Python has no date for
        values = column.cast(pa.string()).to_pylist()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [None if value is None else _decoded(value) for value in values]
    return values


def _decoded(value: bytes) -> str:
    """Bytes as text where they are UTF-8, else in hexadecimal."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def _text(value: Any) -> str:
    """A value as a program reads it: ISO 8601 times, every digit of a number, lists as JSON."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            return _json(value)


_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def _json(value: Any) -> str:
    """JSON that holds no control or invisible character; infinities and NaN are null."""
    text = _encoder.encode(value).decode()
    return text if text.isprintable() else "".join(map(_json_character, text))


def _json_character(c: str) -> str:
    if c.isprintable() or unicodedata.category(c) == "Zs":
        return c
    units = c.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


# --- for programs --------------------------------------------------------------------------------


def _write_csv(table: pa.Table, stream: TextIO, terminal: bool) -> None:
    writer = csv.writer(_UnixLines(stream))
    shown = visible if terminal else str
    writer.writerow(map(shown, table.column_names))
    for row in _rows(table):
        writer.writerow([shown(_text(value)) for value in row])


@dataclass(frozen=True, slots=True)
class _UnixLines:
    """Ends lines with a newline alone, while the writer quotes a lone carriage return too."""

    stream: TextIO

    def write(self, row: str) -> int:
        return self.stream.write(row.removesuffix("\r\n") + "\n")


def _objects(table: pa.Table) -> Iterator[str]:
    names = table.column_names
    return (_json(dict(zip(names, row, strict=True))) for row in _rows(table))


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


def _cells(column: pa.ChunkedArray) -> list[str | None]:
    """A column as people read it: no wall of zeros, no stray digits, nothing invisible."""
    values = _values(column)
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, float) for value in known):
        decimals = max(map(_decimals, known))
        return [None if value is None else _number(value, decimals) for value in values]
    if known and all(isinstance(value, datetime) for value in known):
        precision = _precision(known)
        return [None if value is None else _moment(value, precision) for value in values]
    return [None if value is None else visible(_text(value)) for value in values]


def _decimals(value: float) -> int:
    """Decimals to show: six significant digits in all, but cents of anything over a thousand."""
    if not abs(value) < 1e15 or abs(value) < 1e-12:  # NaN and infinity too
        return 0
    text = f"{value:.2f}" if abs(value) >= 1000 else f"{Decimal(f'{value:.6g}'):f}"
    _, _, fraction = text.partition(".")
    return len(fraction.rstrip("0"))


def _number(value: float, decimals: int) -> str:
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-12:
        return f"{value:.6g}"
    return f"{value:,.{decimals}f}"


def _precision(moments: list[datetime]) -> str:
    """What the column needs: days, minutes, seconds, milliseconds or microseconds."""
    if any(m.microsecond % 1000 for m in moments):
        return "microseconds"
    if any(m.microsecond for m in moments):
        return "milliseconds"
    if any(m.second for m in moments):
        return "seconds"
    return "minutes" if any(m.hour or m.minute for m in moments) else "days"


def _moment(value: datetime, precision: str) -> str:
    if precision == "days":
        return value.date().isoformat()
    return value.isoformat(" ", precision).replace("+00:00", "Z")


def _write_markdown(table: pa.Table, stream: TextIO) -> None:
    columns = [_cells(column) for column in table.columns]
    ends = ["---:" if _is_number(f.type) else "---" for f in table.schema]
    lines = itertools.chain([table.column_names, ends], zip(*columns, strict=True))
    for i, line in enumerate(lines):
        cells = line if i == 1 else [_markdown(cell or "") for cell in line]
        stream.write(f"| {' | '.join(str(cell) for cell in cells)} |\n")


def _markdown(text: str) -> str:
    text = visible(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\|`*[]" else c for c in text)


def _is_number(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _is_whole(kind: pa.DataType) -> bool:
    """True where a cut value would be a false one: numbers, times and flags."""
    from pyarrow import types

    return _is_number(kind) or bool(types.is_temporal(kind) or types.is_boolean(kind))


def _write_table(table: pa.Table, stream: TextIO, terminal: bool) -> None:
    """On a terminal what fits, with a note of what does not; elsewhere everything, uncut."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    plain = not terminal or bool(os.environ.get("NO_COLOR"))
    console = Console(file=stream, force_terminal=terminal, color_system=None if plain else "auto")
    shown = table.slice(0, _TERMINAL_ROWS) if terminal else table
    columns = [_cells(column) for column in shown.columns]
    names = [visible(name) for name in table.column_names]
    widths = [_widest(name, cells) for name, cells in zip(names, columns, strict=True)]
    if terminal:
        widths = _fitted(widths, [_is_whole(field.type) for field in table.schema], console.width)
    else:
        console.width = sum(widths) + _BETWEEN * len(widths)
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name, field, width in zip(names, table.schema, widths, strict=False):
        justify: JustifyMethod = "right" if _is_number(field.type) else "left"
        drawn.add_column(Text(name), justify=justify, width=width, no_wrap=True)
    dash = Text("-", style="dim")
    for row in zip(*columns[: len(widths)], strict=True):
        drawn.add_row(*(dash if cell is None else Text(cell) for cell in row))
    console.print(drawn)
    if note := _left_out(table.num_rows - shown.num_rows, names[len(widths) :]):
        console.print(Text(note, style="dim"), soft_wrap=True)


def _widest(name: str, cells: list[str | None]) -> int:
    from rich.cells import cell_len

    return max(cell_len(text or "-") for text in (name, *cells))


def _fitted(natural: list[int], whole: list[bool], room: int) -> list[int]:
    """Widths for as many columns, from the left, as fit the room; the widest texts are cut.

    No text is cut below _READABLE for a column more, except to show the start of a last text.
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
