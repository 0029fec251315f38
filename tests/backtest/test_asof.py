"""What had been received by a moment: never more, in Python and in SQL."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.frames import T0
from kit.records import Published

import recorder
from recorder.answers import canned
from recorder.clock import NS
from recorder.errors import LookAheadError, UsageError
from recorder.record import seal
from recorder.schema.tables import TABLES
from recorder.stream.asof import AsOf
from recorder.stream.event import DEFAULT_TABLES, Event

QUERIES = canned.load()


@given(st.integers(-2, 160), st.integers(0, 200), st.data())
def test_a_read_sees_what_was_received_and_nothing_else(
    made: Published, second: int, width: int, data: st.DataObject
) -> None:
    now = T0 + second * NS + data.draw(st.integers(0, 400))
    table = data.draw(st.sampled_from(DEFAULT_TABLES))
    symbol = data.draw(st.sampled_from(["BTCUSDT", "NEWCUSDT", "NEWC", None]))
    every: list[Event] = [
        e for e in recorder.events([table], data_dir=made.layout.root)
        if symbol in {None, e.symbol}
    ]  # fmt: skip
    with recorder.connect(made.layout.root) as connection:
        as_of = AsOf(connection, lambda: now)
        known = [e for e in every if e.recv_ns <= now]
        assert as_of.latest(table, symbol) == (known[-1] if known else None)
        window = as_of.window(table, symbol, timedelta(seconds=width))
        assert window == [e for e in known if e.recv_ns > now - width * NS]


def test_asking_beyond_the_present_is_refused(made: Published) -> None:
    now = T0 + 30 * NS
    with recorder.connect(made.layout.root) as connection:
        as_of = AsOf(connection, lambda: now)
        with pytest.raises(LookAheadError, match="the present is 2026-09-21T14:13:50Z"):
            as_of.latest("prices", "BTCUSDT", at_ns=now + 1)
        with pytest.raises(LookAheadError):
            as_of.window("prices", "BTCUSDT", timedelta(1), until_ns=now + 1)
        with pytest.raises(LookAheadError):
            as_of.query("listings", as_of=str(now + NS))
        earlier = as_of.latest("prices", "BTCUSDT", at_ns=now - 10 * NS, kind="mark")
        assert earlier is not None
        assert earlier.recv_ns <= now - 10 * NS
        with pytest.raises(UsageError, match="did you mean 'kind'"):
            as_of.latest("prices", "BTCUSDT", knd="mark")
        with pytest.raises(UsageError, match="did you mean 'prices'"):
            as_of.latest("price")
        with pytest.raises(UsageError, match="did you mean 'listings'"):
            as_of.query("listing")


def test_a_time_in_words_counts_from_the_present_of_the_replay(made: Published) -> None:
    now = T0 + 60 * NS
    with recorder.connect(made.layout.root) as connection:
        as_of = AsOf(connection, lambda: now)
        minute = as_of.query("event_history", since="20s", limit=None).to_pylist()
        exact = as_of.query("event_history", since=str(now - 20 * NS), limit=None).to_pylist()
        assert minute == exact and minute
        before = as_of.query("event_history", as_of="20s ago", limit=None).to_pylist()
        assert 0 < len(before) < len(as_of.query("event_history", limit=None))


def test_a_row_that_was_sent_late_is_known_from_when_it_came(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(TABLES["prices"].ddl)
        connection.execute(
            "INSERT INTO prices BY NAME SELECT 'f' AS feed, 'S' AS symbol, 100 AS recv_ns, "
            "to_timestamp(0) AS recv_time, 7 AS event_ns, 'c' AS connection, 0 AS seq, 0 AS item, "
            "1.0 AS price, true AS backfill"
        )
        assert AsOf(connection, lambda: 99).latest("prices", "S") is None
        assert AsOf(connection, lambda: 100).latest("prices", "S") is not None


# -- the same in SQL

#: What is counted while a connection lives is unknown before its end; and one that was heard later
#: counts as alive until the moment.
_COUNTED = {
    "coverage": {"frames", "connected_seconds"},
    "feed_rates": {"per_minute", "bytes", "bytes_per_minute", "minutes"},
}


@pytest.fixture(scope="module")
def cut(made: Published, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """A moment, and a record that ended there: only the frames received by then were ever seen."""
    moment = T0 + 65 * NS
    other = Published(tmp_path_factory.mktemp("cut"))
    for path in made.layout.raw.glob("*/*/*.parquet"):
        place = other.layout.raw / path.relative_to(made.layout.raw)
        table = pq.read_table(path, partitioning=None)
        place.parent.mkdir(parents=True, exist_ok=True)
        kept = table.filter([at <= moment for at in table["recv_ns"].to_pylist()])
        kind = pq.read_schema(path).metadata[b"recorder.kind"].decode()
        seal.write(place, iter([kept]), {"recorder.kind": kind})
    other.ingest(whale_usd=0.01)
    return moment, other.layout.root


#: Of a day as it is known now: no moment of the past can be asked for, and a backtest may not ask.
_OF_TODAY = {"conditions"}


def test_what_is_judged_afterwards_is_refused_in_a_replay(made: Published) -> None:
    with (
        recorder.connect(made.layout.root) as connection,
        pytest.raises(UsageError, match="'conditions' has no parameter 'as_of'"),
    ):
        AsOf(connection, lambda: T0 + 60 * NS).query("conditions")


@pytest.mark.parametrize("name", sorted(set(QUERIES) - {"line_race"} - _OF_TODAY))
def test_every_query_as_of_a_moment_answers_as_the_record_that_ended_there(
    name: str, made: Published, cut: tuple[int, Path]
) -> None:
    moment, ended = cut

    def answer(root: Path, **given: str) -> list[dict[str, Any]]:
        with recorder.connect(root) as connection:
            rows = canned.run(connection, QUERIES[name], given).to_pylist()
        hidden = _COUNTED.get(name, set())
        rows = [row for row in rows if row.get("source") != "frames"]
        return [{k: v for k, v in row.items() if k not in hidden} for row in rows]

    found = answer(made.layout.root, as_of=str(moment))
    expected = answer(ended)
    assert found == expected
    macro = f"FROM {name}(as_of := make_timestamptz({moment // 1000}))"
    with recorder.connect(made.layout.root) as connection:
        assert len(connection.sql(macro).fetchall()) >= len(expected)


def test_as_of_nothing_is_everything_and_as_of_the_beginning_is_nothing(sample: Path) -> None:
    for name, query in QUERIES.items():
        if name in _OF_TODAY:
            continue
        assert "as_of" in {p.name for p in query.parameters}, name
        if name == "line_race":
            continue
        with recorder.connect(sample) as connection:
            before = canned.run(connection, query, {"as_of": "2020-01-01"})
            assert before.num_rows == 0, name
            every = canned.run(connection, query, {})
            late = canned.run(connection, query, {"as_of": "2100-01-01"})
            assert late.num_rows == every.num_rows, name


def test_own_queries_take_as_of_too(made: Published, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "own", ignore_errors=True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/mine.sql").write_text(
        "-- title: Mine\n-- description: d\n-- example: e\n"
        "WITH a AS (SELECT p.* FROM prices p) SELECT count(*) AS n FROM a JOIN prices b "
        "ON a.connection = b.connection AND a.seq = b.seq AND a.item = b.item AND a.kind = b.kind"
    )
    how: dict[str, Any] = {"data_dir": made.layout.root, "query_dir": tmp_path / "own"}
    [whole] = recorder.query("mine", **how)["n"].to_pylist()
    [part] = recorder.query("mine", as_of=str(T0 + 30 * NS), **how)["n"].to_pylist()
    assert 0 < part < whole
