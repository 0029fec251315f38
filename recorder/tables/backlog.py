"""The number of frames to ingest, for a progress bar: files that cannot be read count as 0."""

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
    """Return how many frames of sealed files are not in the published tables yet."""
    done = _ingested(layout.database)
    return sum(
        _expected(layout, feed, [stem for stem in layout.sealed(feed) if stem not in done])
        for feed in layout.feeds()
    )


def recorded(layout: Layout, feeds: Collection[str] = ()) -> int:
    """Return how many frames the sealed files of these feeds hold; without feeds, of all feeds."""
    return sum(_expected(layout, feed, layout.sealed(feed)) for feed in feeds or layout.feeds())


def _expected(layout: Layout, feed: str, stems: list[str]) -> int:
    """Return how many frames these files hold: counted if the file is here, else estimated by size.

    Counting a file in a bucket would take two requests.
    """
    store = layout.store
    here = [stem for stem in stems if store.is_here(feed, stem)]
    there = sum(store.size(feed, stem) for stem in stems if not store.is_here(feed, stem))
    counted = sum(_rows(store.look(feed, stem)) for stem in here)
    if not there:
        return counted
    sample = here[-1:] or stems[-1:]
    bytes_sampled = sum(store.size(feed, stem) for stem in sample)
    rows_sampled = sum(_rows(store.look(feed, stem)) for stem in sample)
    return counted + there * rows_sampled // max(bytes_sampled, 1)


def rows(paths: Iterable[Path]) -> int:
    """Return how many frames these files hold, by their footers."""
    return sum(map(_rows, paths))


def _rows(source: Source) -> int:
    try:
        return footer(source).rows
    except (DataError, FileNotFoundError):
        return 0


def _ingested(path: Path) -> set[str]:
    try:
        with database.connect(path) as db:
            rows = db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()
    except (RecorderError, duckdb.Error):
        return set()
    return {row[0] for row in rows}
