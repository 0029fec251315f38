"""Ingest: frames into tables, exactly once.

Ingest works on a database of its own (`work/ingest.duckdb`). A batch's rows and the ledger's note
of it are one transaction, so that a kill anywhere loses nothing and repeats nothing. For readers
the database is published by rename: whoever has the old one open keeps it, nobody meets a lock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import compute

from recorder import durable
from recorder.errors import DataError
from recorder.record import merged
from recorder.record.layout import Layout, began_ns, day_of
from recorder.record.merged import Held
from recorder.schema import duck
from recorder.schema.tables import SCHEMA_VERSION
from recorder.tables import bulk, markers, merge_runs, private, publish
from recorder.tables.batch import Batches, SlowPathError, prepare, transaction
from recorder.tables.bulk import Group, Part
from recorder.tables.ingest_order import LAST, Span, runs, turns
from recorder.tables.late_files import Files, Hosts, first_late
from recorder.tables.merge_runs import Known, Run, Window, windows
from recorder.tables.rules import Rules
from recorder.version import __version__

#: Frames are gathered to about this much before they are normalised: DuckDB shares the work out
#: by row groups (122,880 rows), and smaller batches keep one thread busy.
_BATCH_ROWS = 1_000_000
_BATCH_BYTES = 64 << 20
_LARGE_BATCH_BYTES = 16 << 20  # of large frames, which become many rows each

#: New sealed segments are taken in together, up to about so many frames in one transaction: what
#: does not fill a row group of its table is written twice.
_GROUP_ROWS = 2_000_000

#: Readers of a database smaller than this see a frame within 5 s.
_FRESH_BYTES = 1 << 30

#: DuckDB 1.4 clients can open what this version wrote.
_STORAGE = "v1.4.0"


class Ingest:
    """Holds the private database of one data directory; close it when done.

    `rules(feed)` says how a feed is normalised; `warn(text)` hears of what is skipped.
    `hosts` says what to do where files of several hosts come one after the other.

    Raises:
        BusyError: another ingest works here.
        DataError: the private database is from another version of the recorder.
    """

    def __init__(
        self,
        layout: Layout,
        rules: Callable[[str], Rules],
        warn: Callable[[str], None] = lambda text: None,
        hosts: Hosts = Hosts(),  # noqa: B008 - frozen
    ) -> None:
        self._layout, self._rules, self._warn = layout, rules, warn
        self._hosts = hosts
        #: Feeds of which frames wait for files of other hosts: from when (ns), and which files.
        self.waits: dict[str, tuple[int, list[str]]] = {}
        self._files = Files(layout)
        self._lock = durable.claim(layout.work / ".lock", "ingest")
        self._path = layout.work / "ingest.duckdb"
        self._batches: dict[str, Batches] = {}
        self._skipped: set[Path] = set()
        self._gaps_made: set[str] = set()
        self._db = self._open()
        self._begin()
        self._readable = False  # with all that readers need, of this version
        self._changed = not layout.database.exists()
        self._published_at = self._publishing_took = 0.0

    def close(self) -> None:
        """Give the directory free."""
        self._db.close()
        os.close(self._lock)

    def _open(self) -> duckdb.DuckDBPyConnection:
        db = duck.connect()
        db.execute("SET preserve_insertion_order = false")
        db.execute("SET temp_directory = $place", {"place": str(self._layout.work / "spill")})
        place = str(self._path).replace("'", "''")
        db.execute(f"ATTACH '{place}' AS work (STORAGE_VERSION '{_STORAGE}')")
        db.execute("USE work")
        self._check_version(db)
        prepare(db)
        self._batches = {}
        return db

    def _begin(self) -> None:
        """Make the tables, and say whose they are."""
        publish.tables(self._db)
        self._db.execute(
            "INSERT OR REPLACE INTO about VALUES ('schema', $schema), ('recorder', $recorder)",
            {"schema": str(SCHEMA_VERSION), "recorder": __version__},
        )

    def _check_version(self, db: duckdb.DuckDBPyConnection) -> None:
        if not db.execute("FROM duckdb_tables() WHERE table_name = 'about'").fetchone():
            return
        found = db.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
        if found and found[0] != str(SCHEMA_VERSION):
            db.close()
            os.close(self._lock)
            raise private.of_another_version(found[0], self._path)

    # -- one pass

    def run(self, tell: Callable[[int], None] = lambda frames: None) -> int:
        """Ingest everything there is now, sealed or still in a journal; how many frames.

        `tell(frames)` hears of each batch.
        """
        total = 0
        for feed in self._layout.feeds():
            frames = self._feed(feed, tell)
            # At first also without frames: a kill may have come between the last ones and this.
            if frames or feed not in self._gaps_made:
                with transaction(self._db):
                    markers.apply_gaps(self._db, feed)
                self._gaps_made.add(feed)
            total += frames
        self._changed |= total > 0
        return total

    def _feed(self, feed: str, tell: Callable[[int], None]) -> int:
        """Everything there is of one feed, in the order to take it; how many frames."""
        stems = self._waiting(feed)
        until_ns = self._hosts.wait_from(self._db, self._files, feed, stems)
        if self.waits.get(feed) == (until_ns, stems):
            return 0
        if self._hosts.late is not None:
            late = first_late(self._db, self._layout, feed, stems)
            if late is not None and self._hosts.late(late._replace(wait_ns=until_ns)):
                return 0
        self.waits.pop(feed, None)
        if until_ns < LAST:
            self.waits[feed] = until_ns, stems
            return self._abreast(feed, stems, tell, until_ns)
        if len(written := runs(stems)) < 2:
            return sum(self._alone(feed, run, tell) for run in written)
        active = self._layout.active(feed)
        return sum(
            (self._abreast if turn.abreast else self._alone)(feed, turn.stems, tell)
            for turn in turns([self._span(feed, stem, active) for stem in stems])
        )

    def _waiting(self, feed: str) -> list[str]:
        """Segments that may hold more than the ledger knows."""
        done = self._db.execute(
            "SELECT segment FROM ledger WHERE feed = $feed AND sealed", {"feed": feed}
        ).fetchall()
        there = {*self._layout.active(feed), *self._layout.sealed(feed)}
        skipped = {path.stem for path in self._skipped}
        return sorted(there - {row[0] for row in done} - skipped)

    def _span(self, feed: str, stem: str, active: Container[str]) -> Span:
        found = self._files.span(feed, stem)
        if found is not None:
            return Span(stem, *found)
        began = began_ns(stem)
        return Span(stem, began, LAST if stem in active else began)

    def _alone(self, feed: str, stems: Iterable[str], tell: Callable[[int], None]) -> int:
        """Segments of one run; how many frames."""
        return sum(
            self._together(feed, group, tell)
            if isinstance(group, Group)
            else self._abreast(feed, [group], tell)
            for group in self._groups(feed, stems)
        )

    def _groups(self, feed: str, stems: Iterable[str]) -> Iterator[Group | str]:
        """What to ingest of a run, in order: new sealed segments together, others by themselves."""
        begun = {
            row[0]
            for row in self._db.execute(
                "SELECT segment FROM ledger WHERE feed = $feed", {"feed": feed}
            ).fetchall()
        }
        group = Group()
        for stem in stems:
            whole = bulk.segment(stem, self._layout.parquet(feed, stem))
            if whole is None or stem in begun:
                if group.stems:
                    yield group
                    group = Group()
                yield stem
                continue
            group.add(whole)
            if group.rows >= _GROUP_ROWS:
                yield group
                group = Group()
        if group.stems:
            yield group

    def _together(self, feed: str, group: Group, tell: Callable[[int], None]) -> int:
        """Several new sealed segments in one transaction, straight from their files.

        What needs a closer look is taken file by file.
        """
        batches = self._batches_of(feed)

        def note(part: Part) -> None:
            part.note(self._db, feed, batches.fingerprint)
            for segment in part.segments:
                merged.note(self._db, segment.stem, merged.held_in(segment.path))

        try:
            batches.take_files(group.parts(_BATCH_ROWS), note)
        except (SlowPathError, DataError, FileNotFoundError):
            return sum(self._abreast(feed, [stem], tell) for stem in group.stems)
        tell(group.rows)
        self._changed = True
        return group.rows

    def _abreast(
        self, feed: str, stems: Iterable[str], tell: Callable[[int], None], until_ns: int = LAST
    ) -> int:
        """Segments of one run, or of several at once, window after window; how many frames."""
        frames, left = 0, set(stems)
        while left := left - {path.stem for path in self._skipped}:
            notes = {stem: merge_runs.known(self._db, stem) for stem in left}
            reading = [
                Run(self._layout, feed, run, notes.__getitem__,
                    merge_runs.latest_of(self._db, feed, run[0]))
                for run in runs(left)
            ]  # fmt: skip
            for window in windows(reading, _full, until_ns):
                try:
                    self._window(feed, notes, window)
                except DataError as error:
                    for piece in window.slices:
                        self._leave_out(feed, piece.stem, error)
                    break
                tell(window.rows)
                frames += window.rows
            else:
                break
        return frames

    def _leave_out(self, feed: str, stem: str, error: DataError) -> None:
        path = Layout.parquet(self._layout, feed, stem)  # its place here, wherever it is
        if path not in self._skipped:
            self._skipped.add(path)
            self._warn(f"segment left out: {error}")

    # -- one window, one transaction

    def _window(self, feed: str, notes: Mapping[str, Known], window: Window) -> None:
        """Take a window's frames, and note which files are read to their end."""
        ended = self._ended(feed, window)
        for piece in window.slices:
            known = notes[piece.stem]
            known.rows += len(piece.table)
            known.offset = known.offset if piece.offset is None else piece.offset

        def note() -> None:
            for piece in window.slices:
                self._note(feed, piece.stem, notes[piece.stem], piece.table)
            for stem, held in ended.items():
                self._db.execute(
                    "UPDATE ledger SET sealed = true, rows = $rows WHERE segment = $stem",
                    {"rows": notes[stem].rows, "stem": stem},
                )
                merged.note(self._db, stem, held)

        if window.slices:
            frames = pa.concat_tables([piece.table for piece in window.slices])
            self._batches_of(feed).take(frames, note)
        else:
            with transaction(self._db):
                note()
        self._changed |= bool(ended)  # their frames are in the view `raw` now

    def _ended(self, feed: str, window: Window) -> dict[str, list[Held]]:
        """The segments held by each file that is read to its end; of the damaged it is said."""
        found, failed = {}, list(window.failed)
        for stem in window.ended:
            try:
                found[stem] = merged.held_in(self._layout.parquet(feed, stem))
            except DataError as error:
                failed.append((stem, error))
            except FileNotFoundError:
                pass  # pruned just now
        for stem, why in failed:
            self._leave_out(feed, stem, why)
        return found

    def _batches_of(self, feed: str) -> Batches:
        if feed not in self._batches:
            self._batches[feed] = Batches(self._db, feed, self._rules(feed), self._warn)
        return self._batches[feed]

    def _note(self, feed: str, stem: str, known: Known, table: pa.Table) -> None:
        span = compute.min_max(table["recv_ns"]).as_py()
        self._db.execute(
            """
            INSERT INTO ledger
            VALUES ($feed, $stem, $day, $rows, $offset, false, $first, $last, $sql)
            ON CONFLICT (segment) DO UPDATE SET
                rows = excluded.rows, journal_offset = excluded.journal_offset,
                first_recv_ns = least(first_recv_ns, excluded.first_recv_ns),
                last_recv_ns = greatest(last_recv_ns, excluded.last_recv_ns),
                normaliser = excluded.normaliser
            """,
            {
                "feed": feed,
                "stem": stem,
                "day": day_of(stem),
                "rows": known.rows,
                "offset": known.offset,
                "first": span["min"],
                "last": span["max"],
                "sql": self._batches_of(feed).fingerprint,
            },
        )

    # -- publishing

    def publish_due(self) -> bool:
        """True if there is something new, and publishing it now is worth its time.

        It takes at most 5 % of the time, unless the promise of freshness (5 s) asks for more.
        """
        wait = max(1.0, 20 * self._publishing_took)
        if self._path.stat().st_size < _FRESH_BYTES:
            wait = min(wait, max(1.0, 3.0 - self._publishing_took))
        return self._changed and time.monotonic() - self._published_at >= wait

    def publish(self) -> None:
        """Let readers see what was ingested."""
        start = time.monotonic()
        # The macros once: they take a third of a second, and where nobody reads none are needed.
        ready = publish.prepare if self._readable else publish.define
        ready(self._db, self._layout, self._skipped)
        self._readable = True
        self._db.execute("CHECKPOINT work")
        # Copied after closing: closing any descriptor of a database file in the process that has
        # it open would drop DuckDB's lock on it.
        self._db.close()
        publish.copy(self._path, self._layout.database)
        self._db = self._open()
        self._changed = False
        self._published_at = time.monotonic()
        self._publishing_took = self._published_at - start


def _full(window: Window) -> bool:
    """True if a window is large enough to be normalised."""
    large = window.bytes > window.rows * bulk.LARGE_FRAME
    return window.rows >= _BATCH_ROWS or window.bytes >= (
        _LARGE_BATCH_BYTES if large else _BATCH_BYTES
    )
