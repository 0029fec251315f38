"""`import recorder`: canned questions as Arrow tables, and a read-only connection."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import recorder
from recorder.errors import DataError, RecorderError, UsageError


def test_a_canned_question_is_answered_as_an_arrow_table(sample: Path) -> None:
    table = recorder.query("listings", data_dir=sample, limit=5)
    assert table.num_rows == 5
    assert "ticker" in table.column_names


@pytest.mark.parametrize(
    "since",
    [
        datetime(2026, 11, 21, 22, 49, tzinfo=UTC),
        datetime(2026, 11, 21, 22, 49),
        "2026-11-21T22:49Z",
        1795301340,
        "1795301340000",
    ],
)
def test_a_time_may_be_a_python_value_or_a_text(sample: Path, since: Any) -> None:
    found = recorder.query("listings", data_dir=str(sample), since=since)["recv_time"].to_pylist()
    assert len(found) == 2
    assert min(found) >= datetime(2026, 11, 21, 22, 49, tzinfo=UTC)


def test_widths_and_nulls_may_be_python_values(sample: Path) -> None:
    fine = recorder.query("latency_over_time", data_dir=sample, bucket=timedelta(seconds=5))
    text = recorder.query("latency_over_time", data_dir=sample, bucket="5 seconds")
    assert fine.equals(text)
    every = recorder.query("event_history", data_dir=sample, limit=None, feed=None)
    assert every.num_rows > 1000


def test_own_queries_are_asked_the_same_way(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.sql").write_text(
        "-- title: Mine\n-- description: d\n-- param n BIGINT = 1  -- how many\n-- example: e\n"
        "SELECT $n AS n"
    )
    table = recorder.query("mine", data_dir=sample, query_dir=tmp_path, n=3)
    assert table.to_pylist() == [{"n": 3}]


def test_the_connection_has_tables_macros_and_raw_and_cannot_write(sample: Path) -> None:
    with recorder.connect(sample) as connection:
        [(frames,)] = connection.sql("SELECT count(*) FROM raw WHERE text IS NOT NULL").fetchall()
        [(events,)] = connection.sql("SELECT count(*) FROM liquidations").fetchall()
        rows = connection.sql("FROM latency_percentiles(feed := 'smartmoney')").fetchall()
        assert frames > events > 0
        assert rows
        assert connection.sql("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            connection.execute("DELETE FROM liquidations")


@pytest.mark.parametrize(
    ("name", "parameters", "kind", "message"),
    [
        ("listing", {}, UsageError, "did you mean 'listing"),
        ("listings", {"limt": 1}, UsageError, "did you mean 'limit'"),
        ("listings", {"limit": "many"}, UsageError, "'limit': 'many' is not a whole number"),
        ("listings", {"since": "soon"}, UsageError, "'since': 'soon' is not a time"),
        ("listings", {"data_dir": "nowhere"}, DataError, "no database yet"),
    ],
)
def test_a_mistake_is_an_error_of_the_recorder(
    name: str, parameters: dict[str, Any], kind: type[RecorderError], message: str, sample: Path
) -> None:
    with pytest.raises(kind, match=message):
        recorder.query(name, **{"data_dir": sample, **parameters})


@pytest.mark.process
def test_importing_it_loads_no_database() -> None:
    code = "import recorder, sys; print(*sys.modules)"
    child = [sys.executable, "-c", code]
    loaded = subprocess.run(child, capture_output=True, text=True, check=True).stdout.split()
    assert not {"duckdb", "pyarrow", "click", "numpy", "pydantic"} & set(loaded)


def test_the_public_names_are_these() -> None:
    assert recorder.__all__ == ["__version__", "connect", "events", "follow", "query", "replay"]
