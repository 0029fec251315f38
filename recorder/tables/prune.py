"""Pruning: it deletes raw files and rows that are older than a limit, and notes what it deleted.

Raw files are deleted only when all their frames were ingested, unless the user forces it. Prune
first writes the table `pruned`, then deletes the files: a kill in between leaves files that the
next prune deletes. `ledger`, `connections` and `gaps` stay, so that nothing is ingested again and
the record's coverage does not change.
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
from recorder.record import footers, heads, sealed
from recorder.record.layout import Layout, day_of
from recorder.schema.tables import TABLES
from recorder.tables.batch import transaction

#: Never pruned: the tables that prove the record, and those that later rows depend on.
KEPT = ("connections", "gaps", "instruments")


@dataclass(frozen=True, slots=True)
class OldFile:
    """A sealed file that is old enough to delete."""

    feed: str
    stem: str
    where: str
    """Its path, or its URL in the bucket."""
    stems: tuple[str, ...]
    rows: int
    bytes: int


@dataclass(slots=True)
class PrunePlan:
    """The files and rows that are older than the limit."""

    layout: Layout
    files: list[OldFile] = field(default_factory=list)
    held_back: list[OldFile] = field(default_factory=list)  # kept: they were not ingested
    rows: dict[str, int] = field(default_factory=dict)  # table -> rows


@dataclass(frozen=True, slots=True)
class Choice:
    """What to delete: raw files, table rows; with `force` also raw that was never ingested."""

    raw_files: bool = False
    tables: bool = False
    force: bool = False


def plan(db: duckdb.DuckDBPyConnection, layout: Layout, limit_ns: int, choice: Choice) -> PrunePlan:
    """Return the files whose last frame, and the rows whose receive time, is before `limit_ns`.

    `db` is the private database.
    """
    result = PrunePlan(layout)
    if choice.raw_files:
        last = _ledger(db)
        for file in _old(layout, limit_ns):
            ingested = all(stem in last for stem in file.stems)
            if any(last.get(stem, 0) >= limit_ns for stem in file.stems):
                continue
            (result.files if ingested or choice.force else result.held_back).append(file)
    if choice.tables:
        for name in _pruned_tables():
            [(rows,)] = db.execute(
                f"SELECT count(*) FROM {name} WHERE recv_ns < $limit",  # noqa: S608  # our own name
                {"limit": limit_ns},
            ).fetchall()
            result.rows[name] = rows
    return result


def _pruned_tables() -> list[str]:
    return [name for name in TABLES if name not in KEPT]


def _ledger(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the last receive time (ns) of each segment that was ingested whole."""
    rows = db.execute("SELECT segment, last_recv_ns FROM ledger WHERE sealed").fetchall()
    return {stem: last or 0 for stem, last in rows}


def _old(layout: Layout, limit_ns: int) -> Iterator[OldFile]:
    """Yield the sealed files whose last frame is before the limit; active journals are left out."""
    for feed in layout.feeds():
        active = set(layout.active(feed))
        for stem in layout.sealed(feed):
            if day_of(stem) > day(limit_ns) or stem in active:
                continue
            rows, last_ns = _rows_and_last(layout, feed, stem)
            if last_ns is None:
                last_ns = _end_of(day_of(stem))
            if last_ns < limit_ns:
                stems = tuple(footers.stems_of(layout, feed, stem))
                where, size = layout.store.where(feed, stem), layout.store.size(feed, stem)
                yield OldFile(feed, stem, where, stems, rows, size)


def _end_of(date: str) -> int:
    return int(datetime.fromisoformat(f"{date}T00:00+00:00").timestamp()) * NS + DAY_NS


def _rows_and_last(layout: Layout, feed: str, stem: str) -> tuple[int, int | None]:
    """Return how many frames a file holds, and its last receive time (ns); None if unknown."""
    try:
        known = footers.footer(layout.store.look(feed, stem))
    except (DataError, FileNotFoundError):
        return 0, None
    return known.rows, None if known.span is None else known.span[1]


def apply(
    db: duckdb.DuckDBPyConnection, chosen: PrunePlan, limit_ns: int, now_ns: int | None = None
) -> None:
    """Note the files in `pruned`, and delete rows and files. The caller publishes afterwards."""
    note(db, chosen, limit_ns, now_ns)
    _remove(chosen)


def note(
    db: duckdb.DuckDBPyConnection, chosen: PrunePlan, limit_ns: int, now_ns: int | None = None
) -> None:
    """Write down which files are deleted, and delete the rows in one transaction.

    The names go into the heads, which outlive the database, and into `pruned`.
    """
    at = time.time_ns() if now_ns is None else now_ns
    gone = [(file, line) for file in chosen.files for line in _pruned(chosen.layout, file, at)]
    for feed in {file.feed for file in chosen.files}:
        with heads.claimed(chosen.layout, feed):
            lines = (line for file, line in gone if file.feed == feed)
            heads.note_pruned(chosen.layout, feed, lines)
    marks = [_mark(file, line) for file, line in gone]
    with transaction(db):
        if marks:
            db.executemany("INSERT OR REPLACE INTO pruned VALUES (?, ?, ?, ?, ?, ?)", marks)
        for name, rows in chosen.rows.items():
            if rows:
                db.execute(
                    f"DELETE FROM {name} WHERE recv_ns < $limit",  # noqa: S608  # our own name
                    {"limit": limit_ns},
                )


def _remove(chosen: PrunePlan) -> None:
    layout = chosen.layout
    for file in chosen.files:
        layout.store.remove(file.feed, file.stem)
    # A day's directory stays, even if empty: it must not vanish while a reader lists it.
    places = {layout.parquet(file.feed, file.stem).parent for file in chosen.files}
    for directory in filter(Path.exists, places):
        durable.sync_directory(directory)


def _pruned(layout: Layout, file: OldFile, at_ns: int) -> Iterator[heads.Pruned]:
    """Yield what the heads keep of each segment of a file; its numbers are with the first."""
    try:
        held = footers.footer(layout.store.look(file.feed, file.stem)).held
        numbers = _numbers(layout.store.look(file.feed, file.stem))
    except (DataError, FileNotFoundError):
        held, numbers = (), {}
    rows = {one.stem: one.rows for one in held} or {file.stems[0]: file.rows}
    for stem in file.stems:
        yield heads.Pruned(stem, rows[stem], at_ns, numbers if stem == file.stems[0] else {})


def _mark(file: OldFile, line: heads.Pruned) -> tuple[object, ...]:
    """Return the row of `pruned` for a segment of a file."""
    first = line.stem == file.stems[0]
    last_seqs = {name: end - 1 for name, (_, end) in line.connections.items()}
    encoded = json.dumps(last_seqs) if first else None
    return file.feed, line.stem, line.rows, file.bytes if first else 0, line.at_ns, encoded


def _numbers(source: sealed.Source) -> dict[str, tuple[int, int]]:
    """Return each connection's first frame number, and the number behind its last."""
    numbers: dict[str, tuple[int, int]] = {}
    for table in sealed.columns(source, ["connection", "seq"]):
        spans = table.group_by("connection").aggregate([("seq", "min"), ("seq", "max")])
        for row in spans.to_pylist():
            first, end = numbers.get(row["connection"], (row["seq_min"], 0))
            numbers[row["connection"]] = (
                min(first, row["seq_min"]), max(end, row["seq_max"] + 1)
            )  # fmt: skip
    return numbers
