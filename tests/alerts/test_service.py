"""The whole process: rows and health in, alerts out, over restarts, with a clock moved by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from kit.effort import cases
from kit.frames import MS, T0
from kit.journals import Writer, seal_all
from kit.records import Published

from recorder.alerts.health import conditions_of
from recorder.alerts.service import AlertService, plan
from recorder.clock import NS, Clock
from recorder.errors import BusyError
from recorder.settings.config import Settings
from recorder.status import CaptureStatus, Disk, IngestStatus, Problem, Status
from recorder.status.conditions import CONDITIONS

from .receiving import Answer, receiving


class Said:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, what: str, **more: Any) -> None:
        self.lines.append(f"{what} {more}")

    warning = error = info


class Desk:
    """A data directory with one feed, whose clock the test moves, and its alerts."""

    def __init__(self, root: Path) -> None:
        self.root, self.now, self.said = root, T0, Said()
        self.writer = Writer(root, "binance")
        self.stream = self.writer.open()
        self.settings: dict[str, Any] = {}
        self.running: AlertService | None = None

    def configure(self, **rules: Any) -> None:
        self.settings = {"alerts": rules}

    def start(
        self, *, catch_up: float = 900.0, once: bool = False, **destinations: Any
    ) -> AlertService:
        settings = Settings(data_dir=self.root, destinations=destinations, **self.settings)
        clock = Clock(lambda: self.now, lambda: self.now - T0)
        made = plan(settings, {"RECORDER_HOOK_TOKEN": "s3cr3t-token"})
        self.running = AlertService(made, self.said, clock=clock, once=once)
        self.running.begin(catch_up)
        return self.running

    def crash(self) -> None:
        """As `kill -9` leaves it: nothing is written, the kernel drops the lock."""
        assert self.running is not None
        os.close(self.running._lock)
        self.running = None

    def end(self) -> None:
        if self.running is not None:
            self.running.close()
            self.running = None

    def liquidate(self, number: int, *, usd: float = 2e6) -> None:
        """One liquidation, received now."""
        self.now += MS
        self.writer.now = self.now
        told = {
            "e": "forceOrder", "E": self.now // MS,
            "o": {"s": "BTCUSDT", "S": "SELL", "q": "1", "p": "1", "ap": str(usd), "z": "1",
                  "T": self.now // MS + number, "st": 1},
        }  # fmt: skip
        self.writer.put(self.stream, json.dumps(told).encode())
        self.writer.beat()

    def look(self, seconds: float = 1.0) -> list[str]:
        """Move the clock, look once; the titles of what was told."""
        self.now += int(seconds * NS)
        assert self.running is not None
        return [alert.title for alert in self.running.look()]

    def log(self) -> list[dict[str, Any]]:
        path = self.root / "work/alerts.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.end()


BIG = {"table": "liquidations", "when": "notional_usd > 1e6", "title": "{notional_usd:.0f}"}


def test_rows_that_are_new_and_meet_the_condition_are_told_once(desk: Desk) -> None:
    desk.configure(big=BIG)
    desk.liquidate(1, usd=5e6)
    desk.now += NS
    desk.start()
    assert desk.look() == []
    desk.liquidate(2, usd=3e6)
    desk.liquidate(3, usd=5e5)
    desk.liquidate(4, usd=4e6)
    assert desk.look() == ["3000000", "4000000"]
    assert desk.look() == []
    seal_all(desk.writer.layout)
    assert desk.look() == []
    [first, _] = desk.log()
    assert first["kind"] == "alert" and first["rule"] == "big" and first["destinations"] == {}
    assert first["event"]["symbol"] == "BTCUSDT"
    assert first["event"]["recv_ns"] == str(T0 + 2 * MS + NS + NS + MS)
    assert "notional_usd: 3000000" in first["text"]


@pytest.mark.parametrize("seed", cases(0, 1))
def test_whatever_happens_in_between_each_row_is_told_exactly_once(desk: Desk, seed: int) -> None:
    """Crashes and clean ends between looks; journals are sealed and ingested meanwhile."""
    dice = Random(seed)
    desk.configure(big=BIG | {"at_most": "1000/s"}, other=BIG | {"at_most": "1000/s"})
    desk.start()
    told: list[str] = []
    number = 0
    for _ in range(8):
        for _ in range(dice.randrange(4)):
            number += 1
            desk.liquidate(number, usd=1e6 + number)
        told += desk.look(dice.choice([0.1, 1, 20]))
        match dice.randrange(6):
            case 0:
                desk.crash()
                desk.start()
            case 1:
                desk.end()
                desk.start()
            case 2:
                desk.writer.finish()
                seal_all(desk.writer.layout)
            case 3:
                Published(desk.root).ingest()
    told += desk.look()
    expected = [f"{1_000_000 + n}" for n in range(1, number + 1) for _ in range(2)]
    assert sorted(told) == sorted(expected)


def test_after_a_long_time_away_only_the_last_quarter_of_an_hour_is_looked_at(desk: Desk) -> None:
    desk.configure(big=BIG)
    desk.start()
    desk.look()
    desk.end()
    for number in range(1, 41):
        desk.now += 75 * NS
        desk.liquidate(number, usd=1e6 + number)
    desk.start(catch_up=900)
    told = desk.look()
    assert told[0] == "1000029"
    assert len(told) == 10  # the rate of the rule
    assert any("only rows of the last 15m are checked" in line for line in desk.said.lines)
    assert desk.look(61) == ["big: 2 more held back"]


def test_a_flood_is_held_back_and_counted(desk: Desk) -> None:
    desk.configure(big=BIG | {"at_most": "3/min"})
    desk.start()
    for number in range(50):
        desk.liquidate(number, usd=1e6 + number + 1)
    assert desk.look() == ["1000001", "1000002", "1000003"]
    assert desk.look(30) == []
    assert desk.look(31) == ["big: 47 more held back"]
    assert desk.log()[-1]["text"] == "at most 3 in 60 s are sent; the last: 1000050"
    assert desk.look(61) == []


def test_a_row_that_breaks_the_condition_hides_no_other(desk: Desk) -> None:
    desk.configure(odd=BIG | {"when": "CAST(notional_usd AS TINYINT) = 5"})
    desk.start()
    for number, usd in enumerate([5, 1e6, 4, 5]):
        desk.liquidate(number, usd=usd)
    assert desk.look() == ["5", "5"]
    assert [line for line in desk.said.lines if "alerts.odd.when fails on a row" in line]


def test_past_events_that_are_sent_again_are_left_out_unless_wanted(tmp_path: Path) -> None:
    for wanted in (False, True):
        desk = Desk(tmp_path / str(wanted))
        rule = {"table": "whales", "title": "{wallet}", "backfill": wanted}
        desk.configure(whale=rule)
        desk.writer = Writer(desk.root, "smartmoney")
        desk.stream = desk.writer.open()
        desk.start()
        frame = (
            b'{"type":"whale_update","wallet":"0x%d","asset":"BTC","size_usd":1,"timestamp":"%s"}'
        )
        desk.writer.now = desk.now
        desk.writer.put(desk.stream, frame % (1, b"2020-01-01T00:00:00Z"))
        desk.writer.put(desk.stream, frame % (2, b"2026-09-21T14:13:20Z"))
        desk.writer.beat()
        told = desk.look()
        assert "0x2" in told
        desk.end()


def test_only_one_process_alerts_for_a_data_directory(desk: Desk) -> None:
    desk.configure(big=BIG)
    desk.start()
    with pytest.raises(BusyError, match="an alerts process is already running"):
        desk.start()


@pytest.mark.process
def test_what_a_destination_does_is_in_the_log_and_no_secret_is(desk: Desk) -> None:
    with receiving(Answer(404), Answer(200)) as there:
        desk.configure(big=BIG | {"to": ["hook"]})
        desk.start(hook={"webhook": f"{there.url}/{{token}}/path"})
        desk.liquidate(1, usd=2e6)
        desk.liquidate(2, usd=3e6)
        desk.look()
        there.wait_for(2)
        desk.end()
    alerts = [line for line in desk.log() if line["kind"] == "alert"]
    outcomes = {line["id"]: line for line in desk.log() if line["kind"] == "delivery"}
    assert [alert["destinations"] for alert in alerts] == [{"hook": {"outcome": "queued"}}] * 2
    first, second = (outcomes[alert["id"]] for alert in alerts)
    assert (first["outcome"], first["why"], first["attempts"]) == ("failed", "HTTP 404", 1)
    assert (second["outcome"], second["destination"]) == ("delivered", "hook")
    left = [path.read_text() for path in (desk.root / "work").iterdir() if path.is_file()]
    assert "s3cr3t" not in "".join([*left, *desk.said.lines])


@pytest.mark.process
def test_what_could_not_be_sent_before_a_clean_end_is_sent_after_it_once(desk: Desk) -> None:
    desk.configure(big=BIG | {"to": "hook"})
    with receiving(Answer(503)) as there:
        desk.start(hook={"webhook": there.url})
        desk.liquidate(1)
        desk.look()
        there.wait_for(1)
        desk.end()
    assert any("alerts wait for the next run" in line for line in desk.said.lines)
    with receiving() as there:
        desk.start(hook={"webhook": there.url})
        [request] = there.wait_for(1)
        assert request.json["title"] == "2000000"
        desk.end()
        desk.start(hook={"webhook": there.url})
        desk.look()
        desk.end()
        assert len(there.requests) == 1


@pytest.mark.process
def test_a_log_and_a_state_that_cannot_be_written_stop_no_alert(desk: Desk) -> None:
    (desk.root / "work/alerts.jsonl").mkdir(parents=True)
    (desk.root / "work/alerts.tmp").mkdir()
    desk.configure(big=BIG | {"to": "hook"})
    with receiving() as there:
        desk.start(hook={"webhook": there.url})
        desk.liquidate(1)
        desk.look()
        there.wait_for(1)
        desk.end()
    assert any("alerts.jsonl cannot be written" in line for line in desk.said.lines)
    assert any("the state of alerts cannot be written" in line for line in desk.said.lines)


@pytest.mark.parametrize("state", ["", "{", "[]", '{"version": 1}', '{"version": 1, "seen": 7}'])
def test_a_state_that_makes_no_sense_is_begun_anew(desk: Desk, state: str) -> None:
    (desk.root / "work").mkdir()
    (desk.root / "work/alerts.json").write_text(state)
    desk.configure(big=BIG)
    desk.start()
    desk.liquidate(1)
    assert desk.look() == ["2000000"]


def test_hostile_text_is_one_line_and_short(desk: Desk) -> None:
    hostile = "\x1b[2J\u202e<script>alert(1)</script>\r\n" + "A" * 10_000
    desk.configure(news={"table": "listings", "title": "{title}", "text": "{title}"})
    desk.writer = Writer(desk.root, "cryptolisting")
    desk.stream = desk.writer.open()
    desk.start()
    desk.writer.now = desk.now
    told = {"type": "announcement", "title": hostile, "ticker": "A", "publisher": "upbit",
            "listingType": "spot_listing"}  # fmt: skip
    desk.writer.put(desk.stream, json.dumps(told).encode())
    desk.writer.beat()
    [title] = desk.look()
    assert title.isprintable() and len(title) <= 200
    [line] = (desk.root / "work/alerts.jsonl").read_text().splitlines()
    assert line.isprintable() and len(json.loads(line)["text"]) <= 3_000


# -- health


def status(at_ns: int, *problems: Problem) -> Status:
    """A recorder with these problems."""
    disk = Disk(1 << 40, 1 << 41, 1.0, 1e6)
    return Status(
        at_ns, "data", "h", "0", CaptureStatus(True), IngestStatus(True), disk, (), problems
    )


def problem(name: str, where: str = "mine", **more: Any) -> Problem:
    """A condition that holds somewhere; of a feed, if it is about one."""
    condition = CONDITIONS[name]
    feed = where.partition(" ")[0] if condition.of_feed else ""
    return condition.problem(f"{name} now", where, feed=feed, key="KEY", pid=1, **more)


class Watching:
    """A rule on health, looked at with a clock moved by hand."""

    def __init__(self, desk: Desk, *health: str, **rule: Any) -> None:
        self.desk = desk
        desk.configure(sick={"health": list(health), **rule})
        self.sentry = desk.start()._evaluator

    def look(self, seconds: float, *problems: Problem) -> list[str]:
        """State, severity and title of each alert."""
        self.desk.now += int(seconds * NS)
        found = self.sentry.health(status(self.desk.now, *problems))
        return [f"{alert.state} {alert.severity}: {alert.title}" for alert in found]


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("capture", {"nothing_recorded", "capture_stopped", "feed_not_recorded"}),
        ("silence", {"feed_never_connected", "feed_away", "feed_silent", "feed_gave_up",
                     "credentials_refused"}),
        ("gap", {"gap_uncovered", "gap_covered"}),
        ("disk", {"disk_full", "disk_filling", "journal_unwritable"}),
        ("ingest", {"ingest_stopped", "tables_behind", "database_damaged", "database_version"}),
        ("line_away", {"line_away"}),
        ("all", set(CONDITIONS)),
    ],
)  # fmt: skip
def test_a_word_of_a_rule_stands_for_conditions(word: str, names: set[str]) -> None:
    assert conditions_of([word]) == names


def test_a_problem_is_sent_after_its_time_and_so_is_its_end(desk: Desk) -> None:
    rule, sick = Watching(desk, "disk"), problem("disk_full", "/data")
    assert rule.look(1) == []
    assert rule.look(1, sick, problem("capture_stopped")) == []
    assert rule.look(29, sick) == []
    assert rule.look(1, sick) == ["fired critical: disk_full now"]
    assert rule.look(5, sick) == []
    assert rule.look(5) == ["resolved info: resolved: disk_full now"]
    assert rule.look(31, sick) == []  # within the cooldown
    assert rule.look(600, sick) == ["fired critical: disk_full now"]


def test_a_threshold_that_is_a_time_has_lasted_already(desk: Desk) -> None:
    rule, away = Watching(desk, "silence"), problem("feed_away", "mine g line A")
    assert rule.look(1, away) == ["fired critical: mine g line A: feed_away now"]
    desk.end()
    longer = Watching(desk, "silence", lasting="2m", cooldown="0s")
    assert longer.look(1) == ["resolved info: resolved: mine g line A: feed_away now"]
    assert longer.look(1, away) == []
    assert longer.look(89, away) == []
    assert longer.look(1, away) == ["fired critical: mine g line A: feed_away now"]


def test_what_became_worse_is_sent_and_is_not_resolved(desk: Desk) -> None:
    rule = Watching(desk, "all", lasting="0s")
    a, b = "mine g line A", "mine g line B"
    assert rule.look(1, problem("line_away", a)) == ["fired warning: mine g line A: line_away now"]
    worse = [problem("feed_away", a), problem("feed_away", b)]
    assert rule.look(5, *worse) == [
        "fired critical: mine g line A: feed_away now",
        "fired critical: mine g line B: feed_away now",
    ]
    all_away = problem("feed_away", "mine")
    assert rule.look(5, all_away) == ["fired critical: mine: feed_away now"]
    assert rule.look(5, problem("disk_filling", "/data")) == [
        "fired warning: disk_filling now",
        "resolved info: resolved: mine: feed_away now",
    ]
    assert rule.look(5, problem("disk_full", "/data")) == ["fired critical: disk_full now"]
    assert rule.look(5) == ["resolved info: resolved: disk_full now"]


def test_gaps_are_sent_as_they_come_and_not_again_within_the_cooldown(desk: Desk) -> None:
    rule = Watching(desk, "gap", cooldown="60s", lasting="1h")

    def gap(since: float, name: str = "gap_uncovered") -> Problem:
        return problem(name, since_ns=T0 + int(since * NS))

    assert rule.look(1, gap(-100)) == []  # before it began
    assert rule.look(1, gap(-100)) == []
    assert rule.look(1) == []
    assert rule.look(1, gap(3)) == ["fired warning: mine: gap_uncovered now"]
    assert rule.look(10, gap(12)) == []
    assert rule.look(10) == []
    assert rule.look(40) == ["fired warning: mine: gap_uncovered now"]  # the one in between
    assert rule.look(600, gap(100, "gap_covered")) == ["fired info: mine: gap_covered now"]
    assert rule.look(5) == []  # a gap is not resolved


def test_a_restart_repeats_nothing_and_forgets_nothing(desk: Desk) -> None:
    sick, gap = problem("disk_full", "/data"), problem("gap_uncovered", since_ns=T0 + NS)
    rule = Watching(desk, "disk", "gap", lasting="0s", cooldown="0s")
    assert rule.look(1) == []
    assert len(rule.look(1, sick, gap)) == 2
    desk.end()
    desk.now += 10 * NS
    rule = Watching(desk, "disk", "gap", lasting="0s", cooldown="0s")
    assert rule.look(1, sick, gap) == []
    later = problem("gap_uncovered", since_ns=T0 + 5 * NS)
    assert rule.look(1, later) == [
        "fired warning: mine: gap_uncovered now",
        "resolved info: resolved: disk_full now",
    ]


def test_an_empty_directory_is_told_as_what_it_is(desk: Desk) -> None:
    desk.configure(sick={"health": "capture", "lasting": "0s"})
    desk.start()
    assert desk.look() == ["capture is not running; the record ends at 2026-09-21T14:13:20Z"]
    assert desk.look() == []
