"""`recorder status` and `recorder health`, on a record that a living process holds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.commands import call
from kit.journals import Writer

from recorder import durable
from recorder.clock import NS, Clock
from recorder.record.layout import Layout


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Path]:
    """A data directory with a feed that this process records, alive now."""
    layout = Layout(tmp_path / "data")
    lock = durable.claim(layout.journal_dir("binance") / ".lock", "a test")
    # Heard a little in the future: a machine that is slow to start a process finds it alive, too.
    writer = Writer(layout.root, "binance", now=Clock().wall_ns() + 300 * NS)
    writer.put(writer.open(), b"<b>\x1b[31m hostile")
    yield layout.root
    os.close(lock)


def test_status_tells_people_and_machines_the_same(recorded: Path) -> None:
    plain = call("status", "--data-dir", recorded)
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.startswith(f"healthy  {recorded} on ")
    assert f"pid {os.getpid()}" in plain.stdout
    assert "feed binance: state=fresh" in plain.stdout
    assert "connection binance all: line=A state=open" in plain.stdout
    told = json.loads(call("status", "--data-dir", recorded, "--json").stdout)
    assert told["healthy"] and told["feeds"][0]["connections"][0]["line"] == "A"


def test_health_is_an_exit_code_with_reasons(recorded: Path, tmp_path: Path) -> None:
    good = call("health", "--data-dir", recorded)
    assert (good.returncode, good.stdout) == (0, "healthy\n"), good.stderr
    empty = tmp_path / "none"
    bad = call("health", "--data-dir", empty, "--wait", "0.1")
    assert (bad.returncode, bad.stdout) == (10, "unhealthy\n")
    assert f"critical: {empty}: nothing is recorded here\n" in bad.stderr
    told = json.loads(call("health", "--data-dir", empty, "--json").stdout)
    assert told["healthy"] is False and told["problems"][0]["next"]


@pytest.mark.process
def test_health_loads_no_database_engine(recorded: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from recorder.cli import main\n"
        f"try: main(['health', '--data-dir', {str(recorded)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'duckdb', 'pyarrow', 'rich', 'websockets'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "healthy\n[]\n"


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for command in (["status", "--data-dir"], ["top"]):
        done = call(*command, tmp_path / "none")
        assert done.returncode == 2 and done.stdout == ""
        assert "no such data directory" in done.stderr and "recorder capture" in done.stderr
    assert not (tmp_path / "none").exists()
