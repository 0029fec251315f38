"""Whose turn it is on a busy machine: capture's."""

from __future__ import annotations

import contextlib
import os
import sys


def behind_capture(by: int) -> None:
    """Let capture have the processor first: a file or a page can wait, a frame cannot.

    `by` is added to the process's niceness. A container or a service manager may forbid it; the
    work is done all the same.
    """
    with contextlib.suppress(OSError):
        os.nice(by)
    if sys.platform == "linux":
        # One that wakes up takes no core from who is at work there.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
