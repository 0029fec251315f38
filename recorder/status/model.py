"""The status of a recorder at one moment, as plain values ready for JSON. Pure.

Times are ns since the epoch (UTC), durations seconds, sizes bytes; None means unknown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

#: States of a connection; "lost": it was open when its recorder died.
OPEN, CLOSED, LOST = "open", "closed", "lost"

CRITICAL, WARNING, INFO = SEVERITIES = "critical", "warning", "info"


@dataclass(frozen=True, slots=True)
class Connection:
    """The newest connection of one line, or the newest failed attempt to make one."""

    feed: str
    line_group: str | None
    """The group of channels that the connection carries."""
    line: str | None
    connection: str
    url: str | None
    """The URL as recorded: without secrets."""
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
    """The connected share of the time since the line first opened today."""
    exit_code: int | None = None
    """If its end was final: the exit code that it gives capture."""
    poll_seconds: float | None = None
    """Where URLs are polled: each is asked once in this time."""
    retry_ns: int | None = None
    """If its end says when the next attempt is due: that time."""


@dataclass(frozen=True, slots=True)
class DayStatus:
    """The condition of a feed's UTC day, as it was when the tables were published."""

    day: str
    condition: str
    """complete, degraded, unverified or missing."""
    bare_seconds: float
    """Seconds in which frames may be missing."""
    causes: tuple[str, ...]
    """Why, the longest first."""
    judged_ns: int
    """Up to when the day was judged."""


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """One feed. "Today" is the UTC day."""

    name: str
    kind: str | None
    recorded: bool
    """True if a running process records the feed."""
    fresh: bool
    """True if a proof of life came within the silence limit."""
    last_frame_ns: int | None
    frames_per_second: float
    bytes_per_second: float
    frames: int
    """Data frames that the watcher read: since it began, and in the journals of that time."""
    bytes: int
    """Payload bytes of these frames."""
    connections: tuple[Connection, ...]
    """The newest connection of each group and line."""
    reconnects_today: int | None
    gaps_today: int | None
    gap_seconds_today: float | None
    """Seconds without a connection, summed over lines, covered by another line or not."""
    uncovered_seconds_today: float | None
    """Those of the gap seconds that no other line covered."""
    frames_missing_today: int | None
    """Frames missing by their number."""
    backlog_bytes: int
    """Size of the journals that are not sealed yet, the active one among them."""
    today: DayStatus | None = None
    """Today's condition; None while it is not known."""
    yesterday: DayStatus | None = None


@dataclass(frozen=True, slots=True)
class CaptureStatus:
    """The process that records; the oldest, if several share the directory."""

    running: bool
    pid: int | None = None
    since_ns: int | None = None
    unwritable: bool = False
    """True if nothing can be written to the journal."""


@dataclass(frozen=True, slots=True)
class IngestStatus:
    """The process that fills the tables, and the newest publication."""

    running: bool
    newest_ns: int | None = None
    """Receive timestamp of the newest frame in the tables."""
    published_ns: int | None = None
    database_bytes: int | None = None
    rejects: int | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds the record."""

    free_bytes: int
    total_bytes: int
    bytes_per_second: float | None = None
    """The growth rate of the record."""
    hours_left: float | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A condition that holds. Only a critical one makes the recorder unhealthy."""

    condition: str
    """The name of the condition in `conditions.py`."""
    severity: str
    what: str
    where: str
    next: str
    """What to do."""
    threshold: str = ""
    """The exceeded threshold with its unit; empty if there is none."""
    feed: str = ""
    """The feed that the problem is about, if any."""
    since_ns: int | None = None
    """When the problem began."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n  {self.next}"


@dataclass(frozen=True, slots=True)
class Status:
    """A recorder at one moment."""

    at_ns: int
    data_dir: str
    host: str
    version: str
    capture: CaptureStatus
    ingest: IngestStatus
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
        """Return the fields, ready for JSON, with `healthy` and `ready`."""
        return {"healthy": self.healthy, "ready": self.ready, **asdict(self)}
