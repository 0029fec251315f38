"""Run a command as `SystemCallFilter=~@resources` does: such calls fail with EPERM.

`python confined.py COMMAND …`, on Linux on x86-64. What a process of a unit may not do cannot be
found out by reading the unit.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys

#: The calls of `systemd-analyze syscall-filter @resources`, as x86-64 numbers them.
RESOURCES = {
    "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "setrlimit": 160,
    "sched_setaffinity": 203, "mbind": 237, "set_mempolicy": 238, "ioprio_set": 251,
    "migrate_pages": 256, "move_pages": 279, "sched_setattr": 314,
}  # fmt: skip

POSSIBLE = sys.platform == "linux" and platform.machine() == "x86_64"

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte),
        ("value", ctypes.c_uint),
    )  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("first", ctypes.POINTER(_Instruction)))


def confine() -> None:
    """Let the calls fail from now on, in this process and its children."""
    numbers = list(RESOURCES.values())
    code = [_Instruction(_LOAD, 0, 0, 0)]  # the number of the call
    code += [
        _Instruction(_EQUAL, len(numbers) - place, 0, number)
        for place, number in enumerate(numbers)
    ]
    code += [_Instruction(_RETURN, 0, 0, _ALLOW), _Instruction(_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    program = _Program(len(code), (_Instruction * len(code))(*code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(
        _SECCOMP, _FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the filter was refused")


if __name__ == "__main__":
    confine()
    os.execvp(sys.argv[1], sys.argv[1:])
