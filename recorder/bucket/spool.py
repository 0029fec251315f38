"""What waits to be sent: sealed files here, and the notes of those that the bucket has.

A note (`work/uploaded/feed=<feed>/<stem>.json`) says that one file was sent to one URL and read
back. It is safe to lose: then the object is compared once more. A file without a note, or whose
note tells of another URL or another size, waits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder import durable
from recorder.record.layout import Layout

GB = 1_000_000_000

#: From this part of the budget on, the spool is a warning.
NEARLY_PART = 0.8

WELL, NEARLY, OVER = range(3)


@dataclass(frozen=True, slots=True)
class Spooled:
    """A sealed file on this machine."""

    feed: str
    stem: str
    path: Path
    bytes: int
    sealed_ns: int
    """When it was written, by this machine's clock."""


def files(layout: Layout) -> list[Spooled]:
    """Every sealed file here, the oldest first, whichever feed it is of."""
    found = []
    for feed in Layout.feeds(layout):
        for stem in Layout.sealed(layout, feed):
            path = Layout.parquet(layout, feed, stem)
            try:
                told = path.stat()
            except FileNotFoundError:
                continue  # pruned just now
            found.append(Spooled(feed, stem, path, told.st_size, told.st_mtime_ns))
    return sorted(found, key=lambda file: file.stem)


def waiting(layout: Layout, url: str) -> list[Spooled]:
    """Those that the bucket at `url` does not have yet, as far as is known here."""
    return [file for file in files(layout) if not is_noted(layout, file, url)]


def level(size: int, spool_gb: float) -> int:
    """How far the spool is filled: WELL, NEARLY or OVER."""
    budget = spool_gb * GB
    return OVER if size > budget else NEARLY if size >= NEARLY_PART * budget else WELL


# -- notes


def note_of(layout: Layout, feed: str, stem: str) -> Path:
    """Where the note of one file is."""
    return layout.work / "uploaded" / f"feed={feed}" / f"{stem}.json"


def note(layout: Layout, file: Spooled, url: str, digest: str) -> None:
    """Put on record that a file was sent and read back."""
    path = note_of(layout, file.feed, file.stem)
    durable.make_directory(path.parent)
    temporary = path.with_suffix(".tmp")
    told = {"url": url, "bytes": file.bytes, "blake2b": digest}
    temporary.write_text(json.dumps(told), "utf-8")
    durable.publish(temporary, path)


def is_noted(layout: Layout, file: Spooled, url: str) -> bool:
    """True if this very file was sent to this URL."""
    told = _read(note_of(layout, file.feed, file.stem))
    return told.get("url") == url and told.get("bytes") == file.bytes


def forget(layout: Layout, feed: str, stem: str) -> None:
    """Take a note away."""
    note_of(layout, feed, stem).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


# -- the budget in words


def warning(count: int, size: int, spool_gb: float) -> str | None:
    """What an operator must hear of the spool; None while all is well."""
    found = level(size, spool_gb)
    if found == WELL:
        return None
    here = f"{count:,} sealed files ({size / GB:,.1f} GB) wait for the bucket"
    if found == NEARLY:
        return f"{here}: {100 * size / (spool_gb * GB):.0f} % of spool_gb"
    return f"{here}: MORE THAN spool_gb ({spool_gb:g} GB); recording goes on until the disk is full"
