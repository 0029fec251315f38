"""Sealed files that wait for the bucket: how many, and what an operator must do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from recorder.bucket import spool
from recorder.clock import NS, iso
from recorder.record.layout import Layout
from recorder.settings.config import Settings
from recorder.status.model import CRITICAL, WARNING, Problem

#: To look takes a system call for each file here: not every second.
EVERY_NS = 10 * NS

#: A file is sent within a minute: one that waits so long finds no bucket.
_LONG_NS = 900 * NS

_HINT = "see capture's log for why; try: recorder doctor, recorder upload"


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


def problems(config: Settings | None, found: Waiting | None, at_ns: int) -> Iterator[Problem]:
    """What is wrong with it, if anything."""
    if config is None or config.raw_url is None or found is None:
        return
    budget = config.bucket.spool_gb
    told = spool.warning(found.files, found.bytes, budget)
    if told is not None:
        over = spool.level(found.bytes, budget) == spool.OVER
        yield Problem(CRITICAL if over else WARNING, told, config.raw_url, _HINT)
    elif found.oldest_ns is not None and at_ns - found.oldest_ns > _LONG_NS:
        what = f"{found.files:,} sealed files wait for the bucket, since {iso(found.oldest_ns)}"
        yield Problem(WARNING, what, config.raw_url, _HINT)
