"""Typed events: the tables' rows, in receive order, whatever their number."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from kit.frames import T0
from kit.records import Published

import recorder
from recorder.clock import NS
from recorder.errors import DataError, RecorderError, UsageError
from recorder.schema.tables import SCHEMA_VERSION, TABLES
from recorder.stream import event
from recorder.stream.event import CLASSES, Event, Filter
from recorder.stream.span import Span, span


@pytest.mark.parametrize("table", CLASSES)
def test_a_class_has_its_table_s_columns_and_types(table: str) -> None:
    kinds = {"VARCHAR": str, "JSON": str, "DOUBLE": float, "BOOLEAN": bool, "BLOB": bytes}
    expected = {
        c.name: kinds.get(c.type.split()[0], int) if "NOT NULL" in c.type
        else kinds.get(c.type.split()[0], int) | None
        for c in TABLES[table].columns if c.name != "recv_time"
    }  # fmt: skip
    found = {f.name: f.type for f in msgspec.structs.fields(CLASSES[table])}
    assert found == expected
    assert CLASSES[table].table == table
    assert getattr(event, CLASSES[table].__name__) is CLASSES[table]


def test_events_are_the_rows_of_the_tables_in_receive_order(sample: Path) -> None:
    found = list(recorder.events(data_dir=sample))
    assert found == sorted(found, key=lambda e: e.place)
    with recorder.connect(sample) as connection:
        for table in event.DEFAULT_TABLES:
            names = ", ".join(event.columns(table))
            order = event.sorting()
            rows = connection.execute(f"SELECT {names} FROM {table} {order}").fetchall()
            assert [msgspec.structs.astuple(e) for e in found if e.table == table] == rows
    assert {"listings", "liquidations", "funding", "whales"} <= {e.table for e in found}


def test_a_part_is_chosen_by_table_time_feed_and_symbol(made: Published) -> None:
    def chosen(**how: Any) -> list[Event]:
        return list(recorder.events(data_dir=made.layout.root, **how))

    every = chosen(tables=["prices", "listings"])
    assert {e.table for e in every} == {"prices", "listings"}
    begin, end = T0 + 10 * NS, T0 + 20 * NS
    part = chosen(tables=["prices", "listings"], since=begin, until=end)
    assert part == [e for e in every if begin <= e.recv_ns < end] != []
    moments = {"since": datetime.fromtimestamp(begin // NS, UTC), "until": str(end // NS)}
    assert chosen(tables=["prices", "listings"], **moments) == part
    assert chosen(feeds=["cryptolisting"]) == [e for e in chosen() if e.feed == "cryptolisting"]
    assert {e.symbol for e in chosen(symbols=["NEWCUSDT"])} == {"NEWCUSDT"}
    assert every[0].recv_time == datetime.fromtimestamp(T0 // NS, UTC)


def test_slices_of_any_size_give_the_same_events(
    made: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(recorder.events(data_dir=made.layout.root))
    for rows in (1, 7, 100):
        monkeypatch.setattr(event, "_ROWS", rows)
        assert list(recorder.events(data_dir=made.layout.root)) == expected


def test_no_more_than_a_slice_of_a_table_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """50,000 rows within a second, and one a day later: no slice holds more than its limit."""
    monkeypatch.setattr(event, "_ROWS", 1000)
    with duckdb.connect() as connection:
        connection.execute(TABLES["prices"].ddl)
        connection.execute(
            "INSERT INTO prices BY NAME SELECT 'f' AS feed, i * 20000 AS recv_ns, "
            "make_timestamptz(i * 20) AS recv_time, 'c' AS connection, i AS seq, 0 AS item "
            "FROM range(50000) r(i) UNION ALL BY NAME "
            "SELECT 'f' AS feed, 86400000000000 AS recv_ns, "
            "make_timestamptz(86400000000) AS recv_time, 'c' AS connection, 50000 AS seq, 0 AS item"
        )
        slices = list(event._slices(connection.cursor(), "prices", Filter()))
        for part in slices:
            sql = "SELECT count(*) FROM prices WHERE recv_ns >= $since AND recv_ns < $until"
            bounds = {"since": part.since_ns, "until": part.until_ns}
            assert connection.execute(sql, bounds).fetchall()[0][0] <= 1000
        assert len(slices) < 150
        numbers = [e.seq for e in event.read(connection, ["prices"], Filter())]
    assert numbers == list(range(50001))


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ({"tables": ["price"]}, UsageError, "did you mean 'prices'"),
        ({"tables": "prices"}, UsageError, r"tables=\['prices'\]"),
        ({"feeds": ["binanse"]}, UsageError, "did you mean 'binance'"),
        ({"feeds": "binance"}, UsageError, "list of names"),
        ({"since": "soon"}, UsageError, "'soon' is not a time"),
        ({"since": T0, "until": T0}, UsageError, "an empty range"),
        ({"data_dir": "nowhere"}, DataError, "no database yet"),
    ],
)
def test_a_mistake_is_told_when_events_are_asked_for(
    how: dict[str, Any], kind: type[RecorderError], message: str, made: Published
) -> None:
    with pytest.raises(kind, match=message):
        recorder.events(**{"data_dir": made.layout.root, **how})


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (SCHEMA_VERSION + 1, "this recorder reads version"),
        (SCHEMA_VERSION - 1, "recorder ingest --rebuild"),
        ("x", "not a database of the recorder"),
    ],
)
def test_tables_of_another_version_are_refused(tmp_path: Path, version: Any, message: str) -> None:
    with duckdb.connect(str(tmp_path / "recorder.duckdb")) as connection:
        connection.execute("CREATE TABLE about (name VARCHAR, value VARCHAR)")
        connection.execute("INSERT INTO about VALUES ('schema', ?)", [str(version)])
    with pytest.raises(DataError, match=message):
        recorder.events(data_dir=tmp_path)


def test_an_open_range_is_the_whole_record() -> None:
    assert span() == Span()
