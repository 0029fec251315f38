"""One measured run of one subject: a bare loop or the recorder, with its own server."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import record
from benchmarks.percentiles import percentiles
from benchmarks.process import Cpu, Watched, cpu

Figures = dict[str, object]

_PYTHON = (sys.executable, "-m")
_DRAIN_SECONDS = 120.0
_CONFIG = """\
[capture]
rotate_mb = 64

[feeds.flood]
kind = "generic"
url = "{url}"
"""


@dataclass(frozen=True)
class Bench:
    """The folder for the files of runs, and the command that captures."""

    folder: Path
    command: Sequence[str]


class Server:
    """The server process, controlled through the lines that it prints."""

    def __init__(self, process: Watched) -> None:
        self._process = process
        self.url = f"ws://127.0.0.1:{self.wait('listening')['port']}/"

    def wait(self, event: str) -> Figures:
        """Return the fields of the next line, which must be the event `event`."""
        line = self._process.popen.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended before {event!r}\n{self._process.complaint()}")
        fields = json.loads(line)
        if fields["event"] != event:
            raise RuntimeError(f"the server printed {line.strip()} instead of {event!r}")
        return fields


def flood_bare(bench: Bench, loop: str, frames: int) -> Figures:
    """Measure one documented loop at full speed."""
    with (
        _folder(bench) as folder,
        _server(folder, "flood", frames) as server,
        _bare(folder, loop, server.url, frames) as process,
    ):
        _wait_open(server, process)
        before = cpu(process.pid)
        server.wait("start")
        sent = server.wait("done")
        figures = json.loads(process.popen.stdout.read())
        used = process.wait(timeout=_DRAIN_SECONDS)
    return {
        **figures,
        "frames_per_second_at_server": frames / sent["seconds"],
        "cpu_seconds_per_million": (used.own - before.own) / frames * 1e6,
        "core_wait_seconds": used.wait - before.wait,
        "peak_mb": process.peak_mb,
    }


def flood_recorder(bench: Bench, frames: int) -> Figures:
    """Measure the recorder at full speed; compare its record byte by byte."""
    with _folder(bench) as folder, _server(folder, "flood", frames) as server:
        with _recorder(bench, folder, server.url) as process:
            _wait_open(server, process)
            before = cpu(process.pid)
            server.wait("start")
            sent = server.wait("done")
            used = _drain(process)
            ended_ns = time.time_ns()
        record.check(folder / "data", frames, content=True)
        first_ns, last_ns = record.receive_span(folder / "data")
    return {
        "frames_per_second": frames / (last_ns - first_ns) * 1e9,
        "frames_per_second_at_server": frames / sent["seconds"],
        "cpu_seconds_per_million": (used.own - before.own) / frames * 1e6,
        "core_wait_seconds": used.wait - before.wait,
        "peak_mb": process.peak_mb,
        "children_cpu_seconds": used.children,
        "children_peak_mb": process.children_peak_mb,
        "sealed_seconds": (ended_ns - first_ns) / 1e9,
    }


def paced_bare(bench: Bench, rate: int, seconds: float) -> Figures:
    """Measure the documented loop, with a timestamp after `recv`, at an exact rate."""
    with (
        _folder(bench) as folder,
        _server(folder, "pace", rate, seconds) as server,
        _bare(folder, "stamp", server.url, int(rate * seconds)) as process,
    ):
        _wait_open(server, process)
        share, sent = _steady_share(server, process, seconds)
        figures = json.loads(process.popen.stdout.read())
        process.wait(timeout=_DRAIN_SECONDS)
    return {**figures, "cpu_percent": share, "peak_mb": process.peak_mb, "late_ms": sent["late_ms"]}


def paced_recorder(bench: Bench, rate: int, seconds: float) -> Figures:
    """Measure the recorder at an exact rate; check that its record is complete."""
    with _folder(bench) as folder, _server(folder, "pace", rate, seconds) as server:
        with _recorder(bench, folder, server.url) as process:
            _wait_open(server, process)
            share, sent = _steady_share(server, process, seconds)
            used = _drain(process)
        record.check(folder / "data", int(rate * seconds), content=False)
        latency = percentiles(record.latencies(folder / "data"))
    return {
        "latency_ms": latency,
        "cpu_percent": share,
        "peak_mb": process.peak_mb,
        "children_cpu_seconds": used.children,
        "children_peak_mb": process.children_peak_mb,
        "late_ms": sent["late_ms"],
    }


def _steady_share(server: Server, process: Watched, seconds: float) -> tuple[float, Figures]:
    """Return the process's share of a core in %, without the first and last second.

    The second value holds the fields of the server's event `done`.
    """
    edge = min(1.0, seconds / 4)
    server.wait("start")
    time.sleep(edge)
    early, start = cpu(process.pid), time.monotonic()
    time.sleep(seconds - 2 * edge)
    late, end = cpu(process.pid), time.monotonic()
    return (late.own - early.own) / (end - start) * 100, server.wait("done")


def _wait_open(server: Server, process: Watched) -> None:
    try:
        server.wait("open")
    except RuntimeError as error:
        raise RuntimeError(f"{error}\n{process.complaint()}") from error


def _drain(process: Watched) -> Cpu:
    process.popen.send_signal(signal.SIGTERM)
    return process.wait(timeout=_DRAIN_SECONDS)


@contextmanager
def _folder(bench: Bench) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="recorder-bench-", dir=bench.folder))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(command: Sequence[str], log: Path, stdout: int = subprocess.PIPE) -> Iterator[Watched]:
    process = Watched(command, log, stdout)
    try:
        yield process
    finally:
        process.stop()


@contextmanager
def _server(folder: Path, *arguments: object) -> Iterator[Server]:
    command = (*_PYTHON, "benchmarks.server", *map(str, arguments))
    with _running(command, folder / "server.log") as process:
        yield Server(process)


@contextmanager
def _bare(folder: Path, loop: str, url: str, frames: int) -> Iterator[Watched]:
    command = (*_PYTHON, "benchmarks.bare", loop, url, str(frames))
    with _running(command, folder / "bare.log") as process:
        yield process


@contextmanager
def _recorder(bench: Bench, folder: Path, url: str) -> Iterator[Watched]:
    config = folder / "recorder.toml"
    config.write_text(_CONFIG.format(url=url))
    command = (*bench.command, "--config", str(config), "--data-dir", str(folder / "data"))
    with _running(command, folder / "recorder.log", subprocess.DEVNULL) as process:
        yield process
