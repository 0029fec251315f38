"""What to plot of a query result: a query's header line, or a guess from the column types.

    -- plot: MARK x=COLUMN y=COLUMN[,…] [series=COLUMN[,…]] [unit=TEXT] [log] [percent] [stacked]

MARK is `line`, `dot` or `bar`. A time or a number as x is the horizontal axis. With a text (or
several columns) as x, each value gets its own line, and y is the horizontal axis. A text y with a
time x is a timeline. A bar adds up the rows that share x and series. `percent` shows a fraction as
per cent.
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
#: Columns whose numbers identify a frame or a row and are not quantities.
_IDENTIFIERS = re.compile(r"(.*_)?(ns|seq|item|connection|id)")
_SERIES_AT_MOST = 7


@dataclass(frozen=True, slots=True)
class PlotSpec:
    """What to plot of a result: a mark, column names and options."""

    mark: str
    x: tuple[str, ...]
    y: tuple[str, ...]
    series: tuple[str, ...] = ()
    unit: str = ""
    log: bool = False
    percent: bool = False
    stacked: bool = False


def parse(text: str, where: str = "") -> PlotSpec:
    """Return the spec that the text of a `-- plot:` line holds.

    Raises:
        DataError: the line has an unknown mark, key or word, or lacks x or y.
    """
    mark, *words = text.split() or [""]
    if mark not in MARKS:
        hint = f"known marks: {', '.join(MARKS)}"
        raise DataError(f"unknown mark '{mark}' in '-- plot'", where=where, hint=hint)
    given: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in _KEYS and value:
            given[key] = value if key == "unit" else tuple(value.split(","))
        elif word in FLAGS:
            given[word] = True
        else:
            hint = did_you_mean(key, (*_KEYS, *FLAGS))
            raise DataError(f"unknown word '{word}' in '-- plot'", where=where, hint=hint)
    if "x" not in given or "y" not in given:
        raise DataError("'-- plot' needs x= and y=", where=where)
    return PlotSpec(mark, **given)


def checked(spec: PlotSpec, table: pa.Table, where: str = "") -> PlotSpec:
    """Return `spec` if the result has all its columns.

    Raises:
        DataError: a column is missing.
    """
    for name in (*spec.x, *spec.y, *spec.series):
        if name not in table.column_names:
            hint = did_you_mean(name, table.column_names)
            what = f"'-- plot' names column '{name}', which the result does not have"
            raise DataError(what, where=where, hint=hint)
    return spec


def guess(table: pa.Table) -> PlotSpec:
    """Choose a spec from the column types of a result.

    Raises:
        UsageError: the result has no columns that can be plotted.
    """
    from pyarrow import types

    fields = list(table.schema)
    times = [f.name for f in fields if types.is_temporal(f.type) and not types.is_duration(f.type)]
    numbers = [f.name for f in fields if is_number(f.type) and not _IDENTIFIERS.fullmatch(f.name)]
    texts = [f.name for f in fields if types.is_string(f.type) and f.name != "connection"]
    few = tuple(name for name in texts if _distinct(table, name) <= _SERIES_AT_MOST)[:1]
    if times and numbers:
        keys = [times[0], *few]
        ordered = table.group_by(keys).aggregate([]).num_rows == table.num_rows
        return PlotSpec("line" if ordered else "dot", (times[0],), (numbers[0],), few)
    if texts and numbers:
        return PlotSpec("bar", (texts[0],), (numbers[0],), tuple(n for n in few if n != texts[0]))
    if len(numbers) > 1:
        return PlotSpec("dot", (numbers[0],), (numbers[1],))
    if times and texts:
        return PlotSpec("dot", (times[0],), (texts[0],))
    hint = "a plot needs a number column, and a time, text or second number column as x"
    raise UsageError("this result has no columns to plot", hint=hint)


def _distinct(table: pa.Table, name: str) -> int:
    return len(table[name].unique())
