"""The spool: sealed files that wait to be uploaded, and notes of those that were.

A note (`work/uploaded/feed=<feed>/<stem>.json`) records that a file was uploaded to a URL and read
back. A file waits if it has no note, or one with another URL or size. A lost note does no harm: the
next upload compares the file with the object and writes it again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder import durable
from recorder.record.layout import Layout

GB = 1_000_000_000

#: The part of the budget from which the level is NEARLY.
NEARLY_PART = 0.8

WELL, NEARLY, OVER = range(3)


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """A sealed file in the data directory."""

    feed: str
    stem: str
    path: Path
    bytes: int
    sealed_ns: int
    """The time of writing by this machine's clock."""


def files(layout: Layout) -> list[SpooledFile]:
    """Return the sealed files of all feeds in the data directory, oldest first."""
    spooled = []
    for feed in layout.local.feeds():
        for stem in layout.local.sealed(feed):
            path = layout.parquet(feed, stem)
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # pruned just now
            spooled.append(SpooledFile(feed, stem, path, stat.st_size, stat.st_mtime_ns))
    return sorted(spooled, key=lambda file: file.stem)


def waiting(layout: Layout, url: str) -> list[SpooledFile]:
    """Return the files without a note of an upload to `url`, oldest first."""
    return [file for file in files(layout) if not is_noted(layout, file, url)]


def level(size: int, spool_gb: float) -> int:
    """Return the level of a spool of `size` bytes: WELL, NEARLY or OVER its budget."""
    budget = spool_gb * GB
    return OVER if size > budget else NEARLY if size >= NEARLY_PART * budget else WELL


# -- notes


def note_of(layout: Layout, feed: str, stem: str) -> Path:
    """Return the path of a file's note."""
    return layout.work / "uploaded" / f"feed={feed}" / f"{stem}.json"


def note(layout: Layout, file: SpooledFile, url: str, digest: str) -> None:
    """Write the note that a file was uploaded and read back."""
    path = note_of(layout, file.feed, file.stem)
    durable.make_directory(path.parent)
    temporary = path.with_suffix(".tmp")
    fields = {"url": url, "bytes": file.bytes, "blake2b": digest}
    temporary.write_text(json.dumps(fields), "utf-8")
    durable.publish(temporary, path)


def is_noted(layout: Layout, file: SpooledFile, url: str) -> bool:
    """Return True if the file has a note of an upload of its size to this URL."""
    fields = _read(note_of(layout, file.feed, file.stem))
    return fields.get("url") == url and fields.get("bytes") == file.bytes


def digest_of(layout: Layout, file: SpooledFile) -> str | None:
    """Return the BLAKE2b digest of the bytes that were uploaded; None without a note."""
    return _read(note_of(layout, file.feed, file.stem)).get("blake2b")


def forget(layout: Layout, feed: str, stem: str) -> None:
    """Remove a file's note."""
    note_of(layout, feed, stem).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}


# -- the budget in words


def warning(count: int, size: int, spool_gb: float) -> str | None:
    """Return a warning for the operator if the spool is NEARLY at or OVER its budget, else None."""
    reached = level(size, spool_gb)
    if reached == WELL:
        return None
    files = f"{count:,} sealed files ({size / GB:,.1f} GB) wait for the bucket"
    if reached == NEARLY:
        return f"{files}: {100 * size / (spool_gb * GB):.0f} % of spool_gb"
    return (
        f"{files}: MORE THAN spool_gb ({spool_gb:g} GB); recording continues until the disk is full"
    )
