"""Names and places: which file holds what. The name is the catalogue.

    <data_dir>/journal/<feed>/<stem>.journal                      active, or waiting to be sealed
    <data_dir>/raw/feed=<feed>/date=<day>/<stem>.parquet          sealed, immutable
    <data_dir>/recorder.duckdb                                    the tables; a link, see publish.py
    <data_dir>/instruments/<feed>.json                            the venue's last list of symbols
    <data_dir>/work/                    private to ingest, and the published states

A stem is `<UTC time of the first frame>-<run>-<number>`, a run being one feed in one capture: it
sorts by time, says the day, and cannot collide between runs or hosts.
A journal and the Parquet file made of it share their stem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from recorder.clock import NS

#: Digits of a segment's number at least; there is no largest number.
_DIGITS = 6

_STEM = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z-[0-9A-Z]{26}-([0-9]{6,18})"
)


def stem(first_recv_ns: int, run: str, number: int) -> str:
    """The stem of a segment whose first frame was received at `first_recv_ns`."""
    time = datetime.fromtimestamp(first_recv_ns // NS, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{time}-{run}-{number:0{_DIGITS}d}"


def is_stem(name: str) -> bool:
    """Return True for a name that `stem` makes; its time has to be one that exists."""
    match = _STEM.fullmatch(name)
    if match is None or (len(match[7]) > _DIGITS and match[7].startswith("0")):
        return False
    try:
        datetime(*map(int, match.groups()[:6]))  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def order(name: str) -> str:
    """Return what sorts stems in the order they were written, even if the clock was set back.

    The numbers are padded: beyond 999,999 they have more digits than those before.
    """
    return f"{name[16:44]}{name[44:]:0>18}"


def number_of(name: str) -> int:
    """Return the number of a segment within its run, from 1."""
    return int(name[44:])


def run_of(name: str) -> str:
    """The run that wrote a segment."""
    return name[17:43]


def began_ns(name: str) -> int:
    """When a segment's first frame was received, to the second."""
    time = datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(time.timestamp()) * NS


def day_of(name: str) -> str:
    """The UTC day, `YYYY-MM-DD`, of a segment's frames."""
    return f"{name[:4]}-{name[4:6]}-{name[6:8]}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are below one data directory."""

    root: Path

    @property
    def database(self) -> Path:
        """The published database that readers open."""
        return self.root / "recorder.duckdb"

    @property
    def work(self) -> Path:
        """Ingest's private directory."""
        return self.root / "work"

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
        """The directory of one feed's journals."""
        return self.journals / feed

    def instruments(self, feed: str) -> Path:
        """The venue's last list of instruments."""
        return self.root / "instruments" / f"{feed}.json"

    def journal(self, feed: str, name: str) -> Path:
        """One journal file."""
        return self.journal_dir(feed) / f"{name}.journal"

    def parquet(self, feed: str, name: str) -> Path:
        """One sealed file."""
        return self.raw / f"feed={feed}" / f"date={day_of(name)}" / f"{name}.parquet"

    def feeds(self) -> list[str]:
        """Every feed that has left anything here, sorted."""
        active = {path.name for path in self.journals.glob("*") if path.is_dir()}
        sealed = {path.name.removeprefix("feed=") for path in self.raw.glob("feed=*")}
        return sorted(active | sealed)

    def active(self, feed: str) -> list[str]:
        """Stems of the journals not yet sealed, oldest first."""
        return sorted(_stems(self.journal_dir(feed).glob("*.journal")))

    def sealed(self, feed: str) -> list[str]:
        """Stems of the sealed files, oldest first."""
        return sorted(_stems((self.raw / f"feed={feed}").glob("date=*/*.parquet")))

    # What differs where sealed files are in a bucket, too: see `bucket.remote.Mirrored`.

    def look(self, feed: str, name: str) -> Path | BinaryIO:
        """A sealed file to look into here and there: its path."""
        return self.parquet(feed, name)

    def where(self, feed: str, name: str) -> str:
        """A sealed file's name for people."""
        return str(self.parquet(feed, name))

    def size(self, feed: str, name: str) -> int:
        """A sealed file's size in bytes."""
        return self.parquet(feed, name).stat().st_size

    def is_here(self, feed: str, name: str) -> bool:
        """True if a sealed file can be read without being fetched."""
        del feed, name
        return True

    def foreign(self) -> list[str]:
        """Names of what lies where sealed files are kept and is none."""
        return []

    def differing(self, feed: str) -> list[str]:
        """Stems whose file here is not the one that was sent elsewhere."""
        del feed
        return []

    def check_removal(self) -> None:
        """Find out that sealed files may be removed."""

    def remove(self, feed: str, name: str) -> None:
        """Remove a sealed file, if it is there."""
        self.parquet(feed, name).unlink(missing_ok=True)


def _stems(paths: Iterator[Path]) -> Iterator[str]:
    return (path.stem for path in paths if is_stem(path.stem))
