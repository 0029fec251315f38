"""Somebody's SQL can read the record and nothing else, and it ends."""

from __future__ import annotations

import hashlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from recorder.answers import canned, sandbox
from recorder.answers.sandbox import Answer, QueryLimits
from recorder.errors import DataError, RecorderError, UsageError
from recorder.record.layout import Layout
from recorder.tables import publish

LIMITS = QueryLimits(seconds=60)
ENDLESS = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"


@pytest.fixture
def box(sample: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with sandbox.connect(Layout(sample), LIMITS) as connection:
        yield connection


def ask(box: duckdb.DuckDBPyConnection, sql: str, limits: QueryLimits = LIMITS) -> Answer:
    return sandbox.run(box, sql, limits)


def rows(box: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in ask(box, sql).table.to_pylist()]


def state(place: Path) -> dict[str, str]:
    """Every file below a directory with its checksum."""
    files = (path for path in place.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- what may be read -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "FROM latency LIMIT 1",
        "VALUES (1), (2);",
        "WITH a AS (FROM latency) SELECT count(*) FROM a",
        "DESCRIBE latency",
        "DESCRIBE SELECT 1 AS one",
        "SHOW TABLES",
        "SUMMARIZE latency",
        "EXPLAIN FROM raw",
        "-- why\nEXPLAIN ANALYZE SELECT 1",
        "explain (format json) select 1",
        "PIVOT latency ON feed IN ('smartmoney') USING count(*)",
        "FROM latency_percentiles(since := '2026-01-01')",
        "SELECT 'a; b' AS text -- ; not the end",
    ],
)
def test_one_question_is_answered(box: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert ask(box, sql).table.num_rows > 0


def test_raw_is_the_published_view_with_the_payload_as_text(
    box: duckdb.DuckDBPyConnection, sample: Path
) -> None:
    wanted = "SELECT * FROM raw ORDER BY feed, connection, seq, recv_ns, kind"
    found = ask(box, wanted).table
    box.close()  # one process opens a database with one set of settings at a time
    with duckdb.connect(str(sample / "recorder.duckdb"), read_only=True) as open_one:
        open_one.execute("SET TimeZone = 'UTC'")
        published = open_one.sql(wanted).to_arrow_table()
    assert found.column_names == published.column_names
    assert found.to_pylist() == published.to_pylist()
    assert any((text or "").startswith('{"type":') for text in found["text"].to_pylist())


def test_a_row_of_a_table_leads_to_its_raw_frame(box: duckdb.DuckDBPyConnection) -> None:
    sql = """SELECT contains(r.text, l.ticker) FROM listings l
             JOIN raw r USING (feed, connection, seq)
             WHERE r.kind IN ('text', 'binary') AND l.ticker IS NOT NULL"""
    assert set(rows(box, sql)) == {(True,)}


@pytest.mark.parametrize("name", canned.load())
def test_every_macro_answers_inside(box: duckdb.DuckDBPyConnection, name: str) -> None:
    assert ask(box, f"FROM {name}()").table.column_names


def test_a_damaged_file_is_left_out_as_in_the_published_view(sample: Path, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    shutil.copytree(sample / "raw", layout.raw)
    day = next(layout.raw.glob("feed=smartmoney/date=*"))
    (day / "damaged.parquet").write_bytes(b"PAR1 not a file PAR1")
    with duckdb.connect(str(layout.database)) as connection:
        publish.define(connection, layout)
        publish.prepare(connection, layout, damaged=[day / "damaged.parquet"])
    with sandbox.connect(layout, LIMITS) as box:
        assert rows(box, "SELECT count(*) > 1000, count(DISTINCT feed) FROM raw") == [(True, 2)]


def test_a_file_damaged_since_then_is_told(sample: Path, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    shutil.copytree(sample / "raw", layout.raw)
    with duckdb.connect(str(layout.database)) as connection:
        publish.define(connection, layout)
    next(layout.raw.glob("*/*/*.parquet")).write_bytes(b"PAR1 not a file PAR1")
    with (
        sandbox.connect(layout, LIMITS) as box,
        pytest.raises(DataError, match=r"cannot be read(.|\n)*recorder verify"),
    ):
        ask(box, "FROM raw")


def test_a_record_without_sealed_files_has_an_empty_raw(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "recorder.duckdb")) as connection:
        publish.define(connection, Layout(tmp_path))
    with sandbox.connect(Layout(tmp_path), LIMITS) as box:
        assert rows(box, "SELECT count(*) FROM raw") == [(0,)]


def test_without_a_database_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="recorder ingest"):
        sandbox.connect(Layout(tmp_path), LIMITS)


# --- what may not be done -------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize(
    "sql",
    [
        "COPY latency TO '{raw}/stolen.parquet'",
        "COPY (PIVOT latency ON feed) TO '{raw}/stolen.parquet'",
        "EXPLAIN ANALYZE COPY latency TO '{raw}/stolen.parquet'",
        "EXPLAIN /* */ ANALYZE /* */ COPY latency TO '{raw}/stolen.parquet'",
        "EXPLAIN EXPLAIN ANALYZE COPY latency TO '{raw}/stolen.parquet'",
        "WITH x AS (COPY latency TO '{raw}/stolen.parquet') FROM x",
        "EXPLAIN ANALYZE WITH x AS (COPY latency TO '{raw}/stolen.parquet') FROM x",
        "FROM query('WITH x AS (COPY latency TO ''/tmp/stolen'') FROM x')",
        "EXPORT DATABASE '{raw}'",
        "ATTACH '{raw}/other.duckdb' AS other",
        "DETACH recorder",
        "USE temp",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE SECRET s (TYPE s3)",
        "CREATE TABLE t AS SELECT 1",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE OR REPLACE TEMP VIEW raw AS SELECT 1",
        "CREATE MACRO f() AS 1",
        "INSERT INTO latency SELECT * FROM latency",
        "WITH x AS (INSERT INTO latency FROM latency RETURNING *) FROM x",
        "WITH x AS (DELETE FROM latency RETURNING *) FROM x",
        "DELETE FROM latency",
        "UPDATE latency SET seq = 0",
        "DROP TABLE latency",
        "TRUNCATE latency",
        "SET memory_limit = '100GB'",
        "RESET enable_external_access",
        "SET enable_external_access = true",
        "PRAGMA enable_external_access = true",
        "PRAGMA database_list",
        "CALL enable_logging()",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "SELECT 1; DELETE FROM latency",
        "SELECT 1; SELECT 2",
        "PIVOT latency ON feed USING count(*)",
        "SELECT getenv('HOME')",
        "SELECT $secret",
        "FROM '/etc/passwd'",
        "FROM '{raw}/**/*.parquet'",
        "FROM read_text('/etc/passwd')",
        "FROM read_text('file:///etc/passwd')",
        "FROM read_text('{raw}/../../../../../../etc/passwd')",
        "FROM read_blob('/proc/self/environ')",
        "FROM read_csv('/etc/passwd')",
        "FROM read_csv('/dev/stdin')",
        "FROM read_json('/etc/passwd')",
        "FROM sniff_csv('/etc/passwd')",
        "FROM read_parquet('{raw}/**/*.parquet')",
        "FROM parquet_metadata('{raw}/**/*.parquet')",
        "FROM read_duckdb('{raw}/other.duckdb', table_name = 't')",
        "FROM glob('/etc/*')",
        "FROM glob('{raw}/**')",
        "FROM duckdb_extensions()",
        "FROM read_parquet('https://127.0.0.1:{port}/x.parquet')",
        "FROM read_parquet('s3://bucket/x.parquet')",
        "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''/etc/passwd'')'))",
        "FROM query('FROM read_text(''/etc/passwd'')')",
        "FROM arrow_scan(1, 2, 3)",
        "FROM pandas_scan(1)",
        "FROM box",  # a Python variable is no table
        "FROM sample",
        "SELEC 1",
        "",
        "-- nothing",
    ],
)
def test_whatever_else_is_tried_is_refused_and_changes_nothing(
    box: duckdb.DuckDBPyConnection, sample: Path, sql: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        before = state(sample)
        tried = sql.replace("{raw}", str(sample / "raw").replace("'", "''"))
        with pytest.raises(UsageError) as error:
            ask(box, tried.replace("{port}", str(server.getsockname()[1])))
        assert error.value.what
        assert error.value.hint
        assert "root:" not in str(error.value)
        assert state(sample) == before
        with pytest.raises(BlockingIOError):  # nobody knocked
            server.accept()
    assert rows(box, "SELECT count(*) > 0 FROM raw") == [(True,)]


def test_no_secret_and_no_place_outside_is_told(box: duckdb.DuckDBPyConnection) -> None:
    assert rows(box, "FROM duckdb_secrets()") == []
    assert rows(box, "SELECT current_setting('temp_directory')") == [("",)]
    locked = "SELECT current_setting('lock_configuration'), current_setting('access_mode')"
    assert rows(box, locked) == [(True, "read_only")]


# --- what does not end ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql", [ENDLESS, "SELECT sum(a.seq * b.seq * c.seq) FROM raw a, raw b, raw c"]
)
def test_a_query_that_never_ends_is_stopped(box: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(RecorderError, match=r"stopped after 0\.2 s\n.*--timeout"):
        ask(box, sql, QueryLimits(seconds=0.2))
    assert rows(box, "SELECT 1") == [(1,)]


def test_an_answer_without_end_is_stopped_by_its_size(box: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(RecorderError, match="larger than 64 MB"):
        ask(box, "FROM range(1000000000000)", QueryLimits(memory_mb=64))


def test_rows_beyond_the_limit_are_left_out_and_told(box: duckdb.DuckDBPyConnection) -> None:
    answer = ask(box, "FROM range(1000000000000)", QueryLimits(rows=7))
    assert (answer.table.num_rows, answer.more) == (7, True)
    answer = ask(box, "FROM range(7)", QueryLimits(rows=7))
    assert (answer.table.num_rows, answer.more) == (7, False)
    assert ask(box, "FROM range(7)", QueryLimits(rows=0)).table.num_rows == 0


def test_a_query_that_wants_all_memory_is_refused(sample: Path) -> None:
    limits = QueryLimits(memory_mb=64)
    with (
        sandbox.connect(Layout(sample), limits) as box,
        pytest.raises(RecorderError, match="more memory than 64 MB"),
    ):
        ask(box, "SELECT a.range, random() AS r FROM range(100000000) a ORDER BY r", limits)


def test_what_is_wrong_in_the_sql_is_told_with_the_nearest(box: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(UsageError) as error:
        ask(box, "SELECT feeed FROM latency")
    assert 'column "feeed" not found' in error.value.what
    assert '"feed"' in error.value.hint
