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


#: The directories and modules whose tests make tables, or try thousands of worlds: a second and
#: more each. `make check` leaves them out.
SLOW = [
    "alerts",
    "backtest",
    "exports",
    "ingest",
    "lake",
    "queries",
    "reference",
    "bucket/test_reading",
    "feeds/test_verdicts",
    "player/test_cover",
    "player/test_services",
    "record/test_day_seal",
    "record/test_hostile_files",
    "record/test_merge",
    "record/test_read",
    "record/test_tampering",
    "session/test_handover",
    "status/test_quiet_feed",
    "status/test_verdict",
    "test_arrivals",
    "test_canned",
    "test_gaps",
    "test_plot",
    "test_raw_errors",
    "test_sandbox",
    "test_verify",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of `SLOW`."""
    root = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(root).with_suffix("")
        if place.parts[0] in SLOW or place.as_posix() in SLOW:
            item.add_marker(pytest.mark.slow)


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
