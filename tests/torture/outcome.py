"""What a fault class reports, and how it is judged: what was sent against what is on disk."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kit.captures import received
from kit.servers import Message

from recorder.frame import Frame


class Scale(enum.Enum):
    """How much of each class to run."""

    SHORT = "short"
    FULL = "full"

    def of(self, *, short: Any, full: Any) -> Any:
        """Choose a count or a duration."""
        return full if self is Scale.FULL else short


class CannotRunHereError(Exception):
    """This machine lacks what the class needs: root, a tool, a kernel feature."""


@dataclass
class Outcome:
    """How a class went. `lost`, `duplicated` and `altered` must be 0."""

    tried: int = 0
    survived: int = 0
    acknowledged: int = 0  # frames that the recorder had for certain when the fault came
    recovered: int = 0  # frames of the record afterwards
    lost: int = 0  # acknowledged, or followed by a later frame, and not recovered
    duplicated: int = 0
    altered: int = 0  # not as they were sent, or not in the order they were sent
    notes: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """True if every try was survived and the record is what was sent."""
        return self.survived == self.tried > 0 and not (self.lost + self.duplicated + self.altered)

    def survive(self, *problems: str) -> None:
        """Count one try; it is survived where nothing is wrong."""
        self.tried += 1
        wrong = [problem for problem in problems if problem]
        self.survived += not wrong
        self.notes += wrong

    def add(self, tally: Tally) -> str:
        """Count a comparison's frames; what is wrong, in words."""
        for name, count in asdict(tally).items():
            setattr(self, name, getattr(self, name) + count)
        return tally.problem

    def worst(self, name: str, value: float) -> None:
        """Keep the largest of a figure."""
        self.figures[name] = round(max(value, self.figures.get(name, value)), 3)


@dataclass
class Talk:
    """What a server said on one connection, and how much of it was certainly received."""

    number: int
    sent: list[Message] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # monotonic, just before each was sent
    acknowledged: int = 0  # so many of `sent`, from the first on


@dataclass
class Tally:
    """A comparison of frames sent with frames recorded."""

    acknowledged: int = 0
    recovered: int = 0
    lost: int = 0
    duplicated: int = 0
    altered: int = 0

    @property
    def problem(self) -> str:
        """Empty if the record is what was sent."""
        if not self.lost + self.duplicated + self.altered:
            return ""
        return f"{self.lost} lost, {self.duplicated} duplicated, {self.altered} altered"


def judge(talks: Iterable[Talk], connections: Iterable[Sequence[Message]]) -> Tally:
    """Compare. Every message of the talks is unique; each connection's are in order.

    A frame that is missing counts as lost if it was acknowledged, or if a later one of the same
    talk was recorded: the record of a talk may only end early.
    """
    spoken = list(talks)
    places = {m: (t.number, i) for t in spoken for i, m in enumerate(t.sent)}
    seen: Counter[tuple[int, int]] = Counter()
    tally = Tally(acknowledged=sum(t.acknowledged for t in spoken))
    for messages in connections:
        before = (-1, -1)
        for message in messages:
            place = places.get(message)
            tally.altered += place is None or place <= before
            if place is not None:
                seen[place] += 1
                before = place
    tally.recovered = seen.total()
    tally.duplicated = tally.recovered - len(seen)
    reached = {talk.number: talk.acknowledged for talk in spoken}
    for number, index in seen:
        reached[number] = max(reached[number], index + 1)
    tally.lost = sum((number, i) not in seen for number, n in reached.items() for i in range(n))
    return tally


def by_connection(frames: Iterable[Frame]) -> list[list[Message]]:
    """The received messages of each connection, by their numbers."""
    found: dict[str, list[Frame]] = {}
    for frame in frames:
        found.setdefault(frame.connection, []).append(frame)
    return [received(sorted(some, key=lambda f: f.seq)) for some in found.values()]
