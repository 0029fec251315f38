"""`recorder sql`: where the question comes from, how the answer is shown, and when it ends."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.ipc
import pytest
from click.testing import CliRunner
from kit.commands import call

from recorder.cli.sql import sql as command
from recorder.errors import DataError, RecorderError, UsageError
from recorder.schema.tables import SCHEMA_VERSION


def recorder(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    child = [sys.executable, "-m", "recorder", "sql", *arguments]
    return subprocess.run(child, input=typed, capture_output=True, text=True, check=False)


def test_the_question_comes_from_an_argument_a_file_or_stdin(sample: Path, tmp_path: Path) -> None:
    question = tmp_path / "question.sql"
    question.write_text("-- how many\nSELECT count(*) AS n FROM listings;\n")
    place = ["--data-dir", str(sample)]
    asked = [
        CliRunner().invoke(command, [question.read_text(), *place]),
        CliRunner().invoke(command, ["--file", str(question), *place]),
        CliRunner().invoke(command, ["-", *place], input=question.read_text()),
    ]
    assert [result.stdout for result in asked] == ["n\n33\n"] * 3
    assert asked[0].stderr.startswith("how many: 1 row; newest frame ")
    untitled = CliRunner().invoke(command, ["SELECT 1", *place])
    assert untitled.stderr.startswith("Answer: 1 row; ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no SQL given"),
        (["SELECT 1", "--file", "{file}"], "exclude each other"),
        (["--file", "{latin}"], "cannot be read"),
        ([""], "no SQL given"),
        (["SELECT 1", "--plot", "rows.gif"], "unknown format"),
        (["SELECT 1", "--plot"], "this result has no columns to plot"),
    ],
)
def test_a_mistake_is_told(
    arguments: list[str], message: str, sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("SELECT 1")
    (tmp_path / "latin").write_bytes(b"SELECT '\xe9'")
    names = {"{file}": str(tmp_path / "file"), "{latin}": str(tmp_path / "latin")}
    given = [names.get(word, word) for word in arguments]
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(command, ["--data-dir", str(sample), *given], catch_exceptions=False)


def test_every_format_of_query_is_a_format_of_sql(sample: Path) -> None:
    text = "SELECT feed, count(*) AS n FROM latency GROUP BY ALL ORDER BY ALL"
    place = ["--data-dir", str(sample)]
    shown = CliRunner().invoke(command, [text, "--json", *place])
    found = json.loads(shown.stdout)
    assert [row["feed"] for row in found] == ["cryptolisting", "smartmoney"]
    arrow = CliRunner().invoke(command, [text, "--format", "arrow", *place]).stdout_bytes
    assert pyarrow.ipc.open_file(io.BytesIO(arrow)).read_all().to_pylist() == found


def test_rows_left_out_by_the_limit_are_told(sample: Path) -> None:
    arguments = ["FROM latency", "--limit", "3", "--data-dir", str(sample)]
    result = CliRunner().invoke(command, arguments)
    assert len(result.stdout.splitlines()) == 4
    assert "3 rows; truncated by --limit 3; newest frame" in result.stderr


def test_a_query_that_takes_too_long_fails(sample: Path) -> None:
    endless = (
        "WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"
    )
    arguments = [endless, "--timeout", "0.2", "--data-dir", str(sample)]
    with pytest.raises(RecorderError, match="stopped after"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.mark.process
def test_what_does_not_notice_its_interrupt_ends_with_the_process(sample: Path) -> None:
    """One value is made in one step, between whose begin and end DuckDB looks at nothing."""
    deaf = "SELECT list_reduce(range(150000000), lambda a, b: (a + b * 7) % 1000003)"
    done = recorder(deaf, "--timeout", "0.2", "--memory", "4000", "--data-dir", str(sample))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "the query was stopped after 0.2 s" in done.stderr


@pytest.mark.process
def test_one_huge_value_is_refused_although_no_limit_of_duckdb_counts_it(sample: Path) -> None:
    huge = "SELECT len(list_sort(range(1000000000)))"
    done = recorder(huge, "--memory", "64", "--data-dir", str(sample))
    assert done.returncode == 1
    assert "the query needs more memory than 64 MB" in done.stderr


def test_a_refusal_is_one_message_with_what_to_do(sample: Path) -> None:
    done = call("sql", "DELETE FROM latency", "--data-dir", sample)
    assert done.returncode == 2
    assert done.stderr.startswith("recorder: DELETE is not allowed here\n  ")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(("by", "age"), [(-1, "an older"), (1, "a newer")])
def test_a_name_that_tables_of_another_version_lack_is_told_with_their_version(
    sample: Path, tmp_path: Path, by: int, age: str
) -> None:
    data = Path(shutil.copytree(sample, tmp_path / "data"))
    with duckdb.connect(str(data / "recorder.duckdb")) as db:
        db.execute("UPDATE about SET value = $v WHERE name = 'schema'", {"v": SCHEMA_VERSION + by})
        db.execute("DROP TABLE instruments")
    for question in ("FROM instruments", "SELECT nothing FROM prices"):
        result = CliRunner().invoke(command, [question, "--data-dir", str(data)])
        assert isinstance(result.exception, DataError)
        told = str(result.exception)
        assert f"these are tables of {age} version ({SCHEMA_VERSION + by})" in told
        assert "recorder ingest --rebuild" in told
    fine = CliRunner().invoke(command, ["FROM prices", "--data-dir", str(data)])
    assert fine.exit_code == 0  # what the versions share can be read
