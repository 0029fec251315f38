"""The sealed files that a lake is made from: listed in a bucket or folder, fetched for a task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recorder.errors import StoreError
from recorder.lake.place import Place
from recorder.record.layout import Layout


@dataclass(frozen=True, slots=True)
class RawFile:
    """A sealed file in a bucket or folder."""

    feed: str
    stem: str
    size: int  # bytes


def listed(place: Place) -> list[RawFile]:
    """Return every sealed file below `place`, in no order.

    Raises:
        StoreError, CredentialsError: the bucket does not exist, or cannot be read or reached.
    """
    objects = place.store().listing().objects
    return [
        RawFile(feed, stem, size) for feed, some in objects.items() for stem, size in some.items()
    ]


def fetch(place: Place, file: RawFile, layout: Layout) -> Path:
    """Fetch a sealed file to its path in a layout, and return that path.

    Raises:
        StoreError: the file is truncated; the cluster retries the task.
        FileNotFoundError: the file is gone.
    """
    store, target = place.store(), layout.parquet(file.feed, file.stem)
    if place.remote:
        store.get(file.feed, file.stem, target)
        if target.stat().st_size != file.size:
            raise StoreError("the download is truncated", where=store.where(file.feed, file.stem))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(store.path(file.feed, file.stem))
    return target
