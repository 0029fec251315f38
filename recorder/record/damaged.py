"""Files that could not be read to their last byte, kept beside the journals and never deleted.

<data_dir>/journal/<feed>/damaged/<name>           the file as it was
<data_dir>/journal/<feed>/damaged/<name>.json      why it is there: a `Note`
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec

from recorder import durable
from recorder.record.layout import Layout


class Note(msgspec.Struct, frozen=True):
    """Why a file was kept: its segment, the cause, frames sealed of it, and damaged bytes."""

    stem: str
    cause: str
    rows: int
    damaged: list[tuple[int, int]]


def directory(layout: Layout, feed: str) -> Path:
    """Return where a feed's damaged files are kept."""
    return layout.journal_dir(feed) / "damaged"


def keep(layout: Layout, feed: str, path: Path, note: Note) -> Path:
    """Write the note, then move the file there under an unused name; return its new path."""
    place = directory(layout, feed)
    durable.make_directory(place)
    names = (path.name if number == 0 else f"{path.name}.{number}" for number in count())
    target = next(place / name for name in names if not (place / name).exists())
    described = target.with_name(f"{target.name}.json")
    temporary = described.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(note))
    durable.publish(temporary, described)
    path.rename(target)
    durable.sync_directory(place)
    durable.sync_directory(path.parent)
    return target


def kept(layout: Layout, feed: str) -> Iterator[tuple[Path, Note | None]]:
    """Yield every file that is kept for a feed, with its note; None where that cannot be read."""
    for path in sorted(directory(layout, feed).glob("*")):
        if path.suffix in {".json", ".tmp"}:
            continue
        try:
            described = path.with_name(f"{path.name}.json").read_bytes()
            yield path, msgspec.json.decode(described, type=Note)
        except (OSError, msgspec.DecodeError):
            yield path, None
