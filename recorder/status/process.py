"""Is a process at work? Told by its lock, which the kernel drops with the process."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that a running process holds: its pid, and since when."""

    pid: int | None
    since_ns: int


Locks = frozenset[tuple[int, int]]
"""Pid and inode of each file that a process of this machine holds locked."""


def locked() -> Locks:
    """What the kernel lists; nothing where it keeps no list."""
    try:
        lines = _LOCKS.read_text("ascii", "replace").splitlines()
    except OSError:
        return frozenset()
    held = (line.split() for line in lines if " FLOCK " in line and "->" not in line)
    return frozenset((int(words[4]), int(words[5].rpartition(":")[2])) for words in held)


def holder(path: Path, known: Locks) -> Held | None:
    """Who holds this lock file; None: nobody. `known` is what `locked` says."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        about = os.fstat(fd)
        told = os.pread(fd, 32, 0).strip()
        pid = int(told) if told.isdigit() else None
        if (pid, about.st_ino) not in known and not _held(fd):
            return None
        return Held(pid, about.st_mtime_ns)
    finally:
        os.close(fd)


def _held(fd: int) -> bool:
    """Ask for the lock, and give it back at once.

    It is the only way to know of a process in another container, or where the kernel keeps no
    list. Whoever wants the lock in this very microsecond is told that it is held.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False
