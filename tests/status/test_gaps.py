"""Gaps as the watcher finds them are those of the table."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.schema.tables import TABLES
from recorder.status.gaps import Life, gaps
from recorder.tables import markers

NS = 1_000_000_000


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    found = []
    for number in range(draw(st.integers(0, 8))):
        opened = draw(st.integers(0, 30)) * NS
        heard = opened + draw(st.integers(0, 10)) * NS
        line_group, line = draw(st.sampled_from(["x", "y"])), draw(st.sampled_from("AB"))
        found.append(Life(line_group, line, f"c{number}", opened, heard, draw(st.booleans())))
    return found


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        found.execute(TABLES["connections"].ddl)
        found.execute(TABLES["gaps"].ddl)
        yield found


@settings(deadline=None, max_examples=60)
@given(lives())
def test_they_are_those_of_the_table(
    db: duckdb.DuckDBPyConnection, given_lives: list[Life]
) -> None:
    db.execute("DELETE FROM connections")
    for one in given_lives:
        closed = one.heard_ns if one.ended else None
        db.execute(
            "INSERT INTO connections BY NAME SELECT 'f' AS feed, $1 AS line_group, $2 AS line, "
            "$3 AS connection, $4 AS opened_ns, $5 AS last_heard_ns, $6 AS closed_ns, "
            "$4 AS recv_ns, to_timestamp(0) AS recv_time, 0 AS seq, 0 AS item",
            [one.line_group, one.line, one.connection, one.opened_ns, one.heard_ns, closed],
        )
    markers.apply_gaps(db, "f")
    rows = db.execute("SELECT line_group, line, from_ns, to_ns, covered FROM gaps").fetchall()
    assert sorted(map(repr, rows)) == sorted(repr(tuple(gap)) for gap in gaps(given_lives))
