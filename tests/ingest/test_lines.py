"""Redundant lines, from sealed frames to rows, races and cover."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from kit.frames import MS, T0, frames_of, marker
from kit.records import Published, Record

from recorder.clock import NS, ulid
from recorder.frame import Frame


def life(
    line: str,
    number: int,
    opened: float,
    closed: float | None,
    payloads: Sequence[tuple[float, str]],
) -> list[Frame]:
    """One connection of a line; times in seconds after T0."""
    connection = ulid(T0 + int(opened * NS), bytes([ord(line), number] * 5))
    about = {"line": line, "group": "announcements", "url": "ws://x"}
    frames = [marker(0, "open", T0 + int(opened * NS), connection, **about)]
    frames += frames_of(
        [text for _, text in payloads],
        kind="binary",
        first_seq=1,
        recv_ns=[T0 + int(at * NS) for at, _ in payloads],
        connection=connection,
    )
    if closed is not None:
        at = T0 + int(closed * NS)
        told = about | {"opened": True, "code": 1006, "reason": "lost", "heard_ns": at}
        frames.append(marker(len(frames), "closed", at, connection, **told))
    return frames


def listing(ticker: str) -> str:
    return f'{{"type":"announcement","title":"t","publisher":"binance","ticker":"{ticker}"}}'


def take(record: Record, *lives: list[Frame]) -> None:
    record.take("cryptolisting", sorted((f for one in lives for f in one), key=lambda f: f[:1]))


def test_each_event_of_two_lines_is_one_row_and_the_race_is_told(published: Published) -> None:
    a = life("A", 1, 0, 9, [(1.000, listing("X")), (2.004, listing("Y")), (4.0, listing("ONLYA"))])
    b = life("B", 1, 0, 9, [(1.003, listing("X")), (2.000, listing("Y")), (5.0, listing("ONLYB"))])
    take(published, a, b)
    rows = published.sql("SELECT ticker, recv_ns FROM listings ORDER BY recv_ns")
    assert [ticker for ticker, _ in rows] == ["X", "Y", "ONLYA", "ONLYB"]
    assert [at - T0 for _, at in rows] == [1_000 * MS, 2_000 * MS, 4_000 * MS, 5_000 * MS]
    race = published.sql(
        "SELECT line, arrivals, wins, win_rate, advantage_p50, missed FROM line_race(since := NULL)"
    )
    assert race == [
        ("A", 3, 1, 0.5, pytest.approx(3.0), 1),
        ("B", 3, 1, 0.5, pytest.approx(4.0), 1),
    ]


def test_every_arrival_stays_in_raw(published: Published) -> None:
    take(
        published,
        life("A", 1, 0, 2, [(1, listing("X"))]),
        life("B", 1, 0, 2, [(1.1, listing("X"))]),
    )
    assert published.sql("SELECT count(*) FROM raw WHERE kind = 'binary'") == [(2,)]


@pytest.mark.parametrize(
    ("others", "covered"),
    [
        ([(0, 30)], True),  # one connection of B throughout
        ([(0, 15), (14, 30)], True),  # two that overlap within A's gap
        ([(0, 15), (16, 30)], False),  # a second of A's gap is bare
        ([(11, 30)], False),  # B began too late
        ([(0, 19)], False),  # B ended too early
        ([], False),
    ],
)
def test_a_gap_is_covered_if_no_moment_of_it_is_bare(
    record: Record, others: list[tuple[float, float]], covered: bool
) -> None:
    first, second = life("A", 1, 0, 10, [(1, "{}")]), life("A", 2, 20, 30, [(21, "{}")])
    lives = [
        life("B", n, start, end, [(start + 0.5, "{}")]) for n, (start, end) in enumerate(others)
    ]
    take(record, first, second, *lives)
    found = record.sql(
        "SELECT from_ns, to_ns, cause, covered FROM gaps WHERE line = 'A' AND to_ns IS NOT NULL"
    )
    # It ends with the first frame, not with the handshake.
    assert found == [(T0 + 10 * NS, T0 + 21 * NS, "lost", covered)]


def test_a_gap_that_lasts_is_covered_while_another_line_is_open(record: Record) -> None:
    take(record, life("A", 1, 0, 10, [(1, "{}")]), life("B", 1, 0, None, [(2, "{}")]))
    assert record.sql("SELECT line, to_ns, covered FROM gaps") == [("A", None, True)]
