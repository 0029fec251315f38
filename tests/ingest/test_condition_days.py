"""The table `conditions` of recorded days: from the journals to the word."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kit.frames import T0, events
from kit.journals import Writer, seal_all
from kit.records import Record

from recorder import frame
from recorder.clock import DAY_NS, NS, day
from recorder.record.layout import Layout, day_of
from recorder.tables import private
from recorder.tables.conditions import NO_EVENT, NO_FRAME, Cadences, Conditions

DAY = T0 // DAY_NS * DAY_NS
MINUTE = 60 * NS
FEED = "binance"
AFTER = DAY + DAY_NS + 3600 * NS


class Days:
    """A feed that was recorded from the evening before a day to the morning after it."""

    def __init__(self, root: Path, *, busy: bool = True) -> None:
        self.root, self.record = root, Record(root)
        self.writer = Writer(root, FEED, now=DAY - MINUTE)
        self.stream = self.writer.open(group="prices")
        self.writer.put(self.stream, *events(FEED))
        for hour in range(0, 24, 6):
            self.at(DAY + hour * 3600 * NS)
            if busy:
                self.writer.put(self.stream, *events(FEED, hour))
            else:
                self.writer.mark(self.stream, frame.STATS, line="A", group="prices")
        self.at(AFTER - MINUTE)
        self.writer.put(self.stream, *events(FEED, 99))

    def at(self, now_ns: int) -> None:
        """Move the clock; write until then what rotates the journal."""
        self.writer.now = now_ns
        self.writer.beat()

    def seal(self) -> None:
        self.writer.finish()
        seal_all(self.record.layout)

    def judged(
        self, now_ns: int = AFTER, cadences: Cadences | None = None
    ) -> dict[str | None, dict[str, Any]]:
        """Ingest, and return the rows of the day by channel."""
        self.record.ingest()
        with closing(private.connect(self.record.layout)) as db:
            Conditions(self.record.layout, lambda _: cadences).judge(db, now_ns)
            rows = db.execute(
                "FROM conditions WHERE day = DATE '1970-01-01' + ?::INTEGER ORDER BY channel",
                [DAY // DAY_NS],
            ).fetchall()
            names = [column[0] for column in db.description]
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return {row["channel"]: row for row in found}


def causes(row: dict[str, Any]) -> list[str]:
    return [one["cause"] for one in json.loads(row["causes"])]


def test_a_day_that_was_recorded_and_sealed_is_complete(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.seal()
    rows = days.judged()
    assert {row["condition"] for row in rows.values()} == {"complete"}
    feed = rows.pop(None)
    assert (feed["frames"], feed["bare_seconds"]) == (4 * len(events(FEED)), 0.0)
    assert (feed["judged_ns"], feed["line_groups"]) == (DAY + DAY_NS, ["prices"])
    assert len(rows) >= 2
    assert sum(row["events"] for row in rows.values()) == feed["events"] > 0
    assert all(row["frames"] is None for row in rows.values())


def test_a_day_without_heads_or_not_yet_sealed_is_unverified(tmp_path: Path) -> None:
    days = Days(tmp_path)
    row = days.judged()[None]
    assert row["condition"] == "unverified"
    assert causes(row)[0].startswith("segments that are not sealed yet")
    days.seal()
    assert days.judged()[None]["condition"] == "complete"
    shutil.rmtree(tmp_path / "heads")
    row = days.judged()[None]
    assert row["condition"] == "unverified"
    assert causes(row)[0].startswith("sealed segments without a digest in a head")


def test_a_day_that_lasts_is_judged_up_to_now(tmp_path: Path) -> None:
    days = Days(tmp_path)
    noon = DAY + DAY_NS // 2
    row = days.judged(now_ns=noon)[None]
    assert (row["condition"], row["judged_ns"]) == ("complete", noon)


@pytest.mark.parametrize(("back", "seconds"), [(30, 30.0), (0, 0.0)])
def test_a_gap_degrades_a_day_unless_another_line_covers_it(
    tmp_path: Path, back: int, seconds: float
) -> None:
    days = Days(tmp_path)
    other = days.writer.open("B", "prices") if not back else None
    if other is not None:
        days.writer.put(other, b"a line covers from its first frame on")
    days.writer.close(days.stream)
    at = days.writer.now
    days.at(at + back * NS)
    stream = days.writer.open("A", "prices")
    days.writer.put(stream, b"again")
    if other is not None:
        days.writer.put(other, b"also")
    days.seal()
    after = (AFTER // DAY_NS) * DAY_NS
    days.record.ingest()
    with closing(private.connect(days.record.layout)) as db:
        Conditions(days.record.layout, lambda _: None).judge(db, days.writer.now + NS)
        [(condition, bare, cause)] = db.execute(
            "SELECT condition, round(bare_seconds, 1), causes FROM conditions "
            "WHERE channel IS NULL AND day = DATE '1970-01-01' + ?::INTEGER",
            [after // DAY_NS],
        ).fetchall()
    assert (condition, bare) == ("degraded" if seconds else "complete", seconds)
    assert ("closed 1006" in cause) == bool(seconds)


def test_a_damaged_and_a_lost_journal_degrade_the_day(tmp_path: Path) -> None:
    days = Days(tmp_path)
    paths = sorted((tmp_path / "journal" / FEED).glob("*.journal"))
    paths[2].write_bytes(b"\xa7" * paths[2].stat().st_size)
    days.seal()
    row = days.judged()[None]
    assert row["condition"] == "degraded"
    assert row["bare_seconds"] == pytest.approx(12 * 3600, abs=1)
    assert any("could not be read" in cause for cause in causes(row))
    assert any("damaged bytes in journals" in cause for cause in causes(row))
    assert row["frames_missing"] == len(events(FEED))


def test_a_day_without_a_data_frame_is_missing(tmp_path: Path) -> None:
    days = Days(tmp_path, busy=False)
    days.seal()
    row = days.judged()[None]
    assert (row["condition"], row["bare_seconds"]) == ("missing", 86_400.0)
    assert NO_FRAME in causes(row)


def test_a_day_on_which_a_configured_feed_was_not_recorded_is_missing(tmp_path: Path) -> None:
    writer = Writer(tmp_path, FEED, now=DAY - MINUTE)
    stream = writer.open(group="prices")
    writer.put(stream, *events(FEED))
    writer.close(stream, reason="stopping")
    writer.finish()
    days = Days.__new__(Days)
    days.record = Record(tmp_path)
    assert days.judged() == {}  # not configured: it was given up
    row = days.judged(cadences={"prices": 30.0})[None]
    assert (row["condition"], row["frames"]) == ("missing", 0)
    assert causes(row)[0] == "the recorder was stopped"


def test_a_silent_channel_is_degraded_where_its_cadence_is_known_else_unverified(
    tmp_path: Path,
) -> None:
    days = Days(tmp_path)
    days.seal()
    silent = days.judged(cadences={"prices": 30.0})
    assert silent[None]["condition"] == "degraded"
    assert silent[None]["bare_seconds"] == 4 * 359 * 60
    assert causes(silent[None]) == ["connected, and silent"]

    other = Days(tmp_path / "quiet", busy=False)
    other.writer.put(other.stream, b"an answer")
    other.seal()
    rows = other.judged()
    channels = [row for channel, row in rows.items() if channel is not None]
    assert channels and {row["condition"] for row in channels} == {"missing"}

    # A data frame that is no event: the feed was recorded, its channels are not known to be.
    third = Days(tmp_path / "answers", busy=False)
    third.seal()
    third.record.ingest()
    with closing(private.connect(third.record.layout)) as db:
        db.execute(
            "INSERT INTO latency (feed, recv_ns, recv_time, connection, seq, item) "
            "SELECT feed, ?, recv_time, connection, 999, 0 FROM connections LIMIT 1",
            [DAY + NS],
        )
    rows = third.judged()
    assert rows.pop(None)["condition"] == "complete"
    assert rows and {row["condition"] for row in rows.values()} == {"unverified"}
    assert {cause for row in rows.values() for cause in causes(row)} == {NO_EVENT}


def test_sealed_frames_that_no_table_has_degrade_the_day(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.seal()
    layout = Layout(tmp_path)
    lost = next(stem for stem in layout.sealed(FEED) if day_of(stem) == day(DAY))
    layout.parquet(FEED, lost).unlink()
    row = days.judged()[None]
    assert row["condition"] == "degraded"
    assert "sealed frames that are not in the tables: 5" in causes(row)


def test_what_did_not_change_is_not_judged_again(tmp_path: Path) -> None:
    days = Days(tmp_path)
    days.seal()
    days.judged()
    layout = days.record.layout
    with closing(private.connect(layout)) as db:
        conditions = Conditions(layout, lambda _: None)
        conditions.judge(db, AFTER + 10 * DAY_NS)
        db.execute("UPDATE conditions SET condition = 'mark'")
        conditions.judge(db, AFTER + 10 * DAY_NS)
        assert db.execute("SELECT DISTINCT condition FROM conditions").fetchall() == [("mark",)]
