"""Workers and drivers that are killed: the tables are one machine's, and nothing is twice."""

from __future__ import annotations

import signal
import subprocess
import venv
from pathlib import Path

import pytest
from kit.records import Published, assert_same
from lake import worlds

from recorder.lake import delta
from recorder.lake.place import Place
from recorder.lake.tables import EVENTS

from .conftest import Stage
from .standalone import wait_until

pytestmark = pytest.mark.process

KINDS = ("binance", "bybit", "cryptolisting", "deribit", "okx", "smartmoney")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Feeds of every sort, on two lines."""
    return worlds.record(tmp_path_factory.mktemp("world"), KINDS, lines="AB")


@pytest.fixture(scope="module")
def expected(record: Published) -> worlds.Tables:
    return worlds.local(record)


def lake(place: Place) -> worlds.Tables:
    return worlds.everything(place)


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a driver that has to succeed; what it said."""
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return said


def written(place: Place) -> list[str]:
    """Files of rows that tasks wrote, committed or not."""
    from pyarrow import fs

    chosen = [fs.FileSelector(f"{place.path}/{name}", recursive=True, allow_not_found=True)
              for name in EVENTS]  # fmt: skip
    found = (info.path for one in chosen for info in place.files.get_file_info(one))
    return [path for path in found if path.endswith(".parquet") and "_delta_log" not in path]


def committed(place: Place) -> int:
    """How many segments a reader sees."""
    about = delta.about(place)
    return delta.rows(place, "ledger", about.versions["ledger"]).num_rows if about else 0


def test_a_cluster_makes_the_rows_of_one_machine(
    aws: Stage, record: Published, expected: worlds.Tables
) -> None:
    place = Place.of("s3://recorder/quiet")
    files = len(list(worlds.sealed(record)))
    said = ended(aws.ingest(place.url, "--data-dir", record.layout.root))
    assert f"of {files} files" in said
    assert_same(lake(place), expected)
    said = ended(aws.ingest(place.url, "--data-dir", record.layout.root))
    assert "0 frames of 0 files" in said
    assert_same(lake(place), expected)


def test_a_worker_killed_in_the_middle_of_a_job_changes_nothing(
    aws: Stage, record: Published, expected: worlds.Tables
) -> None:
    place = Place.of("s3://recorder/worker")
    driver = aws.ingest(place.url, "--data-dir", record.layout.root)
    wait_until(lambda: written(place) or driver.poll() is not None, "tasks write")
    aws.cluster.kill(0)
    aws.cluster.start(0)
    ended(driver)
    assert_same(lake(place), expected)
    wait_until(lambda: aws.cluster.alive() == 2, "the new worker is known")


def test_a_driver_killed_between_writing_and_committing_changes_nothing(
    aws: Stage, record: Published, expected: worlds.Tables
) -> None:
    place = Place.of("s3://recorder/driver")
    driver = aws.ingest(place.url, "--data-dir", record.layout.root)
    wait_until(lambda: written(place) or driver.poll() is not None, "tasks write")
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    assert committed(place) in (0, len(expected["ledger"]))
    ended(aws.ingest(place.url, "--data-dir", record.layout.root))
    assert_same(lake(place), expected)


def test_of_two_drivers_the_second_is_told(aws: Stage, record: Published, tmp_path: Path) -> None:
    place = Place.of("s3://recorder/two")
    with delta.Writer(place):
        second = aws.ingest(place.url, "--data-dir", record.layout.root)
        _, said = second.communicate(timeout=600)
    assert second.returncode == 1 and "another ingest works here" in said
    assert committed(place) == 0


def test_a_cluster_without_the_package_is_named_before_any_work(
    aws: Stage, record: Published, tmp_path: Path
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = str(tmp_path / "bare/bin/python")
    place = Place.of("s3://recorder/bare")
    driver = aws.ingest(place.url, "--data-dir", record.layout.root, PYSPARK_PYTHON=python)
    _, said = driver.communicate(timeout=600)
    assert driver.returncode == 2, said
    assert "a cluster without the package" in said and "feed-recorder[spark]" in said
    assert delta.about(place) is None
    assert not written(place)
