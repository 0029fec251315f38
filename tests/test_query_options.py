"""A query's parameters are options of `recorder query`, in three spellings, with their own help."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from recorder.answers import canned
from recorder.cli import cli
from recorder.cli.query import query as command

QUERIES = canned.load()


def recorder(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments], prog_name="recorder")


def asked(sample: Path, *arguments: str) -> list[dict[str, object]]:
    done = recorder("query", *arguments, "--data-dir", sample, "--json")
    assert done.exit_code == 0, done.output
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_a_parameter_is_given_in_three_ways(sample: Path) -> None:
    every = asked(sample, "whale_moves", "--limit", "5")
    assert 1 < len(every) <= 5
    for given in (["--limit", "1"], ["--limit=1"], ["-p", "limit", "1"], ["-p", "limit=1"]):
        assert asked(sample, "whale_moves", *given) == every[:1]
    assert asked(sample, "--limit", "1", "whale_moves") == every[:1]
    least = max(float(str(row["notional_usd"])) for row in every)
    assert all(
        float(str(row["notional_usd"])) >= least
        for row in asked(sample, "whale_moves", "--min-usd", str(least))
    )


@pytest.mark.parametrize("name", QUERIES)
def test_the_help_of_a_query_has_all_its_parameters_and_columns(name: str) -> None:
    done = recorder("help", "query", name)
    assert done.exit_code == 0
    said = " ".join(done.stdout.split())
    assert said.startswith(f"Usage: recorder query {name} [OPTIONS] {QUERIES[name].title}.")
    for parameter in QUERIES[name].parameters:
        assert f"--{parameter.name.replace('_', '-')} " in said
    for column in QUERIES[name].columns:
        assert column.name in said


@pytest.mark.parametrize("name", QUERIES)
def test_no_option_of_the_command_hides_a_parameter(name: str) -> None:
    taken = {flag for one in command.params for flag in one.opts}
    assert not taken & {f"--{p.name.replace('_', '-')}" for p in QUERIES[name].parameters}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("listings", "--sinse", "1h"), "'--since'?)"),
        (("listings", "--since", "soon"), "parameter 'since'"),
        (("listings", "--since", "1h", "-p", "since", "2h"), "parameter 'since' is given twice"),
        (("listings", "--min-usd", "1"), "No such option '--min-usd'"),
        (("--since", "1h"), "No such option '--since'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(sample: Path, arguments: tuple[str, ...], said: str) -> None:
    done = recorder("query", *arguments, "--data-dir", sample)
    assert done.exit_code != 0
    assert said in f"{done.output} {done.exception}"


def test_a_parameter_with_the_name_of_an_option_keeps_the_other_spelling(
    sample: Path, tmp_path: Path
) -> None:
    text = "-- title: Mine\n-- description: It.\n-- param format VARCHAR = NULL  -- what\n"
    text += "-- example: recorder query mine\nSELECT $format AS it\n"
    (tmp_path / "mine.sql").write_text(text)
    found = asked(sample, "mine", "--query-dir", str(tmp_path), "-p", "format=x")
    assert found == [{"it": "x"}]


@pytest.mark.parametrize(
    ("words", "typed", "offered"),
    [
        (["query", "whale_moves"], "--mi", "--min-usd"),
        (["query", "latency_over_time", "--bucket"], "5", "5 minutes"),
        (["query", "listings", "--since"], "1h", "1h ago"),
    ],
)
def test_options_and_their_values_are_completed(words: list[str], typed: str, offered: str) -> None:
    shell = ShellComplete(cli, {}, "recorder", "_RECORDER_COMPLETE")
    assert offered in [one.value for one in shell.get_completions(words, typed)]


@pytest.mark.parametrize("name", ["ingest", "replay", "backtest"])
def test_a_stretch_of_time_has_one_name_and_the_former_one_still_works(name: str) -> None:
    done = recorder("help", name)
    assert "--since TIME" in done.stdout and "--until TIME" in done.stdout
    assert "--from " not in done.stdout and "--to " not in done.stdout
    assert "such option" not in recorder(name, "--from", "yesterday", "--help").output


def test_help_is_a_command_too() -> None:
    assert recorder("help").stdout == recorder("--help").stdout
    assert recorder("help", "capture").stdout == recorder("capture", "--help").stdout
    wrong = recorder("help", "captur")
    assert wrong.exit_code == 2 and "did you mean 'capture'" in wrong.output
    assert recorder("-V").stdout == recorder("--version").stdout


def test_top_needs_a_terminal() -> None:
    done = recorder("top", "http://127.0.0.1:9")
    assert done.exit_code != 0
    assert isinstance(done.exception, Exception)
    assert "terminal" in f"{done.output} {done.exception}"
    assert isinstance(command, click.Command)
