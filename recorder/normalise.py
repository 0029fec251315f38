"""Normalising: a feed's SQL turns frames into table rows.

`queries/normalise/<feed>.sql` is a run of SELECTs. Each stands below a line that says what it is:

    -- step: messages      one row per frame of `frames`, all its columns, and more:
                           `class` (what the frame is; 'control' for what is no event, NULL for
                           what cannot be used) and `reason` (why, in words, where class is NULL)
    -- step: <name>        any other intermediate result
    -- table: <table>      rows of a table of `recorder.schema`, by column name

`frames` holds the text and binary frames of one batch: `id` (a struct of feed, connection, seq,
recv_ns, recv_time: `SELECT id.*` gives a row its way back to raw), `payload` (bytes), `text` (NULL
if not UTF-8), `json` (NULL if not JSON), `line` and `clock_error_ns` of its connection.
The same text runs here and anywhere else DuckDB runs.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, cast

import duckdb

from recorder.errors import DataError
from recorder.schema import TABLES

_HEADING = re.compile(r"^-- (step|table): (\w+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """One SELECT of a feed's SQL, and where its rows go."""

    kind: Literal["step", "table"]
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Normaliser:
    """A feed's SQL, read and checked."""

    feed: str
    sections: tuple[Section, ...]
    fingerprint: str


def parse(feed: str, text: str, where: str = "") -> Normaliser:
    """Read a feed's SQL; `where` is its file, for messages.

    Raises:
        DataError: it has no `messages` step, or names a table that does not exist.
    """
    where = where or f"queries/normalise/{feed}.sql"
    pieces = _HEADING.split(text)[1:]
    sections = tuple(
        Section(cast(Literal["step", "table"], kind), name, sql.strip().removesuffix(";"))
        for kind, name, sql in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True)
    )
    if not any(s.kind == "step" and s.name == "messages" for s in sections):
        raise DataError("has no '-- step: messages'", where=where)
    for section in sections:
        if section.kind == "table" and section.name not in TABLES:
            raise DataError(f"fills a table that does not exist: {section.name}", where=where)
    return Normaliser(feed, sections, hashlib.sha256(text.encode()).hexdigest()[:12])


@cache
def load(directory: Path, sql: str | Path) -> Normaliser:
    """Read a feed's SQL: `<directory>/<sql>.sql`, or a plug-in's own file where `sql` is a path."""
    path = sql if isinstance(sql, Path) else directory / f"{sql}.sql"
    try:
        return parse(path.stem, path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        raise DataError("is missing", where=str(path)) from None


def prepare(connection: duckdb.DuckDBPyConnection, directory: Path) -> None:
    """Give a database connection the small functions that the feeds' SQL uses."""
    connection.execute((directory / "_macros.sql").read_text("utf-8"))


_FRAMES = """
CREATE OR REPLACE TEMP TABLE frames AS
SELECT
    {'feed': $feed, 'connection': b.connection, 'seq': b.seq, 'recv_ns': b.recv_ns,
     'recv_time': make_timestamptz(b.recv_ns // 1000)} AS id,
    b.payload, b.text, CASE WHEN json_valid(b.text) THEN b.text END AS json,
    c.line, c.clock_error_ns
FROM (
    SELECT *, TRY(decode(payload)) AS text FROM fresh WHERE kind IN ('text', 'binary')
) AS b
LEFT JOIN connections AS c ON c.connection = b.connection AND c.feed = $feed
"""

_REJECTS = """
INSERT INTO rejects BY NAME
SELECT
    id.*, 0 AS item, payload,
    CASE
        WHEN octet_length(payload) = 0 THEN 'an empty frame'
        WHEN text IS NULL THEN 'not UTF-8 text'
        WHEN json IS NULL THEN 'not JSON'
        WHEN reason IS NOT NULL AND json_type(json) = 'OBJECT' THEN reason
        WHEN json_type(json) <> 'OBJECT' THEN 'JSON, but not an object: ' || lower(json_type(json))
        ELSE 'no rule for this message'
    END AS reason
FROM messages
WHERE class IS NULL
"""

_LATENCY = """
SELECT
    *, recv_ns - coalesce(publish_ns, event_ns) AS total_ns, recv_ns - dispatch_ns AS network_ns
FROM (SELECT NULL::BIGINT AS publish_ns, NULL::BIGINT AS dispatch_ns WHERE false
      UNION ALL BY NAME {sql})
"""


def apply(
    connection: duckdb.DuckDBPyConnection, normaliser: Normaliser, feed: str, *, whale_usd: float
) -> None:
    """Insert the rows of the relation `fresh` (raw columns) into the tables.

    `feed` is the name that the rows carry; `whale_usd` the least notional of a whale's trade.
    """
    connection.execute(_FRAMES, {"feed": feed})
    connection.execute(f"SET VARIABLE whale_usd = {float(whale_usd)!r}")
    for section in normaliser.sections:
        sql = section.sql
        if section.kind == "step":
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {section.name} AS {sql}")
        else:
            sql = _LATENCY.format(sql=sql) if section.name == "latency" else sql
            connection.execute(f"INSERT INTO {section.name} BY NAME {sql}")
    connection.execute(_REJECTS)


def reject(connection: duckdb.DuckDBPyConnection, feed: str, reason: str) -> None:
    """Put every data frame of the relation `fresh` into `rejects`."""
    connection.execute(_FRAMES, {"feed": feed})
    connection.execute(
        "INSERT INTO rejects BY NAME "
        "SELECT id.*, 0 AS item, payload, $reason AS reason FROM frames",
        {"reason": reason},
    )
