"""How an answer is drawn: a query's header line, or a guess from the columns' types.

    -- plot: MARK x=COLUMN y=COLUMN[,…] [series=COLUMN[,…]] [unit=TEXT] [log] [percent] [stacked]

MARK is `line`, `dot` or `bar`. Where x is a time or a number it runs along the bottom. Where x is
text (or several columns) each of its values has a line of its own, and the values of y lie along
the bottom. A text y under a time x is a timeline. Rows that share x and series are added up in a
bar; `percent` shows a fraction as per cent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recorder.answers.cells import is_number
from recorder.errors import DataError, UsageError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

MARKS = ("line", "dot", "bar")
FLAGS = ("log", "percent", "stacked")
_KEYS = ("x", "y", "series", "unit")
#: Numbers that name a place in the record, not a quantity.
_PLACES = re.compile(r"(.*_)?(ns|seq|item|connection|id)")
_SERIES_AT_MOST = 7


@dataclass(frozen=True, slots=True)
class Spec:
    """What is drawn of an answer; the names are its columns."""

    mark: str
    x: tuple[str, ...]
    y: tuple[str, ...]
    series: tuple[str, ...] = ()
    unit: str = ""
    log: bool = False
    percent: bool = False
    stacked: bool = False


def parse(text: str, where: str = "") -> Spec:
    """Read the text of a `-- plot:` line; a DataError says what is wrong with it."""
    mark, *words = text.split() or [""]
    if mark not in MARKS:
        raise DataError(f"no mark '{mark}' to plot with", where=where, hint=f"known: {MARKS}")
    given: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in _KEYS and value:
            given[key] = value if key == "unit" else tuple(value.split(","))
        elif word in FLAGS:
            given[word] = True
        else:
            hint = did_you_mean(key, (*_KEYS, *FLAGS))
            raise DataError(f"cannot read '{word}' in '-- plot'", where=where, hint=hint)
    if "x" not in given or "y" not in given:
        raise DataError("'-- plot' needs x= and y=", where=where)
    return Spec(mark, **given)


def checked(spec: Spec, table: pa.Table, where: str = "") -> Spec:
    """The same, if the answer has its columns."""
    for name in (*spec.x, *spec.y, *spec.series):
        if name not in table.column_names:
            hint = did_you_mean(name, table.column_names)
            raise DataError(f"'-- plot' names no column: '{name}'", where=where, hint=hint)
    return spec


def guess(table: pa.Table) -> Spec:
    """A sensible drawing of any answer; a UsageError where it holds nothing to draw."""
    from pyarrow import types

    fields = list(table.schema)
    times = [f.name for f in fields if types.is_temporal(f.type) and not types.is_duration(f.type)]
    numbers = [f.name for f in fields if is_number(f.type) and not _PLACES.fullmatch(f.name)]
    texts = [f.name for f in fields if types.is_string(f.type) and f.name != "connection"]
    few = tuple(name for name in texts if _distinct(table, name) <= _SERIES_AT_MOST)[:1]
    if times and numbers:
        keys = [times[0], *few]
        ordered = table.group_by(keys).aggregate([]).num_rows == table.num_rows
        return Spec("line" if ordered else "dot", (times[0],), (numbers[0],), few)
    if texts and numbers:
        return Spec("bar", (texts[0],), (numbers[0],), tuple(n for n in few if n != texts[0]))
    if len(numbers) > 1:
        return Spec("dot", (numbers[0],), (numbers[1],))
    if times and texts:
        return Spec("dot", (times[0],), (texts[0],))
    hint = "a plot needs a number, and a time, a text or a second number to draw it over"
    raise UsageError("nothing in this answer can be drawn", hint=hint)


def _distinct(table: pa.Table, name: str) -> int:
    return len(table[name].unique())
