"""A record that the tests of this directory share; only to read."""

from __future__ import annotations

import pytest
from kit.market import record
from kit.records import Published


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return record(tmp_path_factory.mktemp("made") / "it's data")
