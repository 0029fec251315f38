"""What one task does: its files become rows, by the same ingest that works on one machine.

The files are put into a data directory of their own, with what has to be known before them; ingest
runs there; and the new rows are written beside the lake's tables, under names made of the input.
They count once the driver commits them. A task that is killed is started again and writes the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from recorder.clock import LAST
from recorder.lake import transfer, waiting
from recorder.lake.place import Place
from recorder.lake.raw import RawFile, bring
from recorder.lake.seed import HASH_TO_LAKE, KNOWN, Alone, Whole
from recorder.lake.tables import BOOKS, EVENTS, SHAPES
from recorder.lake.write import Added, written
from recorder.record.layout import Layout
from recorder.reporter import Reporter
from recorder.schema import duck
from recorder.tables import private
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

#: Rows written at once.
_ROWS = 122_880

#: Both are the ledger of the task's own ingest.
_FROM = {
    "ledger": "(FROM ledger WHERE sealed)",
    "begun": "(FROM ledger WHERE NOT sealed)",
}

_DAY = "make_timestamp(recv_ns // 1000)::DATE"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a feed's frames become rows, as it travels: the SQL itself, None for none."""

    name: str
    sql: str | None
    whale_usd: float

    def rules(self, directory: Path) -> Rules:
        """The rules of an ingest; the SQL is put into `directory`."""
        if self.sql is None:
            return Rules(None, self.whale_usd)
        place = directory / f"{self.name}.sql"
        place.write_text(self.sql, "utf-8")
        return Rules(place, self.whale_usd)


@dataclass(frozen=True, slots=True)
class Unit:
    """Some files of one feed, in order, for one task."""

    raw: Place
    tables: Place
    feed: str
    name: str  # of what it writes
    files: tuple[RawFile, ...]
    recipe: Recipe
    seed: Alone | Whole
    until_ns: int = LAST  # frames from then on are left for later


@dataclass(slots=True)
class Made:
    """What a task made of a unit. `left`: files that go on, `skipped`: left out, and why."""

    unit: Unit
    left: tuple[RawFile, ...] = ()
    added: list[Added] = field(default_factory=list)
    arrivals: bytes = b""  # of files taken by themselves: a packed table
    last_ns: int = 0
    frames: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def make(unit: Unit) -> Made:
    """Take a unit's files in, and write what they add to the lake's tables.

    Raises:
        RecorderError: the store does not give a file, or does not take one.
    """
    made = Made(unit)
    files = list(unit.files)
    # A file that ingest leaves out may have left rows of its beginning: all is made without it.
    while files:
        with TemporaryDirectory(prefix="recorder-") as directory:
            layout = Layout(Path(directory) / "data")
            for file in files:
                bring(unit.raw, file, layout)
            made.left = waiting.back(layout, files, unit.until_ns)
            known, made.warnings = _ingest(unit, layout, Path(directory))
            with closing(duck.connect(private.database(layout))) as db:
                if not (bad := _left_out(db, layout, unit.feed)):
                    _hand_over(db, made)
                    made.frames -= known
                    return made
            made.skipped |= {stem: _why(stem, made.warnings) for stem in bad}
            files = [file for file in files if file.stem not in bad]
    return made


def _left_out(db: duckdb.DuckDBPyConnection, layout: Layout, feed: str) -> set[str]:
    """The files that were there, but are not in the ledger to their end."""
    done = db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()
    return set(layout.sealed(feed)) - {row[0] for row in done}


def _ingest(unit: Unit, layout: Layout, directory: Path) -> tuple[int, list[str]]:
    """Run ingest on the files, with what is known before them.

    Returns how many of their frames had been taken before, and what it warned of.
    """
    known, warnings = 0, list[str]()
    rules = unit.recipe.rules(directory)
    if isinstance(unit.seed, Whole):
        known = unit.seed.put(layout, unit.feed, rules.load())
    else:
        unit.seed.put(layout, unit.feed)
    with closing(Ingest(layout, lambda feed: rules, Reporter(warnings.append))) as work:
        work.run()
    return known, warnings


def _why(stem: str, warnings: Sequence[str]) -> str:
    """Why ingest left a file out."""
    own = [text for text in warnings if stem in text] or list(warnings) or ["it is gone"]
    return own[0].rpartition(f"{stem}.parquet: ")[2].removeprefix("segment left out: ")


def _hand_over(db: duckdb.DuckDBPyConnection, made: Made) -> None:
    """Write the rows that ingest made, and note what the driver has to know."""
    unit = made.unit
    db.execute(
        "UPDATE ledger SET sealed = false WHERE list_contains($stems, segment)",
        {"stems": [file.stem for file in made.left]},
    )
    [(made.frames, made.last_ns)] = db.execute(
        "SELECT sum(rows)::BIGINT, max(last_recv_ns) FROM ledger"
    ).fetchall()
    names = ["ledger"]
    if isinstance(unit.seed, Whole):
        names += BOOKS
    else:
        made.arrivals = transfer.packed(db.sql(_select("arrivals")).to_arrow_table())
    made.added += [file for name in names if (file := _whole(db, unit, name))]
    for name in EVENTS:
        made.added += _events(db, unit, name)


def _whole(db: duckdb.DuckDBPyConnection, unit: Unit, name: str) -> Added | None:
    """A table of which all rows are written."""
    parts = _parts(db, f"{_select(name)} ORDER BY ALL")
    return written(unit.tables, name, unit.name, parts, feed=unit.feed)


def _events(db: duckdb.DuckDBPyConnection, unit: Unit, name: str) -> Iterator[Added]:
    """The files of one table, a day each; within one, a symbol's rows stand together."""
    days = db.execute(
        f"SELECT DISTINCT {_DAY} AS day FROM {name} WHERE item > {KNOWN} ORDER BY day"  # noqa: S608 - our own names
    ).fetchall()
    for (day,) in days:
        parts = _parts(
            db,
            f"{_select(name)} WHERE item > {KNOWN} AND {_DAY} = DATE '{day}' "
            "ORDER BY symbol, recv_ns, connection, seq, item",
        )
        if file := written(
            unit.tables, name, unit.name, parts, feed=unit.feed, day=day.isoformat()
        ):
            yield file


def _select(name: str) -> str:
    """A table's columns as its files have them."""
    special = {"hash": HASH_TO_LAKE} if name == "arrivals" else {}
    columns = ", ".join(
        f"({special.get(column.name, column.name)})::VARCHAR AS {column.name}"
        if pa.types.is_string(column.type)
        else f"{special.get(column.name, column.name)} AS {column.name}"
        for column in SHAPES[name].in_file
    )
    return f"SELECT {columns} FROM {_FROM.get(name, name)}"  # noqa: S608 - our own names


def _parts(db: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.Table]:
    for batch in db.sql(sql).to_arrow_reader(_ROWS):
        if batch.num_rows:
            yield pa.Table.from_batches([batch])
