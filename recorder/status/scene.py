"""The input of the verdict: one recorder at one moment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorder.errors import DataError
from recorder.feed import Options
from recorder.feeds import feed as feed_of
from recorder.record.layout import Layout
from recorder.status.bucket import Waiting
from recorder.status.conditions import NOTED, SILENCE
from recorder.status.model import CaptureStatus, Disk, FeedStatus, IngestStatus

if TYPE_CHECKING:
    from recorder.settings.config import Settings
    from recorder.status.connection_state import FeedState


@dataclass(frozen=True, slots=True)
class Scene:
    """All facts that the verdict uses; None: not read, so it proves nothing."""

    at_ns: int
    layout: Layout
    config: Settings | None
    capture: CaptureStatus
    ingest: IngestStatus
    disk: Disk | None
    feeds: tuple[FeedStatus, ...]
    lives: Mapping[str, FeedState]
    waiting: Mapping[str, int]
    """Journals of each feed that are not sealed."""
    waiting_since: Mapping[str, int | None]
    """When the oldest of them was finished (ns)."""
    damaged: Mapping[str, int]
    """Files of each feed that were set aside because they are damaged."""
    database: DataError | None
    """Why the published database cannot be used, if so."""
    rejected: int | None
    """Frames received lately that were rejected."""
    limits: Mapping[str, float]
    """Seconds without a sign of life after which a feed is silent."""
    spool: Waiting | None = None

    @property
    def expected(self) -> list[str]:
        """The feeds to record: those in the settings, and those that a process records."""
        configured = self.config.feeds if self.config is not None else {}
        return sorted({*configured, *(feed.name for feed in self.feeds if feed.recorded)})

    @property
    def newest_ns(self) -> int | None:
        """Receive timestamp of the newest frame or marker in the record."""
        known = (lives.written_ns for lives in self.lives.values())
        return max((ns for ns in known if ns is not None), default=None)


def limit_of(name: str, kind: str | None, config: Settings | None) -> float:
    """Return the seconds without a sign of life on disk after which a feed is silent."""
    chosen = config.feeds.get(name) if config else None
    if chosen is not None and chosen.silence_seconds is not None:
        return chosen.silence_seconds + NOTED.base
    limit = SILENCE.base
    with suppress(Exception):  # a missing plug-in, or a plan that needs more options
        feed = feed_of((chosen.kind if chosen else None) or kind or name)
        plans = feed.plan(
            Options(name, key="none", url=feed.endpoints[0] if feed.endpoints else None)
        )
        limit = max(plan.silence for plan in plans)
    return limit + NOTED.base
