"""The points of a plot, computed once for the terminal and for image files."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recorder.answers.cells import is_number, text_of, values, visible
from recorder.errors import UsageError
from recorder.plot.spec import PlotSpec

if TYPE_CHECKING:
    import pyarrow as pa

#: The most series (the colours that readers can distinguish) and categories (the lines that fit on
#: a page). The chart leaves out the rest, and its note says so.
_SERIES, _CATEGORIES = 7, 24
_UNITS = {"usd": "USD", "ms": "ms", "ns": "ns", "seconds": "s", "bytes": "bytes", "hours": "h",
          "pct": "%"}  # fmt: skip


@dataclass(slots=True)
class Series:
    """The points of one colour (`group`) and one y column (`part`)."""

    group: int
    part: int
    group_name: str
    part_name: str
    xs: list[Any] = field(default_factory=list)
    ys: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot's points, texts and scales.

    With `categories` (named from the top), y values are indexes into them.
    """

    mark: str
    title: str
    subtitle: str
    x_label: str
    y_label: str
    series: list[Series]
    categories: list[str] | None
    times: bool
    log: bool
    percent: bool
    stacked: bool
    note: str

    @property
    def groups(self) -> list[str]:
        """The names of the colours, in order; one empty name where there is no series column."""
        return list(dict.fromkeys(series.group_name for series in self.series))

    @property
    def parts(self) -> list[str]:
        """The names of the y columns, in order."""
        return list(dict.fromkeys(series.part_name for series in self.series))

    @property
    def step(self) -> float:
        """The width of one bar: 1 per category, else the least distance in x (s for times)."""
        if self.lying:
            return 1.0
        places = sorted({x for series in self.series for x in series.xs})
        if len(places) < 2:
            days = self.times and places[0].time() == time()
            return 86400.0 if days else 3600.0 if self.times else 1.0
        least = min(b - a for a, b in itertools.pairwise(places))
        return float(least.total_seconds()) if self.times else float(least)

    @property
    def lying(self) -> bool:
        """True if the value axis is horizontal, with one category per line."""
        return self.categories is not None and not self.times


def chart(table: pa.Table, spec: PlotSpec, title: str, subtitle: str = "") -> Chart:
    """Return the chart of a query result.

    Raises:
        UsageError: no row has both an x and a y value.
    """
    columns = {name: values(table[name]) for name in {*spec.x, *spec.y, *spec.series}}
    first = columns[spec.x[0]]
    times = len(spec.x) == 1 and any(isinstance(x, date) for x in first)
    numeric_x = len(spec.x) == 1 and is_number(table.schema.field(spec.x[0]).type)
    timeline = times and not is_number(table.schema.field(spec.y[0]).type)
    groups = [_name(row) for row in _rows(columns, spec.series, table.num_rows)]
    places = first if times or numeric_x else _categories(columns, spec.x, table.num_rows)
    points = [
        (groups[i], part, places[i], columns[name][i])
        for i in range(table.num_rows)
        for part, name in enumerate(spec.y)
    ]
    points = [p for p in points if _drawable(p[2]) and _drawable(p[3], spec.log and not timeline)]
    if not points:
        hint = "choose a longer period, or show the rows without --plot"
        raise UsageError("there is nothing to draw: no row has a value", hint=hint)
    at_most = _SERIES if len(spec.y) == 1 else max(1, (_SERIES + 1) // len(spec.y))
    points, categories, note = _chosen(
        points, at_most, lying=not (times or numeric_x), timeline=timeline
    )
    values_label = _label(spec.y, "%" if spec.percent else spec.unit)
    lying = categories is not None and not times
    return Chart(
        mark=spec.mark,
        title=title,
        subtitle=subtitle,
        x_label=values_label if lying else _label(spec.x, "UTC" if times else ""),
        y_label="" if categories is not None else values_label,
        series=_series(points, spec, categories, lying),
        categories=categories,
        times=times,
        log=spec.log and not timeline,
        percent=spec.percent,
        stacked=spec.stacked,
        note=note,
    )


Point = tuple[str, int, Any, Any]


def _rows(columns: dict[str, list[Any]], names: Sequence[str], rows: int) -> list[tuple[Any, ...]]:
    return list(zip(*(columns[n] for n in names), strict=True)) if names else [()] * rows


def _categories(columns: dict[str, list[Any]], names: Sequence[str], rows: int) -> list[str]:
    return [_name(row) for row in _rows(columns, names, rows)]


def _name(parts: Sequence[Any]) -> str:
    return " · ".join("unknown" if p is None else visible(text_of(p)) for p in parts)


def _drawable(value: Any, log: bool = False) -> bool:
    if isinstance(value, int | float | Decimal):
        return math.isfinite(value) and (value > 0 or not log)
    return value is not None


def _chosen(
    points: list[Point], at_most: int, *, lying: bool, timeline: bool
) -> tuple[list[Point], list[str] | None, str]:
    """Keep the series and categories that fit; return them with a note of what was left out."""
    notes = []
    counts = Counter(group for group, *_ in points)
    kept = {group for group, _ in counts.most_common(at_most)}
    if len(kept) < len(counts):
        notes.append(f"{len(kept)} of {len(counts)} series")
    points = [p for p in points if p[0] in kept]
    if not (lying or timeline):
        return points, None, _note(notes)
    names = [str(p[2] if lying else p[3]) for p in points]
    order = list(dict.fromkeys(names))
    if timeline:
        order = [name for name, _ in Counter(names).most_common()]
    categories = order[:_CATEGORIES]
    if len(categories) < len(order):
        notes.append(f"{len(categories)} of {len(order)} lines")
    known = set(categories)
    chosen = [p for p, name in zip(points, names, strict=True) if name in known]
    return chosen, categories, _note(notes)


def _note(notes: list[str]) -> str:
    return f"shown: {', '.join(notes)}; narrow the query with -p" if notes else ""


def _series(
    points: list[Point], spec: PlotSpec, categories: list[str] | None, lying: bool
) -> list[Series]:
    """Group the points by series and y column, sorted by x; add up those of one bar."""
    index = {name: i for i, name in enumerate(categories or ())}
    groups = {group: i for i, group in enumerate(sorted({p[0] for p in points}))}
    by_series: dict[tuple[str, int], list[tuple[Any, Any]]] = defaultdict(list)
    for group, part, x, y in points:
        value = index[str(y)] if categories is not None and not lying else _number(y)
        place = index[str(x)] if lying else _utc(x)
        by_series[group, part].append((place, value))
    series = []
    for (group, part), pairs in sorted(by_series.items(), key=lambda i: (groups[i[0][0]], i[0][1])):
        if spec.mark == "bar":
            sums: dict[Any, float] = defaultdict(float)
            for place, value in pairs:
                sums[place] += value
            ordered = sorted(sums.items())
        else:
            ordered = sorted(pairs, key=lambda pair: pair[0])
        places, amounts = (list(column) for column in zip(*ordered, strict=True))
        xs, ys = (amounts, places) if lying else (places, amounts)
        series.append(Series(groups[group], part, group, _words(spec.y[part]), xs, ys))
    return series


def _number(value: Any) -> float:
    return float(value)


def _utc(value: Any) -> Any:
    """Return a time as a naive datetime in UTC, anything else as a number."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    return _number(value)


def _label(names: Sequence[str], unit: str) -> str:
    """Return an axis label: the columns in words, with `unit` or the unit in the name's suffix."""
    match = re.fullmatch(r"(.+)_(usd|ms|ns|seconds|bytes|hours|pct)", names[0])
    if len(names) == 1 and match and unit in {"", _UNITS[match[2]]}:
        return f"{_words(match[1])} ({_UNITS[match[2]]})"
    text = ", ".join(_words(name) for name in names)
    return f"{text} ({unit})" if unit else text


def shortened(name: str, width: int) -> str:
    """Return a name in at most `width` characters, cut in the middle: its ends identify it."""
    if len(name) <= width:
        return name
    return f"{name[: width // 2]}…{name[len(name) - width // 2 + 1 :]}"


def _words(name: str) -> str:
    named = {"recv_time": "receive time", "p99_9": "p99.9"}
    return named.get(name, visible(name).replace("_", " "))
