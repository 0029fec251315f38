"""Starts a process and reads its CPU time and memory, and its children's, from /proc (Linux)."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_POLL_SECONDS = 0.05


class Cpu(NamedTuple):
    """User + system seconds of the process, and of the children that it has waited for."""

    own: float
    children: float
    wait: float  # time that the main thread was ready to run, but had no core


def cpu(pid: int) -> Cpu:
    """Return the CPU time used so far by all threads of a process."""
    wait = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    # The command name in the second field may contain spaces: count from its closing bracket.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, children_user, children_system = (int(field) / _TICKS for field in fields[11:15])
    return Cpu(user + system, children_user + children_system, wait)


def peak_mb(pid: int) -> float:
    """Return the peak resident memory so far in MB (10^6); 0 once the process has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def descendants(pid: int) -> list[int]:
    """Return the running children of a process, their children, and so on."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return children + [below for child in children for below in descendants(child)]


class Watched:
    """A running command whose peak memory is polled until it ends."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        stdout: int = subprocess.PIPE,
        stdin: int | None = None,
    ) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RECORDER_")}
        self._log = log
        with log.open("w") as stderr:
            self.popen = subprocess.Popen(
                command, stdin=stdin, stdout=stdout, stderr=stderr, text=True, env=environment
            )
        self.pid = self.popen.pid
        self.peaks_mb: dict[int, float] = {}
        self._ended = threading.Event()
        self._poller = threading.Thread(target=self._poll, daemon=True)
        self._poller.start()

    @property
    def peak_mb(self) -> float:
        """Peak resident memory of the process alone."""
        return self.peaks_mb.get(self.pid, 0.0)

    @property
    def children_peak_mb(self) -> float:
        """Peak resident memory of the largest child."""
        return max((mb for pid, mb in self.peaks_mb.items() if pid != self.pid), default=0.0)

    def wait(self, timeout: float) -> Cpu:
        """Wait for a clean end; return the CPU time of the whole run."""
        deadline = time.monotonic() + timeout
        # WNOWAIT leaves the ended process in /proc until its exact CPU time has been read.
        while not os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            if time.monotonic() > deadline:
                raise RuntimeError(f"still running after {timeout:.0f} s\n{self.complaint()}")
            time.sleep(0.005)
        used = cpu(self.pid)
        self.stop()
        if self.popen.returncode:
            raise RuntimeError(f"exit code {self.popen.returncode}\n{self.complaint()}")
        return used

    def stop(self) -> None:
        """Kill the process if it is running."""
        self._ended.set()
        self._poller.join()
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()

    def complaint(self) -> str:
        """Return the command and the last lines of its stderr."""
        lines = self._log.read_text(errors="replace").splitlines()[-20:]
        return "\n".join([" ".join(map(str, self.popen.args)), *lines])

    def _poll(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            try:
                for pid in (self.pid, *descendants(self.pid)):
                    self.peaks_mb[pid] = max(peak_mb(pid), self.peaks_mb.get(pid, 0.0))
            except (FileNotFoundError, ProcessLookupError):
                continue  # one of them has just ended
