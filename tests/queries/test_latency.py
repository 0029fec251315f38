"""Where the latency arises and when: the waterfall, the heatmap, the slowest frames."""

from __future__ import annotations

from typing import Any

import pytest

from recorder.answers import canned
from recorder.errors import UsageError

from .rows import DAY, HOUR, QUERIES, SECOND, START, Connection, ask, put

MS = 1_000_000


def frame(connection: Connection, at_ms: float, **ms: float | None) -> None:
    """A frame received `at_ms` after START; its times in milliseconds after START."""
    at = int(at_ms * MS)
    times = {f"{n}_ns": None if v is None else START + int(v * MS) for n, v in ms.items()}
    start = times.get("publish_ns") or times.get("event_ns")
    sent = times.get("dispatch_ns")
    put(
        connection,
        "latency",
        at,
        **times,
        total_ns=start and START + at - start,
        network_ns=sent and START + at - sent,
        clock_error_ns=2 * MS,
    )


def steps(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in ("step", "from_stage", "to_stage", *names)) for row in rows]


def test_the_waterfall_lies_end_to_end(database: Connection) -> None:
    frame(database, 10, publish=0, detected=2, dispatch=3)
    frame(database, 30, publish=10, detected=14, dispatch=21)
    frame(database, 90, publish=0, detected=60, dispatch=80)
    rows = ask(database, "latency_waterfall")
    assert {row["path"] for row in rows} == {"published > detected > dispatched > received"}
    # Steps of 2, 4, 60; then 1, 7, 20; then 7, 9, 10. Stages are passed after 2, 4, 60;
    # then 3, 11, 80; then 10, 20, 90.
    assert steps(rows, "count", "p50", "max", "start_p50", "end_p50") == [
        (1, "published", "detected", 3, 4.0, 60.0, 0.0, 4.0),
        (2, "detected", "dispatched", 3, 7.0, 20.0, 4.0, 11.0),
        (3, "dispatched", "received", 3, 9.0, 10.0, 11.0, 20.0),
    ]
    assert [row["end_p99"] for row in rows] == pytest.approx([58.88, 78.62, 88.6])
    assert [row["start_p99"] for row in rows] == pytest.approx([0, 58.88, 78.62])


def test_a_frame_with_some_of_the_times_shows_what_it_has(database: Connection) -> None:
    frame(database, 5, event=0)
    frame(database, 5, event=0, dispatch=2)
    frame(database, 5, publish=1, event=0)
    frame(database, 5, detected=1)
    frame(database, 5, dispatch=3)
    frame(database, 5)
    found = {(r["path"], r["step"]): (r["p50"], r["end_p50"]) for r in by_path(database)}
    assert found == {
        ("event > received", 1): (5.0, 5.0),
        ("event > dispatched > received", 1): (2.0, 2.0),
        ("event > dispatched > received", 2): (3.0, 5.0),
        ("published > received", 1): (4.0, 4.0),
        ("detected > received", 1): (4.0, 4.0),
        ("dispatched > received", 1): (2.0, 2.0),
    }


def by_path(connection: Connection) -> list[dict[str, Any]]:
    return ask(connection, "latency_waterfall")


def test_a_negative_step_is_kept_and_counted(database: Connection) -> None:
    frame(database, 5, publish=0, detected=-3, dispatch=4)
    rows = ask(database, "latency_waterfall")
    assert [(row["p50"], row["negatives"]) for row in rows] == [(-3.0, 1), (7.0, 0), (1.0, 0)]
    assert [row["end_p50"] for row in rows] == [-3.0, 4.0, 5.0]


LATENCIES = ("latency_waterfall", "latency_percentiles", "latency_over_time", "latency_heatmap")


@pytest.mark.parametrize("name", [*LATENCIES, "slowest_frames"])
def test_a_back_fill_has_no_latency(database: Connection, name: str) -> None:
    put(database, "latency", 0, total_ns=5, event_ns=START, backfill=True)
    assert ask(database, name) == []
    put(database, "latency", 0, total_ns=5, event_ns=START, backfill=None)
    assert len(ask(database, name)) == 1


@pytest.mark.parametrize("name", LATENCIES)
def test_our_clock_s_error_stands_beside_what_our_clock_measured(
    database: Connection, name: str
) -> None:
    for i, error in enumerate((1, 2, 9, None)):
        put(
            database,
            "latency",
            i,
            publish_ns=START - 2 * SECOND,
            detected_ns=START - SECOND,
            total_ns=i,
            clock_error_ns=error and error * MS,
        )
    by_hop = {row.get("hop", row.get("to_stage", "total")): row for row in ask(database, name)}
    measured = by_hop.get("total") or by_hop["received"]
    assert (measured["clock_error_p50"], measured["clock_error_max"]) == (2.0, 9.0)
    theirs = by_hop.get("detection") or by_hop.get("detected")
    assert theirs is None or (theirs["clock_error_p50"], theirs["clock_error_max"]) == (None, None)
    assert (theirs is None) == (name == "latency_over_time")


def test_the_heatmap_adds_up_the_days_by_hour_of_utc(database: Connection) -> None:
    database.execute("SET TimeZone = 'Asia/Kolkata'")  # the hour is UTC's whatever the session's
    for at, ms in ((0, 1), (HOUR - 1, 2), (HOUR, 7), (24 * HOUR, 3)):
        put(database, "latency", at, total_ns=ms * MS, network_ns=MS)
    rows = ask(database, "latency_heatmap", hop="total")
    assert [(r["hop"], r["hour"], r["count"], r["days"], r["p50"], r["max"]) for r in rows] == [
        ("total", 0, 3, 2, 2.0, 3.0),
        ("total", 1, 1, 1, 7.0, 7.0),
    ]
    assert {r["hop"] for r in ask(database, "latency_heatmap")} == {"total", "network"}
    with pytest.raises(UsageError, match="hop is one of: total"):
        ask(database, "latency_heatmap", hop="tot")


def test_the_slowest_frames_lead_back_to_raw(database: Connection) -> None:
    database.execute("SET TimeZone = 'America/New_York'")  # raw's date is UTC's
    for seq, ms in enumerate((5, 9, None, 7)):
        put(
            database,
            "latency",
            seq,
            seq=seq,
            feed="it's",
            connection="a'b",
            total_ns=ms and ms * MS,
            clock_error_ns=MS,
        )
    rows = ask(database, "slowest_frames", limit="2")
    assert [(r["latency_ms"], r["seq"], r["clock_error_ms"]) for r in rows] == [
        (9.0, 1, 1.0),
        (7.0, 3, 1.0),
    ]
    assert rows[0]["recv_ns"] == START + 1
    assert rows[0]["frame"] == (
        "SELECT text FROM raw WHERE feed = 'it''s' AND date = '2026-01-01' "
        "AND connection = 'a''b' AND seq = 1"
    )
    database.execute(
        "CREATE OR REPLACE VIEW raw AS SELECT 'it''s' AS feed, DATE '2026-01-01' AS date, "
        "'a''b' AS connection, unnest([0, 1]) AS seq, 'frame ' || seq AS text"
    )
    assert database.sql(rows[0]["frame"]).fetchall() == [("frame 1",)]


def test_the_text_needs_no_macro_in_the_database(database: Connection) -> None:
    """A database that another version published has other macros, or none."""
    frame(database, 5, event=0)
    for query in canned.shared().values():
        kind = "MACRO" if query.scalar else "MACRO TABLE"
        database.execute(f"DROP {kind} {query.name}")
    database.execute("DELETE FROM about WHERE name = $name", {"name": canned.STORED})
    [row] = ask(database, "latency_percentiles")
    assert (row["hop"], row["p50"]) == ("total", 5.0)


def test_hops_can_be_asked_for_one_frame_at_a_time(database: Connection) -> None:
    frame(database, 10, publish=0, detected=2, dispatch=3)
    canned.install_macros(database)
    sql = "SELECT detection, dispatch, network, total FROM latency_hops(feed := 'f')"
    assert database.sql(sql).fetchall() == [(2.0 * MS, 1.0 * MS, 7.0 * MS, 10.0 * MS)]
    assert database.sql("FROM latency_hops(feed := 'g')").fetchall() == []
    answer = database.sql("FROM latency_hops()").columns
    assert answer == [column.name for column in canned.shared()["latency_hops"].columns]


def test_a_waterfall_of_a_past_period_is_of_that_period(database: Connection) -> None:
    frame(database, 5, event=0)
    early = ask(database, "latency_waterfall", until=DAY.isoformat())
    assert early == []
    assert "until" in {p.name for p in QUERIES["latency_waterfall"].parameters}
