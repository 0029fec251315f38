"""Connections of one line that overlap, when one takes over from another: no gap, no double row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import cases, examples
from kit.frames import T0, frames_of, marker
from kit.records import Published, Record

from recorder.clock import NS, ulid
from recorder.frame import Frame
from recorder.schema.tables import TABLES
from recorder.tables import markers

PLANNED = "planned reconnect"


class Life(NamedTuple):
    """One connection; times in seconds after T0. Without an end it is open, or was killed."""

    opened: float
    closed: float | None
    said: tuple[tuple[float, str], ...] = ()
    reason: str = PLANNED
    line: str = "A"
    greeted: bool = True
    """The service sent its first frame at once."""


def at(seconds: float) -> int:
    return T0 + round(seconds * NS)


def frames(number: int, life: Life) -> list[Frame]:
    connection = ulid(at(life.opened), bytes([number + 1] * 10))
    about = {"line": life.line, "group": "announcements", "url": "ws://x"}
    found = [marker(0, "open", at(life.opened), connection, **about)]
    if life.greeted:
        hello = f'{{"type":"pong","of":"{connection}"}}'
        found += frames_of([hello], first_seq=1, recv_ns=at(life.opened), connection=connection)
    found += frames_of(
        [text for _, text in life.said],
        first_seq=len(found),
        recv_ns=[at(seconds) for seconds, _ in life.said],
        connection=connection,
    )
    if life.closed is not None:
        told = about | {"opened": True, "reason": life.reason, "heard_ns": at(life.closed)}
        found.append(marker(len(found), "closed", at(life.closed), connection, **told))
    return found


def together(lives: Sequence[Life]) -> list[Frame]:
    """The frames of all connections, as they came."""
    mixed = [frame for n, life in enumerate(lives) for frame in frames(n, life)]
    return sorted(mixed, key=lambda frame: (frame.recv_ns, frame.connection, frame.seq))


def take(record: Record, *lives: Life) -> None:
    record.take("cryptolisting", together(lives))


def gaps(record: Record) -> list[tuple[object, ...]]:
    found = record.sql("SELECT from_ns, to_ns, cause, covered FROM gaps ORDER BY ALL")
    return [
        ((since - T0) / NS, None if until is None else (until - T0) / NS, cause, covered)
        for since, until, cause, covered in found
    ]


def listing(ticker: str) -> str:
    return f'{{"type":"announcement","title":"t","publisher":"binance","ticker":"{ticker}"}}'


# -- gaps


def test_a_handover_leaves_no_gap(record: Record) -> None:
    take(record, Life(0, 11), Life(10, 21), Life(20, None))
    assert gaps(record) == []


def test_a_connection_inside_the_life_of_another_makes_no_gap(record: Record) -> None:
    take(
        record, Life(0, 30), Life(10, 12, reason="lost"), Life(20, 22, reason="lost"), Life(29, 40)
    )
    assert gaps(record) == [(40, None, PLANNED, False)]


def test_a_gap_after_a_handover_begins_where_the_longest_lived_ended(record: Record) -> None:
    take(record, Life(0, 15, reason="lost"), Life(10, 12), Life(18, None))
    assert gaps(record) == [(15, 18, "lost", False)]


def test_a_successor_that_died_first_leaves_no_lasting_gap_while_the_old_one_lives(
    record: Record,
) -> None:
    take(record, Life(0, None, ((14, "{}"),)), Life(10, 12, reason="lost"))
    assert gaps(record) == []


def test_a_killed_recorder_s_two_connections_leave_one_gap(record: Record) -> None:
    take(record, Life(0, None, ((14, "{}"),)), Life(10, None, ((13, "{}"),)), Life(60, None))
    assert gaps(record) == [(14, 60, "the recorder ended without closing", False)]


def test_another_line_s_handover_covers_a_gap(record: Record) -> None:
    others = [Life(0, 15, line="B"), Life(14, 30, line="B")]
    take(record, Life(0, 10, reason="lost"), Life(20, None), *others)
    assert gaps(record)[0] == (10, 20, "lost", True)


def test_a_clock_set_back_during_a_connection_hides_no_gap(record: Record) -> None:
    connection = ulid(T0, bytes(10))
    about = {"line": "A", "group": "announcements", "url": "ws://x"}
    record.take("cryptolisting", [
        marker(0, "open", at(0), connection, **about),
        *frames_of(["{}"], first_seq=1, recv_ns=at(1000), connection=connection),
        marker(2, "closed", at(500), connection, reason="lost", heard_ns=at(499), **about),
        *frames(1, Life(510, None)),
    ])  # fmt: skip
    assert gaps(record) == [(500, 510, "lost", False)]


# -- rows

#: Two lines, of which one is handed over at 10 s: X, Y and Z come on all connections there are.
RACE = (
    Life(0, 12, ((1.0, "X"), (11.0, "Y"))),
    Life(10, 20, ((11.001, "Y"), (15.004, "Z"))),
    Life(0, 20, ((1.003, "X"), (11.002, "Y"), (15.0, "Z")), line="B"),
)


def told(*lives: Life) -> list[Life]:
    return [
        life._replace(
            said=tuple((seconds, listing(ticker)) for seconds, ticker in life.said), greeted=False
        )
        for life in lives
    ]


def tickers(record: Record) -> list[str]:
    return [ticker for (ticker,) in record.sql("SELECT ticker FROM listings ORDER BY recv_ns")]


def test_both_connections_of_a_handover_give_one_row(record: Record) -> None:
    handover = told(
        Life(0, 12, ((1, "A"), (9.9, "B"), (11, "C"), (11.9, "D"))),
        Life(10, None, ((10.1, "B"), (11.1, "C"), (12.1, "D"), (13, "E"))),
    )
    take(record, *handover)
    assert tickers(record) == ["A", "B", "C", "D", "E"]


def test_a_handover_is_no_win_and_no_miss_in_a_race(published: Published) -> None:
    take(published, *told(*RACE))
    assert tickers(published) == ["X", "Y", "Z"]
    race = published.sql("SELECT line, arrivals, wins, missed FROM line_race(since := NULL)")
    assert race == [("A", 3, 2, 0), ("B", 3, 1, 0)]


@pytest.mark.parametrize("pieces", cases(5, 2, 13))
def test_a_record_ingested_piece_by_piece_gives_the_same_tables(
    record: Record, tmp_path_factory: pytest.TempPathFactory, pieces: int
) -> None:
    came = together([*told(*RACE), Life(25, None)])
    whole = Record(tmp_path_factory.mktemp("whole"))
    for start in range(0, len(came), size := -(-len(came) // pieces)):
        record.seal("cryptolisting", came[start : start + size])
        record.ingest()
        whole.seal("cryptolisting", came[start : start + size])
    whole.ingest()
    assert record.everything() == whole.everything()
    assert gaps(record) == [(20, 25, PLANNED, False), (20, None, PLANNED, False)]


# -- against a model


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(TABLES["connections"].ddl)
        connection.execute(TABLES["gaps"].ddl)
        yield connection


lives = st.builds(
    lambda line, opened, length, open_ended: Life(
        opened, None if open_ended else opened + length, ((opened + length, "{}"),), "lost", line
    ),
    st.sampled_from("AB"),
    st.integers(0, 60),
    st.integers(1, 20),
    st.sampled_from([False, False, False, True]),
)


@given(st.lists(lives, max_size=12, unique_by=lambda life: (life.line, life.opened)))
@settings(max_examples=examples(300), deadline=None)
def test_the_gaps_of_a_line_are_the_moments_at_which_none_of_its_connections_lives(
    database: duckdb.DuckDBPyConnection, some: list[Life]
) -> None:
    database.execute("DELETE FROM connections; DELETE FROM gaps")
    for number, life in enumerate(some):
        database.execute(
            "INSERT INTO connections BY NAME SELECT 'f' AS feed, 'c' AS line_group, 0 AS seq,"
            " 0 AS item, make_timestamptz(0) AS recv_time, $opened AS recv_ns, $name AS connection,"
            " $line AS line, $opened AS opened_ns, $closed AS closed_ns, $heard AS last_heard_ns,"
            " $opened AS first_frame_ns, 'lost' AS reason",
            {
                "name": f"{number:03}",
                "line": life.line,
                "opened": life.opened,
                "closed": life.closed,
                "heard": life.said[0][0],
            },
        )
    markers.apply_gaps(database, "f")
    found = database.sql("SELECT line, from_ns, to_ns, covered FROM gaps ORDER BY ALL").fetchall()
    assert found == sorted(model(some), key=lambda gap: (gap[0], gap[1]))


def model(some: list[Life]) -> Iterator[tuple[str, float, float | None, bool]]:
    """Second by second: a line is up from each opening to the last sign of life."""
    for line in "AB":
        mine = [life for life in some if life.line == line]
        last = max((life.opened for life in mine), default=0)
        alive = any(life.closed is None and life.said[0][0] >= last for life in mine)
        up = {t for life in mine for t in range(int(life.opened), int(life.said[0][0]))}
        opened = {int(life.opened) for life in mine}
        for start in sorted({int(life.said[0][0]) for life in mine} - up - opened):
            following = min((t for t in opened if t > start), default=None)
            if following is not None or not alive:
                covered = covers(some, line, start, following)
                yield line, start, following, covered


def covers(some: list[Life], line: str, start: int, end: int | None) -> bool:
    others = [life for life in some if life.line != line]
    last = max((life.opened for life in others), default=0)
    if end is not None:
        up = {t for life in others for t in range(int(life.opened), int(life.said[0][0]))}
        return all(t in up for t in range(start, end))
    up = {
        t
        for life in others
        for t in range(
            int(life.opened),
            1000 if life.closed is None and life.said[0][0] >= last else int(life.said[0][0]),
        )
    }
    return all(t in up for t in range(start, 1000))
