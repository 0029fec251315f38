"""What holds for every test."""

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from kit.guard import Guard

from recorder.record.layout import Layout
from recorder.tables.ingest import Ingest
from recorder.tables.rules import RulesOf

# A real Spark cluster takes minutes, and Java: `make test-cluster`.
collect_ignore = [] if os.environ.get("RECORDER_TEST_CLUSTER") else ["cluster"]

# A busy machine is no failure: no timed assertions, and no complaint of slow generation.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
# Planted faults need a failure, not its smallest example: --hypothesis-profile unshrunk
_PHASES = (Phase.explicit, Phase.generate)
settings.register_profile("unshrunk", settings.get_profile("steady"), phases=_PHASES)


def pytest_configure(config: pytest.Config) -> None:
    """Let no unmarked test start a process."""
    config.pluginmanager.register(Guard(), "guard")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample record, ingested, in a data directory whose name needs quoting; only to read."""
    place = tmp_path_factory.mktemp("it's [a] record") / "data"
    shutil.copytree(Path(__file__).parents[1] / "data/sample/raw", place / "raw")
    layout = Layout(place)
    with closing(Ingest(layout, RulesOf(layout))) as work:
        work.run()
        work.publish()
    return place
