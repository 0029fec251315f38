"""`recorder query` and `recorder sql` over a lake: options, variables, messages, completion."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kit.commands import call

from .conftest import Both


def test_the_commands_answer_from_a_lake(both: Both) -> None:
    asked = [
        call("query", "coverage", "--tables-url", both.tables_url),
        call("query", "coverage", RECORDER_TABLES_URL=both.tables_url),
        call("sql", "FROM coverage()", "--tables-url", both.tables_url),
        call("query", "coverage", "--data-dir", str(both.layout.root)),
        # The environment's lake gives way to a data directory that is named.
        call(
            "query", "coverage", "--data-dir", str(both.layout.root), RECORDER_TABLES_URL="/no/lake"
        ),
    ]
    assert {done.returncode for done in asked} == {0}, [done.stderr for done in asked]
    assert len({done.stdout for done in asked}) == 1
    assert all("; newest frame " in done.stderr for done in asked)
    # Nothing of the libraries' own on stderr.
    assert {len(done.stderr.splitlines()) for done in asked} == {1}


def test_the_commands_read_raw_frames_of_a_bucket(both: Both) -> None:
    place = ["--tables-url", both.tables_url, "--raw-url", both.raw_url]
    race = call("query", "line_race", "-p", "since", "2026-01-01", *place)
    assert race.returncode == 0, race.stderr
    assert len(race.stdout.splitlines()) == 5
    frames = call("sql", "SELECT count(*) AS n FROM raw", *place)
    assert int(frames.stdout.splitlines()[1]) > 1342


def test_one_s_own_query_may_call_macros(both: Both, tmp_path: Path) -> None:
    (tmp_path / "mine.sql").write_text(
        "-- title: Feeds\n-- description: Them.\n-- example: recorder query mine\n"
        "SELECT DISTINCT c.feed AS feed FROM coverage() c ORDER BY c.feed\n"
    )
    done = call("query", "mine", "--query-dir", str(tmp_path), "--tables-url", both.tables_url)
    assert done.stdout.split() == ["feed", "binance", "cryptolisting", "smartmoney"], done.stderr


def test_a_lake_and_a_directory_at_once_are_refused(both: Both) -> None:
    done = call("query", "coverage", "--tables-url", both.tables_url, "--data-dir", "data")
    assert done.returncode == 2
    assert "--tables-url: excludes --data-dir" in done.stderr


def test_a_refusal_is_one_message(tmp_path: Path) -> None:
    for name in (["query", "coverage"], ["sql", "FROM prices"]):
        done = call(*name, "--tables-url", str(tmp_path))
        assert done.returncode == 1
        assert done.stderr.startswith(f"recorder: file://{tmp_path}: holds no lake yet\n  ")
        assert done.stdout == ""


def test_the_shell_is_offered_the_lake_s_feeds(both: Both) -> None:
    from click.shell_completion import ShellComplete

    from recorder.cli import cli

    complete = ShellComplete(cli, {}, "recorder", "_RECORDER_COMPLETE")
    words = ["query", "--tables-url", both.tables_url, "latency_percentiles", "-p", "feed"]
    offered = [item.value for item in complete.get_completions(words, "")]
    assert offered == ["binance", "cryptolisting", "smartmoney"]


@pytest.mark.process
def test_without_the_package_the_extra_is_named(both: Both) -> None:
    code = (
        "import sys; sys.modules['deltalake'] = None\n"
        "from recorder.cli import main\n"
        f"main(['query', 'coverage', '--tables-url', {both.tables_url!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "deltalake is not installed" in done.stderr
    assert "pip install 'feed-recorder[lake]'" in done.stderr
