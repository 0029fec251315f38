"""How many frames wait: for a progress bar, so what cannot be read counts as nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import duckdb

from recorder.answers import database
from recorder.errors import DataError, RecorderError
from recorder.record.footers import footer
from recorder.record.layout import Layout
from recorder.record.sealed import Source


def waiting(layout: Layout) -> int:
    """Frames in sealed files that the published tables do not have yet."""
    done = _ingested(layout.database)
    return sum(
        _expected(layout, feed, [stem for stem in layout.sealed(feed) if stem not in done])
        for feed in layout.feeds()
    )


def recorded(layout: Layout, feeds: Collection[str] = ()) -> int:
    """Frames in all sealed files of these feeds; of all feeds where none is named."""
    return sum(_expected(layout, feed, layout.sealed(feed)) for feed in feeds or layout.feeds())


def _expected(layout: Layout, feed: str, stems: list[str]) -> int:
    """Frames in these files: counted where they are here, else estimated by their size.

    To count what lies in a bucket would take two requests for each file.
    """
    here = [stem for stem in stems if layout.is_here(feed, stem)]
    there = sum(layout.size(feed, stem) for stem in stems if not layout.is_here(feed, stem))
    found = rows(layout.parquet(feed, stem) for stem in here)
    if not there:
        return found
    sample = here[-1:] or stems[-1:]
    bytes_sampled = sum(layout.size(feed, stem) for stem in sample)
    return found + there * sum(_rows(layout.look(feed, s)) for s in sample) // max(bytes_sampled, 1)


def rows(paths: Iterable[Path]) -> int:
    """How many frames these files hold, by their footers."""
    return sum(map(_rows, paths))


def _rows(source: Source) -> int:
    try:
        return footer(source).rows
    except (DataError, FileNotFoundError):
        return 0


def _ingested(path: Path) -> set[str]:
    try:
        with database.connect(path) as db:
            found = db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()
    except (RecorderError, duckdb.Error):
        return set()
    return {row[0] for row in found}
