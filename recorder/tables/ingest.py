"""Ingest: it turns recorded frames into table rows, exactly once.

Ingest works on a private database. A batch's rows and the ledger's note of it are one transaction,
so a kill at any point loses nothing and repeats nothing. Readers see the database as it was when it
was last published: a reader is never blocked, and never blocks ingest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import compute

from recorder import durable
from recorder.clock import DAY_NS, LAST, NS
from recorder.errors import DataError
from recorder.record.footers import Footers, Held, footer, opens
from recorder.record.layout import Layout, began_ns, order, run_of
from recorder.record.lost import LostJournal, LostJournals
from recorder.record.merge import RunLeft, Window, windows
from recorder.record.read import Reader
from recorder.reporter import QUIET, Reporter
from recorder.tables import ledger, markers, private
from recorder.tables.batch import Batches, Paths, SlowPathError, transaction
from recorder.tables.conditions import Conditions
from recorder.tables.ingest_order import (
    File,
    NewSegment,
    SegmentSpan,
    Step,
    WaitingSegments,
    groups,
    parts,
    perhaps_late,
    plan,
    runs,
    several_runs,
    wait_from,
)
from recorder.tables.late_files import Hosts, first_late, shrunk
from recorder.tables.publish import Publisher
from recorder.tables.rules import Rules

#: A batch holds about this many frames: DuckDB divides the work by row groups (122,880 rows), and
#: smaller batches keep one thread busy.
_BATCH_ROWS = 1_000_000
_BATCH_BYTES = 64 << 20
#: Large frames, such as the state of a whole market, become many rows each. Ingest reads them
#: itself, in smaller batches: DuckDB would read 2,048 of them at a time.
_LARGE_FRAME = 4096
_LARGE_BATCH_BYTES = 16 << 20

#: Whole files are committed together up to about this many frames: rows that do not fill a row
#: group of their table are written twice. Only this many of their bytes are in memory at a time.
_GROUP_ROWS = 2_000_000
_PART_BYTES = 256 << 20

#: Only runs that received a frame within this time may wait for each other.
_RECENT_NS = 3600 * NS


class Ingest:
    """An ingest of one data directory; it holds the private database until it is closed.

    `rules(feed)` returns how to normalise a feed. `reporter` takes warnings of segments that are
    left out, and progress in frames, batch by batch. `hosts` says what to do where files of several
    hosts arrive one after the other. `chosen` limits the ingest to some feeds, and to some segments
    of each: None for all of them.

    Raises:
        BusyError: another ingest works in this data directory.
        DataError: the private database is from another version of the recorder.
    """

    def __init__(
        self,
        layout: Layout,
        rules: Callable[[str], Rules],
        reporter: Reporter = QUIET,
        hosts: Hosts = Hosts(),  # noqa: B008 - frozen
        chosen: Mapping[str, frozenset[str] | None] | None = None,
    ) -> None:
        self._layout, self._rules, self._reporter, self._hosts = layout, rules, reporter, hosts
        self._chosen = chosen
        #: Feeds whose frames wait for files of other hosts.
        self.waits: dict[str, WaitingSegments] = {}
        self._footers = Footers(layout)
        self._skipped: set[Path] = set()
        self._lost = LostJournals(layout)
        self._gaps_made: dict[str, list[LostJournal]] = {}
        self._batches: dict[str, Batches] = {}
        self._publisher = Publisher(layout)
        self._conditions = Conditions(layout, lambda feed: rules(feed).cadences)
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
        """Ingest all frames recorded so far, sealed or still in a journal; return how many."""
        total = 0
        self._reporter.progress(0)
        for feed in self._layout.feeds() if self._chosen is None else sorted(self._chosen):
            frames = self._feed(feed)
            # The first time also without frames: a kill may have come between frames and gaps.
            known, lost = self._gaps_made.get(feed), self._lost.of(feed)
            if frames or known != lost:
                with transaction(self._db):
                    markers.apply_gaps(self._db, feed, lost)
                self._changed |= bool(lost)
                self._gaps_made[feed] = lost
            total += frames
        self._changed |= total > 0
        return total

    # -- one feed

    def _feed(self, feed: str) -> int:
        """Ingest all frames of one feed, step by step; return how many."""
        active = self._limited(feed, self._layout.active(feed))
        segments = self._segments(feed, active)
        stems = tuple(segment.stem for segment in segments)
        until_ns = self._wait_from(feed, stems, active)
        spans = self._spans(feed, stems, active) if several_runs(stems) else []
        steps = plan(segments, spans, until_ns, self.waits.get(feed))
        if not steps and stems:
            return 0  # nothing is new, and what waited still has to wait
        if self._left_to_rebuild(feed, segments, active, until_ns):
            return 0
        self.waits.pop(feed, None)
        if until_ns < LAST and stems:
            self.waits[feed] = WaitingSegments(until_ns, stems)
        take = {True: self._take_whole, False: self._take_frames}
        return sum(take[step.whole](feed, step) for step in steps)

    def _segments(self, feed: str, active: frozenset[str]) -> list[NewSegment]:
        """Return the segments that may hold frames which are not in the ledger."""
        known = ledger.states(self._db, feed)
        sealed = self._limited(feed, self._layout.sealed(feed))
        skipped = {path.stem for path in self._skipped}
        return [
            NewSegment(stem, sealed=stem in sealed, begun=stem in known)
            for stem in sorted((active | sealed) - skipped)
            if not known.get(stem)
        ]

    def _limited(self, feed: str, stems: Iterable[str]) -> frozenset[str]:
        """Return those of a feed's segments that the ingest is limited to."""
        chosen = None if self._chosen is None else self._chosen[feed]
        return frozenset(stems) if chosen is None else chosen.intersection(stems)

    def _spans(self, feed: str, stems: Iterable[str], active: frozenset[str]) -> list[SegmentSpan]:
        spans = []
        for stem in stems:
            span = self._footers.span(feed, stem)
            began = began_ns(stem)
            spans.append(SegmentSpan(stem, *(span or (began, LAST if stem in active else began))))
        return spans

    def _wait_from(self, feed: str, stems: Iterable[str], active: frozenset[str]) -> int:
        """Return from which receive time (ns) on frames have to wait for other hosts; `LAST`: none.

        Frames of a feed that is recorded into this directory never wait: readers get them within
        seconds. Frames that were published stay published.
        """
        known = self._hosts.until.get(feed, LAST)
        if not self._hosts.settle_ns or active:
            return known
        now_ns = time.time_ns()
        recent = {s.stem: s for s in ledger.spans_since(self._db, feed, now_ns - _RECENT_NS)}
        for stem in stems:
            if began_ns(stem) >= now_ns - DAY_NS and (span := self._footers.span(feed, stem)):
                recent[stem] = SegmentSpan(stem, *span)
        spans = [span for span in recent.values() if span.last_ns >= now_ns - _RECENT_NS]

        def ended(run: str) -> bool:
            last = max((span.stem for span in spans if run_of(span.stem) == run), key=order)
            return self._footers.all_ended(feed, last)

        waiting = wait_from(spans, now_ns, self._hosts.settle_ns, ended)
        taken = max(ledger.latest_of_runs(self._db, feed).values(), default=0)
        return min(known, max(waiting, 1 + taken))

    def _left_to_rebuild(
        self, feed: str, segments: list[NewSegment], active: frozenset[str], until_ns: int
    ) -> bool:
        """Return True if `hosts.late` takes the feed over to rebuild it.

        That may be if a segment came late, or has lost frames that were ingested.
        """
        if self._hosts.late is None:
            return False
        stems = [segment.stem for segment in segments]
        begun = [stem for stem, done in ledger.states(self._db, feed).items() if not done]
        gone = [stem for stem in begun if stem not in active]
        lost = shrunk(self._db, self._layout, feed, gone) if gone else None
        if lost is not None and self._hosts.late(lost._replace(wait_ns=until_ns)):
            return True
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
        """Ingest new sealed files of one run: whole if possible, else frame by frame.

        Return how many frames.
        """
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
        """Return a sealed file; None if it has to be read frame by frame.

        That is the case if it is not a sealed file, is empty, or its frames are large.
        """
        try:
            path = self._layout.store.fetch(feed, stem)
            known = footer(path)
        except (DataError, FileNotFoundError):
            return None
        if not known.ours or not known.rows or known.bytes > _LARGE_FRAME * known.rows:
            return None
        if not opens(path):  # DuckDB has no limit for the values of a batch
            return None
        return File(path, known.rows, known.bytes)

    def _take_files(self, feed: str, files: Sequence[File]) -> int:
        """Ingest whole files in one transaction; return how many frames.

        Return 0 if they have to be read frame by frame.
        """
        batches = self._batches_of(feed)

        def note(paths: Paths) -> None:
            for path in paths:
                held = footer(path).held
                ledger.note_file(self._db, feed, path, held, batches.fingerprint)

        try:
            batches.take_files(parts(files, _BATCH_ROWS, _PART_BYTES), note)
        except (SlowPathError, DataError, FileNotFoundError):
            return 0  # reading them frame by frame reports what is wrong
        self._changed = True
        return sum(file.rows for file in files)

    # -- frame by frame

    def _take_frames(self, feed: str, step: Step) -> int:
        """Ingest what is left of segments, in order of time, window by window; return how many."""
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
        """Ingest a window's frames, and note in the ledger which files it read to their end."""
        ended = self._ended(feed, window)

        def note() -> None:
            for piece in window.slices:
                times = compute.min_max(piece.table["recv_ns"]).as_py()
                span = SegmentSpan(piece.stem, times["min"], times["max"])
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
        """Return the segments in each file that was read to its end; leave damaged files out."""
        held, failed = {}, list(window.failed)
        for stem in window.ended:
            try:
                held[stem] = footer(self._layout.store.fetch(feed, stem)).held
            except DataError as error:
                failed.append((stem, error))
            except FileNotFoundError:
                pass  # pruned in this moment
        for stem, why in failed:
            self._leave_out(feed, stem, why)
        return held

    def _leave_out(self, feed: str, stem: str, error: DataError) -> None:
        path = self._layout.parquet(feed, stem)
        if path not in self._skipped:
            self._skipped.add(path)
            self._reporter.warn(f"segment left out: {error}")

    # -- publishing

    def publish_due(self) -> bool:
        """Return True if there are new rows and enough time has passed to publish them."""
        return self._changed and self._publisher.due(private.database(self._layout))

    def publish(self) -> None:
        """Publish the rows that were ingested: readers then see them."""
        self._batches = {}
        if self._conditions.due():
            self._conditions.judge(self._db, time.time_ns())
        self._publisher.publish(self._db, private.database(self._layout), self._skipped)
        self._db = private.reopen(self._layout)
        self._changed = False


def _full(window: Window) -> bool:
    """Return True if a window is large enough to be normalised."""
    large = window.bytes > window.rows * _LARGE_FRAME
    return window.rows >= _BATCH_ROWS or window.bytes >= (
        _LARGE_BATCH_BYTES if large else _BATCH_BYTES
    )
