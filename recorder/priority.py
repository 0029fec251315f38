"""Scheduling priority: on a busy machine capture runs first."""

from __future__ import annotations

import contextlib
import os
import sys


def behind_capture(by: int) -> None:
    """Lower this process's priority below capture's: a file or a page can wait, a frame cannot.

    `by` is added to the process's niceness. Best effort: a container may forbid it.
    """
    with contextlib.suppress(OSError):
        os.nice(by)
    if sys.platform == "linux":
        # A batch process does not preempt a running one when it wakes up.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
