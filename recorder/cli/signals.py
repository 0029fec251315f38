"""The signals that stop a process, or let it read its settings again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable


def handle(
    stop: Callable[[], None], reload: Callable[[], None], kill: Callable[[], None] | None = None
) -> None:
    """Let the running loop call `stop` on SIGINT and SIGTERM, and `reload` on SIGHUP.

    A further SIGINT calls `kill` and ends the process at once: received frames are already in the
    journal. SIGHUP calls `stop` if the terminal closed: that is not a request to reload.
    """
    loop = asyncio.get_running_loop()
    signals: list[int] = []
    on_terminal = sys.stderr.isatty()

    def hang_up() -> None:
        if on_terminal and not os.isatty(2):
            stop()
        else:
            reload()

    def ask(number: int) -> None:
        if signals and number == signal.SIGINT:
            if kill is not None:
                kill()
            os._exit(130)
        signals.append(number)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask, number)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
