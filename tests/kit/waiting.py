"""Waiting for a condition. A test never sleeps for a time in which something should happen."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable

#: Longer than anything takes, on the slowest and busiest machine.
PATIENCE = 60.0


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it did not hold in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"it did not happen within {seconds:g} s")
        time.sleep(0.01)


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds, while the tasks of this loop run.

    Raises:
        TimeoutError: it did not hold in time; its notes show where each task of the loop is.
    """
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - neither files nor processes send events
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        error.add_note(_stacks())
        raise


def _stacks() -> str:
    stacks = io.StringIO()
    for task in asyncio.all_tasks():
        task.print_stack(file=stacks, limit=6)
    return stacks.getvalue()
