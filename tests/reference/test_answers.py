"""Every canned query against plain loops, and `as_of` against the record that ended there."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import made

from recorder.answers import canned

from . import answers, records, studies
from .worlds import T0, cut, moments, worlds

QUERIES = canned.load()
#: What makes a small record interesting, and rows unlimited.
ASKED = {
    "liquidation_cascades": {"min_count": "2"},
    "liquidation_cascades:asset": {"min_count": "2", "by": "asset"},
    "funding_extremes": {"min_count": "2"},
    "funding_spread": {"costs_bps": "10"},
    "feed_rates": {
        "since": str(made.moment(records.SINCE)),
        "until": str(made.moment(records.UNTIL)),
    },
    "line_race": {"since": str(made.moment(records.RACED))},
}
REFERENCES: dict[str, Callable[[dict[str, Any]], list[dict[str, Any]]]] = {
    name: getattr(module, name)
    for name in QUERIES
    for module in (answers, studies, records)
    if hasattr(module, name) and getattr(module, name).__module__ == module.__name__
}
REFERENCES["liquidation_cascades:asset"] = answers.cascades_of_assets
ZONES = ("UTC", "Asia/Tokyo", "America/New_York", "Asia/Kolkata", "Europe/Berlin", "Pacific/Apia")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path: Path = tmp_path_factory.mktemp("answers") / "recorder.duckdb"
    with made.database(path) as connection:
        connection.execute("SET threads = 1")
        yield connection


def put(db: duckdb.DuckDBPyConnection, record: dict[str, list[dict[str, Any]]]) -> None:
    made.clear(db)
    made.fill(db, {table: rows for table, rows in record.items() if table != "raw"})
    made.frames(db, record["raw"])


def ask(db: duckdb.DuckDBPyConnection, name: str, **more: str) -> list[dict[str, Any]]:
    # The macro: its text is the query's. `db.sql` would bind it twice.
    found = db.execute(f"FROM {name.partition(':')[0]}({_chosen(name, more)})")
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _chosen(name: str, more: Mapping[str, str]) -> str:
    return ", ".join(f"{key} := '{value}'" for key, value in (ASKED.get(name, {}) | more).items())


def same(found: list[dict[str, Any]], right: list[dict[str, Any]]) -> None:
    """Compare the columns that the reference knows, in any order of the rows."""
    names = list(right[0]) if right else []
    assert len(found) == len(right)
    picked = [{name: row[name] for name in names} for row in found]
    for ours, theirs in zip(sorted(picked, key=rank), sorted(right, key=rank), strict=True):
        for name in names:
            assert equal(ours[name], theirs[name]), (name, ours, theirs)


def rank(row: dict[str, Any]) -> str:
    """Rounded, so that two ways to add up a number sort alike."""
    return repr([f"{v:.6g}" if isinstance(v, float) else str(v) for v in row.values()])


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, (int, float)):
        return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(a, datetime) and isinstance(b, datetime):
        return a.timestamp() == b.timestamp()
    return bool(a == b)


#: In the full run each record is asked everything, in the suite a few of the queries.
LONG = "RECORDER_TEST_RECORDS" in os.environ


@settings(max_examples=made.RECORDS)
@given(
    worlds(),
    st.sampled_from(ZONES),
    st.sets(st.sampled_from(sorted(REFERENCES)), min_size=3, max_size=3),
)
def test_every_answer_is_that_of_plain_loops(
    db: duckdb.DuckDBPyConnection, world: dict[str, Any], zone: str, some: set[str]
) -> None:
    put(db, world)
    db.execute(f"SET TimeZone = '{zone}'")
    for name in REFERENCES if LONG else sorted(some):
        found = ask(db, name)
        try:
            same(found, REFERENCES[name](world))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


#: Of this nothing is asked as of a moment: the judgements of whole days.
TIMELESS = ("conditions",)
AS_OF = [name for name in QUERIES if name not in TIMELESS]


def answered(db: duckdb.DuckDBPyConnection, name: str, **more: str) -> str:
    """Return every row, as text: NaN is NaN."""
    return repr(db.execute(f"FROM {name}({_chosen(name, more)})").fetchall())


@settings(max_examples=min(made.RECORDS, 200) if LONG else 12)
@given(worlds(), moments, st.sets(st.sampled_from(AS_OF), min_size=2, max_size=2))
def test_as_of_is_the_record_that_ended_there(
    db: duckdb.DuckDBPyConnection, world: dict[str, Any], at: int, some: set[str]
) -> None:
    now = T0 + at * 1_000_000_000
    db.execute("SET TimeZone = 'UTC'")
    names = AS_OF if LONG else sorted(some)
    put(db, world)
    found = {name: answered(db, name, as_of=str(made.moment(now))) for name in names}
    put(db, cut(world, now))
    for name in names:
        assert found[name] == answered(db, name), name
