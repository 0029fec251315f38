"""Verifying a record: is every frame there that ought to be, unaltered, in its place and readable?

It begins with what ought to be there (`manifest`): heads, the ledger, what was removed on purpose.
It reads every frame (`walk`), and names whatever is absent, surplus, moved, altered or without a
proof (`judge`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from recorder.frame import FEED_NAME
from recorder.record import compact, day_seal, judge, manifest
from recorder.record.day_seal import DaySeal
from recorder.record.journal.writer import UNNAMED
from recorder.record.layout import Layout, is_stem
from recorder.record.report import Finding, Grade, Report
from recorder.record.walk import Walk
from recorder.reporter import QUIET, Reporter


def verify(layout: Layout, reporter: Reporter = QUIET) -> Report:
    """Read everything under a data directory; `reporter` takes progress in frames."""
    report = Report()
    tables = manifest.of_tables(layout)
    if tables.fault:
        what, remedy = tables.fault, "rebuild the tables: recorder ingest --rebuild"
        report.findings.append(Finding(what, str(layout.database), remedy))
    for name in manifest.feeds(layout, tables):
        walk = Walk(layout, manifest.of_feed(layout, name, tables), report, reporter)
        walk.run()
        report.findings += judge.judged(walk)
        for path in sorted((layout.heads / name).glob("*.json")):
            report.findings += judge.day_of_file(walk, path)
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
    walk = Walk(layout, ought, report, reporter, day=body.day)
    walk.run()
    report.feeds.append(walk.feed)
    report.findings += judge.sealed_day(walk, seal)
    return report


def _strays(layout: Layout) -> Iterator[Finding]:
    """Yield files that are not where a journal or a sealed file of their name would be."""
    for path in sorted(layout.raw.rglob("*")):
        if path.name.endswith(".tmp"):
            yield Finding("an unfinished sealed file", str(path), "it may be deleted", Grade.NOTE)
        elif path.name.startswith("."):
            yield _foreign(path)
        elif (path.suffix == ".parquet" or not path.is_dir()) and not _is_sealed(layout, path):
            what = "is not a sealed file's name and place (feed=…/date=…/<segment>.parquet)"
            yield Finding(what, str(path), "moved or foreign: put it back, or move it away")
    for path in sorted(layout.journals.rglob("*")):
        if path.parent.name == "damaged" or path.suffix == UNNAMED or path.name == ".lock":
            continue
        if path.suffix != ".journal":
            if not path.is_dir():
                yield _foreign(path)
        elif not _is_journal(layout, path):
            what = "is not a journal's name and place, so nothing reads it"
            yield Finding(what, str(path), "moved or renamed: put it back, or move it away")
    for path in sorted(layout.heads.rglob("*")):
        known = path.suffix in {".json", ".jsonl", ".tmp"} or path.name == ".lock"
        if not path.is_dir() and not known:
            yield _foreign(path)


def _foreign(path: Path) -> Finding:
    what = "is not a file of the recorder; nothing reads it"
    return Finding(what, str(path), "left alone; it may be moved away", Grade.NOTE)


def _is_sealed(layout: Layout, path: Path) -> bool:
    feed = path.relative_to(layout.raw).parts[0].removeprefix("feed=")
    return _in_place(path, feed, layout.parquet)


def _is_journal(layout: Layout, path: Path) -> bool:
    return _in_place(path, path.parent.name, layout.journal)


def _in_place(path: Path, feed: str, place: Callable[[str, str], Path]) -> bool:
    """Return True if a file is where one of its name belongs, by `place(feed, stem)`."""
    named = is_stem(path.stem) and place(feed, path.stem) == path
    return named and path.is_file() and FEED_NAME.fullmatch(feed) is not None
