"""The view `raw` over Arrow instead of DuckDB's own reader of files.

It is for untrusted SQL, which must not open directories, and for sealed files in a bucket, which
DuckDB cannot read by itself.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from recorder.answers import database
from recorder.errors import CredentialsError, StoreError
from recorder.record.footers import opens
from recorder.record.layout import day_of
from recorder.schema.raw import RAW, RAW_COLUMNS

if TYPE_CHECKING:
    from recorder.bucket.store import Store

NAME = "raw_frames"

_PARTITION = pa.schema([("feed", pa.string()), ("date", pa.date32())])
_SCHEMA = pa.schema([*RAW, *_PARTITION])
#: Column chunks are fetched whole: a bucket answers few large requests faster.
_FORMAT = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=True)
)

#: How many files that the ledger does not list are opened at once.
_AT_ONCE = 16

#: A relation of raw columns that raises an error with the reason why it is unreadable.
# random() keeps DuckDB from concluding that it is empty and skipping it.
UNAVAILABLE = """
    SELECT i AS recv_ns, i AS mono_ns, i AS seq, i::VARCHAR AS connection, i::VARCHAR AS kind,
           i::VARCHAR::BLOB AS payload, i::VARCHAR AS feed, current_date AS date
    FROM (SELECT (1e9 * random())::BIGINT AS i) WHERE error('{why}')::BOOLEAN
"""


def connect(path: Path, raw_url: str) -> duckdb.DuckDBPyConnection:
    """Open the published database (see `database.connect`); `raw` includes a bucket's files."""
    connection = database.connect(path)
    show(connection, raw_url)
    return connection


def show(connection: duckdb.DuckDBPyConnection, raw_url: str | None = None) -> None:
    """Define `raw` over the sealed files of the published view and those of a bucket.

    Unreadable files are skipped: one of them would fail every query. If the bucket is unavailable,
    the tables remain readable, and a query of `raw` fails with the reason.
    """
    here = published(connection)
    if raw_url is None:
        if here:
            _view(connection, _local(here))
        return
    try:
        from recorder.bucket.store import Store

        there = remote(Store(raw_url), connection, {Path(path).stem for path in here})
    except (StoreError, CredentialsError) as error:
        why = str(error).replace("\n", ";").replace("'", "''")
        _select(connection, f"({UNAVAILABLE.format(why=why)})")
        return
    _view(connection, ds.dataset([_local(here), there]))


def published(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the files that the published view `raw` reads, which skips damaged ones."""
    sql = "SELECT sql FROM duckdb_views() WHERE view_name = 'raw' AND NOT temporary"
    views = connection.execute(sql).fetchall()
    inside = re.search(r"read_parquet\(list_value\((.*?)\), \(", views[0][0] if views else "", re.S)
    if inside is None:  # nothing was sealed: the view does not read files
        return []
    patterns = [name.replace("''", "'") for name in re.findall(r"'((?:[^']|'')*)'", inside[1])]
    return sorted(path for pattern in patterns for path in glob.iglob(pattern))  # noqa: PTH207 (from the root)


def _local(files: list[str]) -> ds.Dataset:
    hive = ds.partitioning(_PARTITION, flavor="hive")
    return ds.dataset(files, schema=_SCHEMA, format="parquet", partitioning=hive)


def remote(store: Store, connection: duckdb.DuckDBPyConnection, here: set[str]) -> ds.Dataset:
    """Return a bucket's files except those `here`; queries open only the days they need."""
    done = {
        row[0] for row in connection.execute("SELECT segment FROM ledger WHERE sealed").fetchall()
    }
    objects = store.listing().objects
    there = [(feed, stem) for feed, some in objects.items() for stem in some if stem not in here]
    fragments = [
        _FORMAT.make_fragment(
            store.path(feed, stem),
            filesystem=store.filesystem,
            partition_expression=_held(feed, stem),
        )
        for feed, stem in _readable(store, there, done)
    ]
    return ds.FileSystemDataset(fragments, _SCHEMA, _FORMAT, store.filesystem)


def _readable(
    store: Store, there: list[tuple[str, str]], done: set[str]
) -> Iterator[tuple[str, str]]:
    """Yield the files that ingest has read whole, and the others that can be opened."""

    def good(one: tuple[str, str]) -> bool:
        try:
            return one[1] in done or opens(store.open(*one))
        except FileNotFoundError:
            return False

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for one, is_good in zip(there, pool.map(good, there), strict=True):
            if is_good:
                yield one


def _held(feed: str, stem: str) -> ds.Expression:
    day = pa.scalar(date.fromisoformat(day_of(stem)), pa.date32())
    return (ds.field("feed") == feed) & (ds.field("date") == day)


def _view(connection: duckdb.DuckDBPyConnection, frames: ds.Dataset) -> None:
    connection.register(NAME, frames)
    _select(connection, NAME)


def _select(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    connection.execute(f"CREATE TEMP VIEW raw AS SELECT {RAW_COLUMNS} FROM {source} AS r")  # noqa: S608 - ours
