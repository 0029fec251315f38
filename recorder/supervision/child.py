"""One child process of the supervisor: start it, read its output, end it with its parent."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from recorder.capture import notify

_PR_SET_PDEATHSIG = 1

#: The longest line of a child's output that is passed on whole, in bytes.
_LONGEST = 16_384


def die_with(parent: int) -> None:
    """Arrange that this process gets SIGTERM when its parent dies; call it before anything else.

    On Linux the kernel sends the signal; elsewhere a thread checks once a second. Exits if the
    parent is dead already.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before it could be watched
        sys.exit(f"the supervisor (pid {parent}) is gone")


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A command of `recorder` to keep running, and how to stop it.

    Children are stopped stage by stage, in ascending order of `stage`. A child that `notifies`
    reports its state over a socket, as to a service manager (`capture.notify`). `patience` is the
    time in s that it gets for a clean end; None is without limit. If it does not end cleanly, the
    command `finish` does the work that it left undone.
    """

    name: str
    arguments: tuple[str, ...]
    stage: int
    notifies: bool = False
    patience: float | None = None
    finish: tuple[str, ...] = ()


#: Called with a child's name and a line of its output.
OnLine = Callable[[str, str], None]
#: Called with a child's name and the fields of a notification.
OnNotification = Callable[[str, dict[str, str]], None]


class Child:
    """One running process. `started` is the loop's time of its start, in s."""

    def __init__(self, process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
        self._process, self._reading = process, reading
        self.started = asyncio.get_running_loop().time()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send the process a signal if it is running."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end of the process and of its output; return its exit code.

        The code is negative if a signal ended the process.
        """
        code = await self._process.wait()
        # The child's own output is complete, but processes that it started may keep the pipe open.
        await asyncio.wait([self._reading], timeout=1.0)
        self._reading.cancel()
        return code


async def start(spec: ChildSpec, on_line: OnLine, on_notification: OnNotification) -> Child:
    """Start a process and read its output.

    The process has its own process group: Ctrl-C reaches only the supervisor, which then stops its
    children in order. A child that `notifies` is the one that records, and it must not wait for a
    supervisor that does not read: its pipe does not block, and output that does not fit is lost.

    Raises:
        OSError: the process cannot be started.
    """
    output, written = os.pipe()
    os.set_blocking(written, not spec.notifies)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "recorder.cli.child", str(os.getpid()), *spec.arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            env=_environment(there.fileno() if spec.notifies else None),
            pass_fds=(there.fileno(),) if spec.notifies else (),
            process_group=0,
        )
    except OSError:
        os.close(output)
        here.close()
        raise
    finally:
        os.close(written)
        there.close()
    reading = asyncio.create_task(_read(spec.name, output, here, on_line, on_notification))
    return Child(process, reading)


def _environment(notify_fd: int | None) -> dict[str, str]:
    """Return a child's environment: only the supervisor reports to the service manager."""
    ours = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", notify.FD}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    if notify_fd is None:
        return kept
    seconds = notify.watchdog_seconds(os.environ, os.getpid())
    watchdog = {"WATCHDOG_USEC": str(int(seconds * 1e6))} if seconds else {}
    return kept | watchdog | {notify.FD: str(notify_fd)}


async def _read(
    name: str, output: int, here: socket.socket, on_line: OnLine, on_notification: OnNotification
) -> None:
    """Pass on the child's lines and notifications until its output ends."""
    loop = asyncio.get_running_loop()
    here.setblocking(False)

    def receive() -> None:
        with suppress(OSError):
            while datagram := here.recv(4096):
                on_notification(name, notify.fields(datagram))

    loop.add_reader(here, receive)
    reader = asyncio.StreamReader()
    pipe = os.fdopen(output, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        rest = b""
        while data := await reader.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _LONGEST:
                lines, rest = [*lines, rest], b""
            for line in lines:
                on_line(name, line.decode("utf-8", "replace"))
        if rest:
            on_line(name, rest.decode("utf-8", "replace"))
    finally:
        loop.remove_reader(here)
        here.close()
        transport.close()
