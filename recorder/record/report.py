"""What a verification found: findings with their grade, counts of each feed, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Grade(StrEnum):
    """How bad a finding is."""

    WRONG = "wrong"
    """Something is missing, altered or surplus."""
    UNPROVEN = "unproven"
    """Nothing contradicts the record here, but nothing proves it either."""
    NOTE = "note"
    """Worth knowing; nothing is missing."""


class RecordVerdict(StrEnum):
    """What a verification came to."""

    WHOLE = "whole"
    WRONG = "wrong"
    UNVERIFIED = "unverified"

    @property
    def exit_code(self) -> int:
        """The exit code of `recorder verify`."""
        return {"whole": 0, "wrong": 1, "unverified": 5}[self]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be: what, where, and what can be done."""

    what: str
    where: str
    remedy: str
    grade: Grade = Grade.WRONG

    @property
    def wrong(self) -> bool:
        """True if something is missing, altered or surplus."""
        return self.grade is Grade.WRONG


@dataclass(slots=True)
class FeedReport:
    """What one feed's record holds."""

    feed: str
    segments: int = 0
    journals: int = 0
    frames: int = 0
    bytes: int = 0
    connections: int = 0
    first_recv_ns: int | None = None
    last_recv_ns: int | None = None
    proven: int = 0
    """Frames whose digest is that of a head."""


@dataclass(slots=True)
class Report:
    """What a data directory holds, and what is wrong with it."""

    feeds: list[FeedReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def verdict(self) -> RecordVerdict:
        """WRONG if one finding is, else UNVERIFIED if one cannot be proven, else WHOLE."""
        grades = {finding.grade for finding in self.findings}
        if Grade.WRONG in grades:
            return RecordVerdict.WRONG
        return RecordVerdict.UNVERIFIED if Grade.UNPROVEN in grades else RecordVerdict.WHOLE

    @property
    def sound(self) -> bool:
        """True if nothing is wrong and nothing is unproven."""
        return self.verdict is RecordVerdict.WHOLE
