"""The call that takes one feed is easy to follow: it passes through eight files at most.

Counted are the distinct files of `recorder/` of which a function runs between the call of
`Ingest._feed` and its return, whatever they are for: `schema/`, `errors`, `clock` and the like
count too. What a call into `record/` runs in turn counts as one file, `record`: a reader of this
path needs to know what is read there, not how (a journal alone is four files of it). The modules
are loaded, and the feed was taken before: its rules are looked up once, when it is first seen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import pytest
from kit.frames import T0, events, frames_of
from kit.journals import Writer
from kit.records import Record

import recorder
from recorder.clock import NS
from recorder.record.layout import Layout
from recorder.reporter import Reporter
from recorder.tables.ingest import Ingest
from recorder.tables.late_files import Hosts
from recorder.tables.rules import RulesOf

from .hosts import Host, life

PACKAGE = Path(recorder.__file__).parent
MOST = 9  # eight, and that of the state which this feed carries from batch to batch
MOST_WITH_RECORD = 18  # each file of `record/` counted: names, store, reader, blocks and so on

#: What reads segments.
RECORD = ("record/",)


@dataclass
class Passed:
    """Which files calls pass through, on this thread."""

    files: set[str] = field(default_factory=set)
    each: set[str] = field(default_factory=set)  # also within `record/`
    inside: int = 0  # calls of `record/` that run now

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        """A profiler, see `sys.setprofile`."""
        path = Path(frame.f_code.co_filename)
        if event not in ("call", "return") or not path.is_relative_to(PACKAGE):
            return
        name = str(path.relative_to(PACKAGE))
        if event == "call":
            self.each.add(name)
            if not self.inside or name.startswith("tables/"):
                self.files.add("record" if name.startswith(RECORD) else name)
        if name.startswith(RECORD):
            self.inside += 1 if event == "call" else -1


class Counted(Ingest):
    """An ingest that counts the files of each call that takes a feed."""

    def _feed(self, *args: object) -> int:
        self.passed = Passed()
        sys.setprofile(self.passed)
        try:
            return super()._feed(*args)  # type: ignore[arg-type]
        finally:
            sys.setprofile(None)


def sealed_file(root: Path, again: bool) -> None:
    record = Record(root)
    record._number = int(again)
    at = 10 * NS if again else 0
    frames = frames_of(events("binance"), first_seq=5 * again, recv_ns=T0 + at)
    record.seal("binance", frames)


def journal(root: Path, again: bool) -> None:
    writer = Writer(root, "binance", now=T0 + again * 3600 * NS)
    writer.put(writer.open(), *events("binance"))
    writer.beat()


def overlapping_runs(root: Path, again: bool) -> None:
    for number, line in ((1, "A"), (2, "B")):
        at = again * 3600 * NS
        said = [(at + k * NS + number, payload) for k, payload in enumerate(events("binance"), 1)]
        host = Host(number, "binance", life(number, line, said, opened=at, closed=at + 10 * NS),
                    begun=again * 3600)  # fmt: skip
        host.seal(Layout(root), [host.frames])


@pytest.mark.parametrize("make", [sealed_file, journal, overlapping_runs])
def test_taking_one_feed_passes_through_few_files(
    tmp_path: Path, make: Callable[[Path, bool], None]
) -> None:
    layout = Layout(tmp_path)
    hosts = Hosts(late=lambda late: False, settle_ns=600 * NS)  # as the command line has it
    reporter = Reporter([].append, [].append)  # what takes a report is the caller's
    with closing(Counted(layout, RulesOf(layout), reporter, hosts)) as work:
        make(tmp_path, False)
        assert work.run() > 0
        make(tmp_path, True)
        assert work.run() > 0
        passed = work.passed
        rows = work._db.sql("SELECT count(*) FROM liquidations").fetchall()
    assert rows == [(2,)]
    assert len(passed.files) <= MOST, sorted(passed.files)
    assert len(passed.each) <= MOST_WITH_RECORD, sorted(passed.each)
    assert {"tables/ingest.py", "tables/batch.py", "record"} <= passed.files
