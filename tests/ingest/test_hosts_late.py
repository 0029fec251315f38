"""Files of another host that come late, and what waits for them; what is told of several hosts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from kit.commands import call, start
from kit.frames import MS, RUN, T0, marker
from kit.records import Published, assert_same

from recorder.clock import LAST, NS
from recorder.frame import Frame
from recorder.record.layout import stem
from recorder.record.verify import verify
from recorder.tables import ledger
from recorder.tables.ingest import Ingest
from recorder.tables.ingest_order import SegmentSpan, perhaps_late, turns, wait_from
from recorder.tables.late_files import Hosts, first_late
from recorder.tables.rules import Rules

from .hosts import Host, Said, life
from .test_hosts import MINUTE, Tables, seal_minutes, tables

FEED = "cryptolisting"


def listing(number: int) -> bytes:
    return (
        b'{"type":"announcement","title":"t","publisher":"binance","ticker":"T%d",'
        b'"detectedTimestampUs":1790000000000000}' % number
    )


def listings(first: int, last: int, late_ns: int = 0) -> Said:
    """One each ten seconds."""
    return [(at * NS + late_ns, listing(at)) for at in range(first, last, 10)]


def two_hosts(group: str = "announcements 1/2", other: str = "") -> list[Host]:
    a = life(1, "A", listings(5, 300, 2 * MS), closed=300 * NS, group=group)
    b = life(2, "B", listings(5, 300, 3 * MS), closed=300 * NS, group=other or group)
    return [Host(1, FEED, a), Host(2, FEED, b)]


def as_one(place: Path, hosts: Sequence[Host]) -> Tables:
    """The tables of a record of all these files, which are all there at once."""
    record = Published(place)
    for host in hosts:
        host.segments = 0
    seal_minutes(record, list(hosts))
    record.ingest()
    return tables(record, FEED)


def ingest(record: Published, *more: str) -> str:
    done = call("ingest", *more, "--data-dir", record.layout.root)
    assert done.returncode == 0, done.stderr
    return done.stderr


# -- late


def test_rows_are_made_anew_where_another_host_s_files_come_late(tmp_path: Path) -> None:
    record, hosts = Published(tmp_path / "data"), two_hosts()
    pieces = hosts[1].pieces(MINUTE, 17 * NS)
    hosts[0].seal(record.layout, hosts[0].pieces(MINUTE))
    hosts[1].seal(record.layout, pieces[:2])
    assert "late" not in ingest(record)
    hosts[1].seal(record.layout, pieces[2:])
    said = ingest(record)
    assert f"'{FEED}'" in said and "arrived late; rebuilding its rows from 2026-" in said
    found = tables(record, FEED)
    assert len(found["listings"]) == 30
    assert_same(found, as_one(tmp_path / "one", hosts))
    assert "late" not in ingest(record)
    assert_same(tables(record, FEED), found)


@pytest.mark.parametrize("why", ["another group", "it was before", "it came after"])
def test_where_nothing_overlaps_late_files_are_simply_taken(tmp_path: Path, why: str) -> None:
    record, hosts = Published(tmp_path / "data"), two_hosts(other="announcements 2/2")
    if why != "another group":
        shift = 3600 * (1 if why == "it came after" else -1)
        frames = life(2, "A", [(shift * NS + 5, listing(1))], opened=shift * NS,
                      closed=(shift + 9) * NS, group="announcements 1/2")  # fmt: skip
        hosts[1] = Host(2, FEED, frames, begun=shift)
    hosts[0].seal(record.layout, hosts[0].pieces(MINUTE))
    ingest(record)
    hosts[1].seal(record.layout, hosts[1].pieces(MINUTE))
    said = ingest(record)
    assert "late" not in said and f"{len(hosts[1].frames)} frames ingested" in said
    assert_same(tables(record, FEED), as_one(tmp_path / "one", hosts))


def test_what_follows_a_list_of_instruments_is_not_late_for_that(tmp_path: Path) -> None:
    """A venue's list has a connection of its own, of no group."""
    record, hosts = Published(tmp_path / "data"), two_hosts(other="announcements 2/2")
    for host in hosts:
        name = host.run[:-1] + "0"
        host.frames.insert(0, marker(0, "instruments", host.frames[0].recv_ns, name))
        host.seal(record.layout, host.pieces(MINUTE)[: 1 if host is hosts[1] else None])
    with closing(Ingest(record.layout, Rules)) as work:
        work.run()
        hosts[1].seal(record.layout, hosts[1].pieces(MINUTE)[1:])
        latest = ledger.latest_of_runs(work._db, FEED)
        perhaps = perhaps_late(record.layout.sealed(FEED), latest)
        assert perhaps
        assert first_late(work._db, record.layout, FEED, perhaps) is None


@pytest.mark.process
def test_following_says_which_command_makes_late_rows_right(tmp_path: Path) -> None:
    record, hosts = Published(tmp_path / "data"), two_hosts()
    hosts[0].seal(record.layout, hosts[0].pieces(MINUTE))
    ingest(record)
    hosts[1].seal(record.layout, hosts[1].pieces(MINUTE, 17 * NS))
    process = start("ingest", "--follow", "--data-dir", record.layout.root)
    assert process.stderr is not None
    said = next(line for line in process.stderr if "arrived late" in line)
    process.terminate()
    process.communicate(timeout=60)
    assert f"recorder ingest --rebuild --feed {FEED} --since 2026-09-21T14:13:1" in said
    assert len(tables(record, FEED)["listings"]) > 30  # until then copies are rows, nothing is lost
    command = said.split("recorder ingest", 1)[1].split()
    ingest(record, *(word.strip("\"'") for word in command[:5]))
    assert_same(tables(record, FEED), as_one(tmp_path / "one", hosts))


def test_late_files_whose_time_was_pruned_are_taken_and_it_is_said(tmp_path: Path) -> None:
    record, hosts = Published(tmp_path / "data"), two_hosts()
    hosts[0].seal(record.layout, hosts[0].pieces(MINUTE))
    ingest(record)
    for name in record.layout.sealed(FEED):
        record.layout.parquet(FEED, name).unlink()
    hosts[1].seal(record.layout, hosts[1].pieces(MINUTE, 17 * NS))
    said = ingest(record)
    assert "arrived late" in said and "no raw frames to rebuild from" in said
    tickers = {row[0] for row in record.sql("SELECT ticker FROM listings")}
    assert len(tickers) == 30
    assert record.sql("SELECT count(DISTINCT connection) FROM connections") == [(2,)]


# -- waiting


def test_young_frames_wait_while_several_hosts_record(tmp_path: Path) -> None:
    """What is older than the settling time, to the minute, is taken; all of it when it is over."""
    record = Published(tmp_path / "data")
    begun = (time.time_ns() - T0) // NS - 1200
    said = [(at * NS, listing(at)) for at in range(begun + 5, begun + 1195, 10)]
    hosts = [
        Host(n, FEED, life(n, line, said, opened=begun * NS, group="g"), begun=begun)
        for n, line in ((1, "A"), (2, "B"))
    ]
    for host in hosts:
        host.seal(record.layout, [host.frames])
    with closing(Ingest(record.layout, Rules, hosts=Hosts(settle_ns=600 * NS))) as work:
        before = time.time_ns()
        work.run()
        after = time.time_ns()
        work.publish()
        assert set(work.waits) == {FEED}
    [(last,)] = record.sql("SELECT max(recv_ns) FROM listings")
    assert before - 680 * NS < last < after - 600 * NS
    taken = len(record.sql("FROM listings"))
    assert "wait for other hosts' files" in ingest(record)
    assert taken <= len(record.sql("FROM listings")) < len(said)
    assert "wait for" not in ingest(record, "--settle", "0")
    assert len(record.sql("FROM listings")) == len(said)


NOW = T0 + 3600 * NS


def span(run: int, first: int, last: int, number: int = 1) -> SegmentSpan:
    """A segment of a run; times in seconds before now."""
    name = stem(NOW - first * NS, RUN[:-2] + f"{run:02}", number)
    return SegmentSpan(name, NOW - first * NS, NOW - last * NS)


@pytest.mark.parametrize(
    ("spans", "over", "waits"),
    [
        ([span(1, 900, 300), span(2, 800, 400)], False, True),
        ([span(1, 900, 300), span(2, 800, 400)], True, False),  # both were stopped
        ([span(1, 900, 700), span(2, 600, 60)], False, False),  # one after the other
        ([span(1, 900, 400), span(1, 400, 60, 2)], False, False),  # one host
        ([span(1, 3000, 2000), span(2, 2900, 2000)], False, False),  # all is old
    ],
)
def test_who_waits_for_whom(spans: list[SegmentSpan], over: bool, waits: bool) -> None:
    found = wait_from(spans, NOW, 600 * NS, lambda run: over)
    assert found == (NOW - 600 * NS) // MINUTE * MINUTE if waits else found == LAST


# -- turns


def test_whole_files_are_taken_where_no_two_runs_overlap() -> None:
    one, two = [span(1, 900, 800), span(1, 800, 700, 2)], [span(2, 600, 500)]
    assert [turn.merged for turn in turns([*two, *one])] == [False, False]
    assert [turn.stems for turn in turns([*two, *one])] == [
        (one[0].stem, one[1].stem),
        (two[0].stem,),
    ]


def test_only_the_files_that_overlap_are_read_abreast() -> None:
    a = [span(1, 900, 800), span(1, 800, 700, 2), span(1, 700, 650, 3)]
    b = [span(2, 720, 600), span(2, 500, 400, 2)]
    found = turns([*a, *b])
    assert [turn.merged for turn in found] == [False, True, False]
    assert set(found[1].stems) == {a[1].stem, a[2].stem, b[0].stem}


def test_a_run_keeps_its_order_when_its_clock_is_set_back() -> None:
    back = [span(1, 500, 400), span(1, 900, 800, 2), span(1, 450, 300, 3)]
    [turn] = turns(back)
    assert turn.stems == tuple(one.stem for one in back)


# -- what is told of several hosts


def test_one_host_s_gap_is_covered_by_the_other_s_line(tmp_path: Path) -> None:
    record = Published(tmp_path / "data")
    lived = life(1, "A", listings(5, 100), closed=100 * NS, group="g")
    again = life(1, "A", listings(165, 300), opened=160 * NS, closed=300 * NS, group="g")
    b = life(2, "B", listings(5, 300, 3 * MS), closed=310 * NS, group="g")
    # The host was killed and began again: another run. A third host has other channels.
    hosts = [Host(1, FEED, lived), Host(1, FEED, again, begun=160), Host(2, FEED, b)]
    elsewhere = life(3, "A", [(20 * NS, listing(1000))], closed=310 * NS, group="h")
    seal_minutes(record, hosts)
    Host(3, FEED, elsewhere).seal(record.layout, [elsewhere])
    record.ingest()
    gaps = record.sql("SELECT from_ns, to_ns, line, covered FROM gaps WHERE line_group = 'g'")
    inner = [gap for gap in gaps if gap[1] is not None]
    assert inner == [(T0 + 100 * NS, T0 + 165 * NS, "A", True)]
    race = record.sql("SELECT line, arrivals, wins, missed FROM line_race(since := NULL)")
    assert race == [("A", 24, 24, 6), ("B", 30, 0, 0)]
    assert len({row[0] for row in record.sql("SELECT connection FROM connections")}) == 4
    report = verify(record.layout)
    assert not any(finding.wrong for finding in report.findings), report.findings
    assert report.feeds[0].connections == 4


def skewed(frames: list[Frame], by_ns: int) -> list[Frame]:
    return [frame._replace(recv_ns=frame.recv_ns + by_ns) for frame in frames]


@pytest.mark.parametrize(("minutes", "rows"), [(0, 30), (-7, 60), (7, 60)])
def test_a_host_whose_clock_is_minutes_off_brings_rows_twice_and_loses_none(
    tmp_path: Path, minutes: int, rows: int
) -> None:
    record = Published(tmp_path / "data")
    a = life(1, "A", listings(5, 300), closed=300 * NS, group="g")
    b = life(2, "B", listings(5, 300, 3 * MS), closed=300 * NS, group="g")
    told = {"line": "B", "group": "g", "clock": {"synchronised": False, "error_ns": 16_000_000}}
    stats = marker(len(b) - 1, "stats", b[-1].recv_ns, b[-1].connection, **told)
    b = [*b[:-1], stats, b[-1]._replace(seq=len(b))]
    hosts = [Host(1, FEED, a), Host(2, FEED, skewed(b, minutes * MINUTE))]
    seal_minutes(record, hosts)
    record.ingest()
    found = record.sql("SELECT ticker, count(*) FROM listings GROUP BY ticker")
    assert len(found) == 30 and sum(count for _, count in found) == rows
    errors = record.sql("SELECT line, clock_error_ns FROM connections ORDER BY line")
    assert errors == [("A", None), ("B", 16_000_000)]
