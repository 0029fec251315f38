"""A lake's tables: read at pinned versions, and written by one writer at a time.

A batch is one commit per table, with `about` last. `about` is the pointer that readers follow, so
they see whole batches. A writer that was killed between commits leaves tables beyond the pinned
versions; the next writer restores them first. Each commit is based on the version that its writer
knows, and fails if there is a newer one: of two writers one gets an error, whatever their clocks.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import pyarrow as pa

from recorder.errors import BusyError, DataError
from recorder.lake.claim import RENEW_SECONDS, Claim
from recorder.lake.errors import translated
from recorder.lake.place import Place
from recorder.lake.tables import ABOUT, SHAPES, STATE_TABLES
from recorder.lake.write import Added
from recorder.reporter import QUIET, Reporter
from recorder.schema.tables import SCHEMA_VERSION
from recorder.version import __version__

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable


@dataclass(frozen=True, slots=True)
class About:
    """The content of the pointer `about`."""

    version: int  # of `about` itself
    schema: str
    versions: Mapping[str, int]
    claim: Claim | None = None


def about(place: Place) -> About | None:
    """Read the lake's pointer; return None if there is no lake yet.

    Raises:
        DataError: the tables are from another version of the recorder.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    uri = (place / ABOUT).uri
    try:
        table = DeltaTable(uri, storage_options=place.options)
    except TableNotFoundError:
        return None
    rows = table.to_pyarrow_table()
    known = dict(zip(rows["name"].to_pylist(), rows["value"].to_pylist(), strict=True))
    if known.get("schema") != str(SCHEMA_VERSION):
        raise DataError(
            f"tables of version {known.get('schema')}; this recorder writes {SCHEMA_VERSION}",
            where=place.url,
            hint="use the recorder that wrote them, or name another place with --tables-url",
        )
    claim = Claim.read(known["writer"]) if "writer" in known else None
    return About(table.version(), known["schema"], json.loads(known["versions"]), claim)


def opened(place: Place, name: str, version: int | None = None) -> DeltaTable:
    """Open one of the lake's tables, at a version or the newest."""
    from deltalake import DeltaTable

    return DeltaTable((place / name).uri, version=version, storage_options=place.options)


def rows(
    place: Place, name: str, version: int, feed: str | None = None, columns: Sequence[str] = ()
) -> pa.Table:
    """Return the rows of a table at a version, in no order: of one feed, or of all."""
    from pyarrow import dataset

    data = opened(place, name, version).to_pyarrow_dataset()
    chosen = None if feed is None else dataset.field("feed") == feed
    return data.to_table(columns=list(columns) or None, filter=chosen)


class Writer:
    """The only writer of a lake, for the length of the `with` block.

    A thread renews the claim every `renew_seconds`. The claim lapses after 120 s without a renewal,
    so `reporter` takes a warning of the first of several failures in a row.

    Raises:
        BusyError: another writer works here (and `take_over` is not set), or took over.
        DataError: the tables are from another version of the recorder.
    """

    def __init__(
        self,
        place: Place,
        *,
        take_over: bool = False,
        clock: Callable[[], int] = time.time_ns,
        reporter: Reporter = QUIET,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        self._place, self._take_over, self._clock = place, take_over, clock
        self._reporter, self._renew_seconds = reporter, renew_seconds
        self._claim = Claim.now(clock())
        self._lock, self._ended, self._lost = threading.Lock(), threading.Event(), False
        self._renewing = threading.Thread(target=self._renew, daemon=True)
        self._tables: dict[str, DeltaTable] = {}
        self._about: DeltaTable
        self._pinned: dict[str, int] = {}

    def __enter__(self) -> Writer:
        with translated(self._place.url):
            self._begin()
            self._restore()
        self._renewing.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._renewing.join()
        if not self._lost:
            with translated(self._place.url):
                self._point(claim=None)

    @property
    def versions(self) -> dict[str, int]:
        """The version of each table after this writer's last commit."""
        return {name: table.version() for name, table in self._tables.items()}

    def rows(self, name: str, feed: str | None = None, columns: Sequence[str] = ()) -> pa.Table:
        """Return the rows of a table as last committed, in no order: of one feed, or of all."""
        with translated(self._place.url):
            return rows(self._place, name, self._tables[name].version(), feed, columns)

    def commit(self, added: Sequence[Added], replaced: Collection[str]) -> None:
        """Commit a batch: the files that tasks wrote become rows, which readers see all at once.

        The state tables of the feeds `replaced` are replaced by the files of `added`.

        Raises:
            BusyError: another writer took over; it sees the whole batch or nothing of it.
        """
        with translated(self._place.url):
            for name in SHAPES:
                files = [file for file in added if file.table == name]
                feeds = sorted(replaced) if name in STATE_TABLES else []
                if files or feeds:
                    self._put(name, files, feeds)
            self._pinned = self.versions
            self._point(self._claim)

    def rewrite(self, work: Callable[[str, DeltaTable], object]) -> None:
        """Call `work` for each table and `about`, to rewrite or vacuum its files; then publish.

        `work` must not change a row. Readers see the new files of all tables at once, at the end.
        """
        with translated(self._place.url):
            for name, table in self._tables.items():
                work(name, table)
                table.update_incremental()
            with self._lock:
                work(ABOUT, self._about)
                self._about.update_incremental()
            self._pinned = self.versions
            self._point(self._claim)

    # -- beginning

    def _begin(self) -> None:
        pointer = about(self._place)
        if pointer is None:
            self._create()
            return
        if pointer.claim and pointer.claim.lives(self._clock()) and not self._take_over:
            raise pointer.claim.refusal(self._place.url)
        self._pinned = dict(pointer.versions)
        self._about = opened(self._place, ABOUT, pointer.version)
        self._point(self._claim)

    def _create(self) -> None:
        """Create the tables, and the pointer last; another writer may do the same right now."""
        from deltalake import write_deltalake
        from deltalake.exceptions import DeltaError

        for name in SHAPES:
            self._pinned[name] = self._created(name).version()
        try:
            write_deltalake(
                (self._place / ABOUT).uri,
                self._pointer_rows(self._claim),
                mode="error",
                storage_options=self._place.options,
                commit_properties=_strict(),
            )
        except DeltaError:
            if about(self._place) is None:
                raise
            self._begin()
            return
        self._about = opened(self._place, ABOUT)

    def _created(self, name: str) -> DeltaTable:
        """Create a table if it does not exist; return it."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        shape = SHAPES[name]
        with suppress(DeltaError):  # if the table does not exist then, `opened` raises
            return DeltaTable.create(
                (self._place / name).uri,
                shape.columns,
                mode="ignore",
                partition_by=list(shape.folders) or None,
                storage_options=self._place.options,
                commit_properties=_strict(),
            )
        return opened(self._place, name)

    def _restore(self) -> None:
        """Open every table at its pinned version; undo what a killed writer left beyond."""
        for name in SHAPES:
            table, pinned = opened(self._place, name), self._pinned[name]
            if table.version() > pinned:
                self._strictly(lambda table=table, to=pinned: table.restore(  # type: ignore[misc]
                    to, commit_properties=_strict()))  # fmt: skip
                table = opened(self._place, name)
            self._tables[name] = table

    # -- committing

    def _put(self, name: str, files: Sequence[Added], feeds: Sequence[str]) -> None:
        from deltalake.transaction import AddAction, RemoveAction

        table, folders = self._tables[name], list(SHAPES[name].folders)
        actions: list[AddAction | RemoveAction] = [
            AddAction(f.path, f.size, dict(f.folders), self._clock() // 1_000_000, True, f.stats)
            for f in files
        ]
        before = table.version()
        self._strictly(
            lambda: table.create_write_transaction(
                actions,
                "overwrite" if feeds else "append",
                table.schema(),
                folders or None,
                [("feed", "in", list(feeds))] if feeds else None,
                commit_properties=_strict(),
            )
        )
        table.update_incremental()
        if table.version() != before + 1:
            raise self._overtaken()

    def _point(self, claim: Claim | None) -> None:
        """Write `about`: the pinned versions, and the claim."""
        from deltalake import write_deltalake

        with self._lock:
            if self._lost:
                raise self._overtaken()
            pointer = self._pointer_rows(claim)
            self._strictly(
                lambda: write_deltalake(
                    self._about, pointer, mode="overwrite", commit_properties=_strict()
                )
            )

    def _pointer_rows(self, claim: Claim | None) -> pa.Table:
        values = {
            "schema": str(SCHEMA_VERSION),
            "recorder": __version__,
            "versions": json.dumps(self._pinned, sort_keys=True),
        }
        if claim:
            values["writer"] = claim.renewed(self._clock()).encoded()
        return pa.table({"name": list(values), "value": list(values.values())})

    def _strictly(self, commit: Callable[[], object]) -> None:
        from deltalake.exceptions import CommitFailedError

        try:
            commit()
        except CommitFailedError:
            self._lost = True
            raise self._overtaken() from None

    def _overtaken(self) -> BusyError:
        return BusyError(
            "another ingest took over while this one worked; its last batch was not committed",
            where=self._place.url,
            hint="let the other one finish; the next run ingests what is missing",
        )

    def _renew(self) -> None:
        """Renew the claim until the writer ends; a commit notices if another writer took over."""
        failing = False
        while not self._ended.wait(self._renew_seconds) and not self._lost:
            try:
                with translated(self._place.url):
                    self._point(self._claim)
                failing = False
            except Exception as error:
                if not failing:
                    what = f"this ingest's claim was not renewed, retrying: {error}"
                    self._reporter.warn(what)
                failing = True


def _strict() -> CommitProperties:
    """Return properties of a commit that fails if there is a newer version."""
    from deltalake import CommitProperties

    return CommitProperties(max_commit_retries=0)
