"""What is known of a recorder at one moment: plain values, ready for JSON. Pure.

Times are ns since epoch UTC, lengths of time seconds, sizes bytes. Unknown is None.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

#: States of a connection; "lost" is one that was open when its recorder died.
OPEN, CLOSED, LOST = "open", "closed", "lost"

CRITICAL, WARNING, INFO = SEVERITIES = "critical", "warning", "info"


@dataclass(frozen=True, slots=True)
class Connection:
    """The newest connection of one line, or the newest failed attempt to make one."""

    feed: str
    line_group: str | None
    """The group of channels that it carries."""
    line: str | None
    connection: str
    url: str | None
    """As the record has it: without secrets."""
    state: str
    opened_ns: int | None
    closed_ns: int | None
    code: int | None
    reason: str | None
    heard_ns: int | None
    """The last proof of life that is on disk."""
    frames: int
    frames_per_second: float
    rtt_seconds: float | None
    clock_error_ns: int | None
    lag_seconds: float | None
    """The worst delay of capture's event loop between its last two notes of it."""
    uptime: float | None
    """Of the time since the line first opened today, the part in which it was connected."""


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """One feed. "Today" is the UTC day."""

    name: str
    kind: str | None
    recorded: bool
    """A running process records it."""
    fresh: bool
    """A proof of life came within the limit of silence."""
    last_frame_ns: int | None
    frames_per_second: float
    bytes_per_second: float
    frames: int
    """Data frames that the watcher saw: since it began, and in the journals that were there."""
    bytes: int
    """Payload bytes of these."""
    connections: tuple[Connection, ...]
    """The newest of each group and line."""
    reconnects_today: int | None
    gaps_today: int | None
    gap_seconds_today: float | None
    """Without cover on some line, another line or not; lines add up."""
    uncovered_seconds_today: float | None
    """Of these, the seconds that no other line covered."""
    frames_missing_today: int | None
    """Frames that are known by number to be missing."""
    backlog_bytes: int
    """Size of the journals that are not sealed yet, the active one among them."""


@dataclass(frozen=True, slots=True)
class Capture:
    """The process that records; the oldest, if several share the directory."""

    running: bool
    pid: int | None = None
    since_ns: int | None = None
    unwritable: bool = False
    """The journal takes nothing."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """The process that fills the tables, and what it published."""

    running: bool
    newest_ns: int | None = None
    """Receive timestamp of the newest frame in the tables."""
    published_ns: int | None = None
    database_bytes: int | None = None
    rejects: int | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that takes the record."""

    free_bytes: int
    total_bytes: int
    bytes_per_second: float | None = None
    """How fast the record grows."""
    hours_left: float | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A condition that holds. Only a critical one makes the recorder unhealthy."""

    condition: str
    """Its name in `conditions.py`."""
    severity: str
    what: str
    where: str
    next: str
    """What to do."""
    threshold: str = ""
    """What was exceeded, with its unit; empty where there is no threshold."""
    feed: str = ""
    """The feed that it is about, if it is about one."""
    since_ns: int | None = None
    """When it began."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n  {self.next}"


@dataclass(frozen=True, slots=True)
class Status:
    """A recorder at one moment."""

    at_ns: int
    data_dir: str
    host: str
    version: str
    capture: Capture
    ingest: Ingest
    disk: Disk | None
    feeds: tuple[FeedStatus, ...]
    problems: tuple[Problem, ...]

    @property
    def healthy(self) -> bool:
        """True if no problem is critical."""
        return all(problem.severity != CRITICAL for problem in self.problems)

    @property
    def ready(self) -> bool:
        """True if some feed is fresh."""
        return any(feed.fresh for feed in self.feeds)

    def as_dict(self) -> dict[str, Any]:
        """The same names, ready for JSON, with `healthy` and `ready`."""
        return {"healthy": self.healthy, "ready": self.ready, **asdict(self)}
