"""Reading every frame of a feed to verify it: numbers, days, damage, a digest of each segment.

It trusts nothing that a file says of itself. `judge` compares what it read with what ought to be
there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import DAY_NS, iso
from recorder.errors import DataError
from recorder.record import damaged, footers, read
from recorder.record.digest import SegmentDigests
from recorder.record.footers import Footer
from recorder.record.journal.block import Damage
from recorder.record.layout import Layout, day_of, run_of
from recorder.record.manifest import Manifest
from recorder.record.read import Position, Reader
from recorder.record.report import FeedReport, Finding, Grade, Report
from recorder.reporter import Reporter

_EPOCH = "1970-01-01"


@dataclass(frozen=True, slots=True)
class Present:
    """A segment that was read."""

    rows: int
    digest: str
    where: str
    sealed: bool


class Walk:
    """One feed's segments, oldest first, and the next number of each connection."""

    def __init__(
        self,
        layout: Layout,
        ought: Manifest,
        report: Report,
        reporter: Reporter,
        day: str | None = None,
    ) -> None:
        self.layout, self.ought, self._reporter = layout, ought, reporter
        self._name, self._day = ought.feed, day
        self._reader = Reader(layout, self._name, verify=True)
        self._findings = report.findings
        self._next: dict[str, int] = {}
        self._connections: set[str] = set()
        self._kinds: dict[str, dict[str, str]] = {}
        self.feed = FeedReport(self._name)
        self.present: dict[str, Present] = {}
        """By segment."""

    def run(self) -> None:
        """Read every segment."""
        layout, name = self.layout, self._name
        self._skip_pruned()
        for stem in read.stems(layout, name):
            if self._day in (None, day_of(stem)):
                self._segment(stem)
        for stem in layout.store.differing(name):
            where = str(layout.parquet(name, stem))
            what = "differs from the object of its name in the bucket"
            self._wrong(what, where, "compare the two")
        self.feed.connections = len(self._connections)
        for path, note in damaged.kept(layout, name):
            cause, rows = ("no note says why", 0) if note is None else (note.cause, note.rows)
            what = f"was set aside: {cause}; {rows:,} frames of it are sealed"
            remedy = "its bytes are kept: restore the file, or read what is left of it by hand"
            if note is not None and damaged.ends_in_zeros(path, note.damaged):
                self._zeros(f"{what}; it ends in zeros", str(path))
            else:
                self._wrong(what, str(path), remedy)

    def _zeros(self, what: str, where: str) -> None:
        remedy = "after a power cut, move it away; else the device has lost frames"
        what += ", as a power cut leaves it"
        self._findings.append(Finding(what, where, remedy, Grade.UNPROVEN))

    def by_run(self) -> dict[str, dict[str, Present]]:
        """Return the segments that were read by their run."""
        return _grouped(self.present, run_of)

    def of_day(self, day: str) -> dict[str, Present]:
        """Return the segments of a day (`YYYY-MM-DD`); call it after `run`."""
        return self._by_day.get(day, {})

    @cached_property
    def _by_day(self) -> dict[str, dict[str, Present]]:
        return _grouped(self.present, day_of)

    @cached_property
    def places(self) -> set[str]:
        """The files that segments were read from; read it after `run`."""
        return {one.where for one in self.present.values()}

    def _skip_pruned(self) -> None:
        """Count the numbers of pruned segments as read, unless their files were put back."""
        if not self.ought.pruned:
            return
        there = {stem for _, held in footers.files(self.layout, self._name) for stem in held}
        gone = {stem: one for stem, one in self.ought.pruned.items() if stem not in there}
        for removal in gone.values():
            for connection, following in removal.next_seqs.items():
                self._next[connection] = max(self._next.get(connection, 0), following)
        if gone:
            frames = sum(removal.rows for removal in gone.values())
            what = f"{len(gone)} segments of '{self._name}' ({frames:,} frames) were pruned"
            self._note(what, str(self.layout.raw / f"feed={self._name}"), "nothing: on purpose")

    def _segment(self, stem: str) -> None:
        if stem in self.present:  # read within a merged file
            self._surplus(stem)
            return
        at = self._reader.read.setdefault(stem, Position())
        damage: list[Damage] = []
        self._reader.damage = damage
        journal = self.layout.journal(self._name, stem)
        where = self.layout.store.where(self._name, stem)
        known = self._footer(stem)
        sizes = [] if known is None else [(one.stem, one.rows) for one in known.held]
        digests, rows = SegmentDigests(sizes), 0
        try:
            for table in self._reader.parts(stem):
                rows += len(table)
                digests.update(table)
                self._part(table, stem, str(journal) if at.offset else where)
        except DataError as error:
            self._wrong(error.what, where, "restore this file from a copy")
            return
        except FileNotFoundError:
            self._wrong("was removed meanwhile", where, "pruned just now? verify again")
            return
        found = digests.found if sizes else {stem: (rows, digests.rest())}
        if journal.exists() and not at.whole:
            self.feed.journals += 1
            self._damage(damage, journal)
            self._about(stem, str(journal), read.about(journal), sealed=False)
            where = str(journal)
        else:
            self.feed.segments += 1
            if journal.exists():
                what = "sealed, and its journal is still there"
                self._note(what, str(journal), "the next capture deletes it")
            if known is not None:
                self._check_footer(known, stem, rows, where)
        for one, (count, digest) in found.items():
            self.present[one] = Present(count, digest, where, at.whole)

    def _surplus(self, stem: str) -> None:
        """Name a sealed file whose frames a merged file holds, too."""
        path = self.layout.parquet(self._name, stem)
        if path.exists() and self.present[stem].where != str(path):
            what = f"its frames are in {self.present[stem].where}, too"
            self._wrong(what, str(path), "surplus: compare the two; move one of them away")

    def _footer(self, stem: str) -> Footer | None:
        try:
            return footers.footer(self.layout.store.look(self._name, stem))
        except (DataError, FileNotFoundError):
            return None  # a journal; or reading the file names what is wrong

    def _check_footer(self, known: Footer, stem: str, rows: int, where: str) -> None:
        """Compare what a file that was read says of itself with what it holds."""
        if known.held and sum(one.rows for one in known.held) != rows:
            self._wrong("lists other segments than it holds", where, "restore it")
        if known.checksum is None:
            self._note("has no checksum of its values", where, "another program wrote it")
        self._about(stem, where, known.about, sealed=True)

    def _about(self, stem: str, where: str, said: object, *, sealed: bool) -> None:
        """Compare what a file says of its origin with its place and with the head of its run."""
        about = said if isinstance(said, dict) else {}
        run = run_of(stem)
        ought = {"feed": self._name, "run": run}
        head = self.ought.heads.get(run)
        if head is not None and head.begin is not None:
            begin = head.begin
            ought |= {"host": begin.host, "kind": begin.kind, "recorder": begin.recorder}
            if sealed and self.ought.segment(stem) is not None:
                about = dict.fromkeys(ought, "") | about
        else:
            ought = self._kinds.setdefault(run, {**about, **ought}) | ought
        for name, value in ought.items():
            if value and name in about and about[name] != value:
                what = f"says {name} '{about[name]}'; expected '{value}'"
                self._wrong(what, where, "moved or altered: restore it from a copy")

    def _damage(self, damage: list[Damage], journal: Path) -> None:
        where, ranges = str(journal), [(hurt.start, hurt.end) for hurt in damage]
        for hurt in damage:
            size = hurt.end - hurt.start
            if hurt.torn:
                what = f"a torn tail of {size} bytes from byte {hurt.start}"
                self._note(what, where, "usual after a crash; sealing cuts it off")
            elif damaged.ends_in_zeros(journal, ranges):
                self._zeros(f"{size} zeros from byte {hurt.start} to its end", where)
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
        expected = self._next.get(connection, first if self._day else 0)
        self._next[connection] = max(expected, last + 1)
        mine = table
        if count < len(table):
            mine = table.filter(pc.equal(table["connection"], connection))
        if first == expected and last - first + 1 == count and _ascending(mine["seq"]):
            return
        again: list[int] = []  # the first and last of consecutive frames that came before
        for seq, kind in zip(mine["seq"].to_pylist(), mine["kind"].to_pylist(), strict=True):
            if seq >= expected or (again and seq != again[-1] + 1):
                self._repeated(connection, again, where)
                again = []
            if seq > expected:
                self._hole(connection, expected, seq, kind, where)
            elif seq < expected:
                again = [*again[:1], seq]
            expected = max(expected, seq + 1)
        self._repeated(connection, again, where)

    def _repeated(self, connection: str, again: list[int], where: str) -> None:
        if again:
            several = f"frames {again[0]} to {again[-1]} are"
            which = several if len(again) > 1 else f"frame {again[0]} is"
            what = f"connection {connection}: {which} there twice or out of order"
            self._wrong(what, where, "keep one of the files that hold it")

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
        self._findings.append(Finding(what, where, remedy, Grade.NOTE))


def _ascending(numbers: pa.ChunkedArray) -> bool:
    return len(numbers) < 2 or pc.all(pc.less(numbers[:-1], numbers[1:])).as_py() is True


def _grouped(
    present: dict[str, Present], key: Callable[[str], str]
) -> dict[str, dict[str, Present]]:
    groups: dict[str, dict[str, Present]] = {}
    for stem, one in present.items():
        groups.setdefault(key(stem), {})[stem] = one
    return groups


def _date(stem: str) -> pa.Scalar:
    return pa.scalar(day_of(stem)).cast("date32")
