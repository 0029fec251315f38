"""How ingest takes a feed is one decision over what is known of its segments."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.frames import RUN, T0

from recorder.clock import NS
from recorder.record import layout
from recorder.record.layout import order, run_of
from recorder.tables.ingest_order import (
    LAST,
    File,
    NewSegment,
    SegmentSpan,
    Step,
    WaitingSegments,
    groups,
    parts,
    perhaps_late,
    plan,
)


def name(run: int, at: int, number: int = 1) -> str:
    """A segment of a run that begins so many seconds after T0."""
    return layout.stem(T0 + at * NS, RUN[:-2] + f"{run:02}", number)


def spans(*times: tuple[str, int, int]) -> list[SegmentSpan]:
    return [SegmentSpan(stem, T0 + first * NS, T0 + last * NS) for stem, first, last in times]


A1, A2, A3, B1 = name(1, 0), name(1, 60, 2), name(1, 120, 3), name(2, 90)


def test_new_sealed_files_of_one_run_are_taken_as_they_are_in_their_order() -> None:
    new = [NewSegment(stem, sealed=True) for stem in (A3, A1, A2)]
    assert plan(new) == [Step((A1, A2, A3), whole=True)]


def test_a_journal_and_a_file_that_was_begun_are_read_frame_by_frame() -> None:
    segments = [
        NewSegment(A1, sealed=True, begun=True),
        NewSegment(A2, sealed=True),
        NewSegment(A3),
    ]
    assert plan(segments) == [Step((A1,)), Step((A2,), whole=True), Step((A3,))]


def test_runs_are_read_together_only_where_they_overlap() -> None:
    segments = [NewSegment(stem, sealed=True) for stem in (A1, A2, A3, B1)]
    apart = spans((A1, 0, 59), (A2, 60, 80), (B1, 90, 110), (A3, 120, 130))
    assert plan(segments, apart) == [
        Step((A1, A2), whole=True),
        Step((B1,), whole=True),
        Step((A3,), whole=True),
    ]
    together = spans((A1, 0, 59), (A2, 60, 100), (B1, 90, 110), (A3, 120, 130))
    assert plan(segments, together) == [
        Step((A1,), whole=True),
        Step((A2, B1)),
        Step((A3,), whole=True),
    ]


def test_what_waited_is_looked_at_again_when_its_time_or_a_file_has_come() -> None:
    segments = [NewSegment(stem, sealed=True) for stem in (A1, B1)]
    until = T0 + 30 * NS
    assert plan(segments, until_ns=until) == [Step((A1, B1), until_ns=until)]
    waiting = WaitingSegments(until, (A1, B1))
    assert plan(segments, until_ns=until, waiting=waiting) == []
    assert plan(segments, until_ns=until + 1, waiting=waiting)
    assert plan([*segments, NewSegment(A2)], until_ns=until, waiting=waiting)


def test_where_nothing_is_new_there_is_no_step() -> None:
    assert plan([]) == []
    assert plan([], until_ns=T0) == []


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 300), st.integers(0, 120), st.booleans()),
        max_size=8,
    )
)
def test_every_segment_is_taken_once_and_a_run_in_its_order(
    drawn: list[tuple[int, int, int, bool]],
) -> None:
    segments, known = [], []
    for number, (run, first, length, sealed) in enumerate(drawn, 1):
        segments.append(NewSegment(name(run, first, number), sealed, begun=first % 2 == 0))
        known += spans((segments[-1].stem, first, first + length))
    steps = plan(segments, known)
    taken = [stem for step in steps for stem in step.stems]
    assert sorted(taken) == sorted(segment.stem for segment in segments)
    for run in {run_of(stem) for stem in taken}:
        places = [[order(stem) for stem in step.stems if run_of(stem) == run] for step in steps]
        flat = [place for some in places for place in sorted(some)]
        assert flat == sorted(flat)
    for step in steps:
        if step.whole:
            assert len({run_of(stem) for stem in step.stems}) == 1
            assert all(s.sealed and not s.begun for s in segments if s.stem in step.stems)


# -- whole files


def file(number: int, rows: int, size: int = 1) -> File:
    return File(Path(str(number)), rows, size)


def test_files_are_grouped_and_one_that_has_to_be_read_stands_alone() -> None:
    a, b, c, d = (file(n, 4) for n in range(4))
    given = [("a", a), ("b", b), ("c", c), ("read", None), ("d", d)]
    assert list(groups(given, 8)) == [[a, b], [c], "read", [d]]
    assert list(groups([("large", file(9, 100))], 8)) == [[file(9, 100)]]


def test_a_part_has_a_limit_of_rows_and_of_bytes() -> None:
    files = [file(0, 4), file(1, 4), file(2, 4, 90), file(3, 1, 20), file(4, 50)]
    assert [[path.name for path in part] for part in parts(files, 8, 100)] == [
        ["0", "1"], ["2"], ["3"], ["4"]
    ]  # fmt: skip
    assert list(parts([], 8, 100)) == []


# -- late


@pytest.mark.parametrize(
    ("latest", "late"),
    [
        ({}, False),
        ({run_of(B1): T0 + 200 * NS}, False),  # its own run
        ({run_of(A1): T0 + 90 * NS}, False),
        ({run_of(A1): T0 + 91 * NS}, True),
    ],
)
def test_only_what_began_before_another_run_s_last_frame_may_be_late(
    latest: dict[str, int], late: bool
) -> None:
    assert perhaps_late([B1], latest) == ({B1: T0 + 91 * NS} if late else {})
    assert LAST > T0
