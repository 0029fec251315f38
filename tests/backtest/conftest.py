"""A record that the tests of this directory share; only to read."""

from __future__ import annotations

import pytest
from ingest.records import Record

from .made import record


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return record(tmp_path_factory.mktemp("made") / "it's data")
