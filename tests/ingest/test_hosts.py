"""Runs of several hosts in one data directory: the rows that one run with all frames would give."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import cases, examples
from kit.frames import MS, T0
from kit.journals import Writer, seal_all
from kit.records import Published, assert_same

from recorder.clock import NS
from recorder.reporter import Reporter
from recorder.schema.tables import TABLES
from recorder.tables import ingest
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

from .hosts import SQL, Host, Said, life, trade

MINUTE = 60 * NS
Tables = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy") / "toy.sql"
    path.write_text(SQL)
    return path


def every_second(seconds: int, late_ns: int = 0) -> Said:
    """A message each second; it reaches this line so much later."""
    return [(at * NS + late_ns, trade(at)) for at in range(1, seconds)]


def tables(record: Published, feed: str = "toy") -> Tables:
    """Every row of a feed, without its name."""
    return {
        name: record.sql(f"SELECT * EXCLUDE (feed) FROM {name} WHERE feed = '{feed}' ORDER BY ALL")
        for name in TABLES
    }


def as_one(place: Path, sql: Path, *hosts: Host) -> Tables:
    """The tables of a record in which one run received all frames, in order of time."""
    record = Published(place)
    one = merged("toy", *hosts)
    one.seal(record.layout, [one.frames])
    record.ingest(sql=sql)
    return tables(record)


def merged(feed: str, *hosts: Host) -> Host:
    frames = [frame for host in hosts for frame in host.frames]
    return Host(99, feed, sorted(frames, key=lambda f: (f.recv_ns, f.connection, f.seq)))


def ten_minutes() -> list[Host]:
    """Two hosts with a line each, and a third that begins later."""
    a = life(1, "A", every_second(600, 2 * MS), closed=600 * NS)
    b = life(2, "B", every_second(600, 3 * MS), closed=600 * NS)
    c = life(3, "C", every_second(600)[300:], opened=300 * NS, closed=600 * NS)
    return [Host(1, "toy", a), Host(2, "toy", b), Host(3, "toy", c, begun=300)]


def seal_minutes(record: Published, hosts: list[Host]) -> None:
    """Files of a minute each; no two hosts rotate at the same moment."""
    for host, phase in zip(hosts, (0, 17, 41), strict=False):
        host.seal(record.layout, host.pieces(MINUTE, phase * NS))


@pytest.mark.parametrize("rows", cases(150, 1_000_000))
def test_copies_on_other_hosts_are_found_in_files_of_a_minute(
    tmp_path: Path, sql: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    record, hosts = Published(tmp_path / "data"), ten_minutes()
    seal_minutes(record, hosts)
    monkeypatch.setattr(ingest, "_BATCH_ROWS", rows)
    record.ingest(sql=sql)
    found = tables(record)
    assert len(found["prices"]) == 599
    assert_same(found, as_one(tmp_path / "one", sql, *hosts))
    assert record.ingest(sql=sql) == 0
    assert record.warnings == []


def test_an_ingest_that_ends_between_two_windows_goes_on_there(
    tmp_path: Path, sql: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, hosts = Published(tmp_path / "data"), ten_minutes()
    seal_minutes(record, hosts)
    monkeypatch.setattr(ingest, "_BATCH_ROWS", 150)

    def interrupt(frames: int) -> None:
        if frames:
            raise KeyboardInterrupt

    reporter, begun = Reporter(progress=interrupt), 0
    while True:
        with closing(Ingest(record.layout, lambda feed: Rules(sql), reporter)) as work:
            try:
                work.run()
            except KeyboardInterrupt:
                begun += 1
                continue
            work.publish()
        break
    assert begun > 5
    assert_same(tables(record), as_one(tmp_path / "one", sql, *hosts))


def test_journals_of_two_runs_are_read_abreast_while_they_grow(tmp_path: Path, sql: Path) -> None:
    """Where a part of a journal is taken, the next pass goes on at the very next block."""
    record = Published(tmp_path / "data")
    random = Random("journals")
    writers = [Writer(record.layout.root, "toy", rotate_bytes=2_000) for _ in "AB"]
    streams = [w.open(line, "trades 1/2") for w, line in zip(writers, "AB", strict=True)]
    for number in range(300):
        for index in random.sample([0, 1], 2):
            writer = writers[index]
            writer.now = max(one.now for one in writers) + random.randrange(1, 900) * MS
            if random.randrange(10):
                writer.put(streams[index], trade(number))
        if number % 60 == 0:
            with closing(Ingest(record.layout, lambda feed: Rules(sql))) as work:
                work.run()
    for writer, stream in zip(writers, streams, strict=True):
        writer.close(stream, 1000, "stopping")
        writer.finish()
    seal_all(record.layout)
    record.ingest(sql=sql)
    fresh = Published(tmp_path / "fresh")
    shutil.copytree(record.layout.raw, fresh.layout.raw)
    fresh.ingest(sql=sql)
    assert_same(tables(record), tables(fresh))
    prices = record.sql("SELECT count(*), count(DISTINCT price) FROM prices")
    arrived = record.sql("SELECT count(DISTINCT payload) FROM raw WHERE kind = 'text'")
    assert prices == [(arrived[0][0], arrived[0][0])]


def test_a_damaged_file_of_one_host_is_left_out_and_the_others_are_taken(
    tmp_path: Path, sql: Path
) -> None:
    record, hosts = Published(tmp_path / "data"), ten_minutes()[:2]
    seal_minutes(record, hosts)
    paths = sorted(record.layout.raw.rglob("*.parquet"))
    hurt = next(p for p in paths if hosts[1].run in p.name and p.name.endswith("-000004.parquet"))
    hurt.write_bytes(hurt.read_bytes()[:-30])
    record.ingest(sql=sql)
    [warning] = record.warnings
    assert "segment left out" in warning and hurt.name in warning
    assert record.sql("SELECT count(*) FROM prices") == [(599,)]  # line A has them all
    [(line, missing)] = record.sql(
        "SELECT line, frames_missing FROM gaps WHERE frames_missing IS NOT NULL"
    )
    assert (line, missing) == ("B", 60)


# -- whatever comes


@st.composite
def worlds(draw: st.DrawFn) -> list[Host]:
    """Two or three hosts, their connections, and messages that come on some of them."""
    hosts = draw(st.integers(2, 3))
    lines = [
        (host, line, draw(st.integers(0, 30)), draw(st.integers(40, 90)))
        for host in range(hosts)
        for line in draw(st.sampled_from(["A", "AB"]))
    ]
    said: list[list[tuple[int, bytes]]] = [[] for _ in lines]
    for _ in range(draw(st.integers(1, 15))):
        at, payload = draw(st.integers(0, 90_000)), trade(draw(st.integers(0, 6)))
        for index, (_, _, opened, closed) in enumerate(lines):
            came = at + draw(st.integers(0, 800))
            if opened * 1000 < came < closed * 1000 and draw(st.integers(0, 3)):
                said[index].append((came * MS, payload))
    made: dict[int, list[Any]] = {}
    for (host, line, opened, closed), words in zip(lines, said, strict=True):
        frames = life(
            host + 1, line, sorted(words), opened=opened * NS, closed=closed * NS, group="g"
        )
        made.setdefault(host, []).extend(frames)
    return [Host(host + 1, "toy", frames) for host, frames in made.items()]


class Shared:
    """One ingest for many small feeds, for it takes time to make the tables."""

    def __init__(self, root: Path, sql: Path) -> None:
        self.record, self.number = Published(root), 0
        self.work = Ingest(self.record.layout, lambda feed: Rules(sql))

    def rows(self, feed: str) -> Tables:
        self.work.run()
        self.work.publish()
        return tables(self.record, feed)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, sql: Path) -> Iterator[Shared]:
    found = Shared(tmp_path_factory.mktemp("shared"), sql)
    yield found
    found.work.close()


@given(worlds(), st.integers(5, 40), st.integers(10, 40), st.integers(0, 100))
@settings(max_examples=examples(10), deadline=None)
def test_any_hosts_files_give_the_rows_of_one_run_with_all_frames(
    shared: Shared, hosts: list[Host], rows: int, seconds: int, parted: int
) -> None:
    """`parted` is when everything that came until then was ingested first."""
    shared.number += 1
    many, one = f"many{shared.number}", f"one{shared.number}"
    whole = merged(one, *hosts)
    layout = shared.record.layout
    before, ingest._BATCH_ROWS = ingest._BATCH_ROWS, rows
    try:
        for first in (True, False):
            for host in hosts:
                host.feed = many
                pieces = host.pieces(seconds * NS, host.number * NS, parted * NS)
                host.seal(layout, [p for p in pieces if (p[0].recv_ns < T0 + parted * NS) is first])
            found = shared.rows(many)
    finally:
        ingest._BATCH_ROWS = before
    whole.seal(layout, [whole.frames])
    assert_same(found, shared.rows(one))
    shutil.rmtree(layout.raw)
