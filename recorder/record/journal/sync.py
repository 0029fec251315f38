"""Making journals durable: the slow half of writing, done in a thread."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from recorder import durable


@dataclass(slots=True)
class JournalFile:
    """One journal file that this process writes."""

    stem: str
    fd: int
    salt: int
    day: int
    opened_mono_ns: int
    head: int = 0  # bytes of its description, before any frame
    size: int = 0
    synced_size: int = 0
    named: bool = False  # its directory entry is durable


@dataclass(frozen=True, slots=True)
class SyncJob:
    """Make a file durable up to `covers` bytes; close it if it is finished."""

    file: JournalFile
    covers: int
    directory: Path | None  # sync this too: the file is new there
    close: bool


def run(jobs: list[SyncJob]) -> OSError | None:
    """Do the jobs, and block; stop at the first failure and return it, without closing any file."""
    try:
        for job in jobs:
            durable.sync(job.file.fd)
            if job.directory is not None:
                durable.sync_directory(job.directory)
    except OSError as error:
        return error
    for job in jobs:
        if job.close:
            os.close(job.file.fd)
    return None
