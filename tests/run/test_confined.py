"""Under the unit's filter of system calls everything still works."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.commands import clean

from recorder.record.layout import Layout

from . import confined

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not confined.POSSIBLE, reason="numbers of calls: x86-64 only"),
]


@contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A confined process, ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, confined.__file__, sys.executable, *map(str, command)],
        env=clean(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_the_filter_forbids_what_it_is_to_forbid() -> None:
    with running("-c", "import os; os.nice(1)") as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and "PermissionError" in said


def test_capture_seals_and_serve_answers_where_no_priority_may_be_set(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    with running("-m", "recorder", "demo", "--seconds", "3", "--data-dir", tmp_path) as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    layout = Layout(data)
    assert layout.feeds() and all(layout.sealed(feed) for feed in layout.feeds())
    assert not any(layout.active(feed) for feed in layout.feeds())
    with running("-m", "recorder", "serve", "--data-dir", data, "--port", "0") as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}healthz", timeout=60) as answer:
            assert answer.status == 200
