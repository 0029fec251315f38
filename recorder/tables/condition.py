"""The condition of a feed's day, decided from facts. Pure.

Frames may be missing while a day is bare: no line of a group was connected, frames were lost, or a
channel with a known cadence was silent. A fault says the same without a length of time. A doubt is
what cannot be proven.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class DayCondition(StrEnum):
    """A day of a feed or of a channel, in one word."""

    COMPLETE = "complete"
    DEGRADED = "degraded"
    UNVERIFIED = "unverified"
    MISSING = "missing"


class Bare(NamedTuple):
    """An interval in which frames may be missing, in ns since epoch, and why."""

    from_ns: int
    to_ns: int
    cause: str


@dataclass(frozen=True, slots=True)
class DayFacts:
    """What is known of a day, or of the part of it that is over."""

    has_frames: bool
    """True if a data frame was received."""
    bare: tuple[Bare, ...] = ()
    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A condition, the seconds in which frames may be missing, and each cause with its seconds."""

    condition: DayCondition
    bare_seconds: float
    causes: tuple[tuple[str, float], ...]


def judge(facts: DayFacts) -> Judgement:
    """Return the condition of a day."""
    intervals: dict[str, list[tuple[int, int]]] = {}
    for one in facts.bare:
        intervals.setdefault(one.cause, []).append((one.from_ns, one.to_ns))
    lengths = {cause: _seconds(of) for cause, of in intervals.items()}
    bare = _seconds((one.from_ns, one.to_ns) for one in facts.bare)
    lengths |= {cause: 0.0 for cause in (*facts.faults, *facts.doubts) if cause not in lengths}
    causes = tuple(sorted(lengths.items(), key=lambda one: (-one[1], one[0])))
    return Judgement(_condition(facts, bare), bare, causes)


def _condition(facts: DayFacts, bare_seconds: float) -> DayCondition:
    if not facts.has_frames:
        return DayCondition.MISSING
    if bare_seconds > 0 or facts.faults:
        return DayCondition.DEGRADED
    return DayCondition.UNVERIFIED if facts.doubts else DayCondition.COMPLETE


def _seconds(intervals: Iterable[tuple[int, int]]) -> float:
    """Return the length of the union of intervals, in seconds."""
    length, reached = 0, None
    for first, end in sorted(intervals):
        begin = first if reached is None else max(first, reached)
        if end > begin:
            length, reached = length + end - begin, end
    return length / 1e9
