"""Comparing the segments that were read with what ought to be there, and with day seals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from recorder.errors import UsageError
from recorder.record import day_seal, heads
from recorder.record.day_seal import DaySeal
from recorder.record.heads import Head
from recorder.record.layout import number_of, run_of
from recorder.record.report import Finding, Grade
from recorder.record.walk import Present, Walk


def judged(walk: Walk) -> Iterator[Finding]:
    """Compare the segments of a feed that were read with its manifest."""
    runs, since = walk.by_run(), _SealedSince(walk)
    yield from _heads(walk, runs, since)
    for run in sorted(runs.keys() - walk.ought.heads.keys()):
        stems = [
            stem for stem, one in runs[run].items() if one.sealed and not since.holds(stem, one)
        ]
        if stems:
            what = f"no head has the digests of {len(stems)} sealed segments of run {run}"
            remedy = "made by an older version or another program, or the head was removed"
            yield Finding(what, walk.present[stems[0]].where, remedy, Grade.UNPROVEN)
    yield from _ledger(walk)


class _SealedSince:
    """Which segments were sealed after the heads were read; each head is read again once."""

    def __init__(self, walk: Walk) -> None:
        self._layout, self._feed = walk.layout, walk.ought.feed
        self._heads: dict[str, Head | None] = {}

    def holds(self, stem: str, present: Present) -> bool:
        """Return True if a segment was sealed since, or is being sealed."""
        if self._layout.journal(self._feed, stem).exists():
            return True
        run = run_of(stem)
        if run not in self._heads:
            self._heads[run] = heads.read(self._layout, self._feed, run)
        head = self._heads[run]
        known = None if head is None else head.stems.get(stem)
        return known is not None and known.digest == present.digest


def _heads(
    walk: Walk, runs: Mapping[str, dict[str, Present]], since: _SealedSince
) -> Iterator[Finding]:
    known = walk.ought.heads
    for run, head in sorted(known.items()):
        where = f"{walk.layout.heads / walk.ought.feed / run}.jsonl"
        for fault in head.faults:
            yield Finding(f"its head was altered: {fault}", where, "restore it from a copy")
        yield from _follows(head, known, where)
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
        yield from _surplus(runs.get(run, {}), head, since)


def _follows(head: Head, known: dict[str, Head], where: str) -> Iterator[Finding]:
    follows = None if head.begin is None else head.begin.follows
    if follows is None:
        return
    before = known.get(follows.run)
    if before is None:
        what = f"the head of run {follows.run}, which run {head.run} follows, is missing"
        yield Finding(what, where, "restore it from a copy", Grade.UNPROVEN)
    elif follows.link not in before.links:
        what = f"the head of run {follows.run} is not the one that run {head.run} follows"
        yield Finding(what, where, "one of the two was altered: restore it from a copy")


def _surplus(mine: Mapping[str, Present], head: Head, since: _SealedSince) -> Iterator[Finding]:
    """Yield sealed segments of a head's run that the head does not have."""
    first = min(head.numbers, default=1)
    for stem, present in mine.items():
        if not present.sealed or stem in head.stems:
            continue
        if number_of(stem) < first:
            what, grade = f"segment {stem} was sealed before its run had a head", Grade.UNPROVEN
            yield Finding(what, present.where, "made by an older version", grade)
        elif not since.holds(stem, present):
            what = f"segment {stem} is not in the head of its run"
            yield Finding(what, present.where, "surplus: compare it with a copy, or move it away")


# -- against day seals


def day_of_file(walk: Walk, path: Path) -> Iterator[Finding]:
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
    yield from sealed_day(walk, seal)


def sealed_day(walk: Walk, seal: DaySeal) -> Iterator[Finding]:
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
    for stem, present in walk.of_day(seal.body.day).items():
        if stem not in listed and present.rows:
            what = f"segment {stem} is not in the seal of {seal.body.day}"
            yield Finding(what, present.where, "surplus, or it came after the day was sealed")


def _ledger(walk: Walk) -> Iterator[Finding]:
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


def _absent(walk: Walk, stem: str, rows: int, source: str) -> Iterator[Finding]:
    """Yield what it means that a segment is not there."""
    where = walk.layout.store.where(walk.ought.feed, stem)
    if stem in walk.ought.pruned:
        return
    url = walk.ought.dropped.get(stem)
    if url is not None and url != walk.layout.store.url:
        what = f"{rows:,} frames of segment {stem} are in {url}, which was not looked at"
        yield Finding(what, where, f"recorder verify --raw-url {url}", Grade.UNPROVEN)
        return
    if where in walk.places:
        what = f"segment {stem} is missing from this merged file ({rows:,} frames, says {source})"
    else:
        what = f"segment {stem} is missing ({rows:,} frames, says {source})"
    yield Finding(what, where, "restore it from a copy; recorder prune would have noted it")
