"""The sealed files that a lake is made of: found in a bucket or a folder, brought to a task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recorder.errors import StoreError
from recorder.lake.place import Place
from recorder.record.layout import Layout


@dataclass(frozen=True, slots=True)
class RawFile:
    """A sealed file, somewhere."""

    feed: str
    stem: str
    size: int  # bytes


def listed(place: Place) -> list[RawFile]:
    """Every sealed file below `place`, in no order.

    Raises:
        StoreError, CredentialsError: no such bucket, it may not be read, it cannot be reached.
    """
    objects = place.store().listing().objects
    return [
        RawFile(feed, stem, size) for feed, some in objects.items() for stem, size in some.items()
    ]


def bring(place: Place, file: RawFile, layout: Layout) -> Path:
    """Put a sealed file where a layout looks for it.

    Raises:
        StoreError: it did not come whole; a task is tried again.
        FileNotFoundError: it is gone.
    """
    store, target = place.store(), layout.parquet(file.feed, file.stem)
    if place.remote:
        store.get(file.feed, file.stem, target)
        if target.stat().st_size != file.size:
            raise StoreError("did not come whole", where=store.where(file.feed, file.stem))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(store.path(file.feed, file.stem))
    return target
