"""One store and one cluster for all tests here; without Java there is nothing to test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from kit.seaweed import Seaweed, serving

from .standalone import Cluster, environment, standing


@dataclass
class Stage:
    """What a driver needs: a store, and a cluster whose workers know it."""

    store: Seaweed
    cluster: Cluster

    @property
    def environment(self) -> dict[str, str]:
        """A driver's, a capture's or a local ingest's environment."""
        return {**environment(), **self.store.environment}

    def recorder(self, *arguments: str | Path, **more: str) -> subprocess.Popen[str]:
        """Start a `recorder` process."""
        return subprocess.Popen(
            [sys.executable, "-m", "recorder", *map(str, arguments)],
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ingest(self, tables_url: str, *arguments: str | Path, **more: str) -> subprocess.Popen[str]:
        """Start an ingest on the cluster."""
        return self.recorder(
            "ingest", "--engine", "spark", "--master", self.cluster.master,
            "--tables-url", tables_url, *arguments, **more,
        )  # fmt: skip


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A store and a cluster, running."""
    if shutil.which("java") is None or find_spec("pyspark") is None:
        pytest.skip("the cluster's tests need Java and pyspark: make test-cluster")
    folder = tmp_path_factory.mktemp("stage")
    with (
        serving(folder / "store") as store,
        standing(folder / "spark", store.environment) as cluster,
    ):
        yield Stage(store, cluster)


@pytest.fixture
def aws(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stage, its store known to this process too."""
    for name, value in stage.store.environment.items():
        monkeypatch.setenv(name, value)
    return stage
