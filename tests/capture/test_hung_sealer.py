"""The child that seals hangs, or cannot start: capture ends, and keeps the journals."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
from kit.journals import Writer

from recorder.capture.sealer import Sealer
from recorder.record.layout import Layout

pytestmark = pytest.mark.process


class Log:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, event: str, **_: Any) -> None:
        self.errors.append(event)

    def warning(self, event: str, **_: Any) -> None:
        self.errors.append(event)


def finished(root: Path) -> Layout:
    writer = Writer(root, "toy")
    writer.put(writer.open(), b"a frame")
    writer.finish()
    return writer.layout


async def test_a_child_that_hangs_is_killed_and_the_next_one_seals(tmp_path: Path) -> None:
    layout, log = finished(tmp_path), Log()
    sealer = Sealer(tmp_path, 1, log)
    sealer.patience, sealer.slow = 0.5, 0.1
    sealer.request()
    while sealer._child is None:  # noqa: ASYNC110 - nothing says when a process has started
        await asyncio.sleep(0.001)
    child = sealer._child
    os.kill(child.pid, signal.SIGSTOP)
    await asyncio.sleep(0.3)
    await sealer.drain()
    assert child.returncode == -signal.SIGKILL
    assert sealer.failed
    assert log.errors[0] == "sealing hangs; journals pile up"
    assert log.errors[-1] == "sealing does not end and is killed; the journals are kept"
    assert len(layout.active("toy")) == 1 and not layout.sealed("toy")
    again = Sealer(tmp_path, 1, log)
    again.request()
    await again.drain()
    assert not again.failed
    assert not layout.active("toy") and len(layout.sealed("toy")) == 1


async def test_without_descriptors_sealing_is_tried_again(tmp_path: Path) -> None:
    layout, log, lost = finished(tmp_path), Log(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    sealer = Sealer(tmp_path, 1, log)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, hard))
    try:
        sealer.request()
        await sealer.drain()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)
    assert sealer.failed and "sealing cannot start" in log.errors[0]
    assert len(layout.active("toy")) == 1
    sealer.request()
    await sealer.drain()
    assert not sealer.failed and len(layout.sealed("toy")) == 1
    assert lost == []
