"""An empty database to write rows into; the rows that some frames become."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from kit.rows import Bench

from recorder.record.layout import Layout
from recorder.tables import publish


@pytest.fixture
def database() -> Any:
    with duckdb.connect() as connection:
        publish.define(connection, Layout(Path("nowhere")))
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The rows of some frames, at the least cost."""
    bench = Bench(tmp_path_factory.mktemp("bench"))
    yield bench
    bench.close()
