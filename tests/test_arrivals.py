"""Redundant lines: one event, one row; every event at least once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import arrivals
from recorder.clock import NS
from recorder.raw import RAW
from recorder.schema import TABLES

T0 = 1_790_000_000 * NS
Arrival = tuple[int, str, bytes]  # nanoseconds after T0, connection, payload


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(TABLES["connections"].ddl)
        connection.execute(arrivals.STATE)
        yield connection


def kept(
    database: duckdb.DuckDBPyConnection, came: list[Arrival], cuts: list[int], lines: str = "AB"
) -> list[Arrival]:
    """What is left of `came`, fed in batches that end at `cuts`."""
    database.execute("DELETE FROM connections; DELETE FROM arrivals")
    for line in lines:
        database.execute(
            "INSERT INTO connections BY NAME SELECT 'f' AS feed, 0 AS recv_ns, 0 AS seq, 0 AS item,"
            " make_timestamptz(0) AS recv_time, $c AS connection, $l AS line, 0 AS opened_ns",
            {"c": f"on-{line}", "l": line},
        )
    seqs: Counter[str] = Counter()
    rows = []
    for at, connection, payload in came:
        rows.append((T0 + at, 0, seqs[connection], connection, "text", payload))
        seqs[connection] += 1
    left: list[Arrival] = []
    for start, end in pairwise([0, *sorted(cuts), len(rows)]):
        if start == end:
            continue
        columns = [
            pa.array(c, f.type)
            for c, f in zip(zip(*rows[start:end], strict=True), RAW, strict=True)
        ]
        database.register("batch", pa.table(columns, RAW))
        arrivals.apply(database, "f")
        found = database.sql(
            "SELECT recv_ns, connection, payload FROM fresh ORDER BY recv_ns, connection, seq"
        )
        left += [(at - T0, c, bytes(p)) for at, c, p in found.fetchall()]
    return left


def test_the_first_of_two_arrivals_stays(database: duckdb.DuckDBPyConnection) -> None:
    came = [(0, "on-A", b"x"), (5, "on-B", b"x"), (9, "on-B", b"y"), (10, "on-A", b"y")]
    assert kept(database, came, []) == [came[0], came[2]]


def test_two_equal_events_on_one_connection_stay_two(database: duckdb.DuckDBPyConnection) -> None:
    came = [(t, c, b"x") for t, c in [(0, "on-A"), (1, "on-B"), (100, "on-A"), (101, "on-B")]]
    assert kept(database, came, []) == [came[0], came[2]]


def test_a_single_line_keeps_everything(database: duckdb.DuckDBPyConnection) -> None:
    came = [(0, "on-A", b"x"), (0, "on-A", b"x"), (1, "on-A", b"x")]
    assert kept(database, came, [1], lines="A") == came


def test_after_a_quiet_minute_equal_bytes_are_a_new_event(
    database: duckdb.DuckDBPyConnection,
) -> None:
    later = arrivals.QUIET_NS + 2
    came = [
        (0, "on-A", b"x"),
        (1, "on-B", b"x"),
        (1 + later, "on-B", b"x"),
        (2 + later, "on-A", b"x"),
    ]
    assert kept(database, came, [2]) == [came[0], came[2]]


def test_what_one_line_missed_the_other_brings(database: duckdb.DuckDBPyConnection) -> None:
    came = [
        (0, "on-A", b"1"),
        (1, "on-B", b"1"),
        (2, "on-B", b"2"),
        (3, "on-A", b"3"),
        (4, "on-B", b"3"),
    ]
    assert [payload for _, _, payload in kept(database, came, [1, 3])] == [b"1", b"2", b"3"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, NS, arrivals.QUIET_NS // 2, arrivals.QUIET_NS + 1]),
            st.sampled_from(["on-A", "on-B"]),
            st.sampled_from([b"x", b"y"]),
        ),
        max_size=24,
    ),
    st.lists(st.integers(0, 24), max_size=4),
)
@settings(max_examples=150, deadline=None)
def test_rows_are_the_greater_count_of_either_line_however_the_batches_fall(
    database: duckdb.DuckDBPyConnection, steps: list[tuple[int, str, bytes]], cuts: list[int]
) -> None:
    came, now = [], 0
    for step, connection, payload in steps:
        now += step
        came.append((now, connection, payload))
    came.sort(key=lambda arrival: arrival[:2])  # one instant: in the order of the connections
    cuts = [min(cut, len(came)) for cut in cuts]
    assert kept(database, came, cuts) == list(model(came))


def model(came: list[Arrival]) -> Iterator[Arrival]:
    """The rule, one arrival at a time."""
    counts: dict[bytes, Counter[str]] = defaultdict(Counter)
    last: dict[bytes, int] = {}
    for at, connection, payload in came:
        if at - last.get(payload, at) > arrivals.QUIET_NS:
            counts[payload].clear()
        last[payload] = at
        before = max(counts[payload].values(), default=0)
        counts[payload][connection] += 1
        if counts[payload][connection] > before:
            yield at, connection, payload
