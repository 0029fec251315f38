"""Verifying a record: is every frame there that its own numbers promise, and readable?

Reads a data directory and trusts nothing: it computes the checksum of every block, page and value,
counts every connection's numbers, and compares every frame's day with its place, and the ledger
with the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import DAY_NS, iso
from recorder.errors import DataError
from recorder.record import compact, footers, read
from recorder.record.journal.block import Damage
from recorder.record.layout import Layout, day_of
from recorder.record.read import Position, Reader
from recorder.reporter import QUIET, Reporter
from recorder.schema import duck

_EPOCH = "1970-01-01"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be: what, where, and what can be done."""

    what: str
    where: str
    remedy: str
    wrong: bool = True  # False: worth knowing, nothing is missing


@dataclass(slots=True)
class FeedReport:
    """What one feed's record holds."""

    feed: str
    segments: int = 0
    journals: int = 0
    frames: int = 0
    bytes: int = 0
    connections: int = 0
    first_recv_ns: int | None = None
    last_recv_ns: int | None = None


@dataclass(slots=True)
class Report:
    """What a data directory holds, and what is wrong with it."""

    feeds: list[FeedReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """True if nothing is wrong."""
        return not any(finding.wrong for finding in self.findings)


def verify(layout: Layout, reporter: Reporter = QUIET) -> Report:
    """Read everything under a data directory; `reporter` takes progress in frames."""
    report = Report()
    rows: dict[str, int] = {}
    pruned = _pruned(layout)
    for name in layout.feeds():
        walk = _Walk(layout, name, report, reporter)
        walk.skip(pruned.get(name, []))
        walk.run()
        report.feeds.append(walk.feed)
        rows |= walk.rows
    report.findings += _ledger(layout, rows)
    for foreign in layout.store.foreign():
        what = "is not a sealed file: its name says no feed, day and segment"
        report.findings.append(Finding(what, foreign, "left alone; move it away", wrong=False))
    for path in compact.left_over(layout):
        what, remedy = (
            "a compaction that was interrupted",
            "recorder prune --compact clears it away",
        )
        report.findings.append(Finding(what, str(path), remedy, wrong=False))
    return report


class _Walk:
    """One feed's segments, oldest first, and the next number of each connection."""

    def __init__(self, layout: Layout, name: str, report: Report, reporter: Reporter) -> None:
        self._layout, self._name, self._reporter = layout, name, reporter
        self._reader = Reader(layout, name, verify=True)
        self._findings = report.findings
        self._next: dict[str, int] = {}
        self._connections: set[str] = set()
        self.feed = FeedReport(name)
        self.rows: dict[str, int] = {}

    def skip(self, pruned: list[_Pruned]) -> None:
        """Count the numbers of pruned segments as read, unless their files were put back."""
        if not pruned:
            return
        there = {stem for _, held in footers.files(self._layout, self._name) for stem in held}
        gone = [segment for segment in pruned if segment.stem not in there]
        for segment in gone:
            for connection, last in segment.last_seqs.items():
                self._next[connection] = max(self._next.get(connection, 0), last + 1)
        if gone:
            frames = sum(segment.rows for segment in gone)
            what = f"{len(gone)} segments of '{self._name}' ({frames:,} frames) were pruned"
            self._note(what, str(self._layout.raw / f"feed={self._name}"), "nothing: on purpose")

    def run(self) -> None:
        """Read every segment."""
        layout, name = self._layout, self._name
        for stem in read.stems(layout, name):
            self._segment(stem)
        for stem in layout.store.differing(name):
            where = str(layout.parquet(name, stem))
            self._wrong("is not what the bucket has under its name", where, "compare the two")
        self.feed.connections = len(self._connections)
        leftovers = (layout.raw / f"feed={name}").glob("date=*/*.tmp")
        for path in leftovers:
            self._note("an unfinished sealed file", str(path), "it may be deleted")

    def _segment(self, stem: str) -> None:
        at = self._reader.read.setdefault(stem, Position())
        damage: list[Damage] = []
        self._reader.damage = damage
        journal = self._layout.journal(self._name, stem)
        where = self._layout.store.where(self._name, stem)
        try:
            for table in self._reader.parts(stem):
                self._part(table, stem, str(journal) if at.offset else where)
        except DataError as error:
            self._wrong(error.what, where, "restore this file from a copy")
        except FileNotFoundError:
            self._wrong("went away meanwhile", where, "pruned just now? verify again")
        if journal.exists() and not at.whole:
            self.feed.journals += 1
            self._damage(damage, str(journal))
            return
        self.feed.segments += 1
        if journal.exists():
            what = "sealed, and its journal is still there"
            self._note(what, str(journal), "the next capture")
        if at.whole:
            self._footer(stem, where)

    def _footer(self, stem: str, where: str) -> None:
        """Compare what a file that was read says of itself with what it holds."""
        try:
            known = footers.footer(self._layout.store.look(self._name, stem))
        except FileNotFoundError:
            return  # merged just now
        self.rows |= {one.stem: one.rows for one in known.held} or {stem: known.rows}
        if known.held and sum(one.rows for one in known.held) != known.rows:
            self._wrong("lists other segments than it holds", where, "restore it")
        if known.checksum is None:
            self._note("carries no checksum of its values", where, "another program wrote it")

    def _damage(self, damage: list[Damage], where: str) -> None:
        for hurt in damage:
            size = hurt.end - hurt.start
            if hurt.torn:
                what = f"a torn tail of {size} bytes from byte {hurt.start}"
                self._note(what, where, "usual after a crash; sealing cuts it off")
            else:
                what = f"{size} damaged bytes from byte {hurt.start}"
                self._wrong(what, where, "the frames there are lost; the gap is recorded")

    def _part(self, table: pa.Table, stem: str, where: str) -> None:
        feed, stamps = self.feed, pc.min_max(table["recv_ns"]).as_py()
        feed.frames += len(table)
        feed.bytes += pc.sum(pc.binary_length(table["payload"])).as_py() or 0
        feed.first_recv_ns = min(feed.first_recv_ns or stamps["min"], stamps["min"])
        feed.last_recv_ns = max(feed.last_recv_ns or stamps["max"], stamps["max"])
        day = int(pc.days_between(pa.scalar(_EPOCH).cast("date32"), _date(stem)).as_py())
        if not stamps["min"] // DAY_NS == stamps["max"] // DAY_NS == day:
            span = f"{iso(stamps['min'])} to {iso(stamps['max'])}"
            self._wrong(f"holds frames of another day: {span}", where, "queries by day miss them")
        runs = table.group_by("connection").aggregate(
            [("seq", "min"), ("seq", "max"), ("seq", "count")]
        )
        for run in runs.to_pylist():
            self._numbers(table, run, where)
        self._reporter.progress(len(table))

    def _numbers(self, table: pa.Table, run: dict[str, int | str], where: str) -> None:
        """Compare one connection's frames in a part with the numbers to expect."""
        connection = str(run["connection"])
        first, last, count = int(run["seq_min"]), int(run["seq_max"]), int(run["seq_count"])
        self._connections.add(connection)
        expected = self._next.get(connection, 0)
        self._next[connection] = max(expected, last + 1)
        if first == expected and last - first + 1 == count:
            return
        mine = table.filter(pc.equal(table["connection"], connection))
        for seq, kind in zip(mine["seq"].to_pylist(), mine["kind"].to_pylist(), strict=True):
            if seq > expected:
                self._hole(connection, expected, seq, kind, where)
            elif seq < expected:
                what = f"connection {connection}: frame {seq} is there twice or out of order"
                self._wrong(what, where, "keep one of the files that hold it")
            expected = max(expected, seq + 1)

    def _hole(self, connection: str, expected: int, seq: int, kind: str, where: str) -> None:
        missing = seq - expected
        what = f"connection {connection}: {missing} frames missing before frame {seq}"
        if kind == "gap":
            self._note(f"{what}, as its gap marker says", where, "the disk refused them then")
        else:
            self._wrong(what, where, "look for a segment that was moved away, or damaged above")

    def _wrong(self, what: str, where: str, remedy: str) -> None:
        self._findings.append(Finding(what, where, remedy))

    def _note(self, what: str, where: str, remedy: str) -> None:
        self._findings.append(Finding(what, where, remedy, wrong=False))


@dataclass(frozen=True, slots=True)
class _Pruned:
    """A segment whose raw file was removed on purpose."""

    stem: str
    rows: int
    last_seqs: dict[str, int]


def _pruned(layout: Layout) -> dict[str, list[_Pruned]]:
    """What the published tables say was pruned, by feed; nothing where they cannot be read."""
    found: dict[str, list[_Pruned]] = {}
    try:
        with duck.connect(layout.database.resolve(strict=True), read_only=True) as database:
            rows = database.execute("SELECT feed, segment, rows, last_seqs FROM pruned").fetchall()
    except (OSError, duckdb.Error):
        return found
    for feed, stem, count, last_seqs in rows:
        told = json.loads(last_seqs) if last_seqs else {}
        found.setdefault(feed, []).append(_Pruned(stem, count, told))
    return found


def _date(stem: str) -> pa.Scalar:
    return pa.scalar(day_of(stem)).cast("date32")


def _ledger(layout: Layout, rows: dict[str, int]) -> Iterator[Finding]:
    """The ledger of the published tables against the sealed files."""
    if not layout.database.exists():
        return
    where = str(layout.database)
    rebuild = "make the tables anew: recorder ingest --rebuild"
    try:
        with duck.connect(layout.database, read_only=True) as database:
            claims = database.execute("SELECT segment, rows, sealed FROM ledger").fetchall()
    except duckdb.Error as error:
        yield Finding(f"cannot be read: {str(error).splitlines()[0]}", where, rebuild)
        return
    for stem, claimed, whole in claims:
        there = rows.get(stem)
        if there is not None and (there < claimed or (whole and there != claimed)):
            what = f"says {claimed} frames of segment {stem}, whose file holds {there}"
            yield Finding(what, where, rebuild)
