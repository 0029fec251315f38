"""A quick look at a few frames of one feed: their events, by the feed's own SQL in one statement.

What a look costs is planning, not reading: forty frames take DuckDB 3 ms, and the two dozen
statements by which ingest takes a batch 120 ms. So where nothing but data has come on
connections that are known, the feed's sections become one SELECT, planned once. Its rows are those
that ingest makes; what a glance cannot tell, it says so (`can`), and the long way is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import duckdb
import pyarrow as pa

from recorder.schema.tables import TABLES
from recorder.stream import event
from recorder.stream.event import Event
from recorder.tables import normalise
from recorder.tables.normalise import Normaliser

#: What the long way finds in the table `connections`, put beside each frame here.
LIFE = (("line", pa.string()), ("opened_ns", pa.int64()), ("clock_error_ns", pa.int64()))

_WHALE_USD = "getvariable('whale_usd')"

_FRAMES = """
SELECT
    {{'feed': '{feed}', 'connection': b.connection, 'seq': b.seq, 'recv_ns': b.recv_ns,
     'recv_time': make_timestamptz(b.recv_ns // 1000)}} AS id,
    b.payload, b.text, CASE WHEN json_valid(b.text) THEN b.text END AS json,
    b.line, b.opened_ns, b.clock_error_ns
FROM (
    SELECT *, TRY(decode(payload)) AS text FROM incoming WHERE kind IN ('text', 'binary')
) AS b
"""


def can(normaliser: Normaliser) -> bool:
    """True if a feed's rows need nothing that came before: no state, no event known already."""
    kept = any(section.kind == "state" or section.once for section in normaliser.sections)
    return not (kept or normaliser.reads("carried") or normaliser.reads("all_frames"))


class _Incoming:
    """The frames of now, for DuckDB to read: registered once, other ones each time."""

    def __init__(self) -> None:
        self.table: pa.Table = pa.table({})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Glance:
    """Looks at batches of one feed; `connection` is its own, to a database with the tables."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        normaliser: Normaliser,
        feed: str,
        tables: Sequence[str],
        whale_usd: float,
    ) -> None:
        self._db, self._incoming = connection, _Incoming()
        self._registered = False
        normalise.prepare(self._db)
        if normaliser.reads("contracts"):
            # What reads a table is planned anew each time, with the optimizer on: 40 ms, not 8.
            self._db.execute("PRAGMA disable_optimizer")
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.execute(f"SET VARIABLE whale_usd = {float(whale_usd)!r}")
        self._sql, names = _statement(normaliser, feed, tables)
        # A statement that reads a variable is planned anew each time: 25 ms instead of 5.
        self._sql = self._sql.replace(_WHALE_USD, repr(float(whale_usd)))
        place = {name: at for at, name in enumerate(names)}
        self._columns = {t: [place[name] for _, name, _ in _places(t)] for t in tables}

    def events(self, frames: pa.Table) -> list[Event]:
        """The events of some frames (raw columns and those of `LIFE`), in no order.

        Raises:
            duckdb.Error: a frame breaks the SQL.
        """
        self._incoming.table = frames
        if not self._registered:
            self._db.register("incoming", self._incoming)
            self._db.execute(f"PREPARE look AS {self._sql}")
            self._registered = True
        found = []
        for row in self._db.execute("EXECUTE look").fetchall():
            table = row[0]
            found.append(event.CLASSES[table](*(row[at] for at in self._columns[table])))
        return found

    def close(self) -> None:
        """Give the connection back."""
        self._db.close()


def _statement(normaliser: Normaliser, feed: str, tables: Sequence[str]) -> tuple[str, list[str]]:
    """The one SELECT, and its columns: the table's name, then the places of all tables' columns."""
    steps = [f"frames AS MATERIALIZED ({_FRAMES.format(feed=feed)})"]
    if normaliser.reads("contracts"):
        steps.append(f"contracts AS MATERIALIZED ({normalise.contracts_of(feed)})")
    kinds = {place: kind for t in tables for _, place, kind in _places(t)}
    names = ["table", *kinds]
    rows = [_nothing({"table": "VARCHAR", **kinds})]
    for section in normaliser.sections:
        if section.kind == "step":
            steps.append(f"{section.name} AS MATERIALIZED (\n{section.sql}\n)")
        elif section.name in tables:
            rows.append(_rows(section.name, normalise.rows_of(section)))
    if "rejects" in tables:
        rows.append(_rows("rejects", normalise.REJECTED))
    union = "\nUNION ALL BY NAME\n".join(rows)
    return f"WITH {', '.join(steps)}\n{union}", names


def _places(table: str) -> Iterator[tuple[str, str, str]]:
    """Each column of a table's events: its name, the place it has in the answer, and its type.

    The tables take the same places, by type: a row of the answer is a third as wide as all tables'
    columns together, and what a look costs is its width.
    """
    types = {column.name: column.type.split()[0] for column in TABLES[table].columns}
    taken: Counter[str] = Counter()
    for name in event.columns(table):
        yield name, f"{types[name]}_{taken[types[name]]}", types[name]
        taken[types[name]] += 1


def _rows(table: str, sql: str) -> str:
    """A section's rows, each column in its place."""
    columns = list(_places(table))
    placed = ", ".join(f'"{name}"::{kind} AS "{place}"' for name, place, kind in columns)
    # What the section does not name is NULL.
    whole = f"{_nothing({name: kind for name, _, kind in columns})} UNION ALL BY NAME ({sql})"
    return f"SELECT '{table}' AS \"table\", {placed} FROM ({whole})"  # noqa: S608 - the feed's own SQL


def _nothing(types: Mapping[str, str]) -> str:
    """No row of these columns."""
    listed = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in types.items())
    return f"SELECT {listed} WHERE false"
