"""What waits for the bucket: how much is too much, and who is told."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.bucket import spool
from recorder.clock import NS
from recorder.record.layout import Layout
from recorder.settings.config import Settings, load
from recorder.status import Watcher, bucket, problems

from .test_upload import filled

URL = "s3://recorder/raw"


@pytest.mark.parametrize(
    ("gb", "level"),
    [(0, spool.WELL), (7.9, spool.WELL), (8, spool.NEARLY), (10, spool.NEARLY), (11, spool.OVER)],
)
def test_it_is_warned_of_at_80_percent_and_again_when_the_budget_is_passed(
    gb: float, level: int
) -> None:
    size = int(gb * spool.GB)
    assert spool.level(size, 10) == level
    said = spool.warning(3, size, 10)
    assert (said is None) == (level == spool.WELL)
    assert said is None or ("MORE THAN" in said) == (level == spool.OVER)


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.floats(1e-6, 1e6))
def test_more_is_never_better(one: int, other: int, budget: float) -> None:
    less, more = sorted((one, other))
    assert spool.level(less, budget) <= spool.level(more, budget)


def settings(tmp_path: Path, spool_gb: float) -> Settings:
    return load(None, data_dir=tmp_path, raw_url=URL, bucket={"spool_gb": spool_gb})


@pytest.mark.parametrize(
    ("share", "severity", "says"),
    [(2.0, None, ""), (1.1, "warning", "of spool_gb"), (0.5, "critical", "MORE THAN spool_gb")],
)
def test_the_status_tells_of_the_budget(
    tmp_path: Path, share: float, severity: str | None, says: str
) -> None:
    layout = filled(tmp_path).layout
    size = sum(file.bytes for file in spool.files(layout))
    watcher = Watcher(layout, settings(tmp_path, share * size / spool.GB))
    found = [p for p in watcher.look().problems if p.where == URL]
    assert [problem.severity for problem in found] == ([severity] if severity else [])
    assert all(says in problem.what for problem in found)


def test_the_status_tells_of_a_file_that_waits_long(tmp_path: Path) -> None:
    layout, config = filled(tmp_path).layout, settings(tmp_path, 50)
    now = time.time_ns()
    assert [*problems.spool(config, bucket.waiting(layout, config), now)] == []
    oldest = spool.files(layout)[0].path
    os.utime(oldest, ns=(now - 3600 * NS,) * 2)
    [problem] = problems.spool(config, bucket.waiting(layout, config), now)
    assert problem.severity == "warning" and "6 sealed files wait" in problem.what


def test_without_a_bucket_nothing_waits(tmp_path: Path) -> None:
    config = load(None, data_dir=tmp_path)
    assert bucket.waiting(Layout(tmp_path), config) is None
    assert [*problems.spool(config, None, 0)] == []
