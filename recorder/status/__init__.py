"""The status of a recorder, read only from its files: it does not disturb capture."""

from recorder.status.model import (
    CLOSED,
    CRITICAL,
    LOST,
    OPEN,
    WARNING,
    CaptureStatus,
    Connection,
    Disk,
    FeedStatus,
    IngestStatus,
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
    "CaptureStatus",
    "Connection",
    "Disk",
    "FeedStatus",
    "IngestStatus",
    "Problem",
    "Status",
    "Watcher",
]
