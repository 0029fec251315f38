"""Charts as PNG or SVG files fit for publication: UTC times, units, colour-blind-safe colours."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recorder.errors import UsageError
from recorder.plot import ticks
from recorder.plot.chart import Chart, Series, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")

#: The colours of Okabe and Ito (https://jfly.uni-koeln.de/color/) without yellow, which is hard to
#: see on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
_SHADES = ("#9CC9E3", "#4C9BC9", "#0072B2", "#003E63")  # light to dark, for the parts of one group
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 2, 1, 2)))
_NAME_WIDTH = 48  # characters of a name in the legend and on an axis
_INK, _FAINT, _GRID = "#222222", "#666666", "#E3E3E3"
_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "text.color": _INK,
    "text.parse_math": False,  # a dollar sign in a name does not start a formula
    "axes.edgecolor": "#999999",
    "axes.labelcolor": _INK,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "svg.fonttype": "none",  # text stays text, not outlines
    "svg.hashsalt": "recorder",  # the same result gives the same file
    "timezone": "UTC",
}


def save(chart: Chart, path: Path) -> None:
    """Write the chart to a file, in the format of its suffix.

    Raises:
        UsageError: the suffix is neither .png nor .svg, or the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        hint = "use a file name that ends in .png or .svg"
        raise UsageError(f"cannot write a plot to '{path}': unknown format", hint=hint)
    import matplotlib as mpl

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # no font for a name's script
        figure = _figure(chart)
        try:
            metadata = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
            figure.savefig(path, dpi=160, facecolor="white", metadata=metadata)
        except OSError as error:
            raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _figure(chart: Chart) -> Figure:
    from matplotlib.figure import Figure

    height = 5.4
    if chart.categories is not None:
        height = max(3.2, 1.8 + 0.27 * _thickness(chart) * len(chart.categories))
    figure = Figure(figsize=(9.6, height))
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    axes = figure.add_subplot()
    figure.suptitle(chart.title, x=0.015, ha="left", fontsize=14, fontweight="bold")
    below = "  ·  ".join(text for text in (chart.subtitle, chart.note) if text)
    if below:
        axes.set_title(below, loc="left", fontsize=9.5, color=_FAINT, pad=8)
    _draw(axes, chart)
    _scales(axes, chart)
    if len(chart.series) > 1:
        figure.legend(
            handles=_legend(chart),
            loc="outside right upper",
            frameon=False,
            fontsize=9.5,
            labelspacing=0.6,
        )
    return figure


def _legend(chart: Chart) -> list[Any]:
    """Return one entry per colour, then one per y column if dashes distinguish them."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    alone = len(chart.groups) == 1
    first = {(s.part_name if alone else s.group_name): s for s in reversed(chart.series)}
    entries: list[Any] = []
    for name, series in sorted(first.items(), key=lambda i: (i[1].group, i[1].part)):
        colour = _colour(chart, series)
        if chart.mark == "bar":
            entries.append(Patch(color=colour, label=_cut(name)))
            continue
        line: Any = "-" if chart.mark == "line" else "none"
        marker = _MARKERS[(series.part if alone else series.group) % 7]
        entries.append(
            Line2D([], [], color=colour, linestyle=line, marker=marker, label=_cut(name))
        )
    if not alone and len(chart.parts) > 1:
        for i, name in enumerate(chart.parts):
            dash: Any = _DASHES[i % 4]
            entries.append(Line2D([], [], color=_FAINT, linestyle=dash, label=name))
    return entries


def _thickness(chart: Chart) -> float:
    """Return the height of a category relative to a single bar: bars side by side need more."""
    if chart.mark != "bar" or chart.stacked:
        return 1.0
    return max(1.0, 0.6 * len(chart.series))


def _draw(axes: Axes, chart: Chart) -> None:
    if chart.mark == "bar":
        _draw_bars(axes, chart)
        return
    if chart.lying and len(chart.series) > 1:
        _draw_spans(axes, chart)
    for series in chart.series:
        _draw_points(axes, chart, series)


def _draw_points(axes: Axes, chart: Chart, series: Series) -> None:
    alone = len(chart.groups) == 1
    colour = _colour(chart, series)
    if chart.mark == "line":
        few = len(series.xs) <= 40
        axes.plot(
            [_place(x) for x in series.xs],
            series.ys,
            color=colour,
            linestyle="-" if alone else _DASHES[series.part % 4],
            linewidth=1.8,
            marker=_MARKERS[series.group % 7] if few else None,
            markersize=4.5,
        )
        return
    marker = _MARKERS[(series.part if alone else series.group) % 7]
    size = 46 if chart.lying else 24
    axes.scatter(
        [_place(x) for x in series.xs],
        series.ys,
        s=size,
        color=colour,
        marker=marker,
        alpha=None if chart.lying else 0.75,
        linewidths=0.4,
        edgecolors="white",
        zorder=3,
    )


def _colour(chart: Chart, series: Series) -> str:
    """Return the colour of the group; the parts of a single group go from light to dark."""
    parts = len(chart.parts)
    if len(chart.groups) == 1 and parts > 1:
        return _SHADES[(series.part + max(0, 4 - parts)) % 4]
    return _COLOURS[series.group % 7]


def _draw_spans(axes: Axes, chart: Chart) -> None:
    """Draw a thin line from each category's least value to its largest."""
    ends: dict[Any, list[float]] = {}
    for series in chart.series:
        for x, y in zip(series.xs, series.ys, strict=True):
            ends.setdefault(y, []).append(x)
    for y, xs in ends.items():
        axes.hlines(y, min(xs), max(xs), color="#B8CBD6", linewidth=2.2, zorder=2)


def _draw_bars(axes: Axes, chart: Chart) -> None:
    count = 1 if chart.stacked else len(chart.series)
    room = chart.step / (86400 if chart.times else 1)
    step = room * 0.8 / count
    reached: dict[Any, float] = {}
    for i, series in enumerate(chart.series):
        places, amounts = (series.ys, series.xs) if chart.lying else (series.xs, series.ys)
        numbers = [_place(place) for place in places]
        shift = 0.0 if chart.stacked else (i - (count - 1) / 2) * step
        shift += room / 2 if chart.times else 0.0  # x is the start of a time bucket
        bases = [reached.get(n, 0.0) if chart.stacked else 0.0 for n in numbers]
        bars = axes.barh if chart.lying else axes.bar
        base_of: dict[str, Any] = {"left" if chart.lying else "bottom": bases}
        bars(
            [n + shift for n in numbers],
            amounts,
            step,
            **base_of,
            color=_colour(chart, series),
            edgecolor="white",
            linewidth=0.5,
        )
        for n, base, amount in zip(numbers, bases, amounts, strict=True):
            reached[n] = base + amount


def _place(place: Any) -> float:
    """Return a time as days since the epoch (exact to the microsecond), else the number itself."""
    if isinstance(place, datetime):
        return place.replace(tzinfo=UTC).timestamp() / 86400
    return float(place)


def _scales(axes: Axes, chart: Chart) -> None:
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    along = axes.xaxis if chart.lying else axes.yaxis
    along.grid(visible=True, color=_GRID, linewidth=0.8)
    if chart.times:
        _mark_times(axes, chart)
    if chart.categories is not None:
        axes.set_yticks(range(len(chart.categories)), [_cut(c) for c in chart.categories])
        axes.set_ylim(len(chart.categories) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        if chart.times:
            return
    if chart.log:
        (axes.set_xscale if chart.lying else axes.set_yscale)("log")
        along.minorticks_off()
    low, high = along.get_view_interval()
    if chart.log:
        marks = ticks.powers(math.log10(low), math.log10(high))
        along.set_ticks([10**position for position, _ in marks], [text for _, text in marks])
    else:
        marks = ticks.numbers(low, high, percent=chart.percent)
        along.set_ticks([position for position, _ in marks], [text for _, text in marks])
    (axes.set_xlim if chart.lying else axes.set_ylim)(low, high)


def _mark_times(axes: Axes, chart: Chart) -> None:
    low, high = axes.get_xlim()
    marks = ticks.times(low * 86400, high * 86400, 7)
    axes.set_xticks([position / 86400 for position, _ in marks], [text for _, text in marks])
    axes.set_xlim(low, high)
    axes.set_xlabel(f"{chart.x_label}, {ticks.days(low * 86400, high * 86400)}")


def _cut(name: str) -> str:
    return shortened(name, _NAME_WIDTH)
