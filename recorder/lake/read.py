"""A lake's tables in DuckDB, of which a query opens only the files that it needs.

Every table is opened at the version that the pointer `about` names, so a reader sees whole batches,
whatever is committed meanwhile. DuckDB pushes a query's conditions down to Arrow, which leaves out
the files that cannot match (see `recorder.lake.files`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING

import duckdb
from pyarrow.fs import FileSelector

from recorder.answers import canned
from recorder.bucket import refusal
from recorder.errors import DataError, UsageError, install_hint
from recorder.lake import delta, files, frames
from recorder.lake.errors import meaning, translated
from recorder.lake.place import Place
from recorder.lake.tables import ABOUT, SHAPES
from recorder.schema import duck
from recorder.schema.state import CONDITIONS, LEDGER
from recorder.schema.table import Table
from recorder.schema.tables import TABLES

if TYPE_CHECKING:
    import pyarrow.dataset as ds

#: The tables for readers; the others are the state of ingest.
READ: Mapping[str, Table] = TABLES | {LEDGER.name: LEDGER}

_RAW = "raw"

#: Tables opened at the same time: reading a table's log from a bucket is slow.
_AT_ONCE = 8

#: The parts of a query that cannot name a table: string literals and comments.
_QUOTED = re.compile(r"'(?:[^']|'')*'|--[^\n]*")

#: A lake has no heads beside it, and nobody publishes it: its days are not judged.
_NO_CONDITIONS = "a lake has no conditions: query the recorder.duckdb of a data directory instead"

_FILL = "fill it with: recorder ingest --engine spark --tables-url URL"


def connect(
    tables_url: str,
    *,
    raw_url: str | None = None,
    query: canned.Query | None = None,
    settings: Mapping[str, str | bool | int] | None = None,
) -> duckdb.DuckDBPyConnection:
    """Return a connection in memory, on UTC, with a lake's tables as views, `raw` and the macros.

    `raw_url` is the place of the raw frames; without it, reading the view `raw` raises an error.
    For one canned `query`, only the tables that it reads are opened. `settings` are DuckDB's own.

    Raises:
        UsageError: the URL cannot name a lake, the package `deltalake` is missing, or the query
            reads raw frames without a `raw_url`.
        DataError: there is no lake, a table is missing, or it is of another version.
        StoreError, CredentialsError: the store refuses, or cannot be reached.
    """
    names = _needed(query) if query else {*READ, _RAW, CONDITIONS.name}
    if query and _RAW in names and raw_url is None:
        where = f"query '{query.name}'"
        raise UsageError(f"reads raw frames: {frames.UNKNOWN}", where=where, hint=frames.HINT)
    data = datasets(tables_url, [name for name in READ if name in names])
    connection = duck.connect(None, read_only=False, **(settings or {}))
    try:
        for name, found in data.items():
            _view(connection, READ[name], found)
        if _RAW in names:
            frames.show(connection, raw_url)
        if CONDITIONS.name in names:
            _show_no_conditions(connection)
        if query is None:
            canned.install_macros(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _needed(query: canned.Query) -> set[str]:
    """Return the tables that a canned query may read, and the ledger, for the freshness."""
    words = re.findall(r"\w+", " ".join(_QUOTED.sub("", sql) for sql in canned.run_sql(query)))
    return {LEDGER.name, *words} & {*READ, _RAW, CONDITIONS.name}


def datasets(tables_url: str, names: Collection[str]) -> dict[str, ds.Dataset]:
    """Return tables of a lake by name, as of its newest whole batch.

    Raises:
        UsageError, DataError, StoreError, CredentialsError: as for `connect`.
    """
    _check_installed()
    place = Place.of(tables_url)
    with translated(place.url):
        versions = _pinned(place)
        if missing := [name for name in names if name not in versions]:
            raise _without(place, missing[0], "the pointer does not name it")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            opened = pool.map(lambda name: _open(place, name, versions[name]), names)
            return dict(zip(names, opened, strict=True))


def _check_installed() -> None:
    if find_spec("deltalake") is None:
        hint = f"install what it needs: {install_hint('lake')}"
        raise UsageError("deltalake is not installed", where="--tables-url", hint=hint)


def _pinned(place: Place) -> Mapping[str, int]:
    """Return the version of each table in the newest whole batch."""
    from deltalake.exceptions import DeltaError

    # List first: a store's error for a listing says more, and Delta would retry for minutes.
    with refusal.translated(place.url):
        found = place.files.get_file_info(FileSelector(place.path, allow_not_found=True))
    if ABOUT not in {info.base_name for info in found}:
        raise DataError("holds no lake yet", where=place.url, hint=_FILL)
    try:
        about = delta.about(place)
    except (KeyError, ValueError, DeltaError) as error:
        if known := meaning(str(error), place.url):
            raise known from None
        what = f"holds no lake: its table '{ABOUT}' cannot be read ({type(error).__name__})"
        raise DataError(what, where=place.url, hint=_FILL) from error
    return about.versions if about else {}


def _open(place: Place, name: str, version: int) -> ds.Dataset:
    from deltalake.exceptions import DeltaError

    at = place / name
    try:
        return files.dataset(delta.opened(place, name, version), SHAPES[name].columns, at)
    except DeltaError as error:
        known = meaning(str(error), place.url)
        raise known or _without(place, name, type(error).__name__) from error


def _without(place: Place, name: str, why: str) -> DataError:
    what = f"the table '{name}' is missing or damaged ({why})"
    hint = "restore it, or fill another place from raw: name it with --tables-url"
    return DataError(what, where=place.url, hint=hint)


def _view(connection: duckdb.DuckDBPyConnection, table: Table, data: ds.Dataset) -> None:
    """Create a table's view: its own columns and types, without the `day` of its folders."""
    # Qualified: DuckDB confuses a view's bare column with the parameter of a macro that reads it.
    columns = (
        f"f.{c.name}::JSON AS {c.name}" if c.type.startswith("JSON") else f"f.{c.name}"
        for c in table.columns
    )
    found = connection.from_arrow(data).set_alias("f")
    found.project(", ".join(columns)).create_view(table.name)


def _show_no_conditions(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the view `conditions`; reading it raises an error that says where they are."""
    types = ((c.name, c.type.removesuffix(" NOT NULL")) for c in CONDITIONS.columns)
    columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in types)
    connection.execute(
        f"CREATE VIEW {CONDITIONS.name} AS SELECT {columns} FROM (SELECT random() AS i) "  # noqa: S608
        f"WHERE error('{_NO_CONDITIONS}')::BOOLEAN"
    )
