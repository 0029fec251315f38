"""The speed of ingest, compared with a plain Python loop and with bare `json_valid`.

`python -m benchmarks.ingest --help`; `benchmarks/README.md` explains the figures.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import click
import duckdb
import msgspec
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks import machine, mixed, options, report
from benchmarks.report import Figures
from recorder.record.layout import Layout

FRAMES_PER_SECOND = 1_000_000
TIMES_THE_LOOP = 3.0
OF_JSON_VALID = 0.4
PEAK_MB = 1500


@click.command()
@click.option("--rounds", type=click.IntRange(1), help="Rounds.  [5; quick 1]")
@click.option("--frames", type=click.IntRange(1000), help="Mixed frames.  [1 M; quick 100,000]")
@click.option("--backlog", type=click.IntRange(0), help="Frames of backlog.  [10 M; quick 0]")
@click.option("--quick", is_flag=True, help="One round over few frames.")
@options.as_json
@options.strict
@options.folder()
def main(  # noqa: PLR0913 - one parameter per option
    *,
    rounds: int | None,
    frames: int | None,
    backlog: int | None,
    quick: bool,
    as_json: bool,
    strict: bool,
    folder: Path,
) -> None:
    """Ingest mixed frames into all tables; compare with a Python loop and bare `json_valid`.

    \b
    Example: python -m benchmarks.ingest --quick
    """
    rounds = rounds or (1 if quick else 5)
    frames = frames or (100_000 if quick else 1_000_000)
    backlog = (0 if quick else 10_000_000) if backlog is None else backlog
    result = measure(folder, rounds, frames, backlog)
    options.conclude(result, show, as_json=as_json, strict=strict)


def measure(folder: Path, rounds: int, frames: int, backlog: int) -> Figures:
    """Return all figures: medians, bars, and those of each round."""
    named, times = machine.describe(folder), machine.cpu_times()
    subjects: dict[str, Callable[[Path], float]] = {
        "ingest": ingest,
        "python": python_loop,
        "json_valid": json_valid,
    }
    rounds_of: dict[str, list[float]] = {name: [] for name in subjects}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        layout = Layout(Path(place))
        mixed.record(layout, frames)
        for _ in range(rounds):
            for name, subject in subjects.items():
                rounds_of[name].append(frames / subject(layout.root))
    rates = {name: median(each) for name, each in rounds_of.items()}
    result: Figures = {
        "frames_per_second": rates,
        "rounds": rounds_of,
        "ratio_to_python": _ratio(rounds_of, "python"),
        "ratio_to_json_valid": _ratio(rounds_of, "json_valid"),
    }
    bars = [
        report.at_least("ingest, frames/s", rates["ingest"], FRAMES_PER_SECOND),
        report.at_least("ingest / Python loop", result["ratio_to_python"], TIMES_THE_LOOP),
        report.at_least("ingest / json_valid", result["ratio_to_json_valid"], OF_JSON_VALID),
    ]
    if backlog:
        result["backlog"] = _backlog(folder, backlog)
        bars.append(report.below("backlog, peak MB", result["backlog"]["peak_mb"], PEAK_MB))
    named |= machine.shares(times, machine.cpu_times())
    settings = {"rounds": rounds, "frames": frames, "backlog": backlog}
    head = {"benchmark": "ingest", "machine": named, "settings": settings}
    return {**head, **result, "bars": report.as_rows(bars)}


def _ratio(rates: dict[str, list[float]], other: str) -> float:
    return median(ours / theirs for ours, theirs in zip(rates["ingest"], rates[other], strict=True))


# -- the subjects; each returns the seconds for the whole record


_CHILD = """
import json, resource, sys, time
from pathlib import Path
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules
from recorder.record.layout import Layout

work = Ingest(Layout(Path(sys.argv[1])), Rules)
start = time.perf_counter()
work.run()
seconds = time.perf_counter() - start
work.publish()
work.close()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak_mb": peak * 1024 / 1e6}))
"""


def _ingested(root: Path) -> dict[str, float]:
    """Rebuild all tables in a separate process; the seconds do not include publishing."""
    layout = Layout(root)
    for path in layout.work.glob("ingest.duckdb*"):
        path.unlink()
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(root)], check=True, capture_output=True, text=True
    )
    return dict(json.loads(child.stdout))


def ingest(root: Path) -> float:
    """Ingest into all tables, including latency, connections, gaps and ledger."""
    return _ingested(root)["seconds"]


def json_valid(root: Path) -> float:
    """Scan the payloads and only check that each is JSON: the upper limit of the speed."""
    files = [str(path) for path in sorted(Layout(root).raw.rglob("*.parquet"))]
    with duckdb.connect() as db:
        start = time.perf_counter()
        db.execute(
            "SELECT count(*) FROM read_parquet($files, hive_partitioning = false) "
            "WHERE json_valid(decode(payload))",
            {"files": files},
        ).fetchall()
        return time.perf_counter() - start


def python_loop(root: Path) -> float:
    """Ingest with a simple loop: decode with msgspec, insert Arrow batches into DuckDB."""
    files = sorted(Layout(root).raw.rglob("*.parquet"))
    with tempfile.TemporaryDirectory(dir=root) as place:
        start = time.perf_counter()
        with duckdb.connect(str(Path(place) / "plain.duckdb")) as db:
            for batch in _batches(files):
                for name, rows in mixed.plain_rows(batch).items():
                    db.register("rows", pa.Table.from_pylist(rows))
                    db.execute(f"CREATE TABLE IF NOT EXISTS {name} AS FROM rows LIMIT 0")
                    db.execute(f"INSERT INTO {name} BY NAME FROM rows")
        return time.perf_counter() - start


def _batches(files: list[Path]) -> Iterator[list[tuple[str, int, int, dict[str, object]]]]:
    """Yield connection, seq, receive time and decoded payload of the frames, in batches."""
    import pyarrow.parquet as pq

    decode = msgspec.json.Decoder().decode
    for path in files:
        for part in pq.ParquetFile(path).iter_batches(65_536):
            columns = [part.column(c).to_pylist() for c in ("connection", "seq", "recv_ns")]
            kinds, payloads = part.column("kind").to_pylist(), part.column("payload").to_pylist()
            yield [
                (connection, seq, recv_ns, decode(payload))
                for connection, seq, recv_ns, kind, payload in zip(
                    *columns, kinds, payloads, strict=True
                )
                if kind in {"text", "binary"}
            ]


def _backlog(folder: Path, frames: int) -> Figures:
    """Ingest a long backlog at once; return the rate and the peak memory."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        layout = Layout(Path(place))
        click.echo(f"recording {frames:,} frames of backlog", err=True)
        mixed.record(layout, frames)
        run = _ingested(layout.root)
        size = layout.database.stat().st_size
    return {
        "frames": frames,
        "frames_per_second": frames / run["seconds"],
        "peak_mb": run["peak_mb"],
        "database_mb": size / 1e6,
    }


def show(result: Figures) -> None:
    """Print the figures as tables."""
    console = Console()
    report.show_machine(console, result["machine"])
    table = Table("subject", "frames/s")
    for name, rate in result["frames_per_second"].items():
        table.add_row(name, f"{rate:,.0f}")
    if "backlog" in result:
        backlog = result["backlog"]
        table.add_row(f"backlog of {backlog['frames']:,}", f"{backlog['frames_per_second']:,.0f}")
        table.add_row("  peak memory, MB", f"{backlog['peak_mb']:,.0f}")
        table.add_row("  database, MB", f"{backlog['database_mb']:,.0f}")
    console.print(table)
    report.show_bars(console, result["bars"])


if __name__ == "__main__":
    main()
