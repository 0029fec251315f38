"""One transaction that turns frames into rows.

Markers become rows of `connections` and `gaps`, lists become rows of `instruments`. A frame that an
overlapping connection brought before is dropped; the feed's SQL makes rows of the others. A frame
that breaks the SQL becomes a row of `rejects`. The rows, and the caller's note of which frames they
are from, are committed together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import compute

from recorder.coding import MOST_PACKED
from recorder.errors import DataError
from recorder.reporter import QUIET, Reporter
from recorder.schema.raw import RAW
from recorder.tables import arrivals, bisect, carried_state, instruments, markers, normalise
from recorder.tables.normalise import Normaliser
from recorder.tables.rules import Rules
from recorder.tables.texts import with_texts

#: Errors of the SQL itself, whatever the frames hold.
_WRONG_SQL = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)

#: Errors after which the database or the transaction cannot be used.
_LOST = (
    duckdb.ConnectionException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.InterruptException,
    duckdb.TransactionException,
)
#: Errors of the database or of its disk, whatever the frames hold.
_DATABASE = (*_LOST, duckdb.IOException)


#: Only a frame this large (bytes) is rejected because memory does not suffice for it: where a
#: smaller one fails, it is not the reason.
_LARGE = 1_000_000


class SlowPathError(Exception):
    """Whole files cannot be ingested as they are: ingest has to read them frame by frame."""


class _FrameError(Exception):
    """A statement failed on some frame of a batch; `error` is the database's own."""

    def __init__(self, error: duckdb.Error) -> None:
        super().__init__(str(error))
        self.error = error


Paths = Sequence[Path]


@dataclass(frozen=True, slots=True)
class _Way:
    """How to make rows of a batch that fails as a whole.

    The frames at the places `bad` are rejected. The others are taken range by range, in order.
    """

    bad: list[int]
    ranges: list[tuple[int, int]]
    reason: str = "a frame that breaks this feed's SQL"
    warning: str = "break its SQL"


def prepare(db: duckdb.DuckDBPyConnection) -> None:
    """Create the state tables and macros that batches need, in the current database."""
    db.execute(arrivals.STATE)
    db.execute(carried_state.STATE)
    normalise.prepare(db)


@contextmanager
def transaction(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block does; roll it back if the block raises."""
    db.execute("BEGIN")
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # the caller gets the block's own error
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def read_files(db: duckdb.DuckDBPyConnection, paths: Paths) -> None:
    """Create the relation `batch`: all frames of these sealed files, which the database reads."""
    names = ", ".join(map(_quoted, paths))
    files = f"read_parquet([{names}], hive_partitioning = false)"
    view = f"SELECT {', '.join(RAW.names)} FROM {files}"  # noqa: S608 - the names are quoted
    db.execute(f"CREATE OR REPLACE TEMP VIEW batch AS {view}")


def _quoted(path: Path) -> str:
    """Return a path as a DuckDB string literal in which no character acts as a wildcard."""
    name = "".join(f"[{c}]" if c in "*?[" else c for c in str(path))
    return "'" + name.replace("'", "''") + "'"


def note_nothing() -> None:
    """Write nothing: the note of a caller that has none."""


class Batches:
    """Turns frames of one feed into rows of the current database of `db`, batch by batch.

    `reporter` takes warnings of frames that break the feed's SQL, and of files on the slow path.
    """

    def __init__(
        self,
        db: duckdb.DuckDBPyConnection,
        feed: str,
        rules: Rules,
        reporter: Reporter = QUIET,
    ) -> None:
        self._db, self._feed, self._rules, self._reporter = db, feed, rules, reporter

    @cached_property
    def _normaliser(self) -> Normaliser | None:
        return self._rules.load()

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of the feed's SQL; None if the feed has no SQL.

        Raises:
            DataError: the SQL is missing or wrong.
        """
        return self._normaliser.fingerprint if self._normaliser else None

    def take(self, frames: pa.Table, note: Callable[[], None] = note_nothing) -> pa.Table:
        """Turn frames into rows, and commit them together with what `note()` writes.

        Return the frames that no earlier batch had.

        Raises:
            DataError: the feed's SQL is missing or wrong, or fails on frame after frame.
            duckdb.Error: the database or its disk failed.
        """
        new = self._unseen(frames)
        try:
            self._commit(new, note)
        except _FrameError as first:
            way = self._way(new, first.error)
            if way.bad:
                what = f"{len(way.bad)} frames of '{self._feed}' {way.warning}; they are in rejects"
                self._reporter.warn(what)
            try:
                self._commit(new, note, way)
            except _FrameError as second:
                raise self._wrong("fails on frames together", second.error) from second.error
        return new

    def take_files(self, parts: Iterable[Paths], note: Callable[[Paths], None]) -> None:
        """Turn whole sealed files into rows, part by part, in one transaction.

        The database reads the files of each part. `note(part)` writes in the same transaction.

        Raises:
            SlowPathError: the files cannot be ingested as they are; `take` their frames instead.
            DataError, FileNotFoundError: from `note`, or the feed's SQL is missing or wrong.
            duckdb.Error: the database failed.
        """
        if self._coded:
            raise SlowPathError("frames that have to be decoded")
        try:
            with transaction(self._db):
                for part in parts:
                    self._read_files(part)
                    self._make_rows()
                    note(part)
        except (_FrameError, duckdb.Error) as caught:
            error = caught.error if isinstance(caught, _FrameError) else caught
            if isinstance(error, _LOST):
                raise
            # `take` reports a bad frame or a damaged file itself; warn of anything else here.
            if error is caught or isinstance(error, duckdb.OutOfMemoryException):
                what = f"files of '{self._feed}' are taken frame by frame: {_first(error)}"
                self._reporter.warn(what)
            raise SlowPathError(_first(error)) from error
        finally:
            with suppress(duckdb.Error):
                self._db.execute("DROP VIEW IF EXISTS batch")

    def settle(self, frames: pa.Table) -> None:
        """Commit the state of connections after these frames; another process made their rows."""
        with transaction(self._db):
            for part in self._parts(frames):
                self._db.register("batch", part)
                self._understand()
                if (normaliser := self._normaliser) and normaliser.remembers:
                    normalise.remember(self._db, normaliser, self._feed, coded=self._coded)

    # -- the statements

    def _commit(self, frames: pa.Table, note: Callable[[], None], way: _Way | None = None) -> None:
        """Make and commit the rows of `frames`, in the given way if they fail as a whole."""
        with transaction(self._db):
            for start, end in way.ranges if way else [(0, len(frames))]:
                at = start
                for part in self._parts(frames.slice(start, end - start)):
                    self._db.register("batch", part)
                    bad = [n - at for n in way.bad if at <= n < at + len(part)] if way else []
                    self._make_rows(part, bad, way.reason if way else "")
                    at += len(part)
            note()

    @property
    def _coded(self) -> bool:
        return self._rules.coding is not None

    def _parts(self, frames: pa.Table) -> Iterator[pa.Table]:
        """Yield the frames in parts that memory can hold, decoded if the feed has a coding."""
        coding = self._rules.coding
        return iter([frames]) if coding is None else with_texts(coding, frames)

    def _make_rows(
        self, frames: pa.Table | None = None, bad: Sequence[int] = (), reason: str = ""
    ) -> None:
        """Make the rows of the relation `batch`; put the frames at the places `bad` into `rejects`.

        Raises:
            _FrameError: a statement fails on some frame.
        """
        normaliser = self._normaliser
        try:
            self._understand()
            if normaliser is None:
                return
            if frames is not None and len(bad):
                self._reject(frames, bad, reason)
            whale_usd = self._rules.whale_usd
            normalise.apply(
                self._db, normaliser, self._feed, whale_usd=whale_usd, coded=self._coded
            )
        except _DATABASE:
            raise
        except duckdb.Error as error:
            raise _FrameError(error) from error

    def _understand(self) -> None:
        """Read markers and instrument lists, which are the same in all feeds; create `fresh`."""
        markers.apply(self._db, self._feed, self._rules.stamped)
        if self._holds("instruments"):
            instruments.apply(self._db, self._feed)
        arrivals.apply(self._db, self._feed, self._rules.stamped, coded=self._coded)

    def _holds(self, kind: str) -> bool:
        """Return True if the relation `batch` has a frame of this kind."""
        sql = "SELECT 1 FROM batch WHERE kind = $kind LIMIT 1"
        return self._db.execute(sql, {"kind": kind}).fetchone() is not None

    def _reject(self, frames: pa.Table, bad: Sequence[int], reason: str) -> None:
        """Put the frames at the places `bad` into `rejects`; leave the others in `batch`."""
        self._db.register("batch", frames.take(pa.array(bad, pa.int64())))
        normalise.reject(self._db, self._feed, reason, coded=self._coded)
        keep = sorted(set(range(len(frames))) - set(bad))
        self._db.register("batch", frames.take(pa.array(keep, pa.int64())))

    # -- frames that an earlier batch had, or that break the SQL

    def _unseen(self, frames: pa.Table) -> pa.Table:
        """Return the frames that no earlier batch had.

        After a failed sync, capture writes the frames that may be lost into the next journal as
        well. The end of the first journal may have been ingested before.
        """
        self._db.register("batch", frames)
        if not markers.overlaps(self._db, self._feed):
            return frames
        return markers.unseen(self._db, self._feed).cast(RAW)

    def _read_files(self, paths: Paths) -> None:
        """Create the relation `batch` of whole sealed files.

        Raises:
            SlowPathError: a frame number is missing or repeated.
        """
        try:
            read_files(self._db, paths)
            if markers.is_contiguous(self._db, self._feed):
                return
        except _DATABASE:
            raise
        except duckdb.Error as error:
            raise _FrameError(error) from error
        raise SlowPathError("frame numbers that are not the next of their connections")

    def _way(self, frames: pa.Table, error: duckdb.Error) -> _Way:
        """Return how to make rows of frames on which the feed's SQL failed.

        Raises:
            DataError: the SQL is wrong, or fails on frame after frame.
            duckdb.Error: no frame fails by itself.
        """
        if isinstance(error, _WRONG_SQL):
            raise self._wrong("", error) from error

        def fails(start: int, end: int) -> bool:
            return self._fails(frames.slice(start, end - start))

        if isinstance(error, duckdb.OutOfMemoryException):
            large = _LARGE if self._rules.coding is None else _LARGE // MOST_PACKED
            return _within_memory(fails, frames, large, error)
        bad = bisect.broken(fails, len(frames))
        if bad is None:
            raise self._wrong("fails on frame after frame", error) from error
        if not bad:
            raise error
        return _Way(bad, [(0, len(frames))])

    def _fails(self, frames: pa.Table) -> bool:
        """Return True if the SQL fails on one of these frames; the rows are rolled back."""
        self._db.execute("BEGIN")
        try:
            for part in self._parts(frames):
                self._db.register("batch", part)
                self._make_rows()
        except _FrameError:
            return True
        finally:
            self._db.execute("ROLLBACK")
        return False

    def _wrong(self, what: str, error: duckdb.Error) -> DataError:
        text = f"{what}: {_first(error)}" if what else _first(error)
        return DataError(text, where=f"the SQL that normalises '{self._feed}'")


def _within_memory(
    fails: Callable[[int, int], bool], frames: pa.Table, least: int, error: duckdb.Error
) -> _Way:
    """Return how to make rows of frames for which the memory does not suffice at once.

    Large frames, of `least` bytes, are tried one by one: they are likely to be the reason.

    Raises:
        duckdb.Error: a frame that is not large fails by itself.
    """
    sizes = compute.binary_length(frames["payload"])
    large = compute.indices_nonzero(compute.greater_equal(sizes, least)).to_pylist()
    edges = {0, len(frames), *large, *(place + 1 for place in large)}
    edges |= {len(frames) // 2} if not large else set()
    ranges = [(start, end) for start, end in pairwise(sorted(edges)) if start < end]
    found = bisect.parts(fails, ranges, in_a_row=None)
    if found is None or not set(found.bad) <= set(large):
        raise error
    ranges = sorted([*found.good, *((place, place + 1) for place in found.bad)])
    reason = "a frame whose rows need more memory than ingest may use"
    return _Way(found.bad, ranges, reason, "need more memory than ingest may use")


def _first(error: duckdb.Error) -> str:
    """Return the first line of an error."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
