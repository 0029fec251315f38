"""The difference that a rebuild would make: rows in a scratch database compared with the tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import duckdb

from recorder.record.layout import Layout
from recorder.reporter import QUIET, Reporter
from recorder.tables import private
from recorder.tables.rebuild.run import MADE, RebuildPart, Scope, rebuilt_in_scratch, taken
from recorder.tables.rules import Rules

_EXAMPLES = 3


@dataclass(slots=True)
class Difference:
    """The difference in one feed's rows of one table. A row that changed is counted once."""

    feed: str
    table: str
    same: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.changed)


def differences(
    layout: Layout,
    rules: Callable[[str], Rules],
    scope: Scope = Scope(),  # noqa: B008  # frozen
    reporter: Reporter = QUIET,
) -> list[Difference]:
    """Compare the rows in the tables with those that today's SQL makes of the same frames.

    Return a difference per feed and table that has rows; nothing is changed. `connections`, `gaps`
    and `instruments` come from the recorder's own markers, not from a feed's SQL: they are not
    compared.

    Raises:
        BusyError: an ingest works in this data directory.
        DataError: there are no tables yet, or they are from another version.
    """
    result = []
    with (
        private.claimed(layout),
        rebuilt_in_scratch(layout, rules, scope, reporter) as (parts, fresh),
        closing(private.connect(layout)) as db,
    ):
        private.attach(db, fresh, "fresh")
        for part in parts:
            result += [_compare(db, part, name) for name in MADE]
    return [one for one in result if one.any or one.same]


# A row's place is its frame and item; several rows of one place are numbered as they sort.
_SIDES = """
CREATE OR REPLACE TEMP TABLE {side} AS
SELECT *, row_number() OVER (PARTITION BY connection, seq, item ORDER BY s) AS number
FROM (FROM {here}.{name} AS t WHERE {mine} EXCEPT ALL FROM {there}.{name} AS t WHERE {mine}) AS s
"""


def _compare(db: duckdb.DuckDBPyConnection, part: RebuildPart, name: str) -> Difference:
    mine, values = taken(part, "work")
    for side, here, there in (("lost", "work", "fresh"), ("won", "fresh", "work")):
        db.execute(_SIDES.format(side=side, here=here, there=there, name=name, mine=mine), values)
    [(rows,)] = db.execute(f"SELECT count(*) FROM {name} AS t WHERE {mine}", values).fetchall()  # noqa: S608
    [(lost, won, both)] = db.execute(
        """
        SELECT (SELECT count(*) FROM lost), (SELECT count(*) FROM won),
               (SELECT count(*) FROM lost JOIN won USING (connection, seq, item, number))
        """
    ).fetchall()
    difference = Difference(part.feed, name, rows - lost, won - both, lost - both, both)
    if difference.any:
        difference.examples = _examples(db)
    return difference


def _examples(db: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return some rows of each kind: the kind, the row's place, and old and new values."""
    examples = []
    for what, sql in (
        ("changed", "lost AS o JOIN won AS n USING (connection, seq, item, number)"),
        ("added", "won AS n ANTI JOIN lost AS o USING (connection, seq, item, number)"),
        ("removed", "lost AS o ANTI JOIN won AS n USING (connection, seq, item, number)"),
    ):
        sides = {"changed": "on", "added": "n", "removed": "o"}[what]
        examples += [{"what": what, **row} for row in _rows(db, sql, sides)]
    return examples


def _rows(db: duckdb.DuckDBPyConnection, sql: str, sides: str) -> list[dict[str, Any]]:
    chosen = ", ".join(f"to_json({side}) AS {side}" for side in sides)
    one = sides[0]
    rows = db.execute(
        f"SELECT {chosen} FROM {sql} ORDER BY {one}.recv_ns, {one}.seq LIMIT {_EXAMPLES}"  # noqa: S608
    ).fetchall()
    return [_example([json.loads(text) for text in row]) for row in rows]


def _example(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a row's place and columns; where an old and a new row are given, those that differ."""
    place = {name: rows[0][name] for name in ("connection", "seq", "item", "recv_ns")}
    if len(rows) == 2:
        old, new = rows
        columns = {k: [old[k], new[k]] for k in old if old[k] != new[k] and k != "number"}
        return {**place, "columns": columns}
    columns = {k: v for k, v in rows[0].items() if v is not None and k not in (*place, "number")}
    return {**place, "columns": columns}
