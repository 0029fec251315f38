"""Ingest: frames into tables, exactly once.

Ingest works on a private database. A batch's rows and the ledger's note of it are one transaction,
so that a kill at any point loses nothing and repeats nothing. Readers see the database as it was
when it was last published: a reader is never blocked, and never blocks ingest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import compute

from recorder import durable
from recorder.clock import DAY_NS, LAST, NS
from recorder.errors import DataError
from recorder.record.footers import Footers, Held, footer
from recorder.record.layout import Layout, began_ns, order, run_of
from recorder.record.merge import RunLeft, Window, windows
from recorder.record.read import Reader
from recorder.reporter import QUIET, Reporter
from recorder.tables import ledger, markers, private
from recorder.tables.batch import Batches, Paths, SlowPathError, transaction
from recorder.tables.ingest_order import (
    File,
    Segment,
    Span,
    Step,
    Waiting,
    groups,
    parts,
    perhaps_late,
    plan,
    runs,
    several_runs,
    wait_from,
)
from recorder.tables.late_files import Hosts, first_late
from recorder.tables.publish import Publisher
from recorder.tables.rules import Rules

#: A batch holds about this many frames: DuckDB divides the work by row groups (122,880 rows), and
#: smaller batches keep one thread busy.
_BATCH_ROWS = 1_000_000
_BATCH_BYTES = 64 << 20
#: Large frames, such as the state of a whole market, become many rows each. They are read in
#: smaller batches, never by the database: it takes 2,048 of them at a time.
_LARGE_FRAME = 4096
_LARGE_BATCH_BYTES = 16 << 20

#: Whole files are committed together up to about this many frames: what does not fill a row group
#: of its table is written twice. Of their bytes, only a part is in memory at a time.
_GROUP_ROWS = 2_000_000
_PART_BYTES = 256 << 20

#: Only runs of which a frame came within this time of now may wait for each other.
_RECENT_NS = 3600 * NS


class Ingest:
    """Holds the private database of one data directory; close it when done.

    `rules(feed)` says how a feed is normalised. `reporter` is warned of what is left out, and
    takes progress in frames, batch by batch. `hosts` says what to do where files of several hosts
    come one after the other.

    Raises:
        BusyError: another ingest works here.
        DataError: the private database is from another version of the recorder.
    """

    def __init__(
        self,
        layout: Layout,
        rules: Callable[[str], Rules],
        reporter: Reporter = QUIET,
        hosts: Hosts = Hosts(),  # noqa: B008 - frozen
    ) -> None:
        self._layout, self._rules, self._reporter, self._hosts = layout, rules, reporter, hosts
        #: Feeds of which frames wait for files of other hosts.
        self.waits: dict[str, Waiting] = {}
        self._footers = Footers(layout)
        self._skipped: set[Path] = set()
        self._gaps_made: set[str] = set()
        self._batches: dict[str, Batches] = {}
        self._publisher = Publisher(layout)
        self._changed = not layout.database.exists()
        self._lock = durable.claim(layout.work / ".lock", "ingest")
        try:
            self._db = private.create(layout)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Release the data directory."""
        self._db.close()
        os.close(self._lock)

    def run(self) -> int:
        """Ingest everything there is now, sealed or still in a journal; return how many frames."""
        total = 0
        self._reporter.progress(0)
        for feed in self._layout.feeds():
            frames = self._feed(feed)
            # At first also without frames: a kill may have come between the last ones and this.
            if frames or feed not in self._gaps_made:
                with transaction(self._db):
                    markers.apply_gaps(self._db, feed)
                self._gaps_made.add(feed)
            total += frames
        self._changed |= total > 0
        return total

    # -- one feed

    def _feed(self, feed: str) -> int:
        """Take everything there is of one feed, step by step; return how many frames."""
        active = frozenset(self._layout.active(feed))
        segments = self._segments(feed, active)
        stems = tuple(segment.stem for segment in segments)
        until_ns = self._wait_from(feed, stems, active)
        spans = self._spans(feed, stems, active) if several_runs(stems) else []
        steps = plan(segments, spans, until_ns, self.waits.get(feed))
        if not steps and stems:
            return 0  # what waited is still waiting
        if self._left_to_rebuild(feed, stems, until_ns):
            return 0
        self.waits.pop(feed, None)
        if until_ns < LAST and stems:
            self.waits[feed] = Waiting(until_ns, stems)
        take = {True: self._take_whole, False: self._take_frames}
        return sum(take[step.whole](feed, step) for step in steps)

    def _segments(self, feed: str, active: frozenset[str]) -> list[Segment]:
        """Return the segments that may hold more than the ledger knows."""
        known, sealed = ledger.states(self._db, feed), set(self._layout.sealed(feed))
        skipped = {path.stem for path in self._skipped}
        return [
            Segment(stem, sealed=stem in sealed, begun=stem in known)
            for stem in sorted((active | sealed) - skipped)
            if not known.get(stem)
        ]

    def _spans(self, feed: str, stems: Iterable[str], active: frozenset[str]) -> list[Span]:
        spans = []
        for stem in stems:
            span = self._footers.span(feed, stem)
            began = began_ns(stem)
            spans.append(Span(stem, *(span or (began, LAST if stem in active else began))))
        return spans

    def _wait_from(self, feed: str, stems: Iterable[str], active: frozenset[str]) -> int:
        """Return from which receive time (ns) on frames are to wait for other hosts; `LAST`: none.

        Frames of a feed that is recorded into this very directory never wait: readers are promised
        them soon. What readers have already stays.
        """
        known = self._hosts.until.get(feed, LAST)
        if not self._hosts.settle_ns or active:
            return known
        now_ns = time.time_ns()
        recent = {s.stem: s for s in ledger.spans_since(self._db, feed, now_ns - _RECENT_NS)}
        for stem in stems:
            if began_ns(stem) >= now_ns - DAY_NS and (span := self._footers.span(feed, stem)):
                recent[stem] = Span(stem, *span)
        spans = [span for span in recent.values() if span.last_ns >= now_ns - _RECENT_NS]

        def ended(run: str) -> bool:
            last = max((span.stem for span in spans if run_of(span.stem) == run), key=order)
            return self._footers.all_ended(feed, last)

        waiting = wait_from(spans, now_ns, self._hosts.settle_ns, ended)
        taken = max(ledger.latest_of_runs(self._db, feed).values(), default=0)
        return min(known, max(waiting, 1 + taken))

    def _left_to_rebuild(self, feed: str, stems: Iterable[str], until_ns: int) -> bool:
        """Return True if a segment came late, and whoever rebuilds such a feed takes it over."""
        if self._hosts.late is None:
            return False
        if not (perhaps := perhaps_late(stems, ledger.latest_of_runs(self._db, feed))):
            return False
        late = first_late(self._db, self._layout, feed, perhaps)
        return late is not None and self._hosts.late(late._replace(wait_ns=until_ns))

    def _batches_of(self, feed: str) -> Batches:
        if feed not in self._batches:
            self._batches[feed] = Batches(self._db, feed, self._rules(feed), self._reporter)
        return self._batches[feed]

    # -- whole files

    def _take_whole(self, feed: str, step: Step) -> int:
        """Take new sealed files of one run as they are; frame by frame where that needs a look."""
        frames, files = 0, ((stem, self._whole(feed, stem)) for stem in step.stems)
        for group in groups(files, _GROUP_ROWS):
            taken = self._take_files(feed, group) if isinstance(group, list) else 0
            if taken:
                self._reporter.progress(taken)
                frames += taken
                continue
            stems = [file.path.stem for file in group] if isinstance(group, list) else [group]
            frames += sum(self._take_frames(feed, Step((stem,))) for stem in stems)
        return frames

    def _whole(self, feed: str, stem: str) -> File | None:
        """Return a sealed file; None if it cannot be opened, is empty, or its frames are large."""
        path = self._layout.parquet(feed, stem)
        try:
            known = footer(path)
        except (DataError, FileNotFoundError):
            return None
        if not known.ours or not known.rows or known.bytes > _LARGE_FRAME * known.rows:
            return None
        return File(path, known.rows, known.bytes)

    def _take_files(self, feed: str, files: Sequence[File]) -> int:
        """Take whole files in one transaction; return how many frames, 0 if they need a look."""
        batches = self._batches_of(feed)

        def note(paths: Paths) -> None:
            for path in paths:
                held = footer(path).held
                ledger.note_file(self._db, feed, path, held, batches.fingerprint)

        try:
            batches.take_files(parts(files, _BATCH_ROWS, _PART_BYTES), note)
        except (SlowPathError, DataError, FileNotFoundError):
            return 0  # what is wrong with them shows when their frames are taken
        self._changed = True
        return sum(file.rows for file in files)

    # -- frame by frame

    def _take_frames(self, feed: str, step: Step) -> int:
        """Take what is left of segments, in order of time, window by window."""
        frames, left = 0, set(step.stems)
        while left := left - {path.stem for path in self._skipped}:
            reader = Reader(
                self._layout, feed, {stem: ledger.known(self._db, stem) for stem in left}
            )
            reading = [
                RunLeft(reader, run, ledger.latest_of(self._db, feed, run[0])) for run in runs(left)
            ]
            for window in windows(reading, _full, step.until_ns):
                try:
                    self._window(feed, window)
                except DataError as error:
                    for piece in window.slices:
                        self._leave_out(feed, piece.stem, error)
                    break
                self._reporter.progress(window.rows)
                frames += window.rows
            else:
                break
        return frames

    def _window(self, feed: str, window: Window) -> None:
        """Take a window's frames, and note which files are read to their end."""
        ended = self._ended(feed, window)

        def note() -> None:
            for piece in window.slices:
                times = compute.min_max(piece.table["recv_ns"]).as_py()
                span = Span(piece.stem, times["min"], times["max"])
                ledger.note_frames(self._db, feed, span, piece.end, batches.fingerprint)
            for stem, held in ended.items():
                ledger.note_end(self._db, stem, window.ended[stem].rows, held)

        batches = self._batches_of(feed)
        if window.slices:
            batches.take(pa.concat_tables([piece.table for piece in window.slices]), note)
        else:
            with transaction(self._db):
                note()
        self._changed |= bool(ended)  # their frames are in the view `raw` now

    def _ended(self, feed: str, window: Window) -> dict[str, tuple[Held, ...]]:
        """Return the segments held by each file that is read to its end; leave damaged ones out."""
        held, failed = {}, list(window.failed)
        for stem in window.ended:
            try:
                held[stem] = footer(self._layout.parquet(feed, stem)).held
            except DataError as error:
                failed.append((stem, error))
            except FileNotFoundError:
                pass  # pruned just now
        for stem, why in failed:
            self._leave_out(feed, stem, why)
        return held

    def _leave_out(self, feed: str, stem: str, error: DataError) -> None:
        path = Layout.parquet(self._layout, feed, stem)  # its place here, wherever it is
        if path not in self._skipped:
            self._skipped.add(path)
            self._reporter.warn(f"segment left out: {error}")

    # -- publishing

    def publish_due(self) -> bool:
        """Return True if there is something new, and publishing it now is worth its time."""
        return self._changed and self._publisher.due(private.database(self._layout))

    def publish(self) -> None:
        """Let readers see what was ingested."""
        self._batches = {}
        self._publisher.publish(self._db, private.database(self._layout), self._skipped)
        self._db = private.reopen(self._layout)
        self._changed = False


def _full(window: Window) -> bool:
    """Return True if a window is large enough to be normalised."""
    large = window.bytes > window.rows * _LARGE_FRAME
    return window.rows >= _BATCH_ROWS or window.bytes >= (
        _LARGE_BATCH_BYTES if large else _BATCH_BYTES
    )
