"""The speed of the canned queries over a large database, compared with bare SQL.

`python -m benchmarks.query --help`; `benchmarks/README.md` explains the figures.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import duckdb
from rich.console import Console

from benchmarks import machine, market, options, report
from benchmarks.report import Figures
from recorder.answers import canned
from recorder.record.layout import Layout
from recorder.tables import publish

SECONDS = 1.0
RATIO = 1.15

#: Parameters of queries: line_race reads the raw files, which hold one day.
GIVEN = {"line_race": {"since": str(market.END - 86400)}}

# The same percentiles of the same rows and nothing else; {clock} is those of our clock's error.
BARE = """
SELECT
    feed, channel,{clock}
    quantile_cont(detected_ns - publish_ns, [0.5, 0.9, 0.99, 0.999]) AS detection,
    quantile_cont(dispatch_ns - detected_ns, [0.5, 0.9, 0.99, 0.999]) AS dispatch,
    quantile_cont(network_ns, [0.5, 0.9, 0.99, 0.999]) AS network,
    quantile_cont(total_ns, [0.5, 0.9, 0.99, 0.999]) AS total
FROM latency
WHERE backfill IS NOT TRUE
GROUP BY feed, channel
"""


@dataclass(frozen=True)
class Size:
    """The extent of a run."""

    rounds: int
    rows: int
    latency_rows: int
    raw_frames: int


FULL = Size(rounds=5, rows=10_000_000, latency_rows=50_000_000, raw_frames=100_000)
QUICK = Size(rounds=1, rows=1_000_000, latency_rows=2_000_000, raw_frames=10_000)


@click.command()
@click.option("--rounds", type=click.IntRange(1), help="Rounds of every query.  [5; quick 1]")
@click.option("--rows", type=click.IntRange(1000), help="Rows of all tables.  [10 M; quick 1 M]")
@click.option(
    "--latency-rows", type=click.IntRange(1000), help="Rows of the large one.  [50 M; quick 2 M]"
)
@click.option(
    "--raw-frames", type=click.IntRange(1), help="Raw frames per line.  [100,000; quick 10,000]"
)
@click.option("--quick", is_flag=True, help="One round over small tables.")
@click.option("--only", type=click.Choice(["queries", "percentiles"]), help="One of the two parts.")
@options.as_json
@options.strict
@options.folder("Make the databases below this folder (3 GB).")
def main(  # noqa: PLR0913 - one parameter per option
    *,
    rounds: int | None,
    rows: int | None,
    latency_rows: int | None,
    raw_frames: int | None,
    quick: bool,
    only: str | None,
    as_json: bool,
    strict: bool,
    folder: Path,
) -> None:
    """Time every canned query, and compare latency_percentiles with bare SQL.

    \b
    Example: python -m benchmarks.query --quick
    """
    default = QUICK if quick else FULL
    size = Size(
        rounds or default.rounds,
        rows or default.rows,
        latency_rows or default.latency_rows,
        raw_frames or default.raw_frames,
    )
    result = measure(folder, size, only)
    options.conclude(result, show, as_json=as_json, strict=strict)


def measure(folder: Path, size: Size, only: str | None) -> Figures:
    """Return all figures: medians, bars, and those of each round."""
    named = machine.describe(folder)
    times = machine.cpu_times()
    result: Figures = {}
    bars: list[report.Bar] = []
    if only != "percentiles":
        result["queries"] = queries(folder, size)
        bars += [
            report.below(f"{name}, s", figures["seconds"], SECONDS)
            for name, figures in result["queries"].items()
        ]
    if only != "queries":
        result["percentiles"] = percentiles(folder, size)
        figures = result["percentiles"]
        bars += [
            report.below("latency_percentiles / bare", figures["ratio"], RATIO),
            report.below(
                "latency_percentiles / bare without clock", figures["ratio_without_clock"], RATIO
            ),
        ]
    named |= machine.shares(times, machine.cpu_times())
    settings = {
        "rounds": size.rounds,
        "rows": size.rows,
        "latency_rows": size.latency_rows,
        "raw_frames": size.raw_frames,
    }
    head = {"benchmark": "query", "machine": named, "settings": settings}
    return {**head, **result, "bars": report.as_rows(bars)}


def queries(folder: Path, size: Size) -> Figures:
    """Return the seconds and rows of each canned query."""
    loaded = canned.load()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        click.echo(f"making {size.rows:,} rows", err=True)
        path = market.build(Path(place), size.rows, size.raw_frames)
        with reader(path) as connection:
            return {
                name: timed(
                    name,
                    size.rounds,
                    lambda query=query: canned.run(connection, query, GIVEN.get(query.name, {})),
                )
                for name, query in loaded.items()
            }


def percentiles(folder: Path, size: Size) -> Figures:
    """Return the seconds of latency_percentiles and of bare SQL, in turn over the same rows."""
    query = canned.load()["latency_percentiles"]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        layout = Layout(Path(place))
        click.echo(f"making {size.latency_rows:,} rows", err=True)
        with duckdb.connect(str(layout.database)) as connection:
            publish.define(connection, layout)
            market.fill(connection, "latency", size.latency_rows)
        with reader(layout.database) as connection:
            subjects = {
                "bare": lambda: connection.sql(bare(clock=True)).to_arrow_table(),
                "bare_without_clock": lambda: connection.sql(bare(clock=False)).to_arrow_table(),
                "latency_percentiles": lambda: canned.run(connection, query, {}),
            }
            subjects["bare"]()  # reads from the disk, so that no measured subject has to
            rounds = [
                {name: timed(name, 1, run)["seconds"] for name, run in subjects.items()}
                for _ in range(size.rounds)
            ]
    return {
        "ratio": ratio(rounds, "bare"),
        "ratio_without_clock": ratio(rounds, "bare_without_clock"),
        **report.medians(rounds),
        "rounds": rounds,
    }


def bare(*, clock: bool) -> str:
    """Return the SQL of the percentiles only, with or without those of our clock's error."""
    error = " quantile_cont(clock_error_ns, [0.5, 1.0]) AS clock_error," if clock else ""
    return BARE.format(clock=error)


def ratio(rounds: list[Figures], name: str) -> float:
    """Return the median of the rounds' ratios: the machine's speed varies less within a round."""
    return round(median(each["latency_percentiles"] / each[name] for each in rounds), 4)


def timed(name: str, rounds: int, run: Callable[[], object]) -> Figures:
    """Return the median of several runs, including the first, which reads from the disk."""
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        answer = run()
        seconds.append(round(time.perf_counter() - begin, 4))
    middle = round(median(seconds), 4)
    click.echo(f"{name}: {middle:.3f} s, {answer.num_rows:,} rows", err=True)
    return {"seconds": middle, "rows": answer.num_rows, "rounds": seconds}


@contextmanager
def reader(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the database as `recorder query` does."""
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def show(result: Figures) -> None:
    """Print the result as tables."""
    console = Console()
    report.show_machine(console, result["machine"])
    report.show_bars(console, result["bars"], f"{result['settings']['rows']:,} rows")


if __name__ == "__main__":
    main()
