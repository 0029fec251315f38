"""The digest of a segment: SHA-256 over the values of its frames, however the files are cut.

A journal's frames, the sealed file made of them and their stretch of a merged file have one digest:
it depends neither on Parquet's encoding nor on where a table or an Arrow buffer ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from recorder.errors import DataError
from recorder.record.footers import segments_of
from recorder.record.sealed import sealed_file
from recorder.schema.raw import RAW


class Digest:
    """The digest of tables of the raw columns, however the frames are cut into tables."""

    def __init__(self) -> None:
        self.rows = 0
        self._values = [hashlib.sha256() for _ in RAW]
        self._lengths = {
            index: hashlib.sha256()
            for index, field in enumerate(RAW)
            if not pa.types.is_integer(field.type)
        }

    def update(self, table: pa.Table) -> None:
        """Add the frames of one more table."""
        self.rows += len(table)
        for index, column in enumerate(table.columns):
            for chunk in column.chunks:
                self._values[index].update(_bytes(chunk))
                if index in self._lengths:
                    self._lengths[index].update(_lengths(chunk))

    def hexdigest(self) -> str:
        """Return the digest of all frames added so far, as 64 hexadecimal digits."""
        parts = [sums.digest() for sums in (*self._values, *self._lengths.values())]
        return hashlib.sha256(b"".join((self.rows.to_bytes(8, "little"), *parts))).hexdigest()


class SegmentDigests:
    """Sums up consecutive segments; `sizes` has the stem and the rows of each, in order.

    `found` has the rows and the digest of each segment that is complete.
    """

    def __init__(self, sizes: Sequence[tuple[str, int]]) -> None:
        self.found: dict[str, tuple[int, str]] = {}
        self._ahead, self._digest = list(reversed(sizes)), Digest()
        self.update(RAW.empty_table())  # a segment without frames is complete already

    def update(self, table: pa.Table) -> None:
        """Take in the frames of one more table, wherever segments end in it."""
        while self._ahead and len(table) >= self._ahead[-1][1] - self._digest.rows:
            stem, rows = self._ahead.pop()
            left = rows - self._digest.rows
            self._digest.update(table.slice(0, left))
            self.found[stem] = rows, self._digest.hexdigest()
            table, self._digest = table.slice(left), Digest()
        self._digest.update(table)

    def rest(self) -> str:
        """Return the digest of the frames behind the last segment."""
        return self._digest.hexdigest()


def digests_in(path: Path) -> dict[str, str]:
    """Read a sealed file in full and return the digest of each segment that it holds.

    Raises:
        DataError: the file is damaged, is not a sealed file, or holds other rows than it lists.
        FileNotFoundError: it is gone.
    """
    with sealed_file(path, verify=True) as file:
        held = segments_of(file.metadata.metadata, str(path))
        sizes = [(one.stem, one.rows) for one in held] or [(path.stem, file.metadata.num_rows)]
        if sum(rows for _, rows in sizes) != file.metadata.num_rows:
            raise DataError("lists other segments than it holds", where=str(path))
        digests = SegmentDigests(sizes)
        for index in range(file.num_row_groups):
            digests.update(file.read_row_group(index, use_threads=False))
        return {stem: digest for stem, (_, digest) in digests.found.items()}


def _bytes(chunk: pa.Array) -> bytes | memoryview:
    """Return the bytes of an array's values, without the rest of its Arrow buffers."""
    if not len(chunk):
        return b""
    *offsets, data = chunk.buffers()[1:]
    if offsets:
        ends = _ends(chunk)
        begin, end = ends[0], ends[-1]
    else:
        width = chunk.type.bit_width // 8
        begin, end = chunk.offset * width, (chunk.offset + len(chunk)) * width
    return memoryview(data)[begin:end] if end > begin else b""


def _lengths(chunk: pa.Array) -> bytes:
    """Return the length of each value of a text or binary array: int32, little-endian.

    Arrow's own function for it is in a module that takes a quarter of a second to load. The offsets
    rise, so that in a subtraction of two long numbers no word of 32 bits borrows from the next.
    """
    if not len(chunk):
        return b""
    ends = _ends(chunk)
    difference = int.from_bytes(ends[1:], "little") - int.from_bytes(ends[:-1], "little")
    return difference.to_bytes(4 * len(chunk), "little")


def _ends(chunk: pa.Array) -> memoryview:
    """Return where each value begins in the data of an array, and where the last one ends."""
    offsets = memoryview(chunk.buffers()[1]).cast("i")
    return offsets[chunk.offset : chunk.offset + len(chunk) + 1]
