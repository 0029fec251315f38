"""The conversion of a canned query's arguments from text to DuckDB's values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from recorder.clock import DAY_NS
from recorder.errors import UsageError
from recorder.times import DURATIONS, parse_duration, parse_moment

if TYPE_CHECKING:  # completion and help must not load it
    import duckdb

_ZONED = {"TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"}
_MOMENTS = _ZONED | {"TIMESTAMP", "DATE"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: DuckDB's other types in plain words.
_WORDS = {
    "BIGINT": "a whole number",
    "INTEGER": "a whole number",
    "DOUBLE": "a number",
    "BOOLEAN": "true or false",
}


def value_of(
    connection: duckdb.DuckDBPyConnection, type_: str, text: str | None, now_ns: int
) -> Any:
    """Return a text as a value of a DuckDB type; None and, except for VARCHAR, `null` are NULL.

    Times and durations are in the grammar of `recorder.times`, relative to `now_ns`. Moments are
    rounded down to microseconds, DuckDB's precision. DuckDB casts any other text.

    Raises:
        UsageError: the text is not such a value.
    """
    import duckdb

    kind = type_.upper()
    if text is None or (text.lower() == "null" and kind != "VARCHAR"):
        return None
    value = _read(kind, text, now_ns)
    try:
        connection.execute(f"SELECT CAST($value AS {type_})", {"value": value}).fetchall()
    except duckdb.Error as error:
        what = f"'{text[:60]}' is not {_WORDS.get(kind, 'such a value')}"
        raise UsageError(what) from error
    return value


def _read(kind: str, text: str, now_ns: int) -> Any:
    if kind in _MOMENTS:
        moment = _EPOCH + timedelta(microseconds=parse_moment(text, now_ns) // 1000)
        return moment if kind in _ZONED else moment.replace(tzinfo=None)
    if kind == "INTERVAL":
        return _interval(text)
    if kind == "INTERVAL[]":
        return [_interval(part) for part in text.strip().strip("[]").split(",")]
    return text


def _interval(text: str) -> str:
    """Return a duration as DuckDB spells it."""
    found = parse_duration(text)
    days, rest = divmod(found.ns, DAY_NS)
    if rest % 1000:
        raise UsageError(f"'{text}' is not a whole number of microseconds", hint=DURATIONS)
    return f"{found.months} months {days} days {rest // 1000} microseconds"
