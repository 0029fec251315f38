"""A row leads to its raw frame from the moment it exists: before, while and after it is sealed."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import recorder
from recorder.answers import sandbox
from recorder.answers.sandbox import QueryLimits
from recorder.frame import KINDS
from recorder.record import seal
from recorder.record.find import FramePlace, find
from recorder.record.journal.block import ABOUT, RECORD, encode, seed
from recorder.record.layout import Layout
from recorder.schema.tables import TABLES
from recorder.tables.ingest import Ingest
from recorder.tables.rules import RulesOf

CODES = {name: code for code, name in KINDS.items()}
SAMPLE = Path(__file__).parents[2] / "data/sample/raw"

ROWS = " UNION ALL ".join(
    f"SELECT '{name}' AS name, feed, connection, seq FROM {name}"
    for name in TABLES
    if name != "gaps"
)
ORPHANS = f"SELECT count(*) FROM ({ROWS}) AS t ANTI JOIN raw AS r USING (feed, connection, seq)"
COUNT = "SELECT count(*), count(DISTINCT (feed, connection, seq)) FROM raw"


@pytest.fixture
def record(tmp_path: Path) -> Layout:
    """The sample as journals that are not sealed yet, ingested and published."""
    layout = Layout(tmp_path / "it's [a] record")
    for path in SAMPLE.rglob("*.parquet"):
        feed = path.parts[-3].removeprefix("feed=")
        target = layout.journal(feed, path.stem)
        target.parent.mkdir(parents=True)
        rows = pq.read_table(path).to_pylist()
        salt = seed(path.stem)
        about = b'{"kind":"%s","schema":"1"}' % feed.encode()
        blocks = [encode(salt, "0" * 26, 0, 0, 0, [RECORD.pack(ABOUT, len(about)), about])]
        for row in rows:
            parts = [RECORD.pack(CODES[row["kind"]], len(row["payload"])), row["payload"]]
            stamps = row["recv_ns"], row["mono_ns"]
            blocks.append(encode(salt, row["connection"], row["seq"], *stamps, parts))
        target.write_bytes(b"".join(blocks))
    ingest(layout)
    return layout


def ingest(layout: Layout) -> None:
    with closing(Ingest(layout, RulesOf(layout))) as work:
        work.run()
        work.publish()


def frames() -> int:
    return sum(pq.read_metadata(path).num_rows for path in SAMPLE.rglob("*.parquet"))


def test_rows_of_unsealed_journals_find_their_frames_everywhere(record: Layout) -> None:
    assert list(record.root.glob("raw/**/*.parquet")) == []
    with recorder.connect(record.root) as db:
        [(rows,)] = db.sql(f"SELECT count(*) FROM ({ROWS})").fetchall()
        assert rows > 1000
        assert db.sql("SELECT count(DISTINCT feed) FROM raw").fetchall() == [(2,)]
        assert db.sql(ORPHANS).fetchall() == [(0,)]
        assert db.sql(COUNT).fetchall() == [(frames(), frames())]
        [place] = db.sql("SELECT feed, connection, seq, recv_ns FROM listings LIMIT 1").fetchall()
    with closing(sandbox.connect(record, QueryLimits())) as db:
        assert db.sql(ORPHANS).fetchall() == [(0,)]
        assert db.sql(COUNT).fetchall() == [(frames(), frames())]
    assert find(record, FramePlace(*place)) is not None


def connected(record: Layout, how: str) -> Any:
    """Return a connection of Python's, or one for SQL that is not trusted."""
    return (
        recorder.connect(record.root) if how == "python" else sandbox.connect(record, QueryLimits())
    )


@pytest.mark.parametrize("how", ["python", "sandbox"])
@pytest.mark.parametrize("sealed_before", [0, 1])
def test_sealing_under_an_open_connection_doubles_and_loses_nothing(
    record: Layout, how: str, sealed_before: int
) -> None:
    for feed in record.feeds()[:sealed_before]:
        seal.seal(record, feed, record.active(feed)[0])
        ingest(record)
    with closing(connected(record, how)) as db:
        for feed in record.feeds():
            for stem in record.active(feed):
                seal.seal(record, feed, stem)
            assert db.sql(COUNT).fetchall() == [(frames(), frames())]
            assert db.sql(ORPHANS).fetchall() == [(0,)]
    ingest(record)
    with closing(connected(record, how)) as db:
        assert db.sql(COUNT).fetchall() == [(frames(), frames())]


@pytest.mark.parametrize("how", ["python", "sandbox"])
def test_frames_that_come_later_do_not_belong_to_the_connection(record: Layout, how: str) -> None:
    with closing(connected(record, how)) as db:
        [feed, *_] = record.feeds()
        [stem] = record.active(feed)
        path = record.journal(feed, stem)
        later = encode(seed(stem), "1" * 26, 0, 1, 1, [RECORD.pack(CODES["text"], 1), b"x"])
        path.write_bytes(path.read_bytes() + later)
        assert db.sql(COUNT).fetchall() == [(frames(), frames())]
    with closing(connected(record, how)) as db:
        assert db.sql(COUNT).fetchall() == [(frames() + 1, frames() + 1)]


def test_a_damaged_journal_costs_its_damage_alone(record: Layout) -> None:
    for feed, hurt in zip(record.feeds(), itertools.count()):
        path = record.journal(feed, record.active(feed)[0])
        content = bytearray(path.read_bytes())
        if hurt == 0:
            content[:] = b"\xa7" * len(content)
        path.write_bytes(bytes(content))
    with recorder.connect(record.root) as db:
        [(feeds,)] = db.sql("SELECT count(DISTINCT feed) FROM raw").fetchall()
    assert feeds == 1
