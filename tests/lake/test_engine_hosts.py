"""Several hosts record one feed: copies of a frame are found, whoever's file comes first."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.effort import cases
from kit.records import Published, assert_same

from recorder.clock import LAST, NS, ulid
from recorder.frame import Frame
from recorder.lake import delta, waiting
from recorder.lake.waiting import PATIENCE_NS, LastHeard, ready_until
from recorder.reporter import Reporter

from . import worlds

#: One feed that keeps nothing, and one that keeps state and knows events sent again.
FEEDS = ("cryptolisting", "bybit")

#: How many files each of two hosts makes of its line.
FILES = {"A": 3, "B": 2}


def of_line(some: list[Frame], line: str) -> list[Frame]:
    """What one of two hosts recorded: its line, and the first one the lists of instruments."""
    opened = [frame for frame in some if frame.kind == "open"]
    mine = {frame.connection for frame in opened if json.loads(frame.payload)["line"] == line}
    known = {frame.connection for frame in opened}
    return [f for f in some if f.connection in mine or (line == "A" and f.connection not in known)]


def seal(record: Published, feed: str, some: list[Frame]) -> list[Path]:
    """Each line's frames in a run of its own, the files in the order in which they end."""
    paths: list[tuple[int, Path]] = []
    for line, files in FILES.items():
        mine = of_line(some, line)
        run, size = (
            ulid(mine[0].recv_ns, (feed + line).encode().ljust(10)[:10]),
            -(-len(mine) // files),
        )
        for number, at in enumerate(range(0, len(mine), size)):
            part = mine[at : at + size]
            path = worlds.by_run(record.layout, feed, part, run, number + 1)
            paths.append((part[-1].recv_ns, path))
    return [path for _, path in sorted(paths)]


@pytest.mark.parametrize("batch_bytes", cases(1, 1 << 30))
def test_two_hosts_lines_make_the_rows_of_one_machine(tmp_path: Path, batch_bytes: int) -> None:
    record = Published(tmp_path)
    for feed in FEEDS:
        seal(record, feed, worlds.frames(feed, lines="AB", captures=1))
    one = worlds.engine(tmp_path, batch_bytes=batch_bytes)
    done = worlds.take(one)
    assert done.files == sum(FILES.values()) * len(FEEDS)
    expected = worlds.local(record)
    assert done.frames == sum(row[3] for row in expected["ledger"])
    assert_same(worlds.lake(one), expected)
    found = delta.about(one.tables)
    assert found and delta.rows(one.tables, "begun", found.versions["begun"]).num_rows == 0


@pytest.mark.parametrize("feed", FEEDS)
def test_while_hosts_still_record_what_has_no_copy_yet_waits(feed: str, tmp_path: Path) -> None:
    record = Published(tmp_path)
    begin = time.time_ns() - 60 * NS
    some = worlds.frames(feed, lines="AB", captures=1, start=begin, reason="stopping")
    files = seal(record, feed, some)
    expected = worlds.local(record)
    for number, path in enumerate(files):
        path.rename(tmp_path / f"{number}")
    one, taken, waited = worlds.engine(tmp_path), 0, False
    (tmp_path / "0").rename(files[0])  # of one host; before the other is known none can wait for it
    for number, path in enumerate(files[1:], 1):
        (tmp_path / f"{number}").rename(path)
        done = worlds.take(one)
        taken += done.frames
        found = delta.about(one.tables)
        assert found
        waited |= delta.rows(one.tables, "begun", found.versions["begun"]).num_rows > 0
    assert waited and taken == sum(row[3] for row in expected["ledger"])
    assert_same(worlds.lake(one), expected)


def test_a_host_whose_files_come_when_all_is_over_is_named(tmp_path: Path) -> None:
    some, record = worlds.frames("cryptolisting", lines="AB", captures=1), Published(tmp_path)
    said: list[str] = []
    one = worlds.engine(tmp_path, reporter=Reporter(said.append))
    for line, number in (("A", 1), ("B", 2)):
        assert not said
        run = ulid(some[0].recv_ns, line.encode() * 10)
        path = worlds.by_run(record.layout, "cryptolisting", of_line(some, line), run, number)
        worlds.take(one)
    assert said == [f"came late, frames of it may be rows twice: cryptolisting {path.stem}"]


NOW = 10**18
RUNS = [("one", NOW - NS), ("other", NOW - 2 * NS)]


def lives(*told: tuple[str, str, float, str]) -> Iterator[LastHeard]:
    for group, line, ago, reason in told:
        yield LastHeard(group, line, NOW - int(ago * NS), reason)


def test_frames_wait_for_the_line_that_was_heard_of_least_lately() -> None:
    both = [("g", "A", 5, ""), ("g", "B", 9, ""), ("alone", "A", 30, "")]
    assert ready_until(lives(*both), RUNS, NOW) == NOW - 9 * NS
    assert ready_until(lives(*both), RUNS[:1], NOW) == LAST  # one run has both lines in its files
    long_ago = [RUNS[0], ("other", NOW - PATIENCE_NS)]
    assert ready_until(lives(*both), long_ago, NOW) == LAST


def test_a_line_that_stopped_or_died_is_not_waited_for() -> None:
    stopped = [("g", "A", 5, ""), ("g", "B", 9, "stopping")]
    assert ready_until(lives(*stopped), RUNS, NOW) == NOW - 5 * NS
    lost = [("g", "A", 5, ""), ("g", "B", 9, "closed 1006")]
    assert ready_until(lives(*lost), RUNS, NOW) == NOW - 9 * NS  # it opens another connection
    again = [*lost, ("g", "B", 7, "")]
    assert ready_until(lives(*again), RUNS, NOW) == NOW - 7 * NS
    dead = [("g", "A", 5, ""), ("g", "B", PATIENCE_NS / NS, "")]
    assert ready_until(lives(*dead), RUNS, NOW) == NOW - 5 * NS
    over = [("g", "A", 5, "stopping"), ("g", "B", 9, "stopping")]
    assert ready_until(lives(*over), RUNS, NOW) == LAST


@given(st.lists(st.tuples(st.sampled_from("gh"), st.sampled_from("AB"), st.integers(0, 2000),
                          st.sampled_from(["", "stopping"])), max_size=8))  # fmt: skip
def test_no_frame_is_taken_that_came_after_a_living_line_was_last_heard_of(
    told: list[tuple[str, str, int, str]],
) -> None:
    known = list(lives(*told))
    until = ready_until(known, RUNS, NOW)
    assert until == LAST or until in {life.last_ns for life in known}
    assert until == LAST or until > NOW - waiting.PATIENCE_NS
