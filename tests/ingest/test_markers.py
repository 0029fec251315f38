"""What our own markers tell: connections, and the intervals without cover."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from kit.frames import MS, T0, frames_of, marker
from kit.records import Record
from kit.rows import Bench

from recorder.clock import NS, ulid
from recorder.frame import Frame

ONE, TWO, THREE = (ulid(T0 + n * NS, bytes(10)) for n in range(3))
URL = "wss://example.org/ws"
CONNECTION = (
    "line_group", "connection", "seq", "recv_ns", "line", "url", "opened_ns", "closed_ns", "code",
    "reason", "frames", "bytes", "last_seq", "rtt", "last_heard_ns", "clock_error_ns",
)  # fmt: skip
GAP = ("line_group", "connection", "line", "from_ns", "to_ns", "cause", "frames_missing", "covered")


def opened(at: int, connection: str, line: str = "A", group: str = "all") -> Frame:
    told = {"line": line, "group": group, "url": URL, "channels": ["x"], "host": "here"}
    return marker(0, "open", at, connection, **told)


def closed(  # noqa: PLR0917
    seq: int, at: int, connection: str, code: int | None, reason: str, line: str = "A",
    group: str = "all", heard_ns: int | None = None,
) -> Frame:  # fmt: skip
    told = {"line": line, "group": group, "url": URL, "heard_ns": heard_ns}
    return marker(seq, "closed", at, connection, code=code, reason=reason, **told)


def data(first_seq: int, at: int, connection: str, *payloads: str) -> list[Frame]:
    payloads = payloads or ("{}",)
    return frames_of(payloads, first_seq=first_seq, recv_ns=at, connection=connection)


def connections(bench: Record) -> list[tuple[object, ...]]:
    return bench.sql(f"SELECT {', '.join(CONNECTION)} FROM connections ORDER BY connection")


def gaps(bench: Record) -> list[tuple[object, ...]]:
    return bench.sql(f"SELECT {', '.join(GAP)} FROM gaps ORDER BY from_ns, line")


def test_a_connection_has_its_times_its_end_its_counts_and_its_health(bench: Bench) -> None:
    sent = Frame(T0 + 1 * MS, 0, 1, ONE, "sent", b'{"type":"auth","api_key":"***"}')
    health = {"line": "A", "group": "all", "heard_ns": T0 + 70 * MS}
    clock = {"synchronised": True, "error_ns": 1500, "offset_ns": -3}
    bench.take("smartmoney", [
        opened(T0, ONE),
        sent,
        *data(2, T0 + 5 * MS, ONE, '{"type":"pong"}', '{"type":"pong"}'),
        marker(4, "stats", T0 + 50 * MS, ONE, rtt=0.5, clock=None, **health),
        marker(5, "stats", T0 + 80 * MS, ONE, rtt=0.012, clock=clock, **health),
        closed(6, T0 + 90 * MS, ONE, 1008, "closed 1008 too_slow", heard_ns=T0 + 85 * MS),
    ])  # fmt: skip
    assert connections(bench) == [
        (
            *("all", ONE, 0, T0, "A", URL, T0, T0 + 90 * MS, 1008, "closed 1008 too_slow", 2, 30),
            *(6, 0.012, T0 + 85 * MS, 1500),
        )
    ]


def test_an_open_connection_has_no_end(bench: Bench) -> None:
    bench.take("smartmoney", [opened(T0, ONE), *data(1, T0 + MS, ONE)])
    assert bench.rows("connections", "opened_ns", "closed_ns", "code", "reason", "rtt") == [
        (T0, None, None, None, None)
    ]
    assert gaps(bench) == []


def test_a_failed_attempt_is_a_connection_that_never_opened_and_no_gap(bench: Bench) -> None:
    bench.take("smartmoney", [closed(0, T0, ONE, 503, "refused (HTTP 503)")])
    assert connections(bench) == [
        (
            *("all", ONE, 0, T0, "A", URL, None, T0, 503, "refused (HTTP 503)", 0, 0, 0, None),
            *(None, None),
        )
    ]
    assert gaps(bench) == []


def test_between_a_close_and_the_next_opening_lies_a_gap_whatever_failed_between(
    bench: Bench,
) -> None:
    bench.take("smartmoney", [
        opened(T0, ONE),
        *data(1, T0 + NS, ONE),
        closed(2, T0 + 5 * NS, ONE, 1006, "closed 1006", heard_ns=T0 + 2 * NS),
        closed(0, T0 + 6 * NS, TWO, 503, "refused (HTTP 503)"),
        opened(T0 + 9 * NS, THREE),
        *data(1, T0 + 9 * NS + MS, THREE),
    ])  # fmt: skip
    end = T0 + 9 * NS + MS
    assert gaps(bench) == [("all", ONE, "A", T0 + 2 * NS, end, "closed 1006", None, False)]


def test_a_gap_lasts_until_the_first_frame_of_the_next_connection(record: Record) -> None:
    record.seal("smartmoney", [
        opened(T0, ONE),
        *data(1, T0 + NS, ONE),
        closed(2, T0 + 5 * NS, ONE, None, "silent for 75 s", heard_ns=T0 + NS),
    ])  # fmt: skip
    record.ingest()
    assert gaps(record) == [("all", ONE, "A", T0 + NS, None, "silent for 75 s", None, False)]
    record.take("smartmoney", [opened(T0 + 20 * NS, TWO)])
    assert gaps(record) == [("all", ONE, "A", T0 + NS, None, "silent for 75 s", None, False)]
    record.take("smartmoney", data(1, T0 + 21 * NS, TWO) + data(2, T0 + 22 * NS, TWO))
    assert gaps(record) == [
        ("all", ONE, "A", T0 + NS, T0 + 21 * NS, "silent for 75 s", None, False)
    ]


def test_a_pong_that_a_marker_tells_of_is_a_first_frame_wherever_a_batch_ends(
    tmp_path: Path,
) -> None:
    def stats(seq: int, heard_ns: int) -> Frame:
        return marker(seq, "stats", T0 + (20 + seq) * NS, TWO, heard_ns=heard_ns)

    frames = [
        opened(T0, ONE),
        *data(1, T0 + NS, ONE),
        closed(2, T0 + 5 * NS, ONE, 1006, "closed 1006", heard_ns=T0 + NS),
        opened(T0 + 20 * NS, TWO),
        stats(1, T0 + 20 * NS - MS),  # the handshake
        stats(2, T0 + 21 * NS + MS),
        stats(3, T0 + 22 * NS),
        *data(4, T0 + 90 * NS, TWO),
    ]
    for number, ends in enumerate([(), (3,), range(1, 8)]):
        record = Record(tmp_path / str(number))
        for begin, end in pairwise([0, *ends, len(frames)]):
            record.take("smartmoney", frames[begin:end])
        assert record.sql("SELECT to_ns FROM gaps") == [(T0 + 21 * NS + MS,)]


def test_a_recorder_that_died_leaves_a_gap_from_its_last_frame(bench: Bench) -> None:
    bench.take("smartmoney", [
        opened(T0, ONE),
        *data(1, T0 + 3 * NS, ONE),
        opened(T0 + 60 * NS, TWO),
        *data(1, T0 + 61 * NS, TWO),
    ])  # fmt: skip
    cause = "the recorder ended without closing"
    assert gaps(bench) == [("all", TWO, "A", T0 + 3 * NS, T0 + 61 * NS, cause, None, False)]
    assert bench.rows("connections", "closed_ns") == [(None,), (None,)]


def test_a_recorder_that_was_stopped_says_so(bench: Bench) -> None:
    bench.take("smartmoney", [
        opened(T0, ONE),
        closed(1, T0 + NS, ONE, 1000, "stopping", heard_ns=T0 + NS),
    ])  # fmt: skip
    cause = "the recorder was stopped"
    assert gaps(bench) == [("all", ONE, "A", T0 + NS, None, cause, None, False)]


def test_a_gap_is_covered_only_by_another_line_of_the_group_that_lived_all_through(
    bench: Bench,
) -> None:
    def life(group: str, begin: int, end: int, *, first: int, line: str = "B") -> list[Frame]:
        connection = ulid(T0 + first * NS, b"other line")
        return [
            opened(T0 + begin * NS, connection, line, group),
            *data(1, T0 + begin * NS, connection),
            *data(2, T0 + end * NS, connection),
        ]

    def broken(group: str, first: int) -> list[Frame]:
        one, two = (ulid(T0 + (first + n) * NS, b"first line") for n in range(2))
        end = closed(2, T0 + 11 * NS, one, 1006, "closed 1006", "A", group, T0 + 10 * NS)
        return [
            opened(T0, one, "A", group),
            *data(1, T0 + 10 * NS, one),
            end,
            opened(T0 + 20 * NS, two, "A", group),
            *data(1, T0 + 20 * NS, two),
        ]

    bench.take("smartmoney", [
        *broken("whole", 1), *life("whole", 5, 21, first=1),
        *broken("late", 11), *life("late", 11, 30, first=11),
        *broken("short", 21), *life("short", 5, 19, first=21),
        *broken("same", 31),
        *broken("foreign", 41), *life("elsewhere", 5, 30, first=41),
    ])  # fmt: skip
    found = bench.sql("SELECT line_group, from_ns, to_ns, covered FROM gaps ORDER BY line_group")
    assert found == [
        (group, T0 + 10 * NS, T0 + 20 * NS, group == "whole")
        for group in ("foreign", "late", "same", "short", "whole")
    ]


def test_a_hole_in_the_numbers_is_a_gap_that_counts_what_is_missing(record: Record) -> None:
    first = [opened(T0, ONE), *data(1, T0 + MS, ONE), *data(5, T0 + 9 * MS, ONE)]
    record.take("smartmoney", first)
    cause = "the journal was damaged"
    within = ("all", ONE, "A", T0 + MS, T0 + 9 * MS, cause, 3, False)
    assert gaps(record) == [within]
    record.take("smartmoney", data(16, T0 + NS, ONE))
    between = ("all", ONE, "A", T0 + 9 * MS, T0 + NS, cause, 10, False)
    assert gaps(record) == [within, between]
    assert record.sql("SELECT frames, last_seq FROM connections") == [(3, 16)]


def test_a_beginning_that_is_missing_is_a_gap_too(bench: Bench) -> None:
    bench.take("smartmoney", data(4, T0, ONE))
    assert gaps(bench) == [
        (None, ONE, None, None, T0, "the journal was damaged", 4, False),
    ]


def test_a_gap_marker_says_why_the_frames_before_it_are_missing(bench: Bench) -> None:
    why = "the disk refused and the buffer was full"
    bench.take("smartmoney", [
        opened(T0, ONE),
        *data(1, T0 + MS, ONE),
        marker(9, "gap", T0 + NS, ONE, cause=why, first_seq=2, frames=7, from_ns=T0 + 2 * MS),
        *data(10, T0 + NS + MS, ONE),
    ])  # fmt: skip
    assert gaps(bench) == [("all", ONE, "A", T0 + MS, T0 + NS, why, 7, False)]
    assert bench.rows("connections", "frames", "last_seq") == [(2, 10)]


def test_a_marker_that_cannot_be_read_tells_nothing_and_stops_nothing(bench: Bench) -> None:
    unreadable = [b"", b"\xff", b"not JSON", b"[1]", b"null"]
    kinds = ["open", "stats", "closed", "gap"]
    frames = [
        Frame(T0 + 10 * i + j, 0, 20 * i + 2 * j, ONE, kind, payload)
        for i, payload in enumerate(unreadable)
        for j, kind in enumerate(kinds)
    ]
    bench.take("smartmoney", frames)
    assert bench.rows("connections", "line", "url", "code", "rtt") == [(None, None, None, None)]
    assert bench.rows("rejects", "seq") == []
    assert {cause for (cause,) in bench.rows("gaps", "cause")} == {
        "lost", "the journal was damaged",
    }  # fmt: skip


def test_data_frames_carry_their_connections_line_and_clock_error(bench: Bench) -> None:
    clock = {"synchronised": True, "error_ns": 99, "offset_ns": 0}
    timed = '{"type":"signal","symbol":"B","timestamp":1790000000000}'
    bench.take("smartmoney", [
        opened(T0, ONE, line="B"),
        marker(1, "stats", T0, ONE, line="B", clock=clock),
        *data(2, T0 + MS, ONE, timed),
    ])  # fmt: skip
    assert bench.rows("latency", "line", "clock_error_ns", "total_ns") == [("B", 99, MS)]


def test_a_frame_s_clock_error_is_the_last_measured_before_it_wherever_a_batch_ends(
    tmp_path: Path,
) -> None:
    timed = '{"type":"signal","symbol":"B","timestamp":1790000000000}'

    def measured(seq: int, error: int | None) -> Frame:
        clock = None if error is None else {"error_ns": error}
        return marker(seq, "stats", T0 + seq * MS, ONE, clock=clock)

    frames = [opened(T0, ONE), *data(1, T0 + MS, ONE, timed), measured(2, 50)]
    frames += [*data(3, T0 + 3 * MS, ONE, timed), measured(4, 1), measured(5, None)]
    frames += [*data(6, T0 + 6 * MS, ONE, *[timed] * 300), measured(306, 7)]
    frames += data(307, T0 + 400 * MS, ONE, timed)
    right = [(1, None), (3, 50), *((seq, 1) for seq in range(6, 306)), (307, 7)]
    for number, ends in enumerate([(), (2, 3, 4), (4, 5, 6, 100, 305, 306, 307), range(1, 12)]):
        record = Record(tmp_path / str(number))
        for begin, end in pairwise([0, *ends, len(frames)]):
            record.take("smartmoney", frames[begin:end])
        assert record.rows("latency", "seq", "clock_error_ns") == right, ends
