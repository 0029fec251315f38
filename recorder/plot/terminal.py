"""Charts in the terminal, drawn with characters and the terminal's own colours."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, TextIO

from recorder.plot import ticks
from recorder.plot.chart import Chart, Series, shortened

#: The terminal's bright colours by number, and one mark per series.
_COLOURS = (14, 11, 13, 10, 9, 12, 7)
_MARKS = "●■▲◆▼+*"
Point = tuple[float, float]


def draw(chart: Chart, stream: TextIO, *, colour: bool, width: int, height: int) -> None:
    """Write the chart to a text stream, `width` columns wide and about `height` rows high."""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")  # axes in the terminal's own colours, light or dark
    lines = _lines(chart)
    figure.plot_size(max(40, width), max(2, lines) + 3 if lines else max(10, height))
    for series, points in _points(chart):
        figure.draw(_signal(plotext, figure, chart, series, points))
    _scales(figure, chart, width)
    for text in (chart.title, " · ".join(t for t in (chart.subtitle, chart.note) if t)):
        if text:
            stream.write(f"{text[:width]}\n")
    if len(chart.series) > 1:
        stream.writelines(_legend(chart, colour, width))
    stream.write(figure.build().string(colorless=not colour).rstrip() + "\n")
    label = chart.x_label if chart.lying else _over(chart)
    stream.write(f"{label[:width]:>{width}}\n")
    figure.clear()
    stream.flush()


def _over(chart: Chart) -> str:
    """Return the caption "y over x", with the day if x is a time."""
    text = f"{chart.y_label} over {chart.x_label}" if chart.y_label else chart.x_label
    if not chart.times:
        return text
    places = [_epoch(x) for series in chart.series for x in series.xs]
    return f"{text}, {ticks.days(min(places), max(places))}"


def _per_category(chart: Chart) -> int:
    """Return the rows that a category takes: one per bar if bars are side by side."""
    return len(chart.series) if chart.mark == "bar" and not chart.stacked else 1


def _lines(chart: Chart) -> int:
    return len(chart.categories) * _per_category(chart) if chart.categories is not None else 0


def _points(chart: Chart) -> list[tuple[Series, list[Point]]]:
    """Return each series with its points in plot units; of stacked bars, the tallest first.

    The sums of a stack are drawn before the lower bars, which then cover their lower part.
    """
    rows = _per_category(chart)
    beside = chart.mark == "bar" and not chart.lying
    count = 1 if chart.stacked else len(chart.series)
    reached: dict[float, float] = {}
    result = []
    for i, series in enumerate(chart.series):
        points = []
        for x, y in zip(series.xs, series.ys, strict=True):
            place, value = (y, x) if chart.lying else (x, y)
            if chart.stacked:
                value = reached[_epoch(place)] = reached.get(_epoch(place), 0.0) + value
            row = i if rows > 1 else 0
            at, height = _point(chart, place, value, row, rows)
            across = _across(chart, i, count) if beside else (0.0,)
            points += [(at + shift, height) for shift in across]
        result.append((series, points))
    return result[::-1] if chart.stacked else result


def _across(chart: Chart, i: int, count: int) -> list[float]:
    """Return the x offsets of the strokes that make up series `i`'s part of a vertical bar."""
    room = chart.step * 0.8 / count
    left = chart.step * (0.1 if chart.times else -0.4) + (0 if chart.stacked else i) * room
    strokes = max(2, 320 // (count * len({x for series in chart.series for x in series.xs})))
    return [left + room * (n + 0.5) / strokes for n in range(strokes)]


def _point(chart: Chart, place: Any, value: float, row: int, rows: int) -> Point:
    if chart.lying:
        return _scaled(chart, value), -(place * rows + row)
    if chart.categories is not None:
        return _epoch(place), -value
    return _epoch(place), _scaled(chart, value)


def _epoch(place: Any) -> float:
    if isinstance(place, datetime):
        return place.replace(tzinfo=UTC).timestamp()
    return float(place)


def _scaled(chart: Chart, value: float) -> float:
    return math.log10(value) if chart.log else value


def _look(chart: Chart, series: Series) -> int:
    """Return the index of a series' colour and mark: by group, or by part in a single group."""
    return (series.part if len(chart.groups) == 1 else series.group) % len(_COLOURS)


def _mark(chart: Chart, series: Series) -> str:
    if chart.mark == "bar":
        return "█"
    if chart.mark == "line":
        return "•" if series.part and len(chart.groups) > 1 else "braille"
    return _MARKS[_look(chart, series)]


def _signal(plotext: Any, figure: Any, chart: Chart, series: Series, points: list[Point]) -> Any:
    marker = plotext.marker(_mark(chart, series), _COLOURS[_look(chart, series)])
    signal = figure.signal([p[0] for p in points], [p[1] for p in points], marker=marker)
    if chart.mark == "bar":
        (signal.filly if chart.lying else signal.fillx)()
    elif chart.mark == "line" and len(points) > 1 and _mark(chart, series) == "braille":
        signal.lines()
    return signal


def _scales(figure: Any, chart: Chart, width: int) -> None:
    points = [point for _, of_series in _points(chart) for point in of_series]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    low, high = _ends(xs, from_zero=chart.lying and not chart.log, alone=chart.step)
    figure.ruler("x").lim(low, high)
    most = max(3, width // 14)
    _mark_ticks(figure.ruler("x"), _along(chart, low, high, most, times=chart.times))
    if chart.categories is None:
        low, high = _ends(ys, from_zero=chart.mark == "bar", alone=0.0)
        figure.ruler("y").lim(low, high)
        _mark_ticks(figure.ruler("y"), _along(chart, low, high, 7, times=False))
        return
    rows = _per_category(chart)
    figure.ruler("y").lim(-max(1, _lines(chart) - 1), 0)  # one row per line
    names = [shortened(name, width * 2 // 5) for name in chart.categories]
    positions = [-(i * rows + (rows - 1) // 2) for i in range(len(names))]
    figure.ruler("y").ticks(positions, names)


def _along(chart: Chart, low: float, high: float, most: int, *, times: bool) -> ticks.Ticks:
    if times:
        return ticks.times(low, high, most)
    if chart.log:
        return ticks.powers(low, high)
    return ticks.numbers(low, high, percent=chart.percent, most=most)


def _mark_ticks(ruler: Any, marks: ticks.Ticks) -> None:
    ruler.ticks([position for position, _ in marks], [text for _, text in marks])


def _ends(values: list[float], *, from_zero: bool, alone: float) -> tuple[float, float]:
    """Return an axis's limits with a small margin; a single value is in the middle."""
    low, high = min(values), max(values)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = (high - low) * 0.03 or alone or abs(high) * 0.1 or 1.0
    return (
        low if from_zero and low == 0 else low - room,
        high if from_zero and high == 0 else high + room,
    )


def _sample(chart: Chart, series: Series) -> str:
    if chart.mark == "line":
        return "━"
    return "█" if chart.mark == "bar" else _MARKS[_look(chart, series)]


def _legend(chart: Chart, colour: bool, width: int) -> list[str]:
    """Return the legend in lines of at most `width` columns: each series' mark and its name."""
    lines, used = [""], 0
    alone = len(chart.groups) == 1
    first = {(s.part_name if alone else s.group_name): s for s in reversed(chart.series)}
    entries = [
        (_sample(chart, series), _look(chart, series), name) for name, series in first.items()
    ]
    if not alone and len(chart.parts) > 1:
        entries = [("", -1, f"(━ {chart.parts[0]}, • {', '.join(chart.parts[1:])})"), *entries]
    for mark, look, name in reversed(entries):
        size = len(name) + 5
        if used + size > width and used:
            lines.append("")
            used = 0
        shown = f"\x1b[38;5;{_COLOURS[look]}m{mark}\x1b[0m" if colour and mark else mark
        lines[-1] += f"{shown} {name}   ".lstrip()
        used += size
    return [f"{line.rstrip()}\n" for line in lines]
