"""Values as text for people and for programs.

A feed's bytes are untrusted: for people, control and invisible characters become escapes
(`\\x1b`).
"""

from __future__ import annotations

import unicodedata
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:  # help and completion must not load it
    import pyarrow as pa


def visible(text: str) -> str:
    """Return the text as one safe line: control, format and invisible characters as escapes."""
    if text.isprintable():
        return text
    return "".join(map(_visible_character, text))


def _visible_character(c: str) -> str:
    if c.isprintable() or unicodedata.category(c) == "Zs":  # a wide or no-break space is harmless
        return c
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(c)
    return short or (f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{{{ord(c):x}}}")


def values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Return a column as Python values: times in UTC, bytes as text."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz not in {None, "UTC"}:
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    try:
        found: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):  # nanoseconds, or a year that Python has no date for
        found = column.cast(pa.string()).to_pylist()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [None if value is None else _decoded(value) for value in found]
    return found


def _decoded(value: bytes) -> str:
    """Return bytes as text if they are UTF-8, else in hexadecimal."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def text_of(value: Any) -> str:
    """Return a value as text for programs: ISO 8601 times, all digits, lists as JSON."""
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
            return json_of(value)


_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def json_of(value: Any) -> str:
    """Return JSON without control or invisible characters; infinities and NaN become null."""
    text = _encoder.encode(value).decode()
    return text if text.isprintable() else "".join(map(_json_character, text))


def _json_character(c: str) -> str:
    if c.isprintable() or unicodedata.category(c) == "Zs":
        return c
    units = c.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def cells(column: pa.ChunkedArray) -> list[str | None]:
    """Return a column as text for people: rounded alike, nothing invisible; None stays None."""
    found = values(column)
    known = [value for value in found if value is not None]
    if known and all(isinstance(value, float) for value in known):
        decimals = max(map(_decimals, known))
        return [None if value is None else _number(value, decimals) for value in found]
    if known and all(isinstance(value, datetime) for value in known):
        precision = _precision(known)
        return [None if value is None else _moment(value, precision) for value in found]
    return [None if value is None else visible(text_of(value)) for value in found]


def _decimals(value: float) -> int:
    """Return the decimals to show: six significant digits, but two decimals from 1000 on."""
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
    """Return the precision the column needs: days, minutes, seconds, milli- or microseconds."""
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


def is_number(kind: pa.DataType) -> bool:
    """Return True for whole, floating and decimal numbers."""
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def is_whole(kind: pa.DataType) -> bool:
    """Return True for types whose values must not be cut: numbers, times and flags."""
    from pyarrow import types

    return is_number(kind) or bool(types.is_temporal(kind) or types.is_boolean(kind))
