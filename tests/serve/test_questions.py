"""Canned queries, SQL, the calendar: answered by children that can be ended."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.answers import canned
from recorder.answers.sandbox import QueryLimits
from recorder.errors import RecorderError
from recorder.serve.ask import QueryPool

from .serving import Served, serving

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def served(sample: Path) -> Iterator[Served]:
    with serving(sample) as running:
        yield running


def test_every_canned_query_is_listed_with_its_form(served: Served) -> None:
    told = served.ask("/api/meta").json
    assert [query["name"] for query in told["queries"]] == list(canned.load())
    feed = next(p for q in told["queries"] for p in q["params"] if p["name"] == "feed")
    assert feed["values"] == told["feeds"]
    plots = [query["plot"] for query in told["queries"] if "plot" in query]
    assert plots and all(plot["mark"] in {"line", "dot", "bar"} for plot in plots)
    assert {"name", "type", "description"} == set(told["tables"]["whales"][0])


def test_a_query_is_answered_as_json_and_csv(served: Served) -> None:
    told = served.ask("/api/query/listings.json?limit=2").json
    assert told["name"] == "listings"
    assert len(told["rows"]) == 2
    assert {"name": "recv_time", "type": "TIMESTAMP WITH TIME ZONE"} in told["columns"]
    assert told["rows"][0][0].endswith("Z")
    assert isinstance(told["newest_ns"], int)
    assert told["freshness"].startswith("newest frame")
    csv = served.ask("/api/query/listings.csv?limit=2")
    assert csv.headers["content-type"].startswith("text/csv")
    assert csv.body.decode().splitlines()[0].startswith("recv_time,")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/query/nothing.json", 404), ("/api/query/listings.xml", 404),
        ("/api/query/listings.json?nothing=1", 400), ("/api/query/listings.json?limit=many", 400),
        ("/api/query/listings.json?limit=1&limit=2", 400), ("/api/coverage?days=0", 400),
        ("/api/coverage?days=x", 400), ("/api/gaps?feed=x", 400),
        ("/api/gaps?feed=x&day=soon", 400),
        ("/api/series?what=nothing", 400), ("/api/frame?feed=binance", 400),
    ],
)  # fmt: skip
def test_a_wrong_question_is_refused_with_its_reason(
    served: Served, path: str, status: int
) -> None:
    reply = served.ask(path)
    assert reply.status == status, reply.body
    assert reply.json["error"]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (x INT)", "COPY (SELECT 1) TO '/tmp/x'", "FROM read_csv('/etc/passwd')",
        "DROP TABLE whales", "SELECT 1; SELECT 2", "SET threads = 8", "ATTACH '/tmp/x.db'", "SELEC",
    ],
)  # fmt: skip
def test_sql_can_read_the_record_and_nothing_else(served: Served, sql: str) -> None:
    reply = served.sql(sql)
    assert reply.status == 400, reply.body
    assert reply.json["error"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel says how much memory it is")
async def test_one_huge_value_ends_near_the_limit(sample: Path) -> None:
    limits = QueryLimits(seconds=60.0, rows=10, memory_mb=64, threads=1)
    pool = QueryPool(str(sample), limits)
    sql = "SELECT length(repeat(repeat('a', 1000000), {megabytes}))"
    try:
        small = await pool.run({"kind": "sql", "sql": sql.format(megabytes=50)})
        assert small.status == 200, small.body
        huge = await pool.run({"kind": "sql", "sql": sql.format(megabytes=1500)})
    finally:
        await pool.close()
    assert huge.status == 422
    assert b"the query needs more memory than 64 MB" in huge.body


def test_sql_is_answered_with_values_as_they_are(served: Served) -> None:
    sql = "SELECT 1790000000123456789 AS at_ns, 'NaN'::DOUBLE AS x, NULL AS y, '<b>' AS z"
    told = served.sql(sql).json
    assert told["rows"] == [[1790000000123456789, None, None, "<b>"]]
    assert served.sql("FROM range(20000)").json["more"] is True


def test_coverage_and_gaps_of_the_sample(served: Served) -> None:
    told = served.ask("/api/coverage?days=366").json
    assert len(told["days"]) == 366
    feeds = served.ask("/api/meta").json["feeds"]
    assert {row["feed"] for row in told["feeds"]} <= set(feeds)
    reply = served.ask(f"/api/gaps?feed={feeds[0]}&day=2026-01-01")
    assert reply.status == 200
    assert [column["name"] for column in reply.json["columns"]][:4] == [
        "line",
        "line_group",
        "from",
        "to",
    ]


async def test_a_query_that_never_ends_is_ended(sample: Path) -> None:
    pool = QueryPool(str(sample), QueryLimits(seconds=5.0, rows=10, memory_mb=512, threads=1))
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
    try:
        with pytest.raises(RecorderError, match="stopped after 5 s"):
            answer = await pool.run({"kind": "sql", "sql": endless})
            raise RecorderError(answer.body.decode())
        after = await pool.run({"kind": "sql", "sql": "SELECT 42"})
        assert b"42" in after.body
    finally:
        await pool.close()


async def test_a_child_that_dies_is_an_error_and_no_more(sample: Path) -> None:
    pool = QueryPool(str(sample), QueryLimits(seconds=30.0, rows=10, memory_mb=512, threads=1))
    try:
        pool.prepare()
        question = asyncio.create_task(pool.run({"kind": "no such kind", "limits": 3}))
        with pytest.raises(RecorderError, match="process died"):
            await question
        assert (await pool.run({"kind": "sql", "sql": "SELECT 1"})).status == 200
    finally:
        await pool.close()


def test_without_a_database_it_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as empty:
        reply = empty.sql("SELECT 1")
        assert reply.status == 503
        assert reply.json["error"] == "no database yet"
        assert empty.ask("/readyz").status == 503
        assert empty.ask("/").status == 200
