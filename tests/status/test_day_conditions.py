"""The status shows the conditions of each feed's today and yesterday, as the tables have them."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from kit.journals import Writer
from kit.records import Published

from recorder.clock import DAY_NS, NS, Clock, day
from recorder.status import Watcher
from recorder.status.view import lines

NOW = 1_790_000_000 * NS


@pytest.fixture
def watched(tmp_path: Path) -> Watcher:
    writer = Writer(tmp_path, "binance", now=NOW - 2 * DAY_NS)
    writer.put(writer.open(), b"{}")
    writer.finish()
    record = Published(tmp_path)
    record.ingest()
    with duckdb.connect(str(record.layout.database)) as db:
        db.execute("DELETE FROM conditions")
        for back, word, bare, cause in ((0, "complete", 0, None), (1, "degraded", 90, "silence")):
            causes = [] if cause is None else [{"cause": cause, "seconds": bare}]
            db.execute(
                "INSERT INTO conditions VALUES "
                "('binance', NULL, ?, ?, ?, ?, 9, 0, 0, NULL, NULL, [], NULL, ?)",
                [day(NOW - back * DAY_NS), word, bare, json.dumps(causes), NOW - NS],
            )
    return Watcher(record.layout, clock=Clock(lambda: NOW, lambda: NOW))


def test_today_and_yesterday_are_one_line_per_feed_and_in_json(watched: Watcher) -> None:
    status = watched.look()
    [line] = [one for one in lines(status) if one.startswith("condition ")]
    assert line == "condition binance: today='complete' yesterday='degraded 1m30s (silence)'"
    [feed] = status.as_dict()["feeds"]
    assert feed["today"]["condition"] == "complete"
    assert feed["yesterday"] == {
        "day": day(NOW - DAY_NS),
        "condition": "degraded",
        "bare_seconds": 90.0,
        "causes": ("silence",),
        "judged_ns": NOW - NS,
    }
