"""Writes, renames and locks that survive a crash or a power cut."""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
from pathlib import Path

from recorder.errors import BusyError

_AT_FDCWD = -100

#: How coarse a directory's modification time may be (ns): two changes within it may look as one.
GRAIN_NS = 100_000_000


def sync(fd: int) -> None:
    """Force a file's data to stable storage; blocks, so call it in a thread.

    macOS has no `fdatasync`, and its `fsync` stops at the drive's cache.
    """
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_directory(path: Path) -> None:
    """Force a directory's names to stable storage: without it a new file may vanish."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its name: file fsync, rename, directory fsync."""
    fd = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.rename(final)
    sync_directory(final.parent)


def exchange(one: Path, other: Path) -> None:
    """Swap the names of two directories of one file system, atomically.

    Raises:
        OSError: the system or the file system does not support it.
    """
    names = (os.fsencode(one), os.fsencode(other))
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        failed = libc.renamex_np(*names, 2)  # RENAME_SWAP
    else:
        failed = libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], 2)  # RENAME_EXCHANGE
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))
    sync_directory(one.parent)
    sync_directory(other.parent)


def keep_private(*, group_may_read: bool) -> None:
    """Let only the owner, or also the group, read what this process and its children create.

    A lock needs no more than a descriptor to read: with the usual modes any local user could hold
    a recorder's lock and keep it from starting.
    """
    os.umask(0o027 if group_may_read else 0o077)


def make_directory(path: Path) -> None:
    """Create a directory and its parents, each name durable."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def try_lock(fd: int) -> bool:
    """Take the file's lock for as long as the descriptor lives; False if another holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock(fd: int) -> None:
    """Take the file's lock for as long as the descriptor lives; wait while another holds it."""
    fcntl.flock(fd, fcntl.LOCK_EX)


def claim(path: Path, purpose: str) -> int:
    """Take `path` as a lock that names its owner; return the descriptor to keep open.

    The kernel drops the lock when the process ends, however it ends.

    Raises:
        BusyError: another process holds it; the message has its pid.
    """
    make_directory(path.parent)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if not try_lock(fd):
        owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise BusyError(
            f"{purpose} is already running here (pid {owner})",
            where=str(path.parent),
            hint="stop it first, or use another data directory (--data-dir)",
        )
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
