"""Merged files: one sealed file that holds several segments of a day, in order, and says which.

It bears the name of its first segment. Its metadata lists them all, so that the ledger, a rebuild
and a verification know each segment as before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from recorder.errors import DataError
from recorder.record import raw
from recorder.record.digest import Digest
from recorder.record.layout import Layout, is_stem

#: The metadata key: JSON, a list of [stem, rows, first recv_ns, last recv_ns].
SEGMENTS = "recorder.segments"


class Held(NamedTuple):
    """A segment within a file: its stem, how many frames, and between which times (ns)."""

    stem: str
    rows: int
    first_ns: int
    last_ns: int


def told(held: list[Held]) -> str:
    """The metadata's text."""
    return json.dumps(held)


def read(metadata: Mapping[bytes, bytes] | None, where: str = "") -> list[Held]:
    """The segments that a file's metadata lists; none for a file of one segment.

    Raises:
        DataError: it lists something else.
    """
    text = (metadata or {}).get(SEGMENTS.encode())
    if text is None:
        return []
    try:
        held = [Held(*entry) for entry in json.loads(text)]
        if not all(is_stem(one.stem) and one.rows > 0 for one in held):
            raise ValueError
    except (ValueError, TypeError):
        raise DataError("its list of segments cannot be read", where=where) from None
    return held


def held_in(path: Path | BinaryIO) -> list[Held]:
    """The segments of a merged file; none for a file of one segment.

    Raises:
        DataError: the file is damaged.
        FileNotFoundError: it is gone.
    """
    with raw.sealed_file(path) as file:
        return read(file.metadata.metadata, str(path))


def digests_in(path: Path) -> dict[str, str]:
    """Read a sealed file in full and return the digest of each segment that it holds.

    Raises:
        DataError: the file is damaged, is not a sealed file, or holds other rows than it lists.
        FileNotFoundError: it is gone.
    """
    with raw.sealed_file(path, verify=True) as file:
        held = read(file.metadata.metadata, str(path))
        sizes = [(one.stem, one.rows) for one in held] or [(path.stem, file.metadata.num_rows)]
        if sum(rows for _, rows in sizes) != file.metadata.num_rows:
            raise DataError("lists other segments than it holds", where=str(path))
        found: dict[str, str] = {}
        ahead, sums = list(reversed(sizes)), Digest()
        for index in range(file.num_row_groups):
            table = file.read_row_group(index, use_threads=False)
            while ahead and len(table) >= ahead[-1][1] - sums.rows:
                stem, rows = ahead.pop()
                left = rows - sums.rows
                sums.update(table.slice(0, left))
                found[stem], table, sums = sums.hexdigest(), table.slice(left), Digest()
            sums.update(table)
        return found


def stems_in(path: Path) -> list[str]:
    """The stems of all segments that a sealed file holds; of a damaged one, its name's."""
    return _stems_in(path, path.stem)


def _stems_in(source: Path | BinaryIO, name: str) -> list[str]:
    try:
        return [one.stem for one in held_in(source)] or [name]
    except (DataError, FileNotFoundError):
        return [name]


def stems_of(layout: Layout, feed: str, stem: str) -> list[str]:
    """The same of a layout's sealed file, which need not be here: it is not fetched for that."""
    try:
        return _stems_in(layout.look(feed, stem), stem)
    except FileNotFoundError:
        return [stem]


def is_merged(path: Path) -> bool:
    """True for a file that a compaction made."""
    try:
        return bool(held_in(path))
    except (DataError, FileNotFoundError):
        return False


def files(layout: Layout, feed: str) -> Iterator[tuple[str, list[str]]]:
    """Every sealed file of a feed: its name's stem, and the stems of what it holds."""
    for stem in layout.sealed(feed):
        yield stem, stems_of(layout, feed, stem)
