"""Query files: their header, their parameters' values, their macros, their documentation."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from recorder.answers import canned
from recorder.cli.query import query as command
from recorder.errors import DataError, RecorderError, UsageError
from recorder.record.layout import Layout
from recorder.tables import publish

QUERIES = canned.load()
TEXT = """\
-- title: Rows
-- description: The first line
--   param: and the second.
-- param since TIMESTAMPTZ = now() - INTERVAL 1 DAY  -- only later = newer rows
-- param n BIGINT = 1  -- how many -- at most
-- column n: as given
-- column text: a dollar sign,
--   in quotes: no parameter
-- example: recorder query rows -p n 3

SELECT $n AS n, '$no' AS text, $since AS since -- $neither
;
"""

# --- header ----------------------------------------------------------------------------------

#: A data directory without a record.
NOWHERE = Layout(Path("nowhere"))


def test_a_file_is_read_with_its_header() -> None:
    query = canned.parse("rows", TEXT)
    assert query == canned.Query(
        name="rows",
        title="Rows",
        description="The first line param: and the second.",
        parameters=(
            canned.Parameter(
                "since", "TIMESTAMPTZ", "now() - INTERVAL 1 DAY", "only later = newer rows"
            ),
            canned.Parameter("n", "BIGINT", "1", "how many -- at most"),
        ),
        example="recorder query rows -p n 3",
        sql="SELECT $n AS n, '$no' AS text, $since AS since -- $neither",
        columns=(
            canned.AnswerColumn("n", "as given"),
            canned.AnswerColumn("text", "a dollar sign, in quotes: no parameter"),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("-- title: Rows\n", "", "title"),
        ("-- example: recorder query rows -p n 3\n", "-- example:\n", "example"),
        ("-- param n BIGINT = 1", "-- param n BIGINT 1", "cannot read parameter 'n BIGINT 1"),
        ("-- column n: as given", "-- column n", "cannot read column 'n'"),
        ("$n AS n, ", "", r"\$n is not used"),
        ("$n AS n", "$m AS n", r"\$m has no"),
    ],
)
def test_a_faulty_file_is_refused_with_its_place(old: str, new: str, complaint: str) -> None:
    assert old in TEXT
    with pytest.raises(DataError, match=complaint) as error:
        canned.parse("rows", TEXT.replace(old, new), where="here/rows.sql")
    assert error.value.where == "here/rows.sql"


WORDS = st.text("abcxyz =$'-:,()äß", min_size=1).map(str.strip).filter(bool)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@given(
    title=WORDS,
    description=st.lists(WORDS, min_size=1, max_size=3),
    names=st.lists(NAMES, unique=True, max_size=4),
    meaning=WORDS,
)
def test_what_a_header_says_is_what_is_read(
    title: str, description: list[str], names: list[str], meaning: str
) -> None:
    header = [f"-- title: {title}", "-- description: " + "\n--   ".join(description)]
    header += [f"-- param {name} DECIMAL(9, 2) = NULL  -- {meaning}" for name in names]
    sql = "SELECT " + ", ".join([*(f"${name}" for name in names), "1"])
    query = canned.parse("q", "\n".join([*header, "-- example: x", sql, ""]))
    assert (query.title, query.description) == (title, " ".join(description))
    assert [p.name for p in query.parameters] == names
    assert {(p.type, p.default, p.meaning) for p in query.parameters} <= {
        ("DECIMAL(9, 2)", "NULL", meaning)
    }
    assert query.sql == sql


@given(st.text())
def test_no_text_fails_the_reader_otherwise_than_with_its_own_error(text: str) -> None:
    try:
        canned.parse("q", text)
    except RecorderError as error:
        assert isinstance(error, DataError)


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "value", "words"),
    [
        ("TIMESTAMPTZ", "next week", "'next week' is not a time"),
        ("TIMESTAMP", "soon", "'soon' is not a time"),
        ("INTERVAL", "2 fortnights", "not a duration: no unit 'fortnights'"),
        ("INTERVAL[]", "[1s, 5 x]", "not a duration: no unit 'x'"),
        ("BIGINT", "many", "'many' is not a whole number"),
        ("DOUBLE", "a lot", "'a lot' is not a number"),
        ("BOOLEAN", "perhaps", "'perhaps' is not true or false"),
        ("DECIMAL(9, 2)", "x", "'x' is not such a value"),
    ],
)
def test_a_wrong_value_is_refused_in_words(type_: str, value: str, words: str) -> None:
    header = f"-- title: x\n-- description: x\n-- param p {type_} = NULL  -- its meaning\n"
    text = f"{header}-- example: x\n"
    with duckdb.connect() as connection, pytest.raises(UsageError) as error:
        canned.run(connection, canned.parse("q", f"{text}\nSELECT $p AS p"), {"p": value})
    assert str(error.value).startswith("parameter 'p': ") and words in str(error.value)
    assert "its meaning" in error.value.hint
    assert type_ not in str(error.value)


def test_a_query_of_one_s_own_may_take_any_kind_of_time() -> None:
    sql = "SELECT $a AS a, $b AS b, $c AS c, $d AS d"
    kinds = {"a": "TIMESTAMPTZ", "b": "TIMESTAMP WITH TIME ZONE", "c": "timestamp", "d": "DATE"}
    head = "".join(f"-- param {name} {kind} = NULL  -- x\n" for name, kind in kinds.items())
    query = canned.parse("q", f"-- title: x\n-- description: x\n{head}-- example: x\n\n{sql}")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        given = dict.fromkeys(kinds, "2026-01-31T01:00+02:00")
        [row] = canned.run(connection, query, given).to_pylist()
        [empty] = canned.run(connection, query, dict.fromkeys(kinds, "NULL")).to_pylist()
    moment = datetime(2026, 1, 30, 23, tzinfo=UTC)
    assert (row["a"], row["b"]) == (moment, moment)
    assert (row["c"], row["d"]) == (moment.replace(tzinfo=None), moment.date())
    assert set(empty.values()) == {None}


def test_values_are_cast_and_defaults_are_expressions() -> None:
    with duckdb.connect() as connection:
        query = canned.parse("rows", TEXT)
        [row] = canned.run(connection, query, {"n": "3"}).to_pylist()
        assert (row["n"], row["text"]) == (3, "$no")
        assert timedelta(hours=23) < datetime.now(UTC) - row["since"] < timedelta(hours=25)
        assert canned.run(connection, query, {"n": "null"}).to_pylist()[0]["n"] is None


def test_a_wrong_parameter_is_refused_with_the_nearest() -> None:
    with duckdb.connect() as connection, pytest.raises(UsageError, match="did you mean 'since'"):
        canned.run(connection, QUERIES["listings"], {"sinc": "1h ago"})


def test_a_value_that_the_query_refuses_is_a_usage_error() -> None:
    with duckdb.connect() as connection:
        publish.define(connection, NOWHERE)
        with pytest.raises(UsageError, match="negative"):
            canned.run(connection, QUERIES["listings"], {"limit": "-1"})
        with pytest.raises(UsageError, match="kind is one of: whales"):
            connection.execute("INSERT INTO flows BY NAME " + ROW).fetchall()
            canned.run(connection, QUERIES["event_history"], {"kind": "whale"})


def test_a_missing_table_is_a_data_error() -> None:
    with duckdb.connect() as connection, pytest.raises(DataError, match="whales"):
        canned.run(connection, QUERIES["whale_moves"], {})


ROW = """SELECT 'f' AS feed, 0 AS recv_ns, to_timestamp(0) AS recv_time, 'c' AS connection,
    0 AS seq, 0 AS item"""

# --- macros ----------------------------------------------------------------------------------


def captured(connection: duckdb.DuckDBPyConnection, query: canned.Query) -> set[str]:
    """Unqualified column names that a macro would silently take for its parameters."""
    sql = f"SELECT {query.sql}" if query.scalar else query.sql
    [(parsed,)] = connection.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchall()
    tree = json.loads(parsed)
    assert not tree["error"], tree["error_message"]
    names = {p.name for p in query.parameters}
    return names & {name.lower() for name in column_names(tree)}


def column_names(node: Any) -> Iterator[str]:
    """The unqualified columns in a parsed statement."""
    if isinstance(node, dict):
        if node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
            yield node["column_names"][0]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from column_names(child)


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_has_a_column_that_its_macro_takes_for_a_parameter(name: str) -> None:
    with duckdb.connect() as connection:
        assert captured(connection, QUERIES[name]) == set()


def test_a_captured_column_is_found_wherever_it_stands() -> None:
    header = TEXT[: TEXT.index("SELECT")]
    text = (
        header + "WITH a AS (SELECT t.n FROM t ORDER BY N) SELECT $n, $since FROM a WHERE a.since"
    )
    with duckdb.connect() as connection:
        assert captured(connection, canned.parse("rows", text)) == {"n"}


def test_a_macro_names_its_parameters_and_carries_its_title() -> None:
    assert canned.macro_sql(canned.parse("rows", TEXT)) == (
        'CREATE OR REPLACE MACRO "rows"("since" := now() - INTERVAL 1 DAY, "n" := 1) AS TABLE\n'
        'SELECT CAST("n" AS BIGINT) AS n, \'$no\' AS text, CAST("since" AS TIMESTAMPTZ) AS since'
        " -- $neither"
    )
    with duckdb.connect() as connection:
        publish.define(connection, NOWHERE)
        canned.install_macros(connection)
        sql = "SELECT function_name, comment FROM duckdb_functions() WHERE comment IS NOT NULL"
        titles = dict(connection.execute(sql).fetchall())
    found = canned.shared() | QUERIES
    assert titles == {name: query.title for name, query in found.items()}


def test_a_database_gets_the_macros_of_another_version_replaced() -> None:
    with duckdb.connect() as connection:
        publish.define(connection, NOWHERE)
        connection.execute("CREATE OR REPLACE MACRO is_dollar(name) AS 'an older version'")
        connection.execute("UPDATE about SET value = 'of other macros' WHERE name = 'macros'")
        publish.define(connection, NOWHERE)
        assert connection.sql("SELECT is_dollar('USDT')").fetchall() == [(True,)]


def test_an_expression_becomes_a_scalar_macro() -> None:
    header = "-- title: t\n-- description: d\n-- param n BIGINT = 1  -- a\n-- example: e\n"
    query = canned.parse("next", header + "$n + 1")
    assert query.scalar
    assert canned.macro_sql(query) == (
        'CREATE OR REPLACE MACRO "next"("n" := 1) AS (CAST("n" AS BIGINT) + 1)'
    )
    with duckdb.connect() as connection:
        connection.execute(canned.macro_sql(query))
        assert connection.sql("SELECT next(), next(4), next(n := 5)").fetchall() == [(2, 5, 6)]
        assert captured(connection, canned.parse("next", header + "$n + n")) == {"n"}


@pytest.mark.parametrize("name", canned.shared())
def test_what_queries_share_is_explained_and_captures_nothing(name: str, made: Path) -> None:
    query = canned.shared()[name]
    with duckdb.connect() as connection:
        assert captured(connection, query) == set()
    with duckdb.connect(str(made), read_only=True) as connection:
        if not query.scalar:
            answer = connection.sql(f"FROM {name}()")
            assert [column.name for column in query.columns] == answer.columns
        connection.execute(query.example if query.scalar else f"FROM {name}()").fetchall()


def test_a_wrong_sharing_is_told_as_a_missing_table_is() -> None:
    with duckdb.connect() as connection, pytest.raises(DataError, match="latency"):
        canned.run(connection, QUERIES["latency_percentiles"], {})


def test_the_documentation_explains_the_columns() -> None:
    text = canned.markdown({"rows": canned.parse("rows", TEXT)})
    assert "| column | meaning |\n|---|---|\n| `n` | as given |\n| `text` | a dollar" in text


# --- documentation ---------------------------------------------------------------------------


def test_the_documentation_is_what_the_files_say() -> None:
    page = (Path(__file__).parent.parent / "docs" / "queries.md").read_text("utf-8")
    assert page.endswith(canned.markdown(QUERIES)), (
        "docs/queries.md is not what queries/*.sql say; replace its query sections with "
        "recorder.answers.canned.markdown(recorder.answers.canned.load())"
    )


@pytest.mark.parametrize("name", QUERIES)
def test_the_example_runs(name: str, data_dir: Path) -> None:
    words = shlex.split(QUERIES[name].example)
    assert words[:3] == ["recorder", "query", name]
    result = CliRunner().invoke(command, [*words[2:], "--data-dir", str(data_dir)])
    assert result.exit_code == 0, result.output


# --- recorder query --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "recorder.duckdb"
    with duckdb.connect(str(path)) as connection:
        publish.define(connection, NOWHERE)
        connection.execute("INSERT INTO whales BY NAME " + ROW).fetchall()
    return path


@pytest.fixture
def data_dir(made: Path, tmp_path: Path) -> Path:
    shutil.copy(made, tmp_path)
    return tmp_path


def test_rows_go_to_stdout_and_talk_to_stderr(data_dir: Path) -> None:
    arguments = ["whale_moves", "--json", "--data-dir", str(data_dir)]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0
    assert result.stdout.startswith('[\n{"recv_time":"1970-01-01T00:00:00Z"')
    assert result.stderr == (
        "Whale position changes and trades, largest first: 1 row; nothing ingested yet\n"
    )


def test_the_note_says_how_old_the_newest_frame_is(data_dir: Path) -> None:
    with duckdb.connect(str(data_dir / "recorder.duckdb")) as connection:
        values = "'f', 's', '2026-01-01', 1, 0, true, 0, epoch_ns(now() - INTERVAL 3 HOUR), 'x'"
        connection.execute(f"INSERT INTO ledger VALUES ({values})").fetchall()
    result = CliRunner().invoke(command, ["listings"], env={"RECORDER_DATA_DIR": str(data_dir)})
    assert result.stderr.endswith("0 rows; newest frame 3h old\n")


@pytest.mark.parametrize("arguments", [[], ["--list"], ["listings", "--list"]])
def test_without_a_name_there_is_a_menu(arguments: list[str]) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0
    for name, query in QUERIES.items():
        assert re.search(rf"^  {name} +{re.escape(query.title)}$", result.stdout, re.MULTILINE)
        assert (query.topic or "More") in result.stdout


def test_a_query_explains_its_parameters() -> None:
    result = CliRunner().invoke(command, ["listings", "--help-params"])
    assert "--limit NUMBER" in result.stdout
    assert QUERIES["listings"].example in result.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["listing"], UsageError, "did you mean 'listings'"),
        (["listings", "-p", "limt", "1"], UsageError, "did you mean 'limit'"),
        (["listings", "-p", "limit", "1", "-p", "limit", "2"], UsageError, "twice"),
        (["listings", "--data-dir", "nowhere"], DataError, "recorder ingest"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(
    arguments: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "recorder.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(DataError, match="cannot open the database"):
        CliRunner().invoke(
            command, ["listings", "--data-dir", str(tmp_path)], catch_exceptions=False
        )


def test_own_queries_join_the_canned_ones(data_dir: Path) -> None:
    own = data_dir / "own"
    own.mkdir()
    (own / "rows.sql").write_text(TEXT)
    arguments = ["rows", "-p", "n", "7", "--query-dir", str(own), "--data-dir", str(data_dir)]
    result = CliRunner().invoke(command, arguments)
    assert result.stdout.splitlines()[1].startswith("7,$no,")


def test_the_shell_completes_names_and_formats() -> None:
    complete = ShellComplete(command, {}, "recorder", "_RECORDER_COMPLETE")
    assert [item.value for item in complete.get_completions([], "listings")] == ["listings"]
    formats = [item.value for item in complete.get_completions(["--format"], "j")]
    assert formats == ["json", "jsonl"]


def test_help_ends_with_an_example() -> None:
    text = command.get_help(click.Context(command))
    assert "recorder query coverage" in text.splitlines()[-1]
