"""The cost of a cluster and when it pays off: normalisation with Spark and with DuckDB alone.

`python -m benchmarks.scale --help`; `benchmarks/README.md` explains the figures.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from benchmarks import asked, machine, mixed, options, report, sizing
from benchmarks.fit import Cost, cores_needed, fit, pays_off
from benchmarks.report import Figures
from recorder.record.layout import Layout

_ROOT = Path(__file__).parents[1]

ALONE = "DuckDB alone"
SUBJECTS = {ALONE: 0, "Spark, 1 worker": 1, "Spark, 2 workers": 2}
#: The sizes of clusters for which the break-even is computed, in cores.
CORES = (4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Size:
    """The extent of a run: the frames, and the numbers of files that hold them."""

    rounds: int
    frames: int
    files: tuple[int, ...]
    rows: int  # of the tables for the queries

    @property
    def points(self) -> list[tuple[int, int]]:
        """Files and frames of each measurement; the last two separate the costs of the two."""
        few = self.files[0]
        return [(f, self.frames) for f in self.files] + [(few, self.frames // 4), (few, few)]


FULL = Size(rounds=3, frames=1_000_000, files=(10, 30, 100, 300, 1000), rows=10_000_000)
QUICK = Size(rounds=1, frames=100_000, files=(10, 30, 100), rows=500_000)


@click.command()
@click.option("--rounds", type=click.IntRange(1), help="Rounds.  [3; quick 1]")
@click.option("--frames", type=click.IntRange(1000), help="Mixed frames.  [1 M; quick 100,000]")
@click.option("--rows", type=click.IntRange(1000), help="Rows to query.  [10 M; quick 500,000]")
@click.option("--quick", is_flag=True, help="One round over few frames.")
@click.option("--only", type=click.Choice(["ingest", "queries"]), help="One of the two parts.")
@click.option("--sizing", "table", is_flag=True, help="Print the sizing table; measure nothing.")
@options.as_json
@options.folder()
def main(  # noqa: PLR0913 - one parameter per option
    *,
    rounds: int | None,
    frames: int | None,
    rows: int | None,
    quick: bool,
    only: str | None,
    table: bool,
    as_json: bool,
    folder: Path,
) -> None:
    """Normalise the same files with DuckDB and with Spark; query a lake and recorder.duckdb.

    \b
    Example: python -m benchmarks.scale --quick
    """
    if table:
        click.echo(sizing.markdown())
        return
    default = QUICK if quick else FULL
    size = Size(
        rounds or default.rounds, frames or default.frames, default.files, rows or default.rows
    )
    result = measure(folder, size, only)
    options.conclude(result, show, as_json=as_json)


def measure(folder: Path, size: Size, only: str | None) -> Figures:
    """Return all figures: medians, the fit, and those of each round."""
    named, times = machine.describe(folder), machine.cpu_times()
    result: Figures = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        if only != "queries":
            result["ingest"] = ingest(Path(place), size)
        if only != "ingest":
            result["queries"] = asked.queries(Path(place) / "market", size.rows, size.rounds)
    named |= machine.shares(times, machine.cpu_times())
    head = {"benchmark": "scale", "machine": named, "settings": asdict(size)}
    return {**head, **result}


# -- normalisation


def ingest(place: Path, size: Size) -> Figures:
    """Return the seconds of each subject at each point, with the fit and the break-even."""
    places = [_record(place, files, frames) for files, frames in size.points]
    rounds: dict[str, list[Figures]] = {name: [] for name in SUBJECTS}
    for _ in range(size.rounds):
        for name, workers in SUBJECTS.items():
            rounds[name].append(_measured(place / "spark", workers, places))
            click.echo(f"{name}: cold {rounds[name][-1]['cold']:.1f} s", err=True)
    lake = sum(path.stat().st_size for path in (places[0] / "lake").rglob("*.parquet"))
    return summary(rounds, size) | {"lake_bytes_per_frame": round(lake / size.frames, 2)}


def _record(place: Path, files: int, frames: int) -> Path:
    """Record frames in about `files` files; return the data directory."""
    directory = place / f"{files}-{frames}"
    mixed.record(Layout(directory), frames, -(-frames // files))
    return directory


def _measured(folder: Path, workers: int, places: list[Path]) -> Figures:
    """Ingest all directories in a separate process, with `workers` workers; 0 without a cluster."""
    if not workers:
        return _child("local", places)
    sys.path.insert(0, str(_ROOT / "tests"))
    from cluster.standalone import environment, standing

    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as logs, standing(Path(logs), {}) as cluster:
        for number in range(workers, 2):
            cluster.kill(number)
        return _child(cluster.master, places, environment())


def _child(master: str, places: list[Path], environment: dict[str, str] | None = None) -> Figures:
    command = [sys.executable, "-m", "benchmarks.ingested", master, str(time.time())]
    done = subprocess.run(
        [*command, *map(str, places)],
        cwd=_ROOT,
        env=environment or dict(os.environ),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def summary(measured: dict[str, list[Figures]], size: Size) -> Figures:
    """Return the medians over the rounds, and the cost that fits each subject's points."""
    result: Figures = {}
    for name, rounds in measured.items():
        seconds = [
            median(one["warm"][place]["seconds"] for one in rounds)
            for place in range(len(size.points))
        ]
        cold = median(one["cold"] for one in rounds)
        points = [(f, n, s) for (f, n), s in zip(size.points, seconds, strict=True)]
        result[name] = {
            "cold_seconds": round(cold, 2),
            "warm_seconds": {f"{f} files": round(s, 3) for f, n, s in points if n == size.frames},
            "frames_per_second": {
                "cold": round(size.frames / cold),
                "warm": round(size.frames / seconds[0]),
            },
            "cost": asdict(fit(points)),
            "rounds": rounds,
        }
    return {"subjects": result, "pays_off": verdict(result, size.frames / size.files[0])}


def verdict(subjects: Figures, frames_per_file: float) -> Figures:
    """Return when a cluster is faster than one machine, by the fit; a worker has one core."""
    alone, one = (Cost(**subjects[name]["cost"]) for name in (ALONE, "Spark, 1 worker"))
    least = {n: pays_off(alone, one, n, frames_per_file) for n in CORES}
    return {
        "frames_per_file": round(frames_per_file),
        "from_cores": cores_needed(alone, one, frames_per_file),
        "frames": {str(n): None if some is None else round(some) for n, some in least.items()},
    }


# -- showing


def show(result: Figures) -> None:
    """Print the figures as tables."""
    console = Console()
    report.show_machine(console, result["machine"])
    if "ingest" in result:
        _show_ingest(console, result["ingest"], result["settings"]["frames"])
    if "queries" in result:
        asked.show(console, result["queries"])


def _show_ingest(console: Console, figures: Figures, frames: int) -> None:
    subjects = figures["subjects"]
    files = [*subjects[ALONE]["warm_seconds"]]
    table = Table("", *subjects, title=f"{frames:,} frames, seconds (medians)")
    rows: list[tuple[str, Callable[[Figures], str]]] = [
        ("cold, first run", lambda one: f"{one['cold_seconds']:.2f}"),
        *((f"warm, {n}", lambda one, n=n: f"{one['warm_seconds'][n]:.2f}") for n in files),
        ("frames/s, warm", lambda one: f"{one['frames_per_second']['warm']:,}"),
        ("fit: fixed, s", lambda one: f"{one['cost']['fixed']:.2f}"),
        ("fit: per file, ms", lambda one: f"{one['cost']['per_file'] * 1e3:.1f}"),
        ("fit: per 1 M frames, s", lambda one: f"{one['cost']['per_frame'] * 1e6:.2f}"),
    ]
    for title, cell in rows:
        table.add_row(title, *map(cell, subjects.values()))
    console.print(table)
    even = figures["pays_off"]
    console.print(f"Spark can be faster than {ALONE} with at least {even['from_cores']} cores:")
    for cores, least in even["frames"].items():
        text = f"in runs of at least {least:,} frames" if least is not None else "never"
        console.print(f"  {cores} cores: {text}")


if __name__ == "__main__":
    main()
