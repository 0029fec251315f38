"""One child process of a supervisor: started, heard, ended. It dies with its parent."""

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

#: A longer line of a child's is told in pieces.
_LONGEST = 16_384


def die_with(parent: int) -> None:
    """Ask for SIGTERM as soon as the parent has died, however it does; call it first of all.

    On Linux the kernel sends it; elsewhere a thread looks once a second.
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
class Spec:
    """What to run, and its place in the flow.

    `arguments` are those of the command line `recorder`. `stage`: children are ended stage after
    stage. `beats`: it tells how it goes (`notify`). `patience`: seconds to wait for its
    clean end; None: as long as it takes. `rest`: arguments of what is run at the end in place of
    the clean end that it did not have.
    """

    name: str
    arguments: tuple[str, ...]
    stage: int
    beats: bool = False
    patience: float | None = None
    rest: tuple[str, ...] = ()


#: Hears of a child: its name, and a line of what it says, or what its datagram says.
Hear = Callable[[str, str], None]
HearBeat = Callable[[str, dict[str, str]], None]


class Child:
    """One running process."""

    def __init__(self, process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
        self._process, self._reading = process, reading
        self.started = asyncio.get_running_loop().time()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end, and for the last it said; the exit code, negative for a signal."""
        code = await self._process.wait()
        # What it started may hold the pipe open: its own words are there by now.
        await asyncio.wait([self._reading], timeout=1.0)
        self._reading.cancel()
        return code


async def start(spec: Spec, hear: Hear, beat: HearBeat) -> Child:
    """Start a process and listen to it.

    It runs in a process group of its own, so that Ctrl-C reaches only the supervisor, which ends
    its children in their order. One that `beats` records: it must not wait for a supervisor that
    does not listen, so writing to its pipe never blocks, and what finds no room there is unsaid.
    """
    said, says = os.pipe()
    os.set_blocking(says, not spec.beats)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "recorder.cli.child", str(os.getpid()), *spec.arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=says,
            stderr=says,
            env=_environment(there.fileno() if spec.beats else None),
            pass_fds=(there.fileno(),) if spec.beats else (),
            process_group=0,
        )
    except OSError:
        os.close(said)
        here.close()
        raise
    finally:
        os.close(says)
        there.close()
    reading = asyncio.create_task(_listen(spec.name, said, here, hear, beat))
    return Child(process, reading)


def _environment(beats_to: int | None) -> dict[str, str]:
    """The service manager is told by the supervisor alone."""
    ours = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", notify.FD}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    if beats_to is None:
        return kept
    watchdog = notify.watchdog_seconds(os.environ, os.getpid())
    often = {"WATCHDOG_USEC": str(int(watchdog * 1e6))} if watchdog else {}
    return kept | often | {notify.FD: str(beats_to)}


async def _listen(name: str, said: int, here: socket.socket, hear: Hear, beat: HearBeat) -> None:
    """Pass on what the child says, to its end."""
    loop = asyncio.get_running_loop()
    here.setblocking(False)

    def beaten() -> None:
        with suppress(OSError):
            while datagram := here.recv(4096):
                beat(name, notify.fields(datagram))

    loop.add_reader(here, beaten)
    reader = asyncio.StreamReader()
    pipe = os.fdopen(said, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        rest = b""
        while data := await reader.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _LONGEST:
                lines, rest = [*lines, rest], b""
            for line in lines:
                hear(name, line.decode("utf-8", "replace"))
        if rest:
            hear(name, rest.decode("utf-8", "replace"))
    finally:
        loop.remove_reader(here)
        here.close()
        transport.close()
