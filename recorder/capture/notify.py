"""Telling a service manager how it goes: systemd's protocol, one datagram a message.

`sd_notify(3)`: READY=1 once, WATCHDOG=1 for as long as all is well, STATUS= for people, STOPPING=1
at the end. Nobody waits for the manager: what it does not take at once is left unsaid.

A supervisor of our own (`recorder run`) hands its children a socket instead of an address, in
`RECORDER_NOTIFY_FD`: nothing lies in the file system, and nobody else can write to it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

FD = "RECORDER_NOTIFY_FD"

#: How long a line of STATUS may be.
_LONGEST = 400


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """How often the manager wants to hear from this process, in seconds; None: not at all."""
    microseconds, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(pid))
    if not microseconds.isdecimal() or int(microseconds) == 0 or whose != str(pid):
        return None
    return int(microseconds) / 1e6


def message(**fields: str | int) -> bytes:
    """A datagram of `NAME=value` lines; control characters in a value become spaces."""
    lines = (f"{name}={_line(str(value))}" for name, value in fields.items())
    return "\n".join(lines).encode("utf-8", "replace")


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:_LONGEST]


def fields(datagram: bytes) -> dict[str, str]:
    """What a datagram says; a line without `=` is left out."""
    lines = datagram.decode("utf-8", "replace").splitlines()
    return {name: value for name, equals, value in (x.partition("=") for x in lines) if equals}


class Notifier:
    """Sends to the manager that the environment names; without one, nowhere.

    `every`: seconds between two beats, often enough for the manager's watchdog.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._socket = _open(environ)
        self.every = min(1.0, (watchdog_seconds(environ, os.getpid()) or 3.0) / 3)

    @property
    def heard(self) -> bool:
        """True if somebody is told."""
        return self._socket is not None

    def say(self, **told: str | int) -> None:
        """Send one message; a manager that is gone or busy does not hear it."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send(message(**told))

    def close(self) -> None:
        """Say nothing more."""
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
    """How it goes. `ready`: what was started does its work. `well`: it still does, right now."""

    ready: bool
    well: bool
    status: str


async def keep(notifier: Notifier, look: Callable[[], Beat]) -> None:
    """Tell the manager until cancelled: READY once, WATCHDOG while well, STATUS when it changes."""
    ready, status = False, ""
    while notifier.heard:
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
