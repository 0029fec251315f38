"""The survey of sealed files, in a task: it checks that each is whole, and reads its markers."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from recorder.errors import DataError
from recorder.lake import transfer
from recorder.lake.place import Place
from recorder.lake.raw import RawFile, fetch
from recorder.record.footers import footer
from recorder.record.layout import Layout
from recorder.record.sealed import check
from recorder.schema import duck
from recorder.schema.raw import RAW
from recorder.tables import batch, markers


@dataclass(frozen=True, slots=True)
class Survey:
    """The times, connections and instrument lists of a sealed file."""

    file: RawFile
    rows: int = 0
    first_ns: int = 0
    last_ns: int = 0
    kind: str = ""  # of its feed
    held: tuple[str, ...] = ()  # the segments in a merged file
    seen: bytes = b""  # an encoded table: the relation `seen` of `markers.look`
    lists: bytes = b""  # an encoded table of raw columns: the venue's lists of instruments
    wrong: str = ""  # why the file cannot be read

    @property
    def usable(self) -> bool:
        """Whether the file can be read and holds frames."""
        return self.rows > 0 and not self.wrong


@dataclass(frozen=True, slots=True)
class SurveyTask:
    """The files that one task surveys."""

    raw: Place
    files: tuple[RawFile, ...]


def survey(task: SurveyTask) -> list[Survey]:
    """Survey files; that of a file which is damaged or of a newer recorder names what is wrong.

    Raises:
        RecorderError: the store does not deliver a file.
    """
    with closing(duck.connect()) as db:
        return [_one(db, task.raw, file) for file in task.files]


def _one(db: duckdb.DuckDBPyConnection, place: Place, file: RawFile) -> Survey:
    with TemporaryDirectory(prefix="recorder-") as directory:
        path = fetch(place, file, Layout(Path(directory)))
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
        file, known.rows, first, last, kind, held, transfer.encoded(seen), transfer.encoded(lists)
    )
