"""Sealed files that wait for the bucket: how many, and since when."""

from __future__ import annotations

from typing import NamedTuple

from recorder.bucket import spool
from recorder.clock import NS
from recorder.record.layout import Layout
from recorder.settings.config import Settings

#: A look takes a system call for each file here: not every second.
EVERY_NS = 10 * NS


class Waiting(NamedTuple):
    """What waits for the bucket."""

    files: int
    bytes: int
    oldest_ns: int | None
    """When the oldest of it was sealed."""


def waiting(layout: Layout, config: Settings | None) -> Waiting | None:
    """What waits; None where there is no bucket."""
    if config is None or config.raw_url is None:
        return None
    found = spool.waiting(layout, config.raw_url)
    oldest = min((file.sealed_ns for file in found), default=None)
    return Waiting(len(found), sum(file.bytes for file in found), oldest)
