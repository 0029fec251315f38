"""Clocks, and the kernel's estimate of their quality."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

NS = 1_000_000_000
DAY_NS = 86_400 * NS

#: After every receive time (ns).
LAST = 1 << 62


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks that stamp frames; passed in, so that tests move them by hand."""

    wall_ns: Callable[[], int] = time.time_ns
    mono_ns: Callable[[], int] = time.monotonic_ns


def day(ns: int) -> str:
    """Return the UTC day of a wall-clock time (ns), `YYYY-MM-DD`."""
    return datetime.fromtimestamp(ns // NS, UTC).strftime("%Y-%m-%d")


def iso(ns: int) -> str:
    """Return a wall-clock time (ns) for people, in whole seconds, UTC."""
    return datetime.fromtimestamp(ns // NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(ns: int, entropy: bytes) -> str:
    """Return a sortable id of 26 characters: 48 bits of milliseconds, then 80 bits of entropy.

    `entropy` is 10 random bytes. Layout: https://github.com/ulid/spec
    """
    number = (ns // 1_000_000 & (1 << 48) - 1) << 80 | int.from_bytes(entropy[:10])
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


@dataclass(frozen=True, slots=True)
class Sync:
    """Whether the kernel thinks its clock is disciplined, and by how much it may be off."""

    synchronised: bool
    error_ns: int  # the kernel's estimated error
    offset_ns: int  # correction still being applied


class _Timex(ctypes.Structure):
    """`struct timex` of Linux up to the fields read here; the rest is room for the kernel."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


_STA_UNSYNC = 0x0040
_STA_NANO = 0x2000


@cache
def _libc() -> ctypes.CDLL:
    """Return the C library, loaded once: each further load would stay in memory."""
    return ctypes.CDLL(None, use_errno=True)


def sync_state() -> Sync | None:
    """Return the kernel's view of the wall clock (`adjtimex`, read only); None if it has none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        timex = _Timex()
        if _libc().adjtimex(ctypes.byref(timex)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    unit = 1 if timex.status & _STA_NANO else 1_000
    return Sync(
        synchronised=not timex.status & _STA_UNSYNC,
        error_ns=timex.esterror * 1_000,
        offset_ns=timex.offset * unit,
    )
