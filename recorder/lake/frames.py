"""The view `raw` beside a lake's tables: the sealed files of a bucket."""

from __future__ import annotations

import duckdb

from recorder.answers import frames
from recorder.lake.place import Place
from recorder.schema.raw import RAW_COLUMNS

#: The message and hint for a query of raw frames without a URL.
UNKNOWN = "the raw frames are not in the lake"
HINT = "name their place: --raw-url s3://bucket/prefix"


def show(connection: duckdb.DuckDBPyConnection, raw_url: str | None) -> None:
    """Create the view `raw`; without a URL, reading it raises an error that names what is missing.

    Raises:
        ConfigError: the URL does not name a bucket.
        StoreError, CredentialsError: the bucket does not exist, or cannot be read or reached.
    """
    if raw_url is None:
        nowhere = frames.UNAVAILABLE.format(why=f"{UNKNOWN}: {HINT}")
        connection.execute(f"CREATE VIEW raw AS SELECT {RAW_COLUMNS} FROM ({nowhere}) AS r")  # noqa: S608 - ours
        return
    found = frames.remote(Place.of(raw_url, "--raw-url").store(), connection, here=set())
    connection.from_arrow(found).set_alias("r").project(RAW_COLUMNS).create_view("raw")
