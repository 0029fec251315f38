"""Tick positions and labels of an axis: round numbers, powers of ten, round times."""

from __future__ import annotations

import math
from datetime import UTC, datetime

#: Seconds between two marks of a time axis.
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
Ticks = list[tuple[float, str]]


def numbers(low: float, high: float, *, percent: bool = False, most: int = 7) -> Ticks:
    """Return round numbers from `low` to `high`, about `most` of them."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next((power * n for n in (1, 2, 5) if span / (power * n) <= most), power * 10)
    first = math.ceil(low / step - 1e-9)
    values = [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]
    if percent:
        decimals = max(0, -math.floor(math.log10(step * 100)))
        return [(value, f"{value * 100:.{decimals}f} %") for value in values]
    return [(value, short(value)) for value in values]


def powers(low: float, high: float) -> Ticks:
    """Return powers of ten between two logarithms; if they are few, also 2 and 5 times them."""
    first, last = math.floor(low), math.ceil(high)
    between = (1, 2, 5) if last - first <= 2 else (1,)
    values = [n * 10.0**power for power in range(first, last + 1) for n in between]
    return [(math.log10(v), short(v)) for v in values if low - 1e-9 <= math.log10(v) <= high + 1e-9]


def times(low: float, high: float, most: int = 6) -> Ticks:
    """Return round UTC times between two times in epoch seconds."""
    span = max(high - low, 1.0)
    days = math.ceil(span / most / 86400)
    step = next((s for s in _STEPS if span / s <= most), days * 86400)
    shape = "%Y-%m-%d" if step >= 86400 else "%H:%M" if step >= 60 else "%H:%M:%S"
    if step < 86400 and datetime.fromtimestamp(low, UTC).date() != _day(high):
        shape = f"%m-%d {shape}"
    first, last = math.ceil(low / step), math.floor(high / step)
    return [
        (n * step, datetime.fromtimestamp(n * step, UTC).strftime(shape))
        for n in range(first, last + 1)
    ]


def days(low: float, high: float) -> str:
    """Return the UTC day, or the first and last day, of a range in epoch seconds."""
    first, last = str(_day(low)), str(_day(high))
    return first if first == last else f"{first} to {last}"


def _day(epoch: float) -> object:
    return datetime.fromtimestamp(epoch, UTC).date()


def short(value: float) -> str:
    """Format a number for an axis: 0.25, 1,500, 20k, 3.2M."""
    size = abs(value)
    for limit, scale, letter in (
        (1e12, 1e12, "T"),
        (1e9, 1e9, "G"),
        (1e6, 1e6, "M"),
        (1e4, 1e3, "k"),
    ):
        if size >= limit:
            return f"{value / scale:g}{letter}"
    return f"{value:,.6g}" if size >= 1e-4 or not value else f"{value:.3g}"
