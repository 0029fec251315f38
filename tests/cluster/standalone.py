"""A real Spark cluster for tests: a standalone master and two workers, from the pip package.

with standing(folder, environment) as cluster:
    cluster.master                    # spark://127.0.0.1:PORT
    cluster.kill(0)                   # a worker and its executors, with SIGKILL
    cluster.start(0)                  # another in its place
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PATIENCE = 120.0
WORKERS = 2


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; its first true value."""
    deadline = time.monotonic() + _PATIENCE
    while not (value := true()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)
    return value


@dataclass
class Cluster:
    """One master and its workers; their logs are in `folder`."""

    folder: Path
    environment: Mapping[str, str]
    port: int = field(default_factory=free_port)
    page: int = field(default_factory=free_port)
    _master: subprocess.Popen[bytes] | None = None
    _workers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def master(self) -> str:
        """Spark's URL of the master."""
        return f"spark://127.0.0.1:{self.port}"

    def begin(self) -> None:
        """Start everything; returns when all workers are known."""
        self._master = self._run(
            "master", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1",
            "--port", str(self.port), "--webui-port", str(self.page),
        )  # fmt: skip
        wait_until(self._state, "the master answers")
        for number in range(WORKERS):
            self.start(number)
        wait_until(lambda: self.alive() == WORKERS, "the workers are known")

    def start(self, number: int) -> None:
        """Start one worker."""
        self._workers[number] = self._run(
            f"worker-{number}", "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1",
            "--cores", "1", "--memory", "1g", "--webui-port", "0",
            "--work-dir", str(self.folder / f"work-{number}"), self.master,
        )  # fmt: skip

    def kill(self, number: int) -> None:
        """End one worker and all that it started, as a power cut would."""
        process = self._workers.pop(number)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE)

    def alive(self) -> int:
        """How many workers the master knows of."""
        return sum(worker["state"] == "ALIVE" for worker in (self._state() or {})["workers"])

    def executors(self) -> int:
        """How many executors run for the applications of now."""
        return sum(worker["coresused"] > 0 for worker in (self._state() or {})["workers"])

    def end(self) -> None:
        """End everything."""
        for number in list(self._workers):
            self.kill(number)
        if self._master is not None:
            os.killpg(self._master.pid, signal.SIGKILL)
            self._master.wait(_PATIENCE)

    def _state(self) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/json/", timeout=10) as page:
                return json.load(page)
        except (OSError, ValueError):
            return None

    def _run(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        import pyspark

        home = Path(pyspark.__file__).parent
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [home / "bin/spark-class", *arguments],
                env={**environment(), **self.environment, "SPARK_HOME": str(home)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def environment() -> dict[str, str]:
    """The environment of Spark's processes and of drivers: loopback, and this Python."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RECORDER_", "AWS_"))}
    return {
        **kept,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_NO_DAEMONIZE": "1",
    }


@contextlib.contextmanager
def standing(folder: Path, environment: Mapping[str, str]) -> Iterator[Cluster]:
    """A running cluster; `environment` is what its workers need beside."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, environment)
    try:
        cluster.begin()
        yield cluster
    finally:
        cluster.end()
