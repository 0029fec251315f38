"""Sealed files that wait for the bucket: how many, and since when."""

from __future__ import annotations

from typing import NamedTuple

from recorder.bucket import spool
from recorder.clock import NS
from recorder.record.layout import Layout
from recorder.settings.config import Settings

#: Listing takes a system call per file, so it is not done every second.
EVERY_NS = 10 * NS


class Waiting(NamedTuple):
    """The sealed files that wait for the bucket."""

    files: int
    bytes: int
    oldest_ns: int | None
    """When the oldest waiting file was sealed."""


def waiting(layout: Layout, config: Settings | None) -> Waiting | None:
    """Return the sealed files that wait for upload; None if no bucket is configured."""
    if config is None or config.raw_url is None:
        return None
    files = spool.waiting(layout, config.raw_url)
    oldest = min((file.sealed_ns for file in files), default=None)
    return Waiting(len(files), sum(file.bytes for file in files), oldest)
