"""How many frames wait: for a progress bar, so what cannot be read counts as nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from recorder.answers import database
from recorder.errors import RecorderError
from recorder.segment import Layout


def waiting(layout: Layout) -> int:
    """Frames in sealed files that the published tables do not have yet."""
    done = _ingested(layout.database)
    return sum(
        rows(layout.parquet(feed, stem) for stem in layout.sealed(feed) if stem not in done)
        for feed in layout.feeds()
    )


def recorded(layout: Layout, feeds: Collection[str] = ()) -> int:
    """Frames in all sealed files of these feeds; of all feeds where none is named."""
    return sum(
        rows(layout.parquet(feed, stem) for stem in layout.sealed(feed))
        for feed in feeds or layout.feeds()
    )


def rows(paths: Iterable[Path]) -> int:
    """How many frames these files hold, by their footers."""
    return sum(map(_rows, paths))


def _rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 0


def _ingested(path: Path) -> set[str]:
    try:
        with database.connect(path) as db:
            found = db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()
    except (RecorderError, duckdb.Error):
        return set()
    return {row[0] for row in found}
