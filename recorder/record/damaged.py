"""Files that could not be read to their last byte, kept beside the journals and never deleted.

<data_dir>/journal/<feed>/damaged/<name>           the file as it was
<data_dir>/journal/<feed>/damaged/<name>.json      why it is there: a `Note`
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
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
    names = (path.name if number == 0 else f"{path.name}.{number}" for number in itertools.count())
    target = next(place / name for name in names if not (place / name).exists())
    described = target.with_name(f"{target.name}.json")
    temporary = described.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(note))
    durable.publish(temporary, described)
    path.rename(target)
    durable.sync_directory(place)
    durable.sync_directory(path.parent)
    return target


def count(layout: Layout, feed: str) -> int:
    """Return how many files of a feed are kept as damaged."""
    return len(_files(layout, feed))


def _files(layout: Layout, feed: str) -> list[Path]:
    paths = directory(layout, feed).glob("*")
    return sorted(path for path in paths if path.suffix not in {".json", ".tmp"} and path.is_file())


def kept(layout: Layout, feed: str) -> Iterator[tuple[Path, Note | None]]:
    """Yield every file that is kept for a feed, with its note; None where that cannot be read."""
    for path in _files(layout, feed):
        try:
            described = path.with_name(f"{path.name}.json").read_bytes()
            yield path, msgspec.json.decode(described, type=Note)
        except (OSError, msgspec.DecodeError):
            yield path, None


def ends_in_zeros(path: Path, ranges: Sequence[tuple[int, int]]) -> bool:
    """Return True if the only damaged range of a file are zeros from some byte to its end.

    A power cut leaves that of a journal that had grown after its last sync. A device that lost
    blocks leaves it, too.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return len(ranges) == 1 and ranges[0][1] == len(data) and not any(data[ranges[0][0] :])
