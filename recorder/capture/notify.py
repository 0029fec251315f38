"""Health notifications to a service manager by systemd's protocol, one datagram per message.

`sd_notify(3)`: READY=1 once, WATCHDOG=1 while healthy, STATUS= for people, STOPPING=1 at the end.
Sending never blocks: a datagram that the manager cannot take at once is dropped.

Our supervisor (`recorder run`) gives its children a socket instead of an address, in
`RECORDER_NOTIFY_FD`: it has no name in the file system, and no other process can write to it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

FD = "RECORDER_NOTIFY_FD"

#: Characters of a value, at most.
_LONGEST = 400


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """Return the watchdog timeout (s) that the manager set for this process; None: none."""
    microseconds, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(pid))
    if not microseconds.isdecimal() or int(microseconds) == 0 or whose != str(pid):
        return None
    return int(microseconds) / 1e6


def message(**fields: str | int) -> bytes:
    """Return a datagram of `NAME=value` lines; control characters in a value become spaces."""
    lines = (f"{name}={_line(str(value))}" for name, value in fields.items())
    return "\n".join(lines).encode("utf-8", "replace")


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:_LONGEST]


def fields(datagram: bytes) -> dict[str, str]:
    """Return the fields of a datagram; skip lines without `=`."""
    lines = datagram.decode("utf-8", "replace").splitlines()
    return {name: value for name, equals, value in (x.partition("=") for x in lines) if equals}


class Notifier:
    """A sender to the manager that the environment names; without one it does nothing.

    `every`: seconds between two heartbeats, often enough for the manager's watchdog.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._socket = _open(environ)
        self.every = min(1.0, (watchdog_seconds(environ, os.getpid()) or 3.0) / 3)

    @property
    def connected(self) -> bool:
        """True if there is a manager to send to."""
        return self._socket is not None

    def say(self, **message_fields: str | int) -> None:
        """Send one message; drop it if the manager is gone or busy."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send(message(**message_fields))

    def close(self) -> None:
        """Close the socket; later messages are dropped."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _open(environ: Mapping[str, str]) -> socket.socket | None:
    fd, address = environ.get(FD, ""), environ.get("NOTIFY_SOCKET", "")
    try:
        if fd.isdecimal():
            found = socket.socket(fileno=int(fd))
        elif address[:1] in {"/", "@"}:
            found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            found.connect("\0" + address[1:] if address[0] == "@" else address)
        else:
            return None
    except OSError:
        return None
    found.setblocking(False)
    found.set_inheritable(False)
    return found


@dataclass(frozen=True, slots=True)
class Beat:
    """The health of a process. `ready`: it has started. `well`: it is healthy now."""

    ready: bool
    well: bool
    status: str


async def keep(notifier: Notifier, look: Callable[[], Beat]) -> None:
    """Notify the manager until cancelled: READY once, WATCHDOG while well, each new STATUS."""
    ready, status = False, ""
    while notifier.connected:
        beat = look()
        if beat.ready and not ready:
            ready = True
            notifier.say(READY=1)
        if beat.ready and beat.well:
            notifier.say(WATCHDOG=1)
        if beat.status != status:
            status = beat.status
            notifier.say(STATUS=status)
        await asyncio.sleep(notifier.every)
