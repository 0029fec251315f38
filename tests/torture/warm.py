"""Processes of the recorder that start in milliseconds: forks of one that has imported it all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .outcome import CannotRunHereError

_SCRIPT = Path(__file__).parent / "inside" / "warm.py"

#: The system calls that change what a directory holds, or make it durable.
CHANGING = (
    *("openat", "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile"),
    *("copy_file_range", "ftruncate", "truncate", "fallocate", "fsync", "fdatasync", "mkdir"),
    *("mkdirat", "rmdir", "rename", "renameat", "renameat2", "link", "linkat", "symlink"),
    *("symlinkat", "unlink", "unlinkat"),
)

_CALL = re.compile(r"(\d+) +(\w+)\((.*)")


class Call(NamedTuple):
    """The `number`th call of a name (from 1) within one thread."""

    name: str
    number: int


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it wrote to stderr."""

    code: int
    said: str


class Warm:
    """A process that runs `python -m …` in forks of itself, one at a time."""

    def __init__(self, place: Path) -> None:
        self._place = place
        env = {k: v for k, v in os.environ.items() if not k.startswith("RECORDER_")}
        self._process = subprocess.Popen(
            [sys.executable, str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env | {"PYTHONDONTWRITEBYTECODE": "1"},
            cwd=place,
            bufsize=0,
        )

    def run(self, *command: str, strace: tuple[str, ...] = ()) -> Ended:
        """Run a command to its end; with `strace`, under strace with these options."""
        said = self._place / "said"
        said.unlink(missing_ok=True)
        self._send(json.dumps([str(said), *command]).encode())
        pid = int(self._line())
        tracing = _attached(pid, strace) if strace else contextlib.nullcontext()
        with tracing:
            self._send(b"go\n")
            code = int(self._line())
        return Ended(code, said.read_text("utf-8", "replace") if said.exists() else "")

    def trace(self, below: Path, *command: str) -> tuple[Ended, dict[str, list[Call]]]:
        """Run a command; return its end, and its calls that change files below a directory.

        The calls are listed by thread.
        """
        log = self._place / "trace"
        wanted = ",".join(f"?{name}" for name in CHANGING)
        ended = self.run(*command, strace=("-y", "-o", str(log), "-e", f"trace={wanted}"))
        return ended, _calls(log.read_text("utf-8", "replace"), below)

    def kill_at(self, call: Call, *command: str) -> Ended:
        """Run a command that is killed when a thread of it begins this call."""
        inject = f"inject={call.name}:signal=KILL:when={call.number}"
        return self.run(*command, strace=("-e", f"trace={call.name}", "-e", inject))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the warm process ended: {self._process.wait()}")
        return line


@contextlib.contextmanager
def _attached(pid: int, options: tuple[str, ...]) -> Iterator[None]:
    """Trace a process and its threads from now on to its end."""
    with subprocess.Popen(
        ["strace", "-f", "-p", str(pid), *options], stderr=subprocess.PIPE, text=True
    ) as strace:
        assert strace.stderr is not None
        first = strace.stderr.readline()
        if "attached" not in first:
            raise CannotRunHereError(f"strace cannot trace a process here: {first.strip()}")
        yield
        strace.communicate()


def _calls(log: str, below: Path) -> dict[str, list[Call]]:
    counts: dict[str, Counter[str]] = {}
    found: dict[str, list[Call]] = {}
    for line in log.splitlines():
        match = _CALL.match(line)
        if match is None:  # a signal, or the second half of a call
            continue
        thread, name, arguments = match.groups()
        number = counts.setdefault(thread, Counter())
        number[name] += 1
        reads = name == "openat" and "O_CREAT" not in arguments
        if not reads and str(below) in arguments:
            found.setdefault(thread, []).append(Call(name, number[name]))
    return found


@contextlib.contextmanager
def warmed() -> Iterator[Warm]:
    """Start a warm process in a directory of its own."""
    if not shutil.which("strace"):
        raise CannotRunHereError("kills at system calls need strace")
    with tempfile.TemporaryDirectory() as place, contextlib.closing(Warm(Path(place))) as warm:
        yield warm
