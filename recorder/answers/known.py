"""The tables as of a moment (`as_of`), for any canned SELECT.

For each table that a query reads, a common table expression of the same name is put in front of it.
It holds only the rows received by `$as_of`, so that no part of the query, joins included, can look
ahead. NULL means all rows.
"""

from __future__ import annotations

import re

from recorder.schema.tables import TABLES

#: The parameter's name, type, default and meaning.
AS_OF = ("as_of", "TIMESTAMPTZ", "NULL", "only what had been received by this time")

_FIRST = re.compile(r"WITH\s+", re.IGNORECASE)

#: True of a gap `t` that had ended. The handshake ends one only once a frame has come.
_ENDED = """(t.to_ns <= epoch_ns($as_of) AND NOT EXISTS (
            FROM main.connections n
            WHERE n.feed = t.feed AND n.line_group IS NOT DISTINCT FROM t.line_group
                AND n.line IS NOT DISTINCT FROM t.line AND n.opened_ns = t.to_ns
                AND n.first_frame_ns > epoch_ns($as_of)
        ))"""

#: Rows of these tables change after their receive time: later values are hidden.
_LATER = {
    "connections": """ REPLACE (
        if($as_of IS NULL OR t.closed_ns <= epoch_ns($as_of), t.closed_ns, NULL) AS closed_ns,
        if($as_of IS NULL OR t.closed_ns <= epoch_ns($as_of), t.code, NULL) AS code,
        if($as_of IS NULL OR t.closed_ns <= epoch_ns($as_of), t.reason, NULL) AS reason,
        if($as_of IS NULL OR t.last_heard_ns <= epoch_ns($as_of), t.frames, NULL) AS frames,
        if($as_of IS NULL OR t.last_heard_ns <= epoch_ns($as_of), t.bytes, NULL) AS bytes,
        if($as_of IS NULL OR t.last_heard_ns <= epoch_ns($as_of), t.last_seq, NULL) AS last_seq,
        if($as_of IS NULL OR t.last_heard_ns <= epoch_ns($as_of), t.rtt, NULL) AS rtt,
        if($as_of IS NULL OR t.first_frame_ns <= epoch_ns($as_of), t.first_frame_ns, NULL)
            AS first_frame_ns,
        if($as_of IS NULL OR t.last_heard_ns <= epoch_ns($as_of), t.clock_error_ns, NULL)
            AS clock_error_ns,
        if(t.last_heard_ns > epoch_ns($as_of), epoch_ns($as_of), t.last_heard_ns) AS last_heard_ns
    )""",
    "gaps": f""" REPLACE (
        if($as_of IS NULL OR {_ENDED}, t.to_ns, NULL) AS to_ns,
        if($as_of IS NULL OR {_ENDED}, t.covered, NULL) AS covered
    )""",
}


def limited(sql: str) -> str:
    """Return the same SELECT over the rows received by `$as_of`.

    Tables are qualified with `main`; else DuckDB takes the name for the expression itself.
    """
    names = [name for name in TABLES if _reads(sql, name)]
    if not names:
        return sql
    known = ",\n".join(_expression(name) for name in names)
    rest, with_more = _FIRST.subn("", sql, count=1) if _FIRST.match(sql) else (sql, 0)
    return f"WITH {known}{',' if with_more else ''}\n{rest}"


def _reads(sql: str, name: str) -> bool:
    """Return True if the SQL reads the table, not a common table expression of that name."""
    return (
        re.search(rf"\b(?:FROM|JOIN)\s+{name}\b(?!\s*\()", sql) is not None
        and re.search(rf"\b{name}\s+AS\s+(?:NOT\s+)?(?:MATERIALIZED\s*)?\(", sql) is None
    )


def _expression(name: str) -> str:
    # Inlined, so that filters still reach the table.
    begun = " AND t.from_ns <= epoch_ns($as_of)" if name == "gaps" else ""
    return f"""{name} AS NOT MATERIALIZED (
    SELECT t.*{_LATER.get(name, "")}
    FROM main.{name} t
    WHERE $as_of IS NULL OR (t.recv_ns <= epoch_ns($as_of){begun})
)"""  # noqa: S608 - the names are the schema's
