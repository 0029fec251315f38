"""The fast path for a few frames of one feed: the feed's SQL as one statement returns their events.

For a few frames the time is spent on planning, not on reading: DuckDB takes 3 ms for forty frames,
and 120 ms for the two dozen statements of an ingest batch. So if only data arrived, on known
connections, the feed's sections become one SELECT, planned once. It returns the same rows as
ingest. Feeds for which that is impossible (see `supports`) take the slow path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import duckdb
import pyarrow as pa

from recorder.schema.tables import TABLES
from recorder.stream import event
from recorder.stream.event import Event
from recorder.tables import carried_state, normalise
from recorder.tables.normalise import Normaliser
from recorder.tables.rules import Rules
from recorder.tables.texts import with_texts

#: The columns of `connections` that the SQL needs; the caller appends them to each frame.
CONNECTION_COLUMNS = (
    ("line", pa.string()),
    ("line_group", pa.string()),
    ("opened_ns", pa.int64()),
    ("clock_error_ns", pa.int64()),
)

_WHALE_USD = "getvariable('whale_usd')"

_FRAMES = """
SELECT
    {{'feed': '{feed}', 'connection': b.connection, 'seq': b.seq, 'recv_ns': b.recv_ns,
     'recv_time': make_timestamptz(b.recv_ns // 1000)}} AS id,
    b.payload, b.kind AS frame_kind, b.text, b.undecoded, {json} AS json,
    b.line, b.line_group, b.opened_ns, b.clock_error_ns
FROM (SELECT {columns} FROM incoming WHERE kind IN ('text', 'binary', 'polled')) AS b
"""


def supports(normaliser: Normaliser) -> bool:
    """Return True if a feed's rows depend on no earlier frame of their connection or event.

    They may depend on what the whole feed announced (`known_moments`).
    """
    kept = any(
        (section.kind == "state" and not section.shared) or section.once
        for section in normaliser.sections
    )
    return not (kept or normaliser.reads("carried") or normaliser.reads("all_frames"))


class _Incoming:
    """The current frames, for DuckDB to read: registered once, replaced for each call."""

    def __init__(self) -> None:
        self.table: pa.Table = pa.table({})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Glance:
    """Turns batches of one feed into events; `connection` is its own."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        normaliser: Normaliser,
        feed: str,
        tables: Sequence[str],
        rules: Rules,
    ) -> None:
        self._db, self._incoming = connection, _Incoming()
        self._coding, whale_usd = rules.coding, float(rules.whale_usd)
        self._registered = False
        normalise.prepare(self._db)
        if normaliser.reads("contracts") or normaliser.remembers:
            # DuckDB plans a statement that reads a table each time: in 40 ms with the optimizer, in
            # 8 ms without.
            self._db.execute("PRAGMA disable_optimizer")
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.execute(f"SET VARIABLE whale_usd = {whale_usd!r}")
        self._sql, names = _statement(normaliser, feed, tables, coded=self._coding is not None)
        # DuckDB plans a statement that reads a variable each time: 25 ms instead of 5.
        self._sql = self._sql.replace(_WHALE_USD, repr(whale_usd))
        place = {name: at for at, name in enumerate(names)}
        self._columns = {t: [place[name] for _, name, _ in _places(t)] for t in tables}

    def events(self, frames: pa.Table) -> list[Event]:
        """Return the events of frames (raw columns and `CONNECTION_COLUMNS`), in no order.

        Raises:
            duckdb.Error: a frame breaks the SQL.
        """
        parts = iter([frames]) if self._coding is None else with_texts(self._coding, frames)
        return [event for part in parts for event in self._events(part)]

    def _events(self, frames: pa.Table) -> Iterator[Event]:
        self._incoming.table = frames
        if not self._registered:
            self._db.register("incoming", self._incoming)
            self._db.execute(f"PREPARE look AS {self._sql}")
            self._registered = True
        for row in self._db.execute("EXECUTE look").fetchall():
            table = row[0]
            yield event.CLASSES[table](*(row[at] for at in self._columns[table]))

    def close(self) -> None:
        """Close the connection."""
        self._db.close()


def _statement(
    normaliser: Normaliser, feed: str, tables: Sequence[str], *, coded: bool
) -> tuple[str, list[str]]:
    """Return the SELECT, and its columns: the table's name, then the places of all columns."""
    columns = normalise.DECODED if coded else normalise.PLAIN
    frames = _FRAMES.format(feed=feed, json=normalise.JSON, columns=columns)
    steps = [f"frames AS MATERIALIZED ({frames})"]
    if normaliser.reads("contracts"):
        steps.append(f"contracts AS MATERIALIZED ({normalise.contracts_of(feed)})")
    if normaliser.remembers:
        steps.append(f"known_moments AS MATERIALIZED ({carried_state.moments_of(feed)})")
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
    """Yield each column of a table's events: its name, its place in the result, and its type.

    Tables share places of the same type. So a row of the result is a third as wide as all tables'
    columns together, and the width decides how long the statement takes.
    """
    types = TABLES[table].types
    taken: Counter[str] = Counter()
    for name in event.columns(table):
        yield name, f"{types[name]}_{taken[types[name]]}", types[name]
        taken[types[name]] += 1


def _rows(table: str, sql: str) -> str:
    """Return the SELECT of a section's rows, each column in its place."""
    columns = list(_places(table))
    placed = ", ".join(f'"{name}"::{kind} AS "{place}"' for name, place, kind in columns)
    # Columns that the section does not name are NULL.
    whole = f"{_nothing({name: kind for name, _, kind in columns})} UNION ALL BY NAME ({sql})"
    return f"SELECT '{table}' AS \"table\", {placed} FROM ({whole})"  # noqa: S608 - the feed's own SQL


def _nothing(types: Mapping[str, str]) -> str:
    """Return a SELECT of these columns without rows."""
    listed = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in types.items())
    return f"SELECT {listed} WHERE false"
