"""What follows a record for months takes no more memory after many looks than after some."""

from __future__ import annotations

from contextlib import closing

import pytest
from kit.frames import MS, T0, events, frames_of, marker, table

from recorder.stream import memory
from recorder.stream.event import DEFAULT_TABLES, Filter
from recorder.stream.memory import MemoryTables
from recorder.tables.rules import Rules

FEED = "binance"
FRAMES = 200


def rows_in_memory(tables: MemoryTables) -> int:
    """Return how many rows the state tables hold, deleted ones included."""
    sql = (
        "SELECT sum(estimated_size)::BIGINT FROM duckdb_tables() "
        "WHERE table_name IN ('arrivals', 'carried_state', 'connections')"
    )
    return int(tables.db.execute(sql).fetchall()[0][0])


@pytest.mark.parametrize("fast", [True, False])
def test_rows_that_batches_replace_leave_the_memory(
    monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr(memory, "BATCHES_UNTIL_CHECKPOINT", 4)
    with closing(MemoryTables(Rules, DEFAULT_TABLES, Filter())) as tables:
        opened = marker(0, "open", T0, line="A", group="all", url="wss://example.org/ws")
        list(tables.take(FEED, table([opened])))
        held: list[int] = []
        for batch in range(16):
            payloads = [p for n in range(FRAMES // 5) for p in events(FEED, batch * FRAMES + n)]
            frames = table(
                frames_of(payloads, first_seq=1 + batch * FRAMES, recv_ns=T0 + batch * FRAMES * MS)
            )
            if fast:
                tables.settle(FEED, frames)
            else:
                list(tables.take(FEED, frames))
            held.append(rows_in_memory(tables))
        assert max(held) <= 9 * FRAMES < 16 * FRAMES
        assert tables.db.execute("SELECT frames FROM connections").fetchall() == [(16 * FRAMES,)]
