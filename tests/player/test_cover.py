"""The gaps of a replay are those of the tables, from the same markers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples

from recorder.player.cover import Cover
from recorder.player.run import PLACED
from recorder.schema.raw import RAW
from recorder.schema.tables import TABLES
from recorder.tables import markers

Row = dict[str, object]


class Run:
    """The rows of one run, and its open connections with their lines."""

    def __init__(self, number: int) -> None:
        self.number, self.rows, self.living = number, list[Row](), dict[str, str]()
        self._seqs: dict[str, int] = {}
        self.heard: dict[str, int] = {}
        self.opened: dict[str, int] = {}

    def put(self, connection: str, kind: str, at: int, **fields: object) -> None:
        seq = self._seqs[connection] = self._seqs.get(connection, -1) + 1
        payload = json.dumps(fields).encode()
        values = (at, at, seq, connection, kind, payload, at, self.number)
        self.rows.append(dict(zip(PLACED.names, values, strict=True)))

    def open(self, connection: str, line: str, at: int) -> None:
        """Open a connection; with its first frame it takes over."""
        self.put(connection, "open", at, group="g", line=line)
        self.living[connection], self.opened[connection] = line, at

    def speak(self, connection: str, at: int) -> None:
        """Note a frame; at a connection's first one those it follows are heard once more."""
        if connection not in self.heard:
            for name, other in self.living.items():
                if name in self.heard and other == self.living[connection]:
                    self.put(name, "text", at)
                    self.heard[name] = at
        self.heard[connection] = at


@st.composite
def records(draw: st.DrawFn) -> list[list[Row]]:
    """Draw runs, one after the other; what is open at the end of a run is never closed.

    A moment is a nanosecond. Lines A and B of a group connect, reconnect and hand over.
    """
    runs, now = [], 0
    for number in range(draw(st.integers(1, 4))):
        run = Run(number)
        for step in range(draw(st.integers(1, 14))):
            now += draw(st.integers(0, 3))
            acts = ["data", "stats", "close", "close"] if run.living else []
            act = draw(st.sampled_from(["open", "open", "failed", *acts]))
            name, line = f"{number}.{step:02}", draw(st.sampled_from("AB"))
            if act == "open":
                run.open(name, line, now)
                continue
            if act == "failed":
                run.put(name, "closed", now, group="g", line=line, opened=False, reason="refused")
                continue
            name = draw(st.sampled_from(sorted(run.living)))
            fields: dict[str, object] = {"group": "g", "line": run.living[name]}
            # A marker tells of a first pong at once: rows come in order.
            ago = [now - 1, now - 2] if name in run.heard else [run.opened[name]]
            said = draw(st.sampled_from([None, now, *ago]))
            if said is not None:
                fields["heard_ns"] = max(said, run.heard.get(name, said))
            if act == "data" or (said is not None and said > run.opened[name]):
                run.speak(name, now)
            if act == "close":
                del run.living[name]
                reason = draw(st.sampled_from(["stopping", "closed 1006"]))
                run.put(name, "closed", now, **fields, opened=True, reason=reason)
            else:
                run.put(name, "text" if act == "data" else "stats", now, **fields)
        runs.append(run.rows)
        now += 1
    return runs


def replayed(runs: list[list[Row]], size: int) -> list[tuple[object, ...]]:
    """Return the gaps that a replay finds, in batches of some rows."""
    ended: set[int] = set()
    cover = Cover(["f"] * len(runs), ended)
    found = []
    for number, rows in enumerate(runs):
        for start in range(0, len(rows), size):
            if start + size >= len(rows):
                ended.add(number)
            batch = pa.RecordBatch.from_pylist(rows[start : start + size], PLACED)
            found += [note.gap for note in cover.look(batch) if note.gap is not None]
    return [(gap.line, gap.from_ns, gap.to_ns, gap.cause) for gap in found]


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        found.execute(TABLES["connections"].ddl)
        found.execute(TABLES["gaps"].ddl)
        yield found


def ingested(db: duckdb.DuckDBPyConnection, runs: list[list[Row]]) -> list[tuple[object, ...]]:
    """Return the finished gaps of the tables."""
    rows = [{name: row[name] for name in RAW.names} for run in runs for row in run]
    db.execute("DELETE FROM connections; DELETE FROM gaps")
    db.register("batch", pa.Table.from_pylist(rows, RAW))
    markers.apply(db, "f")
    markers.apply_gaps(db, "f")
    sql = "SELECT line, from_ns, to_ns, cause FROM gaps WHERE to_ns IS NOT NULL"
    return db.execute(sql).fetchall()


@settings(deadline=None, max_examples=examples(150))
@given(records(), st.integers(1, 8))
def test_a_replay_finds_the_gaps_of_the_tables(
    db: duckdb.DuckDBPyConnection, runs: list[list[Row]], size: int
) -> None:
    assert sorted(map(repr, replayed(runs, size))) == sorted(map(repr, ingested(db, runs)))
