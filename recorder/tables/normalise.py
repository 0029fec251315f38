"""Normalising: a feed's SQL turns frames into table rows.

`queries/normalise/<feed>.sql` is a series of SELECTs. A heading above each one says what it is:

    -- step: messages      one row per frame of `frames`, with all its columns and two more:
                           `class` (the kind of message; 'control' if it is not an event, NULL if
                           it is unusable) and `reason` (why, in words, where class is NULL)
    -- step: <name>        any other intermediate result
    -- moments: <name>     times of funding: a SELECT of `symbol`, `moment_ns` and `at_ns` (when it
                           was announced) becomes a relation of `symbol`, `moment_ns` and `hours`
                           since the moment before, see `MOMENTS`
    -- state: <name>       state to carry to the next batch, see `recorder.tables.carried_state`
    -- table: <table>      rows of a table of `recorder.schema.tables`, by column name
    -- table: <table> once (<columns>)
                           the same, without events that another connection brought before: those
                           with equal values in these columns (NULL equals nothing)

`frames` holds the text, binary and polled frames of one batch: `id` (a struct of feed, connection,
seq, recv_ns, recv_time: with `SELECT id.*` a row names its raw frame), `payload` (the exact bytes),
`frame_kind` (text, binary or polled), `text` (decoded if the feed has a coding; NULL if not UTF-8),
`undecoded` (why a packed frame has no text), `json` (NULL if not JSON, or of more than a million
objects and arrays), and of its connection `line`, `line_group` (of polled frames: their URLs'
group), `opened_ns` and `clock_error_ns` (last measured before the frame). Two more relations exist
where the SQL names them. `all_frames` also holds copies that a second line brought (their `fresh`
is false). `contracts` holds the known values of each instrument, with the time of their validity
(`from_ns`, `to_ns`).
The same SQL runs anywhere else that DuckDB runs.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, cast

import duckdb

from recorder.answers import canned
from recorder.errors import DataError
from recorder.schema.files import sql_directory
from recorder.schema.tables import TABLES
from recorder.tables import carried_state, markers

_HEADING = re.compile(
    r"^-- (step|state|table|moments): (\w+)(?:[ \t]+once[ \t]*\(([\w, ]+)\))?[ \t]*$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Section:
    """One SELECT of a feed's SQL, and where its rows go."""

    kind: Literal["step", "state", "table"]
    name: str
    sql: str
    once: tuple[str, ...] = ()  # the columns that identify an event, to drop its copies
    shared: bool = False  # a state of the whole feed, not of a connection


@dataclass(frozen=True, slots=True)
class Normaliser:
    """A feed's SQL, read and checked."""

    feed: str
    sections: tuple[Section, ...]
    fingerprint: str

    @property
    def remembers(self) -> bool:
        """Whether rows depend on what any earlier frame of the feed announced."""
        return any(section.shared for section in self.sections)

    def reads(self, relation: str) -> bool:
        """Return True if the SQL names this relation."""
        return any(re.search(rf"\b{relation}\b", section.sql) for section in self.sections)


def parse(feed: str, text: str, where: str = "") -> Normaliser:
    """Parse a feed's SQL; `where` is its file, for messages.

    Raises:
        DataError: the SQL has no `messages` step, or names a table or column that does not exist.
    """
    where = where or f"queries/normalise/{feed}.sql"
    pieces = _HEADING.split(text)[1:]
    sections = tuple(
        section
        for piece in zip(pieces[::4], pieces[1::4], pieces[2::4], pieces[3::4], strict=True)
        for section in _sections(*piece)
    )
    if not any(s.kind == "step" and s.name == "messages" for s in sections):
        raise DataError("has no '-- step: messages'", where=where)
    for section in sections:
        if section.kind == "table":
            _check_table(section, where)
    return Normaliser(feed, sections, hashlib.sha256(text.encode()).hexdigest()[:12])


def _sections(kind: str, name: str, once: str | None, text: str) -> tuple[Section, ...]:
    """Return what a heading and the SQL below it stand for."""
    sql = text.strip().removesuffix(";")
    if kind == "moments":
        relation = MOMENTS.replace("{name}", name).replace("{sql}", sql)
        newest = _NEWEST.replace("{name}", name)
        return Section("step", name, relation), Section("state", name, newest, shared=True)
    columns = tuple(column.strip() for column in (once or "").split(",") if column.strip())
    return (Section(cast(Literal["step", "state", "table"], kind), name, sql, columns),)


def _check_table(section: Section, where: str) -> None:
    if section.name not in TABLES:
        raise DataError(f"fills a table that does not exist: {section.name}", where=where)
    columns = {column.name for column in TABLES[section.name].columns}
    for name in section.once:
        if name not in columns:
            raise DataError(f"table {section.name} has no column '{name}'", where=where)


@cache
def load(sql: str | Path) -> Normaliser:
    """Read a feed's SQL: `queries/normalise/<sql>.sql`, or a plug-in's own file if `sql` is a path.

    Raises:
        DataError: the file is missing, or `parse` refuses it.
    """
    path = path_of(sql)
    try:
        return parse(path.stem, path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        raise DataError("is missing", where=str(path)) from None


#: Times of funding and the hours since the one before, as observed: the newest moment of an earlier
#: batch, and those of this one. The moment before is surely the last one only if the next was
#: announced within an hour of it: no interval is shorter.
MOMENTS = """
SELECT
    symbol, moment_ns, known, moment_ns = max(moment_ns) OVER (PARTITION BY symbol) AS newest,
    CASE
        WHEN known THEN hours
        ELSE step_hours(
            lag(moment_ns) OVER (PARTITION BY symbol ORDER BY moment_ns), moment_ns, at_ns
        )
    END AS hours
FROM (
    SELECT symbol, moment_ns, min(at_ns) AS at_ns, max(hours) AS hours, bool_or(known) AS known
    FROM (
        SELECT symbol, moment_ns, at_ns, NULL::DOUBLE AS hours, false AS known
        FROM (
{sql}
        )
        WHERE symbol IS NOT NULL AND moment_ns IS NOT NULL
        UNION ALL BY NAME
        SELECT symbol, moment_ns, hours, true AS known FROM known_moments WHERE name = '{name}'
    )
    GROUP BY symbol, moment_ns
)
"""

_NEWEST = """
SELECT '' AS connection, symbol AS key, moment_ns AS seq, {'hours': hours} AS state
FROM {name}
WHERE newest AND NOT known
"""

#: The shared macros that feeds' SQL may use: what a symbol and what a title says.
_NAMES = (
    "asset_spelled",
    "coin_of",
    "each_once",
    "is_dollar",
    "plain_title",
    "scale_of",
    "title_tickers",
    "title_type",
)


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the macros that the feeds' SQL uses: those of names are the queries' own.

    The relation `measured` is empty until `markers.apply` fills it.
    """
    connection.execute(markers.NOTHING_MEASURED)
    canned.share(connection, *_NAMES)
    connection.execute(path_of("_macros").read_text("utf-8"))


def path_of(sql: str | Path) -> Path:
    """Return the file of a feed's SQL: `sql` is its name in `queries/normalise`, or its path."""
    return sql if isinstance(sql, Path) else sql_directory() / "normalise" / f"{sql}.sql"


#: The JSON of a frame `b`; NULL if it is not JSON, or too much of it.
JSON = "CASE WHEN NOT crowded(b.text) AND json_valid(b.text) THEN b.text END"

#: The columns of a batch, and the text of each frame: of a packed one, or of a plain one.
DECODED = "*, TRY(decode(decoded)) AS text"
PLAIN = "*, TRY(decode(payload)) AS text, NULL::VARCHAR AS undecoded"

_FRAMES = """
CREATE OR REPLACE TEMP {what} AS
SELECT
    {{'feed': '{feed}', 'connection': b.connection, 'seq': b.seq, 'recv_ns': b.recv_ns,
     'recv_time': make_timestamptz(b.recv_ns // 1000)}} AS id,
    b.payload, b.kind AS frame_kind, b.text, b.undecoded, {json} AS json,
    c.line, c.line_group, c.opened_ns, m.clock_error_ns{more}
FROM (SELECT {columns} FROM {source} WHERE kind IN ('text', 'binary', 'polled')) AS b
LEFT JOIN connections AS c ON c.connection = b.connection AND c.feed = '{feed}'
LEFT JOIN measured AS m ON m.connection = b.connection AND m.block = b.seq // {block}
    AND b.seq >= m.from_seq AND b.seq < m.to_seq
"""
_CONTRACTS = """
SELECT
    symbol, contract_size, contract_unit, funding_interval_hours, base, quote, kind, contract_type,
    is_dollar(quote) AND kind IS DISTINCT FROM 'option' AS dollars, recv_ns AS from_ns,
    lead(recv_ns, 1, 9223372036854775807) OVER (PARTITION BY symbol ORDER BY recv_ns) AS to_ns
FROM instruments
WHERE feed = '{feed}'
"""

_IS_FRESH = ", (b.connection, b.seq) IN (SELECT (connection, seq) FROM fresh) AS fresh"
_FRESH_OF_ALL = """
CREATE OR REPLACE TEMP VIEW frames AS SELECT * EXCLUDE (fresh) FROM all_frames WHERE fresh
"""

#: The rows of `rejects`, from `frames` and `messages`.
REJECTED = """
SELECT
    id.*, 0 AS item, payload,
    CASE
        WHEN text = '' THEN 'an empty frame'
        WHEN text IS NULL THEN coalesce(undecoded, 'not UTF-8 text')
        WHEN crowded(text) THEN 'more than 1,000,000 JSON objects and arrays'
        WHEN json IS NULL THEN 'not JSON'
        WHEN reason IS NOT NULL AND json_type(json) = 'OBJECT' THEN reason
        WHEN json_type(json) <> 'OBJECT' THEN 'JSON, but not an object: ' || lower(json_type(json))
        ELSE 'no rule for this message'
    END AS reason
FROM frames
JOIN (SELECT id AS unusable, reason FROM messages WHERE class IS NULL) ON id = unusable
"""

_LATENCY = """
SELECT
    *, recv_ns - coalesce(publish_ns, event_ns) AS total_ns, recv_ns - dispatch_ns AS network_ns
FROM (SELECT NULL::BIGINT AS publish_ns, NULL::BIGINT AS dispatch_ns WHERE false
      UNION ALL BY NAME {sql})
"""


# Of equal events, keep those of the connection that brought the first; keep none if an earlier
# batch had it from another connection.
_ONCE = """
SELECT n.*
FROM (
    FROM ({sql})
    QUALIFY {unknown}
        OR first_value(connection) OVER (
            PARTITION BY {columns} ORDER BY recv_ns, connection, seq
        ) = connection
) AS n
WHERE NOT EXISTS (
    FROM {table} AS known
    WHERE known.feed = $feed AND known.connection <> n.connection AND {same}
)
"""


def apply(
    connection: duckdb.DuckDBPyConnection,
    normaliser: Normaliser,
    feed: str,
    *,
    whale_usd: float,
    coded: bool = False,
) -> None:
    """Insert the rows of the relation `fresh` (raw columns) into the tables.

    `feed` is the name that the rows carry; `whale_usd` is the least notional (US dollars) of a
    whale's trade. If the frames were `coded`, the relation also has the columns of `texts`.
    """
    _make_relations(connection, normaliser, feed, coded)
    connection.execute(f"SET VARIABLE whale_usd = {float(whale_usd)!r}")
    for section in normaliser.sections:
        match section.kind:
            case "step":
                connection.execute(f"CREATE OR REPLACE TEMP TABLE {section.name} AS {section.sql}")
            case "state":
                carried_state.remember(connection, feed, section.name, section.sql)
            case "table":
                _insert(connection, section, feed)
    if connection.execute("FROM messages WHERE class IS NULL LIMIT 1").fetchone():
        connection.execute(f"INSERT INTO rejects BY NAME {REJECTED}")


def remember(
    connection: duckdb.DuckDBPyConnection,
    normaliser: Normaliser,
    feed: str,
    *,
    coded: bool = False,
) -> None:
    """Carry the state of the whole feed after the relation `fresh`, whose rows are elsewhere."""
    last = max(at for at, section in enumerate(normaliser.sections) if section.shared)
    _make_relations(connection, normaliser, feed, coded)
    for section in normaliser.sections[: last + 1]:
        if section.kind == "step":
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {section.name} AS {section.sql}")
        elif section.shared:
            carried_state.remember(connection, feed, section.name, section.sql)


def _make_relations(
    connection: duckdb.DuckDBPyConnection, normaliser: Normaliser, feed: str, coded: bool
) -> None:
    """Create the relations that a feed's SQL reads."""
    if normaliser.reads("all_frames"):
        connection.execute(_frames("TABLE all_frames", feed, "batch", coded, _IS_FRESH))
        connection.execute(_FRESH_OF_ALL)
    else:
        connection.execute(_frames("VIEW frames", feed, "fresh", coded))
    if normaliser.reads("contracts"):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE contracts AS {contracts_of(feed)}")
    if normaliser.reads("carried"):
        carried_state.recall(connection, feed)
    if normaliser.remembers:
        moments = carried_state.moments_of(feed)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE known_moments AS {moments}")


def contracts_of(feed: str) -> str:
    """Return the SELECT of the relation `contracts`; a feed's name has no quotes."""
    return _CONTRACTS.format(feed=feed)


def _frames(what: str, feed: str, source: str, coded: bool, more: str = "") -> str:
    """Return the statement that creates a relation of frames.

    The feed's name, which has no quotes, is part of its text: a view has no parameters.
    """
    return _FRAMES.format(
        what=what,
        feed=feed,
        json=JSON,
        columns=DECODED if coded else PLAIN,
        source=source,
        more=more,
        block=markers.BLOCK,
    )


def rows_of(section: Section) -> str:
    """Return the SELECT of a table's section, with the columns computed alike for all feeds."""
    return _LATENCY.format(sql=section.sql) if section.name == "latency" else section.sql


def _insert(connection: duckdb.DuckDBPyConnection, section: Section, feed: str) -> None:
    sql = rows_of(section)
    if not section.once:
        connection.execute(f"INSERT INTO {section.name} BY NAME {sql}")
        return
    once = _ONCE.format(
        sql=sql,
        table=section.name,
        columns=", ".join(section.once),
        unknown=" OR ".join(f"{column} IS NULL" for column in section.once),
        same=" AND ".join(f"known.{column} = n.{column}" for column in section.once),
    )
    connection.execute(f"INSERT INTO {section.name} BY NAME {once}", {"feed": feed})


def reject(
    connection: duckdb.DuckDBPyConnection, feed: str, reason: str, *, coded: bool = False
) -> None:
    """Put every data frame of the relation `fresh` into `rejects`."""
    connection.execute(_frames("VIEW frames", feed, "fresh", coded))
    connection.execute(
        "INSERT INTO rejects BY NAME "
        "SELECT id.*, 0 AS item, payload, $reason AS reason FROM frames",
        {"reason": reason},
    )
