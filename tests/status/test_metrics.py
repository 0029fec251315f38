"""The metrics are what the documentation, the dashboard and the alert rules say they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from recorder.status import (
    CaptureStatus,
    Connection,
    Disk,
    FeedStatus,
    IngestStatus,
    Problem,
    Status,
)
from recorder.status.conditions import CONDITIONS
from recorder.status.metrics import Latencies, names, text

ROOT = Path(__file__).parents[2]

LINE = Connection(
    "f", "g", "A", "01HOSTILE", "wss://example.org", "open", 1, None, None, None, 2, 3, 4.0, 0.005,
    6_000, 0.007, 0.5,
)  # fmt: skip
FEED = FeedStatus(
    "f", "k", True, True, 10**18, 1.5, 2.5, 30, 40, (LINE,), 1, 2, 3.5, 4.5, 5, 600
)  # fmt: skip
STATUS = Status(
    10**18 + 5 * 10**9, "/data", "host", "1.2.3", CaptureStatus(True, 1, 10**18),
    IngestStatus(True, 10**18, 10**18, 700, 8), Disk(900, 1000, 10.0, 0.025), (FEED,),
    (Problem("tables_behind", "warning", "what", "where", "next"),
     Problem("feed_away", "critical", "what", "f g line A", "next", feed="f"),),
)  # fmt: skip


@pytest.fixture(scope="module")
def exposition() -> str:
    seen = Latencies()
    seen.add("f", "network", [-0.5, 0.001, 0.03, 99.0])
    return text(STATUS, seen)


def values(exposition: str) -> dict[str, float]:
    families = text_string_to_metric_families(exposition)
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_they_tell_the_status_in_base_units(exposition: str) -> None:
    told = values(exposition)
    assert told["recorder_ingest_age_seconds"] == 5.0
    assert told["recorder_disk_full_in_seconds"] == 90.0
    assert told["recorder_frames_total"] == 30.0
    assert told["recorder_clock_error_seconds"] == 6e-6
    assert told["recorder_line_uptime_ratio"] == 0.5
    assert told["recorder_healthy"] == 0.0


def test_latencies_are_a_histogram(exposition: str) -> None:
    buckets = dict(re.findall(r'recorder_latency_seconds_bucket\{.*le="(.*?)"\} (\S+)', exposition))
    assert (buckets["0.001"], buckets["0.05"], buckets["10.0"]) == ("2.0", "3.0", "3.0")
    assert buckets["+Inf"] == "4.0"
    assert values(exposition)["recorder_latency_seconds_count"] == 4.0
    assert values(exposition)["recorder_latency_seconds_sum"] == pytest.approx(98.531)


def test_the_number_of_series_does_not_grow_with_what_is_recorded(exposition: str) -> None:
    labels = set(re.findall(r'[{,](\w+)="', exposition))
    known = {"feed", "line_group", "line", "hop", "le", "severity", "version", "condition"}
    assert labels == known
    assert "01HOSTILE" not in exposition


def test_a_status_that_cannot_be_read_is_told() -> None:
    assert values(text(None)) == {"recorder_up": 0.0}


def test_what_is_unknown_has_no_sample() -> None:
    told = text(Status(1, "d", "h", "v", CaptureStatus(False), IngestStatus(False), None, (), ()))
    assert "recorder_ingest_age_seconds" not in names(told)
    assert "recorder_disk_free_bytes" not in names(told)
    assert values(told)["recorder_capture_running"] == 0.0


def test_the_documentation_lists_every_one_of_them(exposition: str) -> None:
    rows = re.findall(
        r"^\| `(recorder_\w+)` \| (\w+) \| (.*?) \| (.+?) \|$",
        (ROOT / "docs/status.md").read_text("utf-8"),
        re.M,
    )
    expected = []
    for family in text_string_to_metric_families(exposition):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        shown = ", ".join(f"`{label}`" for label in sorted(labels))
        expected.append((name, family.type, shown, family.documentation))
    assert rows == expected


def used(text: str) -> set[str]:
    return set(re.findall(r"\brecorder_\w+", text))


def test_grafana_s_dashboard_uses_metrics_that_exist(exposition: str) -> None:
    board = json.loads((ROOT / "deploy/grafana/recorder.json").read_text("utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [one["definition"] for one in board["templating"]["list"] if "definition" in one]
    found = set().union(*map(used, queries))
    assert len(found) > 15 and found <= names(exposition)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_no_panel_lies_upon_another() -> None:
    board = json.loads((ROOT / "deploy/grafana/recorder.json").read_text("utf-8"))
    cells = [
        (place["x"] + dx, place["y"] + dy)
        for place in (panel["gridPos"] for panel in board["panels"])
        for dx in range(place["w"])
        for dy in range(place["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24


def test_each_condition_has_a_sample_whether_it_holds_or_not(exposition: str) -> None:
    samples = [
        (sample.labels["condition"], sample.labels["severity"], sample.labels["feed"], sample.value)
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == "recorder_problem"
    ]
    assert {name for name, *_ in samples} == set(CONDITIONS)
    assert [one for one in samples if one[3]] == [
        ("feed_away", "critical", "f", 1.0),
        ("tables_behind", "warning", "", 1.0),
    ]
