"""A journal of which nothing can be read is an interval without cover, in tables and replay."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from kit.frames import MS, T0
from kit.journals import Writer, seal_all
from kit.records import Record

from recorder.clock import NS
from recorder.player.iterate import Replay
from recorder.record import lost
from recorder.record.layout import Layout, began_ns
from recorder.tables import private
from recorder.tables.rebuild.run import rebuild
from recorder.tables.rules import Rules

Row = tuple[object, ...]


def _noise(content: bytes) -> bytes:
    return b"\xa7" * len(content)


def _other_format(content: bytes) -> bytes:
    return content.replace(b"\xf5JB1", b"\xf5JB9")


def _zeros(content: bytes) -> bytes:
    return bytes(len(content))


class _Made:
    """Three journals of one run, each with a frame of its own; times of the frames by journal."""

    def __init__(self, root: Path, now: int = T0) -> None:
        self.writer = Writer(root, "smartmoney", now=now)
        self.stream = self.writer.open()
        self.at: list[int] = []
        for number in range(3):
            self.writer.put(self.stream, b"%d" % number)
            self.at.append(self.writer.now)
            self.writer.finish()
            self.writer.now += NS

    def journals(self, root: Path) -> list[Path]:
        return sorted((root / "journal" / "smartmoney").glob("*.journal"))


def _gaps(record: Record) -> list[Row]:
    return record.sql(
        f"SELECT line, from_ns, to_ns, covered FROM gaps WHERE cause = '{lost.CAUSE}'"
    )


def _replayed(layout: Layout) -> list[Row]:
    played = [json.loads(f.payload) for f in Replay(layout, ("smartmoney",)) if f.kind == "gap"]
    found = [one for one in played if one.get("cause") == lost.CAUSE]
    return [(one["from_ns"], one["to_ns"]) for one in found]


@pytest.mark.parametrize("hurt", [_noise, _other_format, _zeros])
def test_a_lost_journal_is_a_gap_to_the_next_frame_of_its_run(tmp_path: Path, hurt) -> None:
    made = _Made(tmp_path)
    middle = made.journals(tmp_path)[1]
    middle.write_bytes(hurt(middle.read_bytes()))
    seal_all(Layout(tmp_path))
    record = Record(tmp_path)
    record.ingest()
    assert _gaps(record) == [("A", made.at[0], made.at[2], False)]
    assert _replayed(record.layout) == [(made.at[0], made.at[2])]
    rebuild(record.layout, Rules)
    assert _gaps(record) == [("A", made.at[0], made.at[2], False)]


def test_a_renamed_journal_is_one_too(tmp_path: Path) -> None:
    made = _Made(tmp_path)
    last = made.journals(tmp_path)[2]
    last.rename(last.with_name(last.name.replace("-000003", "-000004")))
    seal_all(Layout(tmp_path))
    record = Record(tmp_path)
    record.ingest()
    assert _gaps(record) == [("A", made.at[1], None, False)]


def test_the_gap_ends_when_the_feed_is_recorded_again(tmp_path: Path) -> None:
    made = _Made(tmp_path)
    last = made.journals(tmp_path)[2]
    last.write_bytes(_noise(last.read_bytes()))
    seal_all(Layout(tmp_path))
    record = Record(tmp_path)
    record.ingest()
    assert _gaps(record) == [("A", made.at[1], None, False)]
    assert _replayed(record.layout) == []
    again = Writer(tmp_path, "smartmoney", now=T0 + 60 * NS)
    again.open()
    again.finish()
    record.ingest()
    assert _gaps(record) == [("A", made.at[1], again.now, False)]
    assert _replayed(record.layout) == [(made.at[1], again.now)]


def test_a_gap_appears_in_tables_that_are_being_followed(tmp_path: Path) -> None:
    """Ingest that follows has read the other journals; sealing moves the lost one away later."""
    made = _Made(tmp_path)
    middle = made.journals(tmp_path)[1]
    middle.write_bytes(_noise(middle.read_bytes()))
    record = Record(tmp_path)
    with closing(record._ingest(100_000.0, None)) as work:
        work.run()
        seal_all(Layout(tmp_path))
        work.run()
        assert work.publish_due()
    assert _gaps(record) == [("A", made.at[0], made.at[2], False)]


def test_a_run_of_which_nothing_is_left_counts_from_its_name(tmp_path: Path) -> None:
    made = _Made(tmp_path)
    names = [path.stem for path in made.journals(tmp_path)]
    for path in made.journals(tmp_path):
        path.write_bytes(_noise(path.read_bytes()))
    seal_all(Layout(tmp_path))
    record = Record(tmp_path)
    again = Writer(tmp_path, "smartmoney", now=T0 + 60 * NS)
    again.open()
    again.finish()
    record.ingest()
    assert _gaps(record) == [(None, began_ns(name), again.now, False) for name in names]
    rows = record.sql("SELECT connection, seq, item FROM gaps")
    assert len({*rows}) == len(rows) == 3


def test_a_line_whose_opening_was_lost_is_connected_from_its_first_frame(tmp_path: Path) -> None:
    before = Writer(tmp_path, "smartmoney", now=T0 - 60 * NS)
    stream = before.open()
    before.put(stream, b"before")
    before.close(stream, reason="stopping")
    before.finish()
    made = _Made(tmp_path)
    made.writer.close(made.stream)
    made.writer.finish()
    first = made.journals(tmp_path)[1]
    first.write_bytes(_noise(first.read_bytes()))
    seal_all(Layout(tmp_path))
    record = Record(tmp_path)
    record.ingest()
    stopped = record.sql("SELECT to_ns FROM gaps WHERE cause = 'the recorder was stopped'")
    assert stopped == [(made.at[1],)]
    assert _gaps(record) == [("A", began_ns(first.stem), made.at[1], False)]
    assert private.database(record.layout).exists()
    assert began_ns(first.stem) <= made.at[0] - MS
