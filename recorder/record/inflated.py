"""How much memory the row groups of a sealed file take, by its footer: known before one is read.

A file of some kilobytes can name a text of megabytes in its dictionary a hundred times. What lies
in a bucket, or was copied to a disk, is untrusted: a file that would take more than `MOST_BYTES`
for a row group is not read. A footer that states other sizes than its pages have is not found out.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

from recorder.errors import DataError
from recorder.schema.raw import RAW

#: The most bytes that a row group may take in memory. Capture's largest frame is half of it, and a
#: row group is one frame, or 8 MiB of smaller ones; merged, 64 MiB.
MOST_BYTES = 512 << 20

_TEXTS = ("connection", "kind", "payload")
#: Bytes of a row in three numbers, and in the offsets of three texts.
_FIXED = 3 * 8 + 3 * 4
#: Encodings of texts in which no value is longer than the bytes that it has in the file, before
#: compression, except for the dictionary's.
_PLAIN = {"PLAIN", "RLE", "BIT_PACKED", "DELTA_LENGTH_BYTE_ARRAY"}
_DICTIONARY = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}


def check(file: pq.ParquetFile, source: Path | BinaryIO) -> None:
    """Check a file that has the columns of raw frames.

    Raises:
        DataError: a row group would take more than `MOST_BYTES`, or it cannot be known.
    """
    for index in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(index)
        if group.num_columns != len(RAW):
            raise DataError("a row group of it lacks columns", where=str(source))
        texts = {name: group.column(RAW.get_field_index(name)) for name in _TEXTS}
        size = _FIXED * int(group.num_rows)
        for name in _TEXTS:
            encodings = set(texts[name].encodings)
            if unknown := encodings - _PLAIN - _DICTIONARY:
                what = f"its column {name} has an encoding that is not read: {min(unknown)}"
                raise DataError(what, where=str(source))
            size += _size(texts[name], name, int(group.num_rows), (source, index))
        if size > MOST_BYTES:
            raise DataError(
                f"a row group of it takes {size >> 20:,} MiB of memory; {MOST_BYTES >> 20:,} MiB "
                "are read at most",
                where=str(source),
                hint="no recorder writes such a file; move it away, or write it in smaller groups",
            )


def _size(
    column: pq.ColumnChunkMetaData, name: str, rows: int, place: tuple[Path | BinaryIO, int]
) -> int:
    """Return how many bytes a row group's texts of one column take, or a larger number."""
    stated = int(column.total_uncompressed_size)
    has_dictionary = column.has_dictionary_page or _DICTIONARY & set(column.encodings)
    if not has_dictionary or stated > MOST_BYTES:
        return stated
    if rows * stated <= MOST_BYTES // 4:
        return rows * stated
    return _repeated(name, *place)


def _repeated(name: str, source: Path | BinaryIO, index: int) -> int:
    """Return the bytes of a column's texts; only its dictionary and the references are read."""
    import pyarrow.compute as pc  # slow to load, and few files come here

    with pq.ParquetFile(source, read_dictionary=[name]) as file:
        chunks = file.read_row_group(index, columns=[name], use_threads=False)[name].chunks
    lengths = (pc.binary_length(chunk.dictionary).take(chunk.indices) for chunk in chunks)
    return sum(pc.sum(one).as_py() or 0 for one in lengths)
