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

from recorder.answers import database, unsealed
from recorder.answers.unsealed import UnsealedFrames
from recorder.errors import CredentialsError, StoreError
from recorder.record.footers import opens
from recorder.record.layout import Layout, day_of
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


def connect(layout: Layout, raw_url: str | None) -> duckdb.DuckDBPyConnection:
    """Open the published database (see `database.connect`) with all frames in `raw`.

    Those of sealed files, of journals, and of a bucket's files.
    """
    connection = database.connect(layout.database)
    if raw_url is None:
        _with_journals(connection, layout)
    else:
        show(connection, layout, raw_url)
    return connection


def _with_journals(connection: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    """Define `raw` over the published view and the journals.

    The view lists sealed files when a query runs, by a pattern; so a journal that was sealed since
    is left out. It has no pattern where nothing was sealed, or a file is damaged.
    """
    journals = tuple(unsealed.journals(layout))
    if not journals:
        return
    patterns = _patterns(connection)
    listed = any(glob.has_magic(glob_of.replace("[[]", "")) for glob_of in patterns)
    unsealed.register(connection, UnsealedFrames(layout, journals, sealed_too=not listed))
    if listed:
        files = " UNION ALL ".join(f"FROM glob({_quoted(one)})" for one in patterns)
        stems = f"SELECT parse_filename(f.file, true) FROM ({files}) AS f"  # noqa: S608 - ours
    else:
        names = ", ".join(_quoted(Path(one).stem) for one in patterns) or "NULL"
        stems = f"SELECT unnest([{names}])"
    [(name,)] = connection.execute("SELECT current_database()").fetchall()
    connection.execute(
        f'CREATE TEMP VIEW raw AS FROM "{name}".main.raw UNION ALL '  # noqa: S608 - ours
        f"SELECT {RAW_COLUMNS} FROM {unsealed.NAME} AS r "
        f"WHERE NOT coalesce(r.segment IN ({stems}), false)"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def show(connection: duckdb.DuckDBPyConnection, layout: Layout, raw_url: str | None = None) -> None:
    """Define `raw` over the sealed files of the published view, the journals, and a bucket's files.

    Unreadable files are skipped: one of them would fail every query. If the bucket is unavailable,
    the tables remain readable, and a query of `raw` fails with the reason.
    """
    journals = unsealed.journals(layout)  # first: one that is sealed now is in the list of files
    here = published(connection)
    sealed = {Path(path).stem for path in here}
    left = tuple(one for one in journals if one.stem not in sealed)
    if left:
        unsealed.register(connection, UnsealedFrames(layout, left, sealed_too=True))
    if raw_url is None:
        if here or left:
            _view(connection, _local(here) if here else None, with_journals=bool(left))
        return
    try:
        from recorder.bucket.store import Store

        known = sealed | {one.stem for one in left}
        there = remote(Store(raw_url), connection, known)
    except (StoreError, CredentialsError) as error:
        why = str(error).replace("\n", ";").replace("'", "''")
        _select(connection, f"({UNAVAILABLE.format(why=why)})")
        return
    _view(connection, ds.dataset([_local(here), there]), with_journals=bool(left))


def published(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the files that the published view `raw` reads, which skips damaged ones."""
    return sorted(path for one in _patterns(connection) for path in glob.iglob(one))  # noqa: PTH207 (from the root)


def _patterns(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the names or patterns of the files that the published view `raw` reads."""
    sql = "SELECT sql FROM duckdb_views() WHERE view_name = 'raw' AND NOT temporary"
    views = connection.execute(sql).fetchall()
    inside = re.search(r"read_parquet\(list_value\((.*?)\), \(", views[0][0] if views else "", re.S)
    if inside is None:  # nothing was sealed: the view does not read files
        return []
    return [name.replace("''", "'") for name in re.findall(r"'((?:[^']|'')*)'", inside[1])]


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


def _view(
    connection: duckdb.DuckDBPyConnection, frames: ds.Dataset | None, *, with_journals: bool
) -> None:
    sources = [unsealed.NAME] if with_journals else []
    if frames is not None:
        connection.register(NAME, frames)
        sources.insert(0, NAME)
    _select(connection, *sources)


def _select(connection: duckdb.DuckDBPyConnection, *sources: str) -> None:
    each = " UNION ALL ".join(f"SELECT {RAW_COLUMNS} FROM {name} AS r" for name in sources)  # noqa: S608 - ours
    connection.execute(f"CREATE TEMP VIEW raw AS {each}")
