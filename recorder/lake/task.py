"""A task of an ingest into a lake: it turns its files into rows, by the ingest of one machine.

A task fetches its files into a temporary data directory, inserts the state before them, and runs
ingest there. It writes the new rows beside the lake's tables, under names made from its input; the
driver then commits them. A task that is killed is retried and writes the same files.
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
from recorder.lake.raw import RawFile, fetch
from recorder.lake.seed import HASH_TO_LAKE, KNOWN, FeedSeed, FileSeed
from recorder.lake.tables import EVENTS, SHAPES, STATE_TABLES
from recorder.lake.write import Added, written
from recorder.record.layout import Layout
from recorder.reporter import Reporter
from recorder.schema import duck
from recorder.tables import private
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

#: Rows per batch, and per row group of a file.
_ROWS = 122_880

#: Both of these are made from the ledger of the task's ingest.
_FROM = {
    "ledger": "(FROM ledger WHERE sealed)",
    "begun": "(FROM ledger WHERE NOT sealed)",
}

_DAY = "make_timestamp(recv_ns // 1000)::DATE"


@dataclass(frozen=True, slots=True)
class TaskRules:
    """A feed's rules in a form that travels to a task: with the text of the SQL, None for none."""

    name: str
    sql: str | None
    whale_usd: float
    stamped: str | None = None
    coding: str | None = None

    def rules(self, directory: Path) -> Rules:
        """Return the rules for ingest; write the SQL into `directory`."""
        if self.sql is None:
            return Rules(None, self.whale_usd, None, self.stamped, self.coding)
        place = directory / f"{self.name}.sql"
        place.write_text(self.sql, "utf-8")
        return Rules(place, self.whale_usd, None, self.stamped, self.coding)


@dataclass(frozen=True, slots=True)
class Unit:
    """Some files of one feed, in order, for one task."""

    raw: Place
    tables: Place
    feed: str
    name: str  # of the files that the task writes
    files: tuple[RawFile, ...]
    rules: TaskRules
    seed: FileSeed | FeedSeed
    until_ns: int = LAST  # frames from then on are left for later


@dataclass(slots=True)
class TaskResult:
    """The result of a unit.

    `left`: files whose later frames have to wait. `skipped`: files left out, and why.
    """

    unit: Unit
    left: tuple[RawFile, ...] = ()
    added: list[Added] = field(default_factory=list)
    arrivals: bytes = b""  # an encoded table; only for a `FileSeed`
    last_ns: int = 0
    frames: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def run_unit(unit: Unit) -> TaskResult:
    """Ingest a unit's files, and write the new rows beside the lake's tables.

    Raises:
        RecorderError: the store does not deliver a file, or does not accept one.
    """
    result = TaskResult(unit)
    files = list(unit.files)
    # Rows of a file that ingest leaves out may be there up to the damage: start again without it.
    while files:
        with TemporaryDirectory(prefix="recorder-") as directory:
            layout = Layout(Path(directory) / "data")
            for file in files:
                fetch(unit.raw, file, layout)
            result.left = waiting.hold_back(layout, files, unit.until_ns)
            known, result.warnings = _ingest(unit, layout, Path(directory))
            with closing(duck.connect(private.database(layout))) as db:
                if not (bad := _left_out(db, layout, unit.feed)):
                    _write_rows(db, result)
                    result.frames -= known
                    return result
            result.skipped |= {stem: _why(stem, result.warnings) for stem in bad}
            files = [file for file in files if file.stem not in bad]
    return result


def _left_out(db: duckdb.DuckDBPyConnection, layout: Layout, feed: str) -> set[str]:
    """Return the files that ingest left out: they are not in the ledger to their end."""
    done = db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()
    return set(layout.sealed(feed)) - {row[0] for row in done}


def _ingest(unit: Unit, layout: Layout, directory: Path) -> tuple[int, list[str]]:
    """Run ingest on the files, with the state before them.

    Return how many of their frames had been ingested before, and the warnings.
    """
    known, warnings = 0, list[str]()
    rules = unit.rules.rules(directory)
    if isinstance(unit.seed, FeedSeed):
        known = unit.seed.put(layout, unit.feed, rules.load())
    else:
        unit.seed.put(layout, unit.feed)
    with closing(Ingest(layout, lambda feed: rules, Reporter(warnings.append))) as work:
        work.run()
    return known, warnings


def _why(stem: str, warnings: Sequence[str]) -> str:
    """Return the reason why ingest left a file out."""
    own = [text for text in warnings if stem in text] or list(warnings) or ["it is gone"]
    return own[0].rpartition(f"{stem}.parquet: ")[2].removeprefix("segment left out: ")


def _write_rows(db: duckdb.DuckDBPyConnection, result: TaskResult) -> None:
    """Write the rows that ingest made, and complete the result for the driver."""
    unit = result.unit
    db.execute(
        "UPDATE ledger SET sealed = false WHERE list_contains($stems, segment)",
        {"stems": [file.stem for file in result.left]},
    )
    [(result.frames, result.last_ns)] = db.execute(
        "SELECT sum(rows)::BIGINT, max(last_recv_ns) FROM ledger"
    ).fetchall()
    names = ["ledger"]
    if isinstance(unit.seed, FeedSeed):
        names += STATE_TABLES
    else:
        result.arrivals = transfer.encoded(db.sql(_select("arrivals")).to_arrow_table())
    result.added += [file for name in names if (file := _whole(db, unit, name))]
    for name in EVENTS:
        result.added += _events(db, unit, name)


def _whole(db: duckdb.DuckDBPyConnection, unit: Unit, name: str) -> Added | None:
    """Write all rows of a table; return the file, None if there are no rows."""
    parts = _parts(db, f"{_select(name)} ORDER BY ALL")
    return written(unit.tables, name, unit.name, parts, feed=unit.feed)


def _events(db: duckdb.DuckDBPyConnection, unit: Unit, name: str) -> Iterator[Added]:
    """Write the new rows of one table, a file per day, sorted by symbol; yield the files."""
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
    """Return the SELECT of a table's columns as its files hold them."""
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
