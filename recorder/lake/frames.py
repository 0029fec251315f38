"""The view `raw` beside a lake's tables: the sealed files of a bucket, or a word where they are."""

from __future__ import annotations

import duckdb

from recorder.answers import frames
from recorder.lake.place import Place
from recorder.schema.raw import RAW_COLUMNS

#: What is said when raw frames are asked for and nobody said where they are.
UNKNOWN = "the raw frames are not among the tables"
HINT = "say where they are: --raw-url s3://bucket/prefix"


def show(connection: duckdb.DuckDBPyConnection, raw_url: str | None) -> None:
    """Make the view `raw`; without a URL it is one that says what is missing when it is read.

    Raises:
        ConfigError: the URL names no bucket.
        StoreError, CredentialsError: there is none, it cannot be read, or cannot be reached.
    """
    if raw_url is None:
        nowhere = frames.UNAVAILABLE.format(why=f"{UNKNOWN}: {HINT}")
        connection.execute(f"CREATE VIEW raw AS SELECT {RAW_COLUMNS} FROM ({nowhere}) AS r")  # noqa: S608 - ours
        return
    found = frames.remote(Place.of(raw_url, "--raw-url").store(), connection, here=set())
    connection.from_arrow(found).set_alias("r").project(RAW_COLUMNS).create_view("raw")
