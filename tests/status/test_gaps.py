"""The watcher and the tables find the same gaps, from the same markers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples

from recorder.clock import DAY_NS, NS, ulid
from recorder.record.skim import Marker
from recorder.schema.raw import RAW
from recorder.schema.tables import TABLES
from recorder.status.connection_state import FeedState
from recorder.tables import markers

DAY = 20_000 * DAY_NS
NOW = DAY + 100 * NS


@st.composite
def records(draw: st.DrawFn) -> list[Marker]:
    """Draw the markers of some connections; a moment is a second."""
    found: list[Marker] = []
    for number in range(draw(st.integers(0, 6))):
        name = ulid(DAY, bytes([number] * 10))
        at = draw(st.integers(0, 30))
        said = {"line": draw(st.sampled_from("AB")), "group": draw(st.sampled_from("xy"))}
        if draw(st.integers(0, 5)) == 0:  # an attempt that failed
            at_ns = DAY + at * NS
            found.append(Marker(name, 0, at_ns, "closed", {**said, "reason": "refused"}))
            continue
        kinds = ["open", "stats", *draw(st.sampled_from([[], ["closed"]]))]
        for seq, kind in enumerate(kinds):
            at_ns, heard_ns = DAY + at * NS, DAY + draw(st.integers(0, at)) * NS
            told = {**said, "heard_ns": heard_ns, "reason": "closed 1006", "opened": True}
            found.append(Marker(name, seq, at_ns, kind, told))
            at += draw(st.integers(0, 9))
    return found


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        found.execute(TABLES["connections"].ddl)
        found.execute(TABLES["gaps"].ddl)
        yield found


def ingested(db: duckdb.DuckDBPyConnection, record: list[Marker]) -> list[tuple[object, ...]]:
    """Return the gaps that the tables have of a record."""
    db.execute("DELETE FROM connections; DELETE FROM gaps")
    rows = [
        (
            one.recv_ns,
            one.recv_ns,
            one.seq,
            one.connection,
            one.kind,
            json.dumps(one.fields).encode(),
        )
        for one in record
    ]
    db.register(
        "batch", pa.Table.from_pylist([dict(zip(RAW.names, row, strict=True)) for row in rows], RAW)
    )
    markers.apply(db, "f")
    markers.apply_gaps(db, "f")
    return db.execute("SELECT line_group, line, from_ns, to_ns, covered FROM gaps").fetchall()


@settings(deadline=None, max_examples=examples(60))
@given(records())
def test_the_watcher_finds_the_gaps_of_the_tables(
    db: duckdb.DuckDBPyConnection, record: list[Marker]
) -> None:
    lives = FeedState("f")
    lives.take(record)
    watched = [
        (*gap.key, gap.from_ns, gap.to_ns, gap.covered) for gap in lives.gaps(NOW, recorded=True)
    ]
    assert sorted(map(repr, watched)) == sorted(map(repr, ingested(db, record)))
