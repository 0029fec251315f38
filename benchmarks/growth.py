"""The growth of the tables: mark prices of all symbols every 3 s, through the whole pipeline.

`python -m benchmarks.growth --help`; `docs/growth.md` explains the figures and what to do.
"""

import json
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click
import duckdb
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks import machine, options, report
from benchmarks.query import reader
from benchmarks.report import Figures
from recorder.answers import canned
from recorder.clock import NS, iso, ulid
from recorder.record import seal
from recorder.record.layout import Layout, stem
from recorder.schema.raw import RAW
from recorder.schema.tables import TABLES
from recorder.tables import private, prune
from recorder.tables.ingest import Ingest
from recorder.tables.prune import Choice
from recorder.tables.rules import Rules

SYMBOLS = 300
EVERY_NS = 3 * NS
#: One funding and two prices (mark, index) for each symbol, one latency for the frame.
ROWS_PER_FRAME = 3 * SYMBOLS + 1
YEAR = 365 * 86400 * NS // EVERY_NS

_BEGIN = 1_790_035_200 * NS  # 2026-09-22T00:00:00Z
_FEED = "binance"
_CONNECTION = ulid(_BEGIN, b"markprices")
_PER_FILE = 1_000
_AT_ONCE = 4 * _PER_FILE
_NEXT = 100  # frames of the next batch: five minutes

# Prices drift slowly and have eight digits; the last ones look random, like those of the venue.
_FRAMES = """
SELECT i, '[' || string_agg(
    '{"e":"markPriceUpdate","E":' || sent || ',"s":"' || symbol || '","p":"' || fixed(mark)
    || '","ap":"' || fixed(mark) || '","P":"' || fixed(mark * 1.0003) || '","i":"'
    || fixed(index) || '","r":"' || fixed(rate) || '","T":' || next || ',"st":1}', ',' ORDER BY s
) || ']' AS payload
FROM (
    SELECT
        i, s, printf('A%03dUSDT', s) AS symbol,
        $begin // 1000000 + i * 3000 - 40 - hash(i) % 7 AS sent,
        exp(s % 20 - 8) * (1 + 0.1 * sin(i / 9e3 + s) + 0.001 * dice(i, s)) AS index,
        index * (1 + 0.0004 * dice(s, i)) AS mark, 0.0001 * (dice(i // 20, s) - 0.3) AS rate,
        ($begin // 28800000000000 + 1 + i // 9600) * 28800000 AS next
    FROM range($first::BIGINT, $last::BIGINT) AS f(i), range($symbols) AS n(s)
)
GROUP BY i ORDER BY i
"""
_MACROS = """
CREATE MACRO dice(i, salt) AS (hash(i, salt) % 1000003)::DOUBLE / 1000003;
CREATE MACRO fixed(value) AS printf('%.8f', value);
"""

AD_HOC = """
SELECT time_bucket(INTERVAL 1 MINUTE, recv_time) AS minute, arg_min(price, recv_ns) AS open,
    max(price) AS high, min(price) AS low, arg_max(price, recv_ns) AS close
FROM prices
WHERE symbol = 'A007USDT' AND kind = 'mark' AND recv_ns >= {since}
GROUP BY minute ORDER BY minute
"""


@dataclass(frozen=True)
class Timed:
    """Wall and CPU seconds of a task; other processes of the machine lengthen the wall time."""

    seconds: float
    cpu_seconds: float


@click.command()
@click.option(
    "--rows",
    "steps",
    type=click.IntRange(100_000),
    multiple=True,
    help="Measure at this number of rows; repeatable.  [10 M, 30 M, 100 M; quick 1 M]",
)
@click.option("--quick", is_flag=True, help="One small step.")
@options.as_json
@options.folder("Work below this folder (5 GB).")
def main(*, steps: tuple[int, ...], quick: bool, as_json: bool, folder: Path) -> None:
    """Record, ingest, publish and query, at one size after another.

    \b
    Example: python -m benchmarks.growth --quick
    """
    default = (1_000_000,) if quick else (10_000_000, 30_000_000, 100_000_000)
    result = measure(folder, sorted(steps or default))
    options.conclude(result, show, as_json=as_json)


def measure(folder: Path, steps: list[int]) -> Figures:
    """Return the figures of each step, and of pruning half of the last one."""
    named, times = machine.describe(folder), machine.cpu_times()
    measured: list[Figures] = []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        record = Record(Layout(Path(place)))
        for rows in steps:
            measured.append(record.grow(rows))
            click.echo(json.dumps(measured[-1]), err=True)
        exported = record.export()
        pruned = record.prune_half()
    named |= machine.shares(times, machine.cpu_times())
    settings = {"symbols": SYMBOLS, "every_seconds": EVERY_NS // NS, "rows": steps}
    head = {"benchmark": "growth", "machine": named, "settings": settings}
    year = _year(measured[-1])
    return {**head, "steps": measured, "export": exported, "pruned": pruned, "year": year}


def _year(last: Figures) -> Figures:
    """Return the sizes after a year, with the last step's bytes per row and frame."""
    return {
        "frames": YEAR,
        "rows": YEAR * ROWS_PER_FRAME,
        "raw_gb": round(YEAR * last["raw_bytes"] / last["frames"] / 1e9, 1),
        "database_gb": round(YEAR * last["database_bytes"] / last["frames"] / 1e9, 1),
    }


class Record:
    """A data directory that grows."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.frames, self.files = layout, 0, 0
        self.run = ulid(_BEGIN, b"growing---")
        self._sql = duckdb.connect()
        self._sql.execute(_MACROS)

    def record(self, frames: int) -> None:
        """Seal `frames` more frames, in files like those of compaction."""
        for first in range(self.frames, self.frames + frames, _PER_FILE):
            self._file(first, min(first + _PER_FILE, self.frames + frames))
        self.frames += frames

    def _file(self, first: int, last: int) -> None:
        given = {"begin": _BEGIN, "first": first, "last": last, "symbols": SYMBOLS}
        made = self._sql.sql(_FRAMES, params=given).to_arrow_table()
        recv = [_BEGIN + i * EVERY_NS + i * 7919 % 9_000_000 for i in range(first, last)]
        count, payloads = last - first, made["payload"].cast(pa.binary())
        kinds, bodies = ["text"] * count, payloads.to_pylist()
        if first == 0:
            fields = {"line": "A", "group": "all", "url": "wss://example.org/"}
            kinds[0], bodies[0] = "open", json.dumps(fields).encode()
        columns = [recv, recv, range(first, last), [_CONNECTION] * count, kinds, bodies]
        table = pa.table([pa.array(c, f.type) for c, f in zip(columns, RAW, strict=True)], RAW)
        self.files += 1
        path = self.layout.parquet(_FEED, stem(recv[0], self.run, self.files))
        seal.write(path, iter([table]), {"recorder.kind": _FEED}, level=9)

    def grow(self, rows: int) -> Figures:
        """Record and ingest up to `rows` rows; then measure ingest, publishing and queries."""
        more = max(rows // ROWS_PER_FRAME - self.frames - _NEXT, 1)
        click.echo(f"recording {more:,} frames", err=True)
        bulk = Timed(0.0, 0.0)
        with closing(Ingest(self.layout, Rules)) as work:
            # Ingest in parts, as `--follow` does: a whole day of such large frames at once needs
            # more memory than many machines have.
            for first in range(0, more, _AT_ONCE):
                self.record(min(_AT_ONCE, more - first))
                took = timed(work.run)
                bulk = Timed(bulk.seconds + took.seconds, bulk.cpu_seconds + took.cpu_seconds)
            self.record(_NEXT)
            following = timed(work.run)
            published = timed(work.publish)
        raw = [path.stat().st_size for path in self.layout.raw.rglob("*.parquet")]
        with reader(self.layout.database) as db:
            counts = {name: db.table(name).count("*").fetchall()[0][0] for name in TABLES}
        total = sum(counts.values())
        return {
            "rows": total,
            "frames": self.frames,
            "days": round(self.frames * EVERY_NS / 86400 / NS, 2),
            "raw_bytes": sum(raw),
            "database_bytes": self.layout.database.stat().st_size,
            "ingest_rows_per_second": round(more * ROWS_PER_FRAME / bulk.seconds),
            "ingest_rows_per_cpu_second": round(more * ROWS_PER_FRAME / bulk.cpu_seconds),
            "next_batch": vars(following) | {"rows": _NEXT * ROWS_PER_FRAME},
            "publish": vars(published),
            "queries": self.query(),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
        }

    def query(self) -> Figures:
        """Return the seconds of several queries, the best of three runs each."""
        queries, end = canned.load(), _BEGIN + self.frames * EVERY_NS
        hour_ago, day_ago = end - 3600 * NS, end - 86400 * NS
        last_hour = {"since": iso(hour_ago)}
        with reader(self.layout.database) as db:
            runs: dict[str, Callable[[], object]] = {
                "funding_rates": lambda: canned.run(db, queries["funding_rates"], {}),
                "funding_rates, last hour": lambda: canned.run(
                    db, queries["funding_rates"], last_hour
                ),
                "latency_percentiles": lambda: canned.run(db, queries["latency_percentiles"], {}),
                "candles of one symbol, last day": lambda: db.sql(
                    AD_HOC.format(since=day_ago)
                ).to_arrow_table(),
                "candles of one symbol, all": lambda: db.sql(
                    AD_HOC.format(since=0)
                ).to_arrow_table(),
            }
            return {
                name: vars(min((timed(run) for _ in range(3)), key=lambda each: each.seconds))
                for name, run in runs.items()
            }

    def export(self) -> Figures:
        """Export the prices to a Parquet file; return its seconds, rows and bytes."""
        path = self.layout.root / "prices.parquet"
        with reader(self.layout.database) as db:
            copy = f"COPY prices TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
            took = timed(lambda: db.execute(copy))
            [(rows,)] = db.table("prices").count("*").fetchall()
        return vars(took) | {"table": "prices", "rows": rows, "bytes": path.stat().st_size}

    def prune_half(self) -> Figures:
        """Remove the older half of the rows and publish, as `recorder prune --tables` does."""
        limit = _BEGIN + self.frames // 2 * EVERY_NS
        before = self.layout.database.stat().st_size

        def work() -> None:
            with private.claimed(self.layout), closing(private.connect(self.layout)) as db:
                plan = prune.plan(db, self.layout, limit, Choice(tables=True))
                prune.apply(db, plan, limit)
                private.show(db, self.layout)

        took = timed(work)
        after = self.layout.database.stat().st_size
        return vars(took) | {"bytes_before": before, "bytes_after": after}


def timed(run: Callable[[], object]) -> Timed:
    """Run a task once; return its seconds."""
    wall, used = time.perf_counter(), _cpu()
    run()
    return Timed(round(time.perf_counter() - wall, 3), round(_cpu() - used, 3))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def show(result: Figures) -> None:
    """Print the figures as tables."""
    console = Console()
    report.show_machine(console, result["machine"])
    steps = result["steps"]
    table = Table("", *(f"{step['rows'] / 1e6:,.1f} M rows" for step in steps))

    def row(name: str, cell: Callable[[Figures], str]) -> None:
        table.add_row(name, *(cell(step) for step in steps))

    row("recorded, days", lambda step: f"{step['days']:.2f}")
    row("raw Parquet, GB", lambda step: f"{step['raw_bytes'] / 1e9:.2f}")
    row("database, GB", lambda step: f"{step['database_bytes'] / 1e9:.2f}")
    row("bytes per row", lambda step: f"{step['database_bytes'] / step['rows']:.1f}")
    row("ingest, rows/s", lambda step: f"{step['ingest_rows_per_second']:,}")
    row("next five minutes, s", lambda step: _cell(step["next_batch"]))
    row("publish, s", lambda step: _cell(step["publish"]))
    row("peak memory, MB", lambda step: f"{step['peak_mb']:,}")
    for name in steps[0]["queries"]:
        row(f"{name}, s", lambda step, name=name: _cell(step["queries"][name]))
    console.print(table)
    year, pruned, export = result["year"], result["pruned"], result["export"]
    console.print(
        f"A year: {year['rows']:,} rows, raw {year['raw_gb']:,} GB, database "
        f"{year['database_gb']:,} GB. Seconds: wall (CPU)."
    )
    console.print(
        f"Half pruned in {_cell(pruned)} s: {pruned['bytes_before'] / 1e9:.2f} GB -> "
        f"{pruned['bytes_after'] / 1e9:.2f} GB. {export['rows']:,} prices as Parquet in "
        f"{_cell(export)} s: {export['bytes'] / 1e9:.2f} GB."
    )


def _cell(figures: Figures) -> str:
    return f"{figures['seconds']:.2f} ({figures['cpu_seconds']:.2f})"


if __name__ == "__main__":
    main()
