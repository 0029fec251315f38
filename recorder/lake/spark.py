"""Tasks on an existing Spark cluster: the same functions that run in this process otherwise.

Spark distributes the tasks and restarts them if a worker dies; no frame passes through it. Workers
need the same packages as the driver, and the same AWS variables: the driver sends them no key.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from recorder import errors
from recorder.errors import RecorderError, UsageError, install_hint
from recorder.version import __version__

if TYPE_CHECKING:
    from pyspark import SparkContext

T = TypeVar("T")
R = TypeVar("R")

#: The packages of which workers need the driver's versions.
_PACKAGES = ("duckdb", "pyarrow", "deltalake")

#: Seconds in which a master has to answer.
_PATIENCE = 10.0

_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}

_INSTALL = f"install the driver's version on each worker: {install_hint('spark')}"


@dataclass(frozen=True, slots=True)
class _Failed:
    """An error of the recorder, in a form that travels from a worker to the driver."""

    kind: str
    what: str
    where: str
    hint: str

    def error(self) -> RecorderError:
        """Return the error of the original class."""
        kind: type[RecorderError] = getattr(errors, self.kind, RecorderError)
        return kind(self.what, where=self.where, hint=self.hint)


@dataclass(frozen=True, slots=True)
class _Task(Generic[T, R]):
    """A function as it runs on a worker: it returns the recorder's errors as values."""

    work: Callable[[T], R]

    def __call__(self, item: T) -> R | _Failed:
        """Return the result, or the error."""
        try:
            return self.work(item)
        except RecorderError as error:
            return _Failed(type(error).__name__, error.what, error.where, error.hint)


def _checked(result: R | _Failed) -> R:
    if isinstance(result, _Failed):
        raise result.error()
    return result


class Cluster:
    """Runs tasks on a cluster; see `session`."""

    def __init__(self, context: SparkContext, master: str) -> None:
        self._context, self._master = context, master

    def __call__(self, work: Callable[[T], R], items: Sequence[T]) -> Iterable[R]:
        """Run a task per item; return the results, in order.

        Raises:
            RecorderError: a task raised it, or failed in every attempt.
        """
        if not items:
            return []
        with _translated(self._master):
            results = self._context.parallelize(list(items), len(items)).map(_Task(work)).collect()
        return [_checked(one) for one in results]

    def check(self) -> None:
        """Check that the workers have the packages that a task needs.

        Raises:
            UsageError: a package is missing on a worker, or is of another version.
        """
        mine = versions(0)
        for theirs in self(versions, range(2 * self._context.defaultParallelism)):
            if wrong := [name for name in mine if mine[name] != theirs[name]]:
                names = ", ".join(f"{n} {theirs[n]} (here {mine[n]})" for n in wrong)
                raise UsageError(
                    f"a worker has other versions: {names}", where=self._master, hint=_INSTALL
                )


def versions(number: int) -> dict[str, str]:
    """Return this process's versions of Python and the packages; a task's `number` is ignored."""
    del number
    result = {"python": ".".join(platform.python_version_tuple()[:2]), "recorder": __version__}
    for name in _PACKAGES:
        try:
            result[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            result[name] = "missing"
    return result


@contextmanager
def session(master: str) -> Iterator[Cluster]:
    """Connect to a cluster, check it, and yield it; `master` is Spark's URL of it.

    Raises:
        UsageError: pyspark or Java is missing here, or a package is missing on the cluster.
        RecorderError: the master does not answer.
    """
    _check_here(master)
    from pyspark import SparkConf, SparkContext

    os.environ.setdefault("PYSPARK_PYTHON", "python3")
    settings = SparkConf().setAppName("recorder ingest").setMaster(master)
    for name, value in _SETTINGS.items():
        settings = settings.set(name, value)
    with _translated(master):
        context = SparkContext(conf=settings)
    try:
        cluster = Cluster(context, master)
        cluster.check()
        yield cluster
    finally:
        context.stop()


def _check_here(master: str) -> None:
    if find_spec("pyspark") is None:
        raise UsageError(
            "pyspark is not installed", where="--engine spark", hint=install_hint("spark")
        )
    home = os.environ.get("JAVA_HOME")
    if not (home and (Path(home) / "bin/java").exists()) and shutil.which("java") is None:
        raise UsageError(
            "Java is not installed",
            where="--engine spark",
            hint="Spark's driver needs Java 17 or newer; set JAVA_HOME, or install it",
        )
    hosts = re.fullmatch(r"spark://(.+)", master)
    if hosts and not any(_answers(host) for host in hosts[1].split(",")):
        raise RecorderError(
            "no Spark master answers", where=master, hint="start it, or correct --master"
        )


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PATIENCE):
            return True
    except (OSError, ValueError):
        return False


@contextmanager
def _translated(master: str) -> Iterator[None]:
    """Translate Spark's errors within the block; the recorder's own pass through."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise _meaning(str(error), master) from error


def _meaning(text: str, master: str) -> RecorderError:
    if missing := re.search(r"No module named '(\w+)", text):
        what = f"a cluster without the package: a worker cannot import {missing[1]}"
        return UsageError(what, where=master, hint=_INSTALL)
    if "PYTHON_VERSION_MISMATCH" in text or "different version" in text:
        what = f"the workers' Python is not {platform.python_version()}"
        return UsageError(what, where=master, hint="name the workers' Python: PYSPARK_PYTHON")
    if "Cannot run program" in text:
        return UsageError(
            "the workers have no such Python", where=master,
            hint="name the workers' Python: PYSPARK_PYTHON",
        )  # fmt: skip
    lines = [line.strip() for line in text.splitlines() if "Error" in line or "Exception" in line]
    return RecorderError(
        f"the cluster failed: {lines[-1] if lines else text[:200]}",
        where=master,
        hint="this batch was not committed; see the workers' logs, then start again",
    )
