"""What ought to be in a record: what heads, the ledger and the notes of removal say of a feed.

Nothing here reads a frame. `verify` compares a manifest with the frames that it read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import duckdb

from recorder.record import heads
from recorder.record.heads import Head, Segment
from recorder.record.layout import Layout, is_run, run_of
from recorder.schema import duck


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the ledger of the published tables says of a segment."""

    rows: int
    sealed: bool
    """True if ingest took the sealed file whole."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A segment that was removed on purpose; `next_seqs` is where its connections continue."""

    rows: int
    next_seqs: dict[str, int]


@dataclass(slots=True)
class Manifest:
    """What ought to be there of one feed."""

    feed: str
    heads: dict[str, Head] = field(default_factory=dict)
    """By run."""
    ledger: dict[str, LedgerEntry] = field(default_factory=dict)
    """By segment, as are the others."""
    pruned: dict[str, Removal] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    """The URL of the bucket that has the file."""

    def segment(self, stem: str) -> Segment | None:
        """Return what the head of its run says of a segment."""
        head = self.heads.get(run_of(stem))
        return None if head is None else head.stems.get(stem)


@dataclass(slots=True)
class Tables:
    """What the published tables say of a record's segments, by feed."""

    ledger: dict[str, dict[str, LedgerEntry]] = field(default_factory=dict)
    pruned: dict[str, dict[str, Removal]] = field(default_factory=dict)
    fault: str = ""
    """Why the tables cannot be read."""


def feeds(layout: Layout, tables: Tables) -> list[str]:
    """Return every feed that is here, or ought to be, sorted."""
    return sorted({*layout.feeds(), *heads.feeds(layout), *tables.ledger, *tables.pruned})


def of_feed(layout: Layout, feed: str, tables: Tables) -> Manifest:
    """Return what ought to be there of a feed."""
    copies = layout.store.heads(feed)
    removed = [line for name, data in copies.items() for line in heads.removals(name, data)]
    known: dict[str, Head] = {}
    for run in {*heads.runs(layout, feed), *(name for name in copies if is_run(name))}:
        head, copy = heads.read(layout, feed, run), copies.get(run)
        if copy is not None:
            head = _joined(head, heads.parse(run, copy))
        if head is not None:
            known[run] = head
    pruned = dict(tables.pruned.get(feed, {}))
    for line in [*removed, *heads.pruned(layout, feed)]:
        following = {name: end for name, (_, end) in line.connections.items()}
        pruned[line.stem] = Removal(line.rows, following)
    dropped = {line.stem: line.url for line in heads.dropped(layout, feed)}
    return Manifest(feed, known, tables.ledger.get(feed, {}), pruned, dropped)


def _joined(here: Head | None, copy: Head) -> Head:
    """Return the longer of a head and its copy in a bucket: one continues the other."""
    if here is None:
        return copy
    longer, shorter = (here, copy) if len(here.links) >= len(copy.links) else (copy, here)
    if shorter.link not in longer.links:
        longer.faults.append("it and its copy in the bucket differ")
    return longer


def of_tables(layout: Layout) -> Tables:
    """Read the ledger of the published tables, and what was pruned; empty without a database."""
    tables = Tables()
    if not layout.database.exists():
        return tables
    try:
        with duck.connect(layout.database.resolve(strict=True), read_only=True) as database:
            claims = database.execute("SELECT feed, segment, rows, sealed FROM ledger").fetchall()
            gone = database.execute("SELECT feed, segment, rows, last_seqs FROM pruned").fetchall()
    except (OSError, duckdb.Error) as error:
        tables.fault = f"cannot be read: {str(error).splitlines()[0]}"
        return tables
    for feed, stem, rows, sealed in claims:
        tables.ledger.setdefault(feed, {})[stem] = LedgerEntry(rows, sealed)
    for feed, stem, rows, last_seqs in gone:
        following = {name: last + 1 for name, last in json.loads(last_seqs or "{}").items()}
        tables.pruned.setdefault(feed, {})[stem] = Removal(rows, following)
    return tables
