"""The rows that some frames become, without what else an ingest costs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from recorder.frame import Frame
from recorder.schema.state import ABOUT
from recorder.schema.tables import EVENT_TABLES

from .records import Record, empty_tables

#: The columns that a price has beside its value if it is a trade's.
TRADED = ("quantity", "quantity_unit", "notional_usd", "side", "trade_id")


class Bench(Record):
    """A data directory that many tests use, one after the other: its ingest stays open.

    Each `take` starts with empty tables. A feed's name is its kind.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._whale_usd = 0.0
        empty_tables(self.layout)
        self._work = self._ingest(self._whale_usd, None)

    def take(self, feed: str, frames: Sequence[Frame], whale_usd: float = 100_000.0) -> None:
        """Seal the frames and ingest them, and them alone."""
        if whale_usd != self._whale_usd:  # an ingest keeps the rules that a feed had at first
            self._work.close()
            self._whale_usd, self._work = whale_usd, self._ingest(whale_usd, None)
        self._clear()
        self.seal(feed, frames)
        assert self._work.run() == len(frames)

    def places(self) -> dict[int, list[str]]:
        """Return the tables that have rows of a frame, for each frame that has some."""
        kept = (*EVENT_TABLES, "prices", "latency", "rejects")
        each = " UNION ALL ".join(f"SELECT DISTINCT seq, '{name}' FROM {name}" for name in kept)
        found: dict[int, list[str]] = {}
        for seq, name in self.sql(each):
            found.setdefault(seq, []).append(name)
        return {seq: sorted(names) for seq, names in found.items()}

    def close(self) -> None:
        """End the ingest."""
        self._work.close()

    def _clear(self) -> None:
        shutil.rmtree(self.layout.raw, ignore_errors=True)
        self.warnings.clear()
        with self._connected() as db:
            tables = db.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'work'"
            )
            filled = [name for (name,) in tables.fetchall() if name != ABOUT.name]
            db.execute("BEGIN")
            for name in filled:
                db.execute(f"DELETE FROM {name}")
            db.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The ingest's own connection."""
        yield self._work._db
