from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.records import Published, Record
from kit.rows import Bench


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A data directory whose tables are read as ingest left them."""
    return Record(tmp_path)


@pytest.fixture
def published(tmp_path: Path) -> Published:
    """A data directory whose tables are published after each ingest, with views and macros."""
    return Published(tmp_path)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The rows of some frames, at the least cost."""
    bench = Bench(tmp_path_factory.mktemp("bench"))
    yield bench
    bench.close()
