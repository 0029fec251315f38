"""A first look at sealed files, inside a task: is each whole, and what do its markers say?"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from recorder.errors import DataError
from recorder.lake import transfer
from recorder.lake.place import Place
from recorder.lake.raw import RawFile, bring
from recorder.record.footers import footer
from recorder.record.layout import Layout
from recorder.record.sealed import check
from recorder.schema import duck
from recorder.schema.raw import RAW
from recorder.tables import batch, markers


@dataclass(frozen=True, slots=True)
class Survey:
    """What a sealed file says of itself."""

    file: RawFile
    rows: int = 0
    first_ns: int = 0
    last_ns: int = 0
    kind: str = ""  # of its feed
    held: tuple[str, ...] = ()  # the segments in it, where they are several
    seen: bytes = b""  # a table: what `markers.look` finds
    lists: bytes = b""  # a table of raw columns: the venue's lists of instruments
    wrong: str = ""  # why it cannot be read

    @property
    def usable(self) -> bool:
        """True if there is something to take in."""
        return self.rows > 0 and not self.wrong


@dataclass(frozen=True, slots=True)
class Look:
    """Surveys to be made in one task."""

    raw: Place
    files: tuple[RawFile, ...]


def survey(look: Look) -> list[Survey]:
    """Look at files; one that is damaged, or newer than this recorder, says so.

    Raises:
        RecorderError: the store does not give one.
    """
    with closing(duck.connect()) as db:
        return [_one(db, look.raw, file) for file in look.files]


def _one(db: duckdb.DuckDBPyConnection, place: Place, file: RawFile) -> Survey:
    with TemporaryDirectory(prefix="recorder-") as directory:
        path = bring(place, file, Layout(Path(directory)))
        try:
            return _survey(db, file, path)
        except DataError as error:
            return Survey(file, wrong=error.what)


def _survey(db: duckdb.DuckDBPyConnection, file: RawFile, path: Path) -> Survey:
    check(path)
    known = footer(path)
    kind, held = known.kind, tuple(one.stem for one in known.held)
    if not known.rows:
        return Survey(file, kind=kind, held=held)
    batch.read_files(db, [path])
    markers.look(db)
    [(first, last)] = db.execute("SELECT min(recv_ns), max(recv_ns) FROM batch").fetchall()
    seen = db.sql("FROM seen").to_arrow_table()
    lists = db.sql("FROM batch WHERE kind = 'instruments'").to_arrow_table().cast(RAW)
    return Survey(
        file, known.rows, first, last, kind, held, transfer.packed(seen), transfer.packed(lists)
    )


def table(rows: bytes) -> pa.Table:
    """A survey's table."""
    return transfer.opened(rows)
