"""Where the segments of a record are: in the data directory, or partly in a bucket."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from recorder.frame import FEED_NAME
from recorder.record.stem import is_stem, sealed_name


class RecordStore(Protocol):
    """What readers see of the places where a record's segments are.

    Where the store is a bucket, every method raises a StoreError or a CredentialsError if it fails.
    """

    def feeds(self) -> list[str]:
        """Return every feed that has left anything, sorted."""

    def active(self, feed: str) -> list[str]:
        """Return the stems of the journals not yet sealed, oldest first."""

    def sealed(self, feed: str) -> list[str]:
        """Return the stems of the sealed files, oldest first."""

    def fetch(self, feed: str, stem: str) -> Path:
        """Return a local path to read a sealed file from; download the file if necessary.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def look(self, feed: str, stem: str) -> Path | BinaryIO:
        """Return a sealed file to read parts of: a path, or a reader that downloads those parts.

        Raises:
            FileNotFoundError: it is gone; a path may also turn out to be so when it is opened.
        """

    def where(self, feed: str, stem: str) -> str:
        """Return a sealed file's path or URL, for messages."""

    def size(self, feed: str, stem: str) -> int:
        """Return a sealed file's size in bytes."""

    def is_here(self, feed: str, stem: str) -> bool:
        """Return True if a sealed file can be read without a download."""

    def foreign(self) -> list[str]:
        """Return the names of objects that are not sealed files."""

    def differing(self, feed: str) -> list[str]:
        """Return the stems of local files that are not what the bucket has under their names."""

    @property
    def url(self) -> str | None:
        """The URL of the bucket, if there is one."""

    def heads(self, feed: str) -> dict[str, bytes]:
        """Return the copies of a feed's heads that the bucket has (see `record.heads.copies`)."""

    def check_removal(self) -> None:
        """Check that sealed files can be removed."""

    def remove(self, feed: str, stem: str) -> None:
        """Remove a sealed file, if it exists."""


@dataclass(frozen=True)
class LocalStore:
    """The store of a record that is in the data directory alone."""

    journals: Path
    raw: Path

    def feeds(self) -> list[str]:
        """Return every feed with a directory of journals or sealed files, sorted."""
        active = set(directories(self.journals))
        sealed = {name.removeprefix("feed=") for name in directories(self.raw, "feed=")}
        return sorted(filter(FEED_NAME.fullmatch, active | sealed))

    def active(self, feed: str) -> list[str]:
        """Return the stems of the journals not yet sealed, oldest first."""
        return sorted(stems_in(self.journals / feed, ".journal"))

    def sealed(self, feed: str) -> list[str]:
        """Return the stems of the sealed files, oldest first."""
        place = self.raw / f"feed={feed}"
        return sorted(
            stem
            for date in directories(place, "date=")
            for stem in stems_in(place / date, ".parquet")
            if sealed_name(feed, stem).startswith(f"feed={feed}/{date}/")
        )

    def fetch(self, feed: str, stem: str) -> Path:
        """Return a sealed file's path.

        Raises:
            FileNotFoundError: there is no such file.
        """
        path = self.look(feed, stem)
        path.stat()
        return path

    def look(self, feed: str, stem: str) -> Path:
        """Return a sealed file's path, whether it exists or not."""
        return self.raw / sealed_name(feed, stem)

    def where(self, feed: str, stem: str) -> str:
        """Return a sealed file's path as text."""
        return str(self.look(feed, stem))

    def size(self, feed: str, stem: str) -> int:
        """Return a sealed file's size in bytes."""
        return self.look(feed, stem).stat().st_size

    def is_here(self, feed: str, stem: str) -> bool:
        """Return True: nothing is downloaded."""
        del feed, stem
        return True

    def foreign(self) -> list[str]:
        """Return nothing: other files in the data directory are not looked for."""
        return []

    def differing(self, feed: str) -> list[str]:
        """Return nothing: there is no bucket to differ from."""
        del feed
        return []

    @property
    def url(self) -> None:
        """None: there is no bucket."""
        return

    def heads(self, feed: str) -> dict[str, bytes]:
        """Return nothing: there is no bucket with copies."""
        del feed
        return {}

    def check_removal(self) -> None:
        """Do nothing: local files can be removed."""

    def remove(self, feed: str, stem: str) -> None:
        """Remove a sealed file, if it exists."""
        self.look(feed, stem).unlink(missing_ok=True)


def directories(place: Path, prefix: str = "") -> list[str]:
    """Return the names of the directories in a place that begin with `prefix`; none without it."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
        return [one.name for one in entries if one.name.startswith(prefix) and one.is_dir()]
    return []


def stems_in(place: Path, suffix: str) -> list[str]:
    """Return the stems of the segments whose files, with this suffix, are in a directory.

    Other names and other kinds of entries are left out; `recorder verify` names them.
    """
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
        names = [one.name for one in entries if one.name.endswith(suffix) and one.is_file()]
        return [stem for stem in (name.removesuffix(suffix) for name in names) if is_stem(stem)]
    return []
