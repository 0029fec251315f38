"""Names and places: which file holds what. The name is the catalogue.

    <data_dir>/journal/<feed>/<stem>.journal                      active, or waiting to be sealed
    <data_dir>/raw/feed=<feed>/date=<day>/<stem>.parquet          sealed, immutable
    <data_dir>/recorder.duckdb                                    the tables; a link, see publish.py
    <data_dir>/instruments/<feed>.json                            the venue's last list of symbols
    <data_dir>/work/                    private to ingest, and the published states

The names of segments are in `record.stem`. Where sealed files are not in the data directory alone,
`Layout.store` knows it; `Layout.parquet` is the local name in any case.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recorder.record.stem import (
    began_ns,
    day_of,
    is_run,
    is_stem,
    number_of,
    order,
    run_of,
    sealed_name,
    stem,
)
from recorder.record.store import LocalStore, RecordStore

__all__ = [
    "Layout",
    "began_ns",
    "day_of",
    "is_run",
    "is_stem",
    "number_of",
    "order",
    "run_of",
    "stem",
]


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of what is below one data directory, and the store of its segments."""

    root: Path
    elsewhere: RecordStore | None = None
    """The store, if sealed files are not in the data directory alone."""
    tables: Path | None = None
    """The directory of the tables and of `work/`, if it is not the data directory."""

    @property
    def store(self) -> RecordStore:
        """The store that readers list and read segments from."""
        return self.elsewhere or self.local

    @property
    def local(self) -> LocalStore:
        """The store of the files in the data directory."""
        return LocalStore(self.journals, self.raw)

    @property
    def database(self) -> Path:
        """The published database that readers open."""
        return (self.tables or self.root) / "recorder.duckdb"

    @property
    def work(self) -> Path:
        """Ingest's private directory."""
        return (self.tables or self.root) / "work"

    @property
    def journals(self) -> Path:
        """The directory of all feeds' journals."""
        return self.root / "journal"

    @property
    def raw(self) -> Path:
        """The root of the sealed Parquet files."""
        return self.root / "raw"

    @property
    def heads(self) -> Path:
        """The directory of what each run has sealed (see `record.heads`), and of day seals."""
        return self.root / "heads"

    def journal_dir(self, feed: str) -> Path:
        """Return the directory of one feed's journals."""
        return self.journals / feed

    def instruments(self, feed: str) -> Path:
        """Return the file of the venue's last list of instruments."""
        return self.root / "instruments" / f"{feed}.json"

    def journal(self, feed: str, name: str) -> Path:
        """Return the path of a journal."""
        return self.journal_dir(feed) / f"{name}.journal"

    def parquet(self, feed: str, name: str) -> Path:
        """Return the local path of a sealed file, whether the file is there or not."""
        return self.raw / sealed_name(feed, name)

    # The store's lists

    def feeds(self) -> list[str]:
        """Return every feed that has left anything, sorted."""
        return self.store.feeds()

    def active(self, feed: str) -> list[str]:
        """Return the stems of the journals not yet sealed, oldest first."""
        return self.store.active(feed)

    def sealed(self, feed: str) -> list[str]:
        """Return the stems of the sealed files, oldest first."""
        return self.store.sealed(feed)
