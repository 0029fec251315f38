"""How a recorder fares, read from its files alone: capture never knows of it."""

from recorder.status.model import (
    CLOSED,
    CRITICAL,
    LOST,
    OPEN,
    WARNING,
    Capture,
    Connection,
    Disk,
    FeedStatus,
    Ingest,
    Problem,
    Status,
)
from recorder.status.watch import Watcher

__all__ = [
    "CLOSED",
    "CRITICAL",
    "LOST",
    "OPEN",
    "WARNING",
    "Capture",
    "Connection",
    "Disk",
    "FeedStatus",
    "Ingest",
    "Problem",
    "Status",
    "Watcher",
]
