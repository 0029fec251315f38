"""Verifying a record: is every frame there that ought to be, unaltered, in its place and readable?

It begins with what ought to be there (`manifest`): heads, the ledger, what was removed on purpose.
It reads every frame, trusts nothing that a file says of itself, and names whatever is absent,
surplus, moved, altered or without a proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import DAY_NS, iso
from recorder.errors import DataError, UsageError
from recorder.record import compact, damaged, day_seal, footers, manifest, read
from recorder.record.day_seal import DaySeal
from recorder.record.digest import SegmentDigests
from recorder.record.footers import Footer
from recorder.record.heads import Head, digest_of
from recorder.record.journal.block import Damage
from recorder.record.layout import Layout, day_of, is_stem, number_of, run_of
from recorder.record.manifest import Manifest
from recorder.record.read import Position, Reader
from recorder.reporter import QUIET, Reporter

_EPOCH = "1970-01-01"


class Grade(StrEnum):
    """How bad a finding is."""

    WRONG = "wrong"
    """Something is missing, altered or surplus."""
    UNPROVEN = "unproven"
    """Nothing contradicts the record here, but nothing proves it either."""
    NOTE = "note"
    """Worth knowing; nothing is missing."""


class RecordVerdict(StrEnum):
    """What a verification came to."""

    WHOLE = "whole"
    WRONG = "wrong"
    UNVERIFIED = "unverified"

    @property
    def exit_code(self) -> int:
        """The exit code of `recorder verify`."""
        return {"whole": 0, "wrong": 1, "unverified": 5}[self]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be: what, where, and what can be done."""

    what: str
    where: str
    remedy: str
    grade: Grade = Grade.WRONG

    @property
    def wrong(self) -> bool:
        """True if something is missing, altered or surplus."""
        return self.grade is Grade.WRONG


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
    proven: int = 0
    """Frames whose digest is that of a head."""


@dataclass(slots=True)
class Report:
    """What a data directory holds, and what is wrong with it."""

    feeds: list[FeedReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def verdict(self) -> RecordVerdict:
        """WRONG if one finding is, else UNVERIFIED if one cannot be proven, else WHOLE."""
        grades = {finding.grade for finding in self.findings}
        if Grade.WRONG in grades:
            return RecordVerdict.WRONG
        return RecordVerdict.UNVERIFIED if Grade.UNPROVEN in grades else RecordVerdict.WHOLE

    @property
    def sound(self) -> bool:
        """True if nothing is wrong and nothing is unproven."""
        return self.verdict is RecordVerdict.WHOLE


def verify(layout: Layout, reporter: Reporter = QUIET) -> Report:
    """Read everything under a data directory; `reporter` takes progress in frames."""
    report = Report()
    tables = manifest.of_tables(layout)
    if tables.fault:
        what, remedy = tables.fault, "rebuild the tables: recorder ingest --rebuild"
        report.findings.append(Finding(what, str(layout.database), remedy))
    for name in manifest.feeds(layout, tables):
        walk = _Walk(layout, manifest.of_feed(layout, name, tables), report, reporter)
        walk.run()
        report.findings += _judged(walk)
        for path in sorted((layout.heads / name).glob("*.json")):
            report.findings += _day_of_file(walk, path)
        report.feeds.append(walk.feed)
    report.findings += _strays(layout)
    for foreign in layout.store.foreign():
        what = "is not a sealed file: its name does not give a feed, a day and a segment"
        report.findings.append(Finding(what, foreign, "left alone; move it away", Grade.NOTE))
    for path in compact.left_over(layout):
        what, remedy = "an interrupted compaction", "remove it: recorder prune --compact"
        report.findings.append(Finding(what, str(path), remedy, Grade.NOTE))
    return report


def against(
    layout: Layout, seal: DaySeal, key: Path | None = None, reporter: Reporter = QUIET
) -> Report:
    """Compare the record with a day seal; `key` is the public key that has to have signed it.

    Raises:
        UsageError: the key cannot be read, or the extra `sign` is not installed.
    """
    report, body = Report(), seal.body
    where = f"day seal of '{body.feed}', {body.day}"
    for fault in day_seal.faults(seal, key):
        report.findings.append(Finding(fault, where, "take the original of this seal"))
    ought = manifest.of_feed(layout, body.feed, manifest.of_tables(layout))
    walk = _Walk(layout, ought, report, reporter, day=body.day)
    walk.run()
    report.feeds.append(walk.feed)
    report.findings += _sealed_day(walk, seal)
    return report


@dataclass(frozen=True, slots=True)
class _Present:
    """A segment that was read."""

    rows: int
    digest: str
    where: str
    sealed: bool


class _Walk:
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
        self.present: dict[str, _Present] = {}

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
            self._wrong(what, str(path), remedy)

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
            self._damage(damage, str(journal))
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
            self.present[one] = _Present(count, digest, where, at.whole)

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
        expected = self._next.get(connection, first if self._day else 0)
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
        self._findings.append(Finding(what, where, remedy, Grade.NOTE))


def _date(stem: str) -> pa.Scalar:
    return pa.scalar(day_of(stem)).cast("date32")


# -- what was read, against what ought to be there


def _judged(walk: _Walk) -> Iterator[Finding]:
    """Compare the segments of a feed that were read with its manifest."""
    yield from _heads(walk)
    for run in sorted({run_of(stem) for stem in walk.present} - walk.ought.heads.keys()):
        stems = [
            stem
            for stem, one in walk.present.items()
            if run_of(stem) == run and one.sealed and not _sealed_since(walk, stem, one)
        ]
        if stems:
            what = f"no head has the digests of {len(stems)} sealed segments of run {run}"
            remedy = "made by an older version or another program, or the head was removed"
            yield Finding(what, walk.present[stems[0]].where, remedy, Grade.UNPROVEN)
    yield from _ledger(walk)


def _sealed_since(walk: _Walk, stem: str, present: _Present) -> bool:
    """Return True if a segment was sealed after the heads were read, or is being sealed."""
    feed = walk.ought.feed
    being_sealed = walk.layout.journal(feed, stem).exists()
    return being_sealed or digest_of(walk.layout, feed, stem) == present.digest


def _heads(walk: _Walk) -> Iterator[Finding]:
    heads = walk.ought.heads
    for run, head in sorted(heads.items()):
        where = f"{walk.layout.heads / walk.ought.feed / run}.jsonl"
        for fault in head.faults:
            yield Finding(f"its head was altered: {fault}", where, "restore it from a copy")
        yield from _follows(head, heads, where)
        for stem, segment in head.stems.items():
            present = walk.present.get(stem)
            if present is None:
                if segment.rows:
                    yield from _absent(walk, stem, segment.rows, "the head of its run")
            elif present.digest == segment.digest:
                walk.feed.proven += present.rows
            else:
                counts = f"{present.rows:,} of {segment.rows:,}"
                what = f"segment {stem} is not what was sealed: {counts} frames, another digest"
                yield Finding(what, present.where, "altered: restore it from a copy")
        yield from _surplus(walk, head)


def _follows(head: Head, heads: dict[str, Head], where: str) -> Iterator[Finding]:
    follows = None if head.begin is None else head.begin.follows
    if follows is None:
        return
    before = heads.get(follows.run)
    if before is None:
        what = f"the head of run {follows.run}, which run {head.run} follows, is missing"
        yield Finding(what, where, "restore it from a copy", Grade.UNPROVEN)
    elif follows.link not in before.links:
        what = f"the head of run {follows.run} is not the one that run {head.run} follows"
        yield Finding(what, where, "one of the two was altered: restore it from a copy")


def _surplus(walk: _Walk, head: Head) -> Iterator[Finding]:
    """Yield sealed segments of a head's run that the head does not have."""
    known = head.numbers
    first = min(known, default=1)
    for stem, present in walk.present.items():
        if run_of(stem) != head.run or not present.sealed or stem in head.stems:
            continue
        if number_of(stem) < first:
            what, grade = f"segment {stem} was sealed before its run had a head", Grade.UNPROVEN
            yield Finding(what, present.where, "made by an older version", grade)
        elif not _sealed_since(walk, stem, present):
            what = f"segment {stem} is not in the head of its run"
            yield Finding(what, present.where, "surplus: compare it with a copy, or move it away")


# -- against day seals


def _day_of_file(walk: _Walk, path: Path) -> Iterator[Finding]:
    """Compare a day seal that lies beside the heads."""
    try:
        seal = day_seal.load(path)
        faults = list(day_seal.faults(seal))
    except UsageError as error:
        remedy = error.hint or "restore it from a copy"
        yield Finding(error.what, str(path), remedy, Grade.UNPROVEN)
        return
    for fault in faults:
        yield Finding(fault, str(path), "restore it from a copy")
    yield from _sealed_day(walk, seal)


def _sealed_day(walk: _Walk, seal: DaySeal) -> Iterator[Finding]:
    """Compare the segments of a day that were read with its seal."""
    listed = {one.stem: one for one in seal.body.segments}
    for stem, one in listed.items():
        present, head = walk.present.get(stem), walk.ought.segment(stem)
        if present is not None:
            if present.digest != one.digest:
                what = f"segment {stem} is not what the seal of {seal.body.day} says"
                yield Finding(what, present.where, "altered: restore it from a copy")
        elif stem in walk.ought.pruned:
            where = str(walk.layout.heads / seal.body.feed)
            if head is None:
                what = f"segment {stem} was pruned, and no head has its digest"
                yield Finding(what, where, "restore the head from a copy", Grade.UNPROVEN)
            elif head.digest != one.digest:
                what = f"the head has another digest of pruned segment {stem} than the day's seal"
                yield Finding(what, where, "altered: restore the head from a copy")
        elif one.rows:
            yield from _absent(walk, stem, one.rows, "the seal of its day")
    for stem, present in walk.present.items():
        if day_of(stem) == seal.body.day and stem not in listed and present.rows:
            what = f"segment {stem} is not in the seal of {seal.body.day}"
            yield Finding(what, present.where, "surplus, or it came after the day was sealed")


def _ledger(walk: _Walk) -> Iterator[Finding]:
    """Compare the ledger of the published tables with the segments that were read."""
    where, rebuild = str(walk.layout.database), "rebuild the tables: recorder ingest --rebuild"
    for stem, claim in walk.ought.ledger.items():
        present = walk.present.get(stem)
        if present is None:
            if claim.rows and walk.ought.segment(stem) is None:
                yield from _absent(walk, stem, claim.rows, "the ledger")
        elif present.rows < claim.rows or (
            claim.sealed and present.sealed and present.rows != claim.rows
        ):
            what = f"says {claim.rows} frames of segment {stem}, whose file holds {present.rows}"
            yield Finding(what, where, rebuild)


def _absent(walk: _Walk, stem: str, rows: int, source: str) -> Iterator[Finding]:
    """Yield what it means that a segment is not there."""
    where = walk.layout.store.where(walk.ought.feed, stem)
    if stem in walk.ought.pruned:
        return
    url = walk.ought.dropped.get(stem)
    if url is not None and url != walk.layout.store.url:
        what = f"{rows:,} frames of segment {stem} are in {url}, which was not looked at"
        yield Finding(what, where, f"recorder verify --raw-url {url}", Grade.UNPROVEN)
        return
    if any(one.where == where for one in walk.present.values()):
        what = f"segment {stem} is missing from this merged file ({rows:,} frames, says {source})"
    else:
        what = f"segment {stem} is missing ({rows:,} frames, says {source})"
    yield Finding(what, where, "restore it from a copy; recorder prune would have noted it")


def _strays(layout: Layout) -> Iterator[Finding]:
    """Yield files that are not where a journal or a sealed file of their name would be."""
    for path in sorted(layout.raw.rglob("*")):
        if path.name.endswith(".tmp"):
            yield Finding("an unfinished sealed file", str(path), "it may be deleted", Grade.NOTE)
            continue
        if path.is_dir() or path.name.startswith("."):
            continue
        feed = path.relative_to(layout.raw).parts[0].removeprefix("feed=")
        if not is_stem(path.stem) or layout.parquet(feed, path.stem) != path:
            what = "is not a sealed file's name and place (feed=…/date=…/<segment>.parquet)"
            yield Finding(what, str(path), "moved or foreign: put it back, or move it away")
    for path in sorted(layout.journals.rglob("*.journal")):
        feed, is_kept = path.parent.name, path.parent.name == "damaged"
        there = is_stem(path.stem) and layout.journal(feed, path.stem) == path and path.is_file()
        if not there and not is_kept:
            what = "is not a journal's name and place, so nothing reads it"
            yield Finding(what, str(path), "moved or renamed: put it back, or move it away")
