"""What the shell is offered behind `-p`, and the completion scripts in real shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from recorder.cli import cli

complete = ShellComplete(cli, {}, "recorder", "_RECORDER_COMPLETE")


def offered(place: Path, *typed: str, word: str = "") -> list[str]:
    where = ["query", "--data-dir", str(place)]
    return [item.value for item in complete.get_completions([*where, *typed], word)]


def test_a_query_s_parameters_are_offered_but_those_given(sample: Path) -> None:
    offers = ["since", "until", "feed", "channel", "as_of"]
    assert offered(sample, "latency_percentiles", "-p") == offers
    assert offered(sample, "listings", "-p", word="li") == ["listing_type", "limit"]
    given = offered(sample, "latency_percentiles", "-p", "feed", "smartmoney", "--param")
    assert given == ["since", "until", "channel", "as_of"]


def test_values_are_offered_from_the_record(sample: Path) -> None:
    assert offered(sample, "latency_percentiles", "-p", "feed") == ["cryptolisting", "smartmoney"]
    assert offered(sample, "listings", "-p", "exchange", word="b") == ["binance", "bithumb"]
    assert "whales:BTC" in offered(sample, "latency_over_time", "-p", "channel", word="wh")
    assert offered(sample, "coverage", "-p", "line") == ["A"]


def test_values_that_the_query_lists_are_offered_without_a_record(tmp_path: Path) -> None:
    assert offered(tmp_path, "event_history", "-p", "kind", word="l") == [
        "liquidations",
        "listings",
    ]
    hops = offered(tmp_path, "latency_over_time", "-p", "hop", word="d")
    assert hops == ["detection", "dispatch"]


def test_times_and_widths_are_offered_by_example(tmp_path: Path) -> None:
    since = offered(tmp_path, "listings", "-p", "since")
    assert "1h ago" in since
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", since[-1])
    assert offered(tmp_path, "latency_over_time", "-p", "bucket", word="5") == ["5 minutes"]


@pytest.mark.parametrize(
    "typed",
    [
        ("listings", "-p", "nonsense"),
        ("nonsense", "-p"),
        ("listings", "-p", "exchange"),  # there is no database
        ("listings", "-p", "limit"),
        ("-p",),
    ],
)
def test_where_nothing_is_known_nothing_is_offered(tmp_path: Path, typed: tuple[str, ...]) -> None:
    assert offered(tmp_path, *typed) == []


@pytest.mark.process
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("recorder query latency_percentiles -p fe", "feed"),
        ("recorder query latency_percentiles -p feed sm", "smartmoney"),
        ("recorder query latency_over_time -p channel whales:B", "BTC"),
        ("recorder query listings -p since 1h", "'1h ago'"),
        ("recorder sql --fo", "--format"),
    ],
)
def test_bash_completes_the_line(line: str, wanted: str, sample: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = """
        eval "$(recorder completion bash)"
        COMP_LINE=$1 COMP_POINT=${#1}
        read -ra COMP_WORDS <<< "${1//:/ : }"
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _recorder_completion recorder
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    place = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RECORDER_DATA_DIR": str(sample),
    }
    command = [bash, "--norc", "-c", script, "bash", line]
    done = subprocess.run(
        command, env=os.environ | place, capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[:-1] == [wanted], done.stderr
