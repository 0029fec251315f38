"""A digest of raw frames, the same however they are cut into tables and Arrow buffers."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from recorder.schema.raw import RAW


class Digest:
    """A digest of the values of tables, wherever one ends and the next begins."""

    def __init__(self) -> None:
        self.rows = 0
        self._values = [hashlib.blake2b() for _ in RAW]
        self._lengths = [hashlib.blake2b() for _ in RAW]

    def update(self, table: pa.Table) -> None:
        """Take in the frames of one more table."""
        self.rows += len(table)
        for column, values, lengths in zip(table.columns, self._values, self._lengths, strict=True):
            for chunk in column.chunks:
                values.update(_bytes(chunk))
                if not pa.types.is_integer(chunk.type):
                    lengths.update(_bytes(pc.binary_length(chunk)))

    @property
    def digests(self) -> list[bytes]:
        """Of each column its values, then of each its lengths."""
        return [sums.digest() for sums in (*self._values, *self._lengths)]


def _bytes(values: pa.Array) -> bytes | memoryview:
    """The values' own bytes, without what Arrow keeps around them."""
    *offsets, data = values.buffers()[1:]
    begin, end = values.offset, values.offset + len(values)
    if offsets:
        ends = pa.Array.from_buffers(pa.int32(), end + 1, [None, offsets[0]])
        begin, end = ends[begin].as_py(), ends[end].as_py()
    else:
        width = values.type.bit_width // 8
        begin, end = begin * width, end * width
    return memoryview(data)[begin:end] if end > begin else b""
