"""Detection of running processes by their locks, which the kernel releases when they end."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that a running process holds: its pid, and since when."""

    pid: int | None
    since_ns: int


Locks = frozenset[tuple[int, int]]
"""Pid and inode of each file that a process of this machine has locked."""


def locked() -> Locks:
    """Return the locks that the kernel lists; an empty set where it has no list."""
    try:
        lines = _LOCKS.read_text("ascii", "replace").splitlines()
    except OSError:
        return frozenset()
    held = (line.split() for line in lines if " FLOCK " in line and "->" not in line)
    return frozenset((int(words[4]), int(words[5].rpartition(":")[2])) for words in held)


def holder(path: Path, known: Locks) -> HeldLock | None:
    """Return who holds this lock file; None: nobody. `known` is the result of `locked`."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        about = os.fstat(fd)
        content = os.pread(fd, 32, 0).strip()
        pid = int(content) if content.isdigit() else None
        if (pid, about.st_ino) not in known and not _is_held(fd):
            return None
        return HeldLock(pid, about.st_mtime_ns)
    finally:
        os.close(fd)


def _is_held(fd: int) -> bool:
    """Try to take the lock, and release it at once; return True if another process holds it.

    Only this detects a process in another container, or works where the kernel has no list. A
    process that tries to take the lock in the same microsecond finds it held.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False
