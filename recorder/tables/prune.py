"""Pruning: what is older than a limit goes, on purpose and on the record.

Raw files go only when ingest has taken them whole (or when told otherwise). First the tables say
what is pruned, then the files go: a kill in between leaves marked files, which the next prune finds
to be as old as the others. `ledger`, `connections` and `gaps` stay, so that nothing is ingested
again and the record's coverage stays what it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from recorder import durable
from recorder.clock import DAY_NS, NS, day
from recorder.errors import DataError
from recorder.record import footers, sealed
from recorder.record.layout import Layout, day_of
from recorder.schema.tables import TABLES
from recorder.tables.batch import transaction

#: What proves the record, and what later rows are understood by, is never pruned.
KEPT = ("connections", "gaps", "instruments")


@dataclass(frozen=True, slots=True)
class RawFile:
    """A sealed file that is old enough to go."""

    feed: str
    stem: str
    where: str
    """Its path, or its URL in the bucket."""
    stems: tuple[str, ...]
    rows: int
    bytes: int


@dataclass(slots=True)
class Plan:
    """What is older than the limit."""

    layout: Layout
    files: list[RawFile] = field(default_factory=list)
    held_back: list[RawFile] = field(default_factory=list)  # not ingested: they stay
    rows: dict[str, int] = field(default_factory=dict)  # table -> rows


@dataclass(frozen=True, slots=True)
class Choice:
    """What may go: raw files, table rows; with `force` also raw that was never ingested."""

    raw_files: bool = False
    tables: bool = False
    force: bool = False


def plan(db: duckdb.DuckDBPyConnection, layout: Layout, limit_ns: int, choice: Choice) -> Plan:
    """What would go: files whose last frame, and rows whose receive time, is before `limit_ns`.

    `db` is the private database.
    """
    found = Plan(layout)
    if choice.raw_files:
        last = _ledger(db)
        for file in _old(layout, limit_ns):
            ingested = all(stem in last for stem in file.stems)
            if any(last.get(stem, 0) >= limit_ns for stem in file.stems):
                continue
            (found.files if ingested or choice.force else found.held_back).append(file)
    if choice.tables:
        for name in _pruned_tables():
            [(rows,)] = db.execute(
                f"SELECT count(*) FROM {name} WHERE recv_ns < $limit",  # noqa: S608  # our own name
                {"limit": limit_ns},
            ).fetchall()
            found.rows[name] = rows
    return found


def _pruned_tables() -> list[str]:
    return [name for name in TABLES if name not in KEPT]


def _ledger(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Last receive time of each segment that was ingested whole."""
    rows = db.execute("SELECT segment, last_recv_ns FROM ledger WHERE sealed").fetchall()
    return {stem: last or 0 for stem, last in rows}


def _old(layout: Layout, limit_ns: int) -> Iterator[RawFile]:
    """Sealed files of days that began before the limit; an active journal is none of them."""
    for feed in layout.feeds():
        active = set(layout.active(feed))
        for stem in layout.sealed(feed):
            if day_of(stem) > day(limit_ns) or stem in active:
                continue
            rows, last_ns = _extent(layout, feed, stem)
            if last_ns is None:
                last_ns = _end_of(day_of(stem))
            if last_ns < limit_ns:
                stems = tuple(footers.stems_of(layout, feed, stem))
                where, size = layout.where(feed, stem), layout.size(feed, stem)
                yield RawFile(feed, stem, where, stems, rows, size)


def _end_of(date: str) -> int:
    return int(datetime.fromisoformat(f"{date}T00:00+00:00").timestamp()) * NS + DAY_NS


def _extent(layout: Layout, feed: str, stem: str) -> tuple[int, int | None]:
    """Return a file's frames, and its last receive time by its statistics; None: unknown."""
    try:
        known = footers.footer(layout.look(feed, stem))
    except (DataError, FileNotFoundError):
        return 0, None
    return known.rows, None if known.span is None else known.span[1]


def apply(
    db: duckdb.DuckDBPyConnection, chosen: Plan, limit_ns: int, now_ns: int | None = None
) -> None:
    """Note what goes, let the rows go, and then the files. The caller publishes afterwards."""
    note(db, chosen, limit_ns, now_ns)
    _remove(chosen)


def note(
    db: duckdb.DuckDBPyConnection, chosen: Plan, limit_ns: int, now_ns: int | None = None
) -> None:
    """Put on record which files go, and let the rows go, in one transaction."""
    at = time.time_ns() if now_ns is None else now_ns
    marks = [mark for file in chosen.files for mark in _marks(chosen.layout, file, at)]
    with transaction(db):
        if marks:
            db.executemany("INSERT OR REPLACE INTO pruned VALUES (?, ?, ?, ?, ?, ?)", marks)
        for name, rows in chosen.rows.items():
            if rows:
                db.execute(
                    f"DELETE FROM {name} WHERE recv_ns < $limit",  # noqa: S608  # our own name
                    {"limit": limit_ns},
                )


def _remove(chosen: Plan) -> None:
    layout = chosen.layout
    for file in chosen.files:
        layout.remove(file.feed, file.stem)
    # A day's directory stays, though empty: it must not vanish while somebody lists it.
    places = {Layout.parquet(layout, file.feed, file.stem).parent for file in chosen.files}
    for directory in filter(Path.exists, places):
        durable.sync_directory(directory)


def _marks(layout: Layout, file: RawFile, at: int) -> Iterator[tuple[object, ...]]:
    """The rows of `pruned` for one file's segments."""
    try:
        held = footers.footer(layout.look(file.feed, file.stem)).held
        last_seqs = _last_seqs(layout.look(file.feed, file.stem))
    except (DataError, FileNotFoundError):
        held, last_seqs = (), {}
    rows = {one.stem: one.rows for one in held} or {file.stems[0]: file.rows}
    for stem in file.stems:
        first = stem == file.stems[0]
        told = json.dumps(last_seqs) if first else None
        yield file.feed, stem, rows[stem], file.bytes if first else 0, at, told


def _last_seqs(source: sealed.Source) -> dict[str, int]:
    last: dict[str, int] = {}
    for table in sealed.columns(source, ["connection", "seq"]):
        for run in table.group_by("connection").aggregate([("seq", "max")]).to_pylist():
            last[run["connection"]] = max(last.get(run["connection"], -1), run["seq_max"])
    return last
