"""Connections that overlap: one event, one row; every event at least once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples

from recorder.clock import NS
from recorder.schema.raw import RAW
from recorder.schema.tables import TABLES
from recorder.tables import arrivals

T0 = 1_790_000_000 * NS
FOR_EVER = 1 << 60
Arrival = tuple[int, str, bytes]  # nanoseconds after T0, connection, payload
Lives = dict[str, tuple[int, int]]  # connection -> opened, closed; nanoseconds after T0

#: Two redundant lines.
BOTH: Lives = {"on-A": (-NS, FOR_EVER), "on-B": (-NS, FOR_EVER)}


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(TABLES["connections"].ddl)
        connection.execute(arrivals.STATE)
        yield connection


def kept(
    database: duckdb.DuckDBPyConnection, came: list[Arrival], cuts: list[int], lives: Lives = BOTH
) -> list[Arrival]:
    """What is left of `came`, fed in batches that end at `cuts`."""
    database.execute("DELETE FROM connections; DELETE FROM arrivals")
    seqs: Counter[str] = Counter()
    rows = []
    for at, connection, payload in came:
        rows.append((T0 + at, 0, seqs[connection], connection, "text", payload))
        seqs[connection] += 1
    left: list[Arrival] = []
    for start, end in pairwise([0, *sorted(cuts), len(rows)]):
        if start == end:
            continue
        know(database, lives, came[end - 1][0])
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


def know(database: duckdb.DuckDBPyConnection, lives: Lives, now: int) -> None:
    """What `connections` tells once a batch that ends now was ingested."""
    database.execute("DELETE FROM connections")
    for connection, (opened, closed) in lives.items():
        if opened <= now:
            database.execute(
                "INSERT INTO connections BY NAME SELECT 'f' AS feed, 'c' AS line_group,"
                " 0 AS recv_ns, 0 AS seq, 0 AS item, make_timestamptz(0) AS recv_time,"
                " $c AS connection, $opened AS opened_ns, $closed AS closed_ns,"
                " $heard AS last_heard_ns",
                {
                    "c": connection,
                    "opened": T0 + opened,
                    "closed": T0 + closed if closed <= now else None,
                    "heard": T0 + min(now, closed),
                },
            )


def test_the_first_of_two_arrivals_stays(database: duckdb.DuckDBPyConnection) -> None:
    came = [(0, "on-A", b"x"), (5, "on-B", b"x"), (9, "on-B", b"y"), (10, "on-A", b"y")]
    assert kept(database, came, []) == [came[0], came[2]]


def test_two_equal_events_on_one_connection_stay_two(database: duckdb.DuckDBPyConnection) -> None:
    came = [(t, c, b"x") for t, c in [(0, "on-A"), (1, "on-B"), (100, "on-A"), (101, "on-B")]]
    assert kept(database, came, []) == [came[0], came[2]]


def test_a_single_line_keeps_everything(database: duckdb.DuckDBPyConnection) -> None:
    came = [(0, "on-A", b"x"), (0, "on-A", b"x"), (1, "on-A", b"x")]
    assert kept(database, came, [1], {"on-A": BOTH["on-A"]}) == came


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
@settings(max_examples=examples(150), deadline=None)
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


# -- one connection takes over from another

#: The second connection opens at 100 s, the first closes at 110 s.
HANDOVER: Lives = {"on-A": (0, 110 * NS), "on-B": (100 * NS, FOR_EVER)}


def seconds(*came: tuple[float, str, bytes]) -> list[Arrival]:
    return [(round(at * NS), f"on-{connection}", payload) for at, connection, payload in came]


def test_only_what_both_connections_of_a_handover_bring_is_dropped(
    database: duckdb.DuckDBPyConnection,
) -> None:
    came = seconds(
        *((99, "A", b"1"), (101, "B", b"2"), (101.5, "A", b"2"), (105, "A", b"3")),
        *((106, "B", b"3"), (109, "B", b"4"), (111.5, "B", b"5")),
    )
    for cuts in ([], [1, 2, 3, 4, 5, 6]):
        assert kept(database, came, cuts, HANDOVER) == [came[n] for n in (0, 1, 3, 5, 6)]


@pytest.mark.parametrize("cuts", [[], [1]])
def test_a_copy_under_way_while_a_connection_opens_or_closes_is_dropped(
    database: duckdb.DuckDBPyConnection, cuts: list[int]
) -> None:
    opening = seconds((99.5, "A", b"x"), (100.2, "B", b"x"))
    assert kept(database, opening, cuts, HANDOVER) == opening[:1]
    closing = seconds((109.9, "A", b"x"), (110.3, "B", b"x"))
    assert kept(database, closing, cuts, HANDOVER) == closing[:1]


def test_equal_bytes_outside_of_an_overlap_are_events_of_their_own(
    database: duckdb.DuckDBPyConnection,
) -> None:
    came = seconds(
        *((at, "A", b"x") for at in range(80, 99)), *((112, "B", b"x"), (113, "B", b"x"))
    )
    assert kept(database, came, [3, 20], HANDOVER) == came


def test_bytes_that_come_every_second_are_counted_alike_on_both(
    database: duckdb.DuckDBPyConnection,
) -> None:
    old = [(at + 0.01, "A", b"x") for at in range(80, 110)]
    new = [(at + 0.02, "B", b"x") for at in range(101, 130)]
    came = sorted(seconds(*old, *new))
    events = kept(database, came, [10, 25, 40], HANDOVER)
    # The one before the overlap may be on its way to both: at most one event can be missing.
    assert 49 <= len(events) <= 50


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, NS // 2, NS, 5 * NS, arrivals.QUIET_NS + 1]),
            st.integers(0, 3),
            st.sampled_from([b"x", b"x", b"y"]),
        ),
        max_size=30,
    ),
    st.lists(st.integers(0, 30), max_size=5),
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([1, 3, 20, 200])), min_size=1, max_size=4
    ),
)
@settings(max_examples=examples(400), deadline=None)
def test_any_overlaps_give_the_same_rows_however_the_batches_fall(
    database: duckdb.DuckDBPyConnection,
    steps: list[tuple[int, int, bytes]],
    cuts: list[int],
    spans: list[tuple[int, int]],
) -> None:
    lives: Lives = {
        f"on-{n}": (start * NS, (start + length) * NS) for n, (start, length) in enumerate(spans)
    }
    came, now = [], 0
    for step, number, payload in steps:
        now += step
        alive = [c for c, (opened, closed) in lives.items() if opened <= now <= closed]
        if alive:
            came.append((now, alive[number % len(alive)], payload))
    came.sort(key=lambda arrival: arrival[:2])
    expected = list(model(came, lives))
    assert kept(database, came, [], lives) == expected
    assert kept(database, came, [min(cut, len(came)) for cut in cuts], lives) == expected
    with pytest.MonkeyPatch.context() as many:
        many.setattr(arrivals, "_FEW", 0)
        assert kept(database, came, [], lives) == expected


def model(came: list[Arrival], lives: Lives = BOTH) -> Iterator[Arrival]:
    """The rule, one arrival at a time."""
    counts: dict[tuple[int, bytes], Counter[str]] = defaultdict(Counter)
    last: dict[tuple[int, bytes], int] = {}
    spans = overlaps(lives)
    for at, connection, payload in came:
        start = next((s for s, end in spans if s - arrivals.MARGIN_NS <= at <= end), None)
        if start is None:
            yield at, connection, payload
            continue
        key = (start, payload)
        if at - last.get(key, at) > arrivals.QUIET_NS:
            counts[key].clear()
        last[key] = at
        before = max(counts[key].values(), default=0)
        counts[key][connection] = 1 if at < start else counts[key][connection] + 1
        if at < start or counts[key][connection] > before:
            yield at, connection, payload


def overlaps(lives: Lives) -> list[tuple[int, int]]:
    """When two or more lived at once, and the margin behind."""
    found: list[tuple[int, int]] = []
    reached = -FOR_EVER
    for opened, closed in sorted(lives.values()):
        if opened <= reached:
            end = min(closed, reached) + arrivals.MARGIN_NS
            if found and opened - arrivals.MARGIN_NS <= max(e for _, e in found):
                found[-1] = (found[-1][0], max(found[-1][1], end))
            else:
                found.append((opened, end))
        reached = max(reached, closed)
    return found
