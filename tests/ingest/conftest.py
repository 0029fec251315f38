from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .records import Record, Workbench


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    bench = Workbench(tmp_path_factory.mktemp("bench"))
    yield bench
    bench.close()
