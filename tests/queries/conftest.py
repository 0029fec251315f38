"""An empty database for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from recorder.tables import publish

from .rows import NOWHERE, Connection


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "recorder.duckdb"
    with duckdb.connect(str(path)) as connection:
        publish.define(connection, NOWHERE)
    return path


@pytest.fixture
def database(empty: Path, tmp_path: Path) -> Iterator[Connection]:
    with duckdb.connect(str(shutil.copy(empty, tmp_path))) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.begin()  # nothing is written to disk for each row
        yield connection
