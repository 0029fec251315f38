"""An empty database to write rows into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from recorder.record.layout import Layout
from recorder.tables import publish


@pytest.fixture
def database() -> Any:
    with duckdb.connect() as connection:
        publish.define(connection, Layout(Path("nowhere")))
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
