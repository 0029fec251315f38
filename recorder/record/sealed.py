"""Sealed files: opened and checked, and the checksums of their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq

from recorder.errors import DataError
from recorder.record import inflated
from recorder.schema.raw import RAW, check_version

#: The metadata key of a sealed file's checksum: of the values, from journal to reader.
CHECKSUM = "recorder.checksum"

#: A sealed file: its path, or an open object of a bucket.
Source = Path | BinaryIO


@contextmanager
def sealed_file(source: Source, *, verify: bool = False) -> Iterator[pq.ParquetFile]:
    """Open a sealed file; with `verify`, compare the checksum of each page that is read.

    Raises:
        DataError: the file is damaged, is not a sealed file, would take too much memory, or is of
            another version; damage may also show while it is read.
        FileNotFoundError: it is gone.
    """
    with parquet_file(source, verify=verify) as file:
        if not file.schema_arrow.equals(RAW):
            raise DataError(f"is not a sealed file: {_difference(file)}", where=str(source))
        check_version(file.metadata.metadata, source)
        inflated.check(file, source)
        yield file


@contextmanager
def parquet_file(source: Source, *, verify: bool = False) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file that need not be a sealed one.

    Raises:
        DataError: the file is damaged, or is not Parquet; damage may also show while it is read.
        FileNotFoundError: it is gone.
    """
    try:
        with pq.ParquetFile(source, page_checksum_verification=verify) as file:
            yield file
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        what = f"cannot be read: {str(error).splitlines()[0]}"
        raise DataError(what, where=str(source)) from error


def _difference(file: pq.ParquetFile) -> str:
    """Return which columns were expected and which are there."""
    there, expected = file.schema_arrow, ", ".join(_columns(RAW))
    return f"expected columns {expected}; found {', '.join(_columns(there)) or 'none'}"


def _columns(schema: pa.Schema) -> Iterator[str]:
    for one in schema:
        yield f"{one.name} {one.type}{'' if one.nullable else ' not null'}"


def check(source: Source) -> None:
    """Read a sealed file to its end, and compare the checksum of each page.

    Raises:
        DataError, FileNotFoundError: as `sealed_file` says.
    """
    with sealed_file(source, verify=True) as file:
        for _ in file.iter_batches():
            pass


def columns(source: Source, names: Sequence[str]) -> Iterator[pa.Table]:
    """Yield some columns of a sealed file, in parts; of one in a bucket only these are fetched.

    Raises:
        DataError, FileNotFoundError: as `sealed_file` says.
    """
    with sealed_file(source) as file:
        for batch in file.iter_batches(columns=list(names)):
            yield pa.Table.from_batches([batch])


def keep_first(path: Path, rows: int) -> None:
    """Leave the first rows of a scratch copy of a sealed file, or no file; it may be a link to one.

    Raises:
        DataError, FileNotFoundError: as `sealed_file` says.
    """
    parts: list[pa.Table] = []
    left = rows
    for part in columns(path, RAW.names):
        if left <= 0:
            break
        parts.append(part.slice(0, left))
        left -= len(part)
    path.unlink()
    if parts:
        pq.write_table(pa.concat_tables(parts), path, compression="zstd", compression_level=1)


# -- checksums of the values


def checksum(table: pa.Table) -> int:
    """Return a checksum of the values alone, without the padding of Arrow's buffers."""
    check = 0
    for column in table.combine_chunks().columns:
        for chunk in column.chunks:
            *offsets, values = chunk.buffers()[1:]
            for buffer in offsets:
                check = crc32(buffer[: 4 * (len(chunk) + 1)], check)
            size = 8 * len(chunk)
            if offsets:
                size = int.from_bytes(offsets[0][4 * len(chunk) :][:4].to_pybytes(), "little")
            check = crc32(values[:size], check)
    return check


def verified(file: pq.ParquetFile, path: Path) -> Iterator[tuple[int, pa.Table]]:
    """Yield each row group and the row behind it; then compare the values with their checksum.

    Raises:
        DataError: the values are not those that were sealed.
    """
    sums: list[int] = []
    row = 0
    for index in range(file.num_row_groups):
        table = file.read_row_group(index)
        row += len(table)
        sums.append(checksum(table))
        yield row, table
    known = (file.metadata.metadata or {}).get(CHECKSUM.encode())
    if known is not None and known.decode("utf-8", "replace") != combined(sums):
        raise DataError("its values differ from those that were sealed", where=str(path))


def combined(sums: Sequence[int]) -> str:
    """Return one checksum of all row groups' checksums, in order."""
    return f"{crc32(b''.join(part.to_bytes(4, 'little') for part in sums)):08x}"
