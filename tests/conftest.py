"""What holds for every test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A real Spark cluster takes minutes, and Java: `make test-cluster`.
collect_ignore = [] if os.environ.get("RECORDER_TEST_CLUSTER") else ["cluster"]

# A busy machine is no failure: no timed assertions, and no complaint of slow generation.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample record, ingested, in a data directory whose name needs quoting; only to read."""
    place = tmp_path_factory.mktemp("it's [a] record") / "data"
    shutil.copytree(Path(__file__).parents[1] / "data/sample/raw", place / "raw")
    ingest = [sys.executable, "-m", "recorder", "ingest", "--data-dir", str(place)]
    subprocess.run(ingest, cwd=place, check=True, capture_output=True)
    return place
