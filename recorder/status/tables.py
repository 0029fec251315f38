"""The part of the status that only the published tables hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recorder.clock import DAY_NS, NS, day
from recorder.errors import BusyError, DataError
from recorder.record.layout import Layout
from recorder.schema.state import LEDGER
from recorder.schema.tables import SCHEMA_VERSION
from recorder.status.connection_state import ConnectionState
from recorder.status.model import DayStatus

if TYPE_CHECKING:
    import duckdb


@dataclass(slots=True)
class Facts:
    """The newest publication of ingest."""

    newest_ns: int | None = None
    rejects: int | None = None
    rejected: tuple[tuple[int, int], ...] | None = None
    """Of the newest frames: second of receipt (since the epoch), and how many were rejected."""
    days: Mapping[tuple[str, str], DayStatus] = field(default_factory=dict)
    """The conditions of the newest days, by feed and day."""
    trouble: DataError | None = None
    """The error if the database is damaged or of another version."""


@dataclass(slots=True)
class Past:
    """How far the tables have read each segment, and today's connections and gaps by feed."""

    read: dict[str, tuple[int, int, bool]] = field(default_factory=dict)
    """By segment: frames, bytes of the journal, and whether all of it was read."""
    written_ns: dict[str, int] = field(default_factory=dict)
    """Receive timestamp of the newest frame or marker in the tables, by feed."""
    connections: dict[str, list[ConnectionState]] = field(default_factory=dict)
    holes: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


_CONNECTIONS = """
SELECT
    feed, connection, line_group, line, url, opened_ns, closed_ns, code, reason, last_heard_ns,
    frames, last_seq, rtt, clock_error_ns, recv_ns, first_frame_ns
FROM connections
QUALIFY row_number() OVER (PARTITION BY feed, line_group, line ORDER BY recv_ns DESC) = 1 OR (
    opened_ns IS NOT NULL AND (
        coalesce(closed_ns, last_heard_ns, opened_ns) >= $since OR row_number() OVER (
            PARTITION BY feed, line_group, line, opened_ns IS NULL
            ORDER BY coalesce(closed_ns, last_heard_ns, opened_ns) DESC
        ) = 1
    )
)
"""

_HOLES = "SELECT feed, recv_ns, frames_missing FROM gaps WHERE frames_missing > 0 AND recv_ns >= ?"


_DAYS = """
SELECT feed, day::VARCHAR, condition, bare_seconds, (causes::JSON)->>'$[*].cause', judged_ns
FROM conditions WHERE channel IS NULL AND day >= $since
"""

_REJECTED = f"SELECT recv_ns // {NS}, count(*) FROM rejects WHERE recv_ns > ? GROUP BY ALL"  # noqa: S608 - a number


def facts(
    layout: Layout, rejects_since_ns: int, since_ns: int | None = None
) -> tuple[Facts, Past | None]:
    """Return the facts of the published database; with `since_ns` also its state from then on.

    Return empty facts while a writer holds the database.
    """
    from recorder.answers import database
    from recorder.schema.versions import of_another_version

    try:
        with database.connect(layout.database) as db:
            version = db.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
            if version is None or version[0] != str(SCHEMA_VERSION):
                known = version[0] if version else "unknown"
                return Facts(trouble=of_another_version(known, layout.database)), None
            newest = f"SELECT max(last_recv_ns) FROM {LEDGER.name}"  # noqa: S608 - our own name
            [(newest_ns,)] = db.execute(newest).fetchall()
            [(rejects,)] = db.execute("SELECT count(*) FROM rejects").fetchall()
            rejected = tuple(db.execute(_REJECTED, [rejects_since_ns]).fetchall())
            past = None if since_ns is None else _past(db, since_ns)
            return Facts(newest_ns, rejects, rejected, _days(db, rejects_since_ns)), past
    except DataError as error:
        return Facts(trouble=error), None
    except BusyError:
        return Facts(), None
    except Exception as error:  # a damaged file fails in many ways, some of them no duckdb.Error
        what = f"cannot be read: {str(error).splitlines()[0][:200]}"
        where = str(layout.database)
        return Facts(trouble=DataError(what, where=where, hint=_REBUILD)), None


def _days(db: duckdb.DuckDBPyConnection, now_ns: int) -> dict[tuple[str, str], DayStatus]:
    """Return the conditions of the last days."""
    rows = db.execute(_DAYS, {"since": day(now_ns - DAY_NS)}).fetchall()
    return {
        (feed, date): DayStatus(date, condition, bare, tuple(causes), judged_ns)
        for feed, date, condition, bare, causes, judged_ns in rows
    }


_REBUILD = "rebuild it from the raw record: recorder ingest --rebuild"


def _past(db: object, since_ns: int) -> Past:
    import duckdb

    assert isinstance(db, duckdb.DuckDBPyConnection)
    past = Past()
    ledger = f"SELECT segment, rows, journal_offset, sealed FROM {LEDGER.name} WHERE day >= ?"  # noqa: S608
    for segment, rows, offset, whole in db.execute(ledger, [day(since_ns - DAY_NS)]).fetchall():
        past.read[segment] = (rows, offset, whole)
    newest = f"SELECT feed, max(last_recv_ns) FROM {LEDGER.name} GROUP BY feed"  # noqa: S608
    past.written_ns = {feed: ns for feed, ns in db.execute(newest).fetchall() if ns is not None}
    for row in db.execute(_CONNECTIONS, {"since": since_ns}).fetchall():
        past.connections.setdefault(row[0], []).append(_known(row[1:]))
    for feed, recv_ns, missing in db.execute(_HOLES, [since_ns]).fetchall():
        past.holes.setdefault(feed, []).append((recv_ns, missing))
    return past


def _known(row: tuple[object, ...]) -> ConnectionState:
    (name, line_group, line, url, opened, closed, code, reason, heard, frames, last_seq, rtt, error,
     first, frame) = row  # fmt: skip
    return ConnectionState(  # the columns' types are the schema's
        name, line_group, line, url, opened, closed, code, reason, heard, frames or 0,  # type: ignore[arg-type]
        (-1 if last_seq is None else last_seq) + 1, rtt, error,  # type: ignore[operator,arg-type]
        first_ns=first, first_frame_ns=frame,  # type: ignore[arg-type]
    )  # fmt: skip


def published(layout: Layout) -> tuple[int, int] | None:
    """Return when the database was published (ns) and its size; None: there is no database."""
    try:
        about = layout.database.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size


def damaged(layout: Layout) -> DataError | None:
    """Return the error that the file's first bytes show, without loading the database engine."""
    try:
        with layout.database.open("rb") as file:
            head = file.read(12)
    except FileNotFoundError:
        return None
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        return DataError(what, where=str(layout.database), hint=_REBUILD)
    if head[8:] == b"DUCK":
        return None
    return DataError("is not a DuckDB database", where=str(layout.database), hint=_REBUILD)


#: The shortest time between two queries of the published database.
EVERY_NS = 5 * NS
