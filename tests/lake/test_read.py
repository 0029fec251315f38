"""A lake answers as recorder.duckdb does, and says what is wrong before it answers."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from kit import lakes

import recorder
from recorder.answers import canned, database, sandbox
from recorder.errors import ConfigError, DataError, RecorderError, StoreError, UsageError
from recorder.lake import read
from recorder.lake.delta import Writer
from recorder.lake.place import Place
from recorder.lake.run import Engine
from recorder.schema.tables import TABLES
from recorder.tables.rules import Rules

from .conftest import Both

#: A lake's days are not judged.
QUERIES = {name: query for name, query in canned.load().items() if name != "conditions"}
#: Far enough back for every frame; the default of line_race is a day.
GIVEN = {"line_race": {"since": "2026-01-01"}}

PARAMETERS: list[dict[str, str]] = [
    {"since": "2026-09-22", "until": "2026-09-23"},
    {"feed": "binance"},
    {"symbol": "btcusdt"},
    {"as_of": "2026-09-22T14:14:00Z"},
]


@pytest.fixture(scope="module")
def lake(both: Both) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(read.connect(both.tables_url, raw_url=both.raw_url)) as connection:
        yield connection


@pytest.fixture(scope="module")
def local(both: Both) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(recorder.connect(both.layout.root)) as connection:
        yield connection


def same(found: Any, wanted: Any) -> bool:
    """Equal, but for the last digits of sums, which are added up in another order."""
    if isinstance(found, float) and isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[k], wanted[k]) for k in found)
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return bool(found == wanted)


# --- the same answers


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_the_same_rows_columns_and_types(
    name: str, lake: duckdb.DuckDBPyConnection, local: duckdb.DuckDBPyConnection
) -> None:
    described = f"SELECT column_name, column_type FROM (DESCRIBE {name})"
    assert lake.sql(described).fetchall() == local.sql(described).fetchall()
    rows = f"FROM {name} ORDER BY ALL"
    assert lake.sql(rows).fetchall() == local.sql(rows).fetchall()


def test_the_record_that_is_compared_has_what_the_queries_ask_for(
    local: duckdb.DuckDBPyConnection,
) -> None:
    for name in ("prices", "liquidations", "listings", "funding", "whales", "latency", "rejects"):
        assert local.sql(f"SELECT count(*) > 5 FROM {name}").fetchall() == [(True,)], name
    assert canned.run(local, QUERIES["line_race"], GIVEN["line_race"]).num_rows == 4


@pytest.mark.parametrize("name", QUERIES)
def test_every_canned_query_answers_the_same(
    name: str, both: Both, local: duckdb.DuckDBPyConnection
) -> None:
    query = QUERIES[name]
    with closing(read.connect(both.tables_url, raw_url=both.raw_url, query=query)) as only:
        for given in ({}, *PARAMETERS):
            known = {p.name for p in query.parameters}
            chosen = GIVEN.get(name, {}) | {k: v for k, v in given.items() if k in known}
            found, wanted = (canned.run(c, query, chosen) for c in (only, local))
            assert found.schema == wanted.schema
            assert same(found.to_pylist(), wanted.to_pylist()), chosen
        assert database.freshness(only).startswith("newest frame ")


@pytest.mark.parametrize("name", QUERIES)
def test_every_macro_answers_the_same(
    name: str, lake: duckdb.DuckDBPyConnection, local: duckdb.DuckDBPyConnection
) -> None:
    since = "since := '2026-01-01'" if name in GIVEN else ""
    found, wanted = (c.sql(f"FROM {name}({since})").to_arrow_table() for c in (lake, local))
    assert found.schema == wanted.schema
    assert same(found.to_pylist(), wanted.to_pylist())


def test_a_lake_says_that_it_has_no_conditions(lake: duckdb.DuckDBPyConnection, both: Both) -> None:
    with pytest.raises(duckdb.Error, match="a lake has no conditions"):
        lake.sql("FROM conditions()").fetchall()
    with pytest.raises(RecorderError, match="a lake has no conditions"):
        recorder.query("conditions", tables_url=both.tables_url)


def test_raw_shows_the_bucket_s_frames(
    lake: duckdb.DuckDBPyConnection, local: duckdb.DuckDBPyConnection
) -> None:
    rows = "FROM raw ORDER BY ALL"
    assert lake.sql(rows).to_arrow_table() == local.sql(rows).to_arrow_table()


def test_python_asks_a_lake_as_it_asks_a_directory(both: Both) -> None:
    given = {"feed": "binance", "since": "2026-01-01"}
    lake = {"tables_url": both.tables_url, "raw_url": both.raw_url}
    for name in ("coverage", "line_race"):
        found = recorder.query(name, **lake, **given)  # type: ignore[arg-type]
        wanted = recorder.query(name, data_dir=both.layout.root, **given)  # type: ignore[arg-type]
        assert found.num_rows > 0
        assert found == wanted
    with recorder.connect(tables_url=both.tables_url) as connection:
        assert connection.sql("SELECT count(*) > 0 FROM ledger").fetchall() == [(True,)]


def test_a_lake_that_ingest_filled_answers_the_same(
    both: Both, local: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    url = str(tmp_path / "lake")
    raw, tables = Place.of(both.raw_url), Place.of(url)
    with Writer(tables) as writer:
        Engine(raw, tables, lambda feed, kind: Rules(kind, whale_usd=1)).run(writer)
    with closing(read.connect(url, raw_url=both.raw_url)) as lake:
        for name, query in QUERIES.items():
            given = GIVEN.get(name, {})
            found, wanted = (canned.run(c, query, given).to_pylist() for c in (lake, local))
            assert same(found, wanted), name


# --- whole batches


def test_a_reader_sees_what_the_pointer_names_and_no_more(both: Both, tmp_path: Path) -> None:
    url = str(shutil.copytree(both.tables_url, tmp_path / "lake"))
    with closing(recorder.connect(both.layout.root)) as local:
        more = lakes.table(local, "prices")

    def prices(connection: duckdb.DuckDBPyConnection) -> int:
        [(count,)] = connection.sql("SELECT count(*) FROM prices").fetchall()
        return int(count)

    with closing(read.connect(url)) as before:
        lakes.append(url, "prices", more)  # a writer is killed before it moves the pointer
        with closing(read.connect(url)) as meanwhile:
            assert prices(meanwhile) == len(more)
        lakes.pin(url, dict.fromkeys(lakes.READ, 0) | {"prices": 1})
        with closing(read.connect(url)) as after:
            assert prices(after) == 2 * len(more)
        assert prices(before) == len(more)  # it shows one state for as long as it lives


# --- what is refused, by name


@pytest.fixture
def copy(both: Both, tmp_path: Path) -> Path:
    return Path(shutil.copytree(both.tables_url, tmp_path / "lake"))


def test_a_place_without_a_lake_is_named(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError, match=rf"{place}: holds no lake yet\n  fill it with"):
            read.connect(str(place))


def test_tables_of_somebody_else_are_no_lake(tmp_path: Path) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    write_deltalake(str(tmp_path / "about"), pa.table({"n": [1]}))
    with pytest.raises(DataError, match="holds no lake: its table 'about' cannot be read"):
        read.connect(str(tmp_path))


@pytest.mark.parametrize("url", ["ftp://host/x", "s3://", "s3://key:secret@bucket/x", "s3://b/?k"])
def test_a_url_that_names_no_place_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--tables-url") as refused:
        read.connect(url)
    assert "secret" not in str(refused.value)


def test_a_lake_of_another_version_is_refused_with_a_way_out(copy: Path) -> None:
    lakes.pin(str(copy), dict.fromkeys(lakes.READ, 0), schema=999)
    with pytest.raises(DataError, match=r"version 999(.|\n)*--tables-url"):
        read.connect(str(copy))


def test_a_table_that_is_missing_is_named_before_any_answer(copy: Path) -> None:
    shutil.rmtree(copy / "funding")
    with pytest.raises(DataError, match="the table 'funding' is missing or damaged"):
        read.connect(str(copy))
    with pytest.raises(DataError, match="'funding'"):
        read.connect(str(copy), query=QUERIES["funding_rates"])
    # What does not need it is answered.
    read.connect(str(copy), query=QUERIES["latency_percentiles"]).close()


def test_a_table_that_the_pointer_does_not_name_is_named(copy: Path) -> None:
    lakes.pin(str(copy), {name: 0 for name in lakes.READ if name != "gaps"})
    with pytest.raises(DataError, match=r"'gaps' is missing or damaged \(the pointer"):
        read.connect(str(copy))


def test_a_version_that_is_gone_is_named(copy: Path) -> None:
    lakes.pin(str(copy), dict.fromkeys(lakes.READ, 0) | {"whales": 7})
    with pytest.raises(DataError, match="the table 'whales' is missing or damaged"):
        read.connect(str(copy))


def test_a_file_that_is_gone_fails_the_question_that_needs_it(copy: Path) -> None:
    for path in (copy / "listings").rglob("*.parquet"):
        path.unlink()
    with (
        closing(read.connect(str(copy))) as connection,
        pytest.raises(DataError, match=r"a file cannot be read.*listings(.|\n)*query again"),
    ):
        canned.run(connection, QUERIES["listings"], {})


def test_features_that_are_not_read_are_refused(copy: Path) -> None:
    """Rows that another program deletes in the log alone would be shown still."""
    log = copy / "whales" / "_delta_log" / "00000000000000000000.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "protocol" in line:
            line["protocol"] = {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": ["deletionVectors"],
                "writerFeatures": ["deletionVectors"],
            }
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match=r"whales: the table has features .*deletionVectors"):
        read.connect(str(copy))


def test_raw_frames_are_missed_by_name(both: Both) -> None:
    with pytest.raises(UsageError, match=r"'line_race'.*raw frames(.|\n)*--raw-url"):
        read.connect(both.tables_url, query=QUERIES["line_race"])
    with closing(read.connect(both.tables_url)) as connection:
        for sql in ("FROM raw", "SELECT count(*) FROM raw", "SELECT 1 FROM raw WHERE seq < 0"):
            with pytest.raises(duckdb.InvalidInputException, match=r"raw frames.*--raw-url"):
                connection.sql(sql).fetchall()
    with pytest.raises(StoreError, match="no such bucket"):
        read.connect(both.tables_url, raw_url=f"{both.raw_url}/nowhere")


# --- somebody's SQL


@pytest.fixture
def box(both: Both) -> Iterator[duckdb.DuckDBPyConnection]:
    limits = sandbox.QueryLimits()
    settings = sandbox.settings(limits)
    with closing(
        read.connect(both.tables_url, raw_url=both.raw_url, settings=settings)
    ) as connection:
        sandbox.shut(connection)
        sandbox.freeze(connection)
        yield connection


def test_somebody_s_sql_reads_the_lake(box: duckdb.DuckDBPyConnection) -> None:
    limits = sandbox.QueryLimits()
    for sql in ("FROM coverage()", "SELECT count(*) FROM raw", "SHOW TABLES", "SUMMARIZE prices"):
        assert sandbox.run(box, sql, limits).table.num_rows > 0


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_parquet('{lake}/prices/*/*/*.parquet')",
        "FROM read_text('{lake}/about/_delta_log/*.json')",
        "FROM '{lake}/stolen.parquet'",
        "COPY prices TO '{lake}/stolen.parquet'",
        "EXPLAIN ANALYZE WITH x AS (COPY prices TO '{lake}/stolen.parquet') FROM x",
        "WITH x AS (CREATE TABLE mine AS FROM prices) FROM x",
        "ATTACH '{lake}/stolen.duckdb' AS stolen",
        "CREATE TABLE mine (n INTEGER)",
        "DROP VIEW prices",
        "SET enable_external_access = true",
        "SELECT * FROM query('DROP VIEW prices')",
        "ROLLBACK",
    ],
)
def test_somebody_s_sql_reads_nothing_else(
    sql: str, box: duckdb.DuckDBPyConnection, both: Both
) -> None:
    with pytest.raises(RecorderError):
        sandbox.run(box, sql.format(lake=both.tables_url), sandbox.QueryLimits())
    assert not list(Path(both.tables_url).glob("stolen*"))
