"""Canned queries over a lake and over `recorder.duckdb`: all rows, and one day of one feed."""

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

import click
import duckdb
from rich.console import Console
from rich.table import Table

from benchmarks import market
from benchmarks.report import Figures
from recorder.answers import canned, database
from recorder.lake import read

_ROOT = Path(__file__).parents[1]

#: Queries of each kind: over a large table, over a small one, of one symbol.
QUERIES = {
    "latency_percentiles": {},
    "funding_rates": {"symbol": "C7USDT"},
    "liquidation_totals": {},
    "whale_moves": {},
    "event_history": {},
}

#: The last of the thirty days, of one of the five feeds.
PRUNED = {"since": str(market.END - 86_400), "feed": "binance"}


def queries(place: Path, rows: int, rounds: int) -> Figures:
    """Return the seconds of each query from both sources, including the time to open them."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    click.echo(f"making {rows:,} rows", err=True)
    path, url = market.build(place, rows, 1000), str(place / "lake")
    sys.path.insert(0, str(_ROOT / "tests"))
    from kit import lakes

    lakes.write(path, url)
    subjects: dict[str, Callable[[canned.Query], duckdb.DuckDBPyConnection]] = {
        "recorder.duckdb": lambda query: database.connect(path),
        "lake": lambda query: read.connect(url, query=query),
    }
    loaded = canned.load()
    result: Figures = {}
    for name, given in QUERIES.items():
        result[name] = {
            f"{subject}, {part}": _seconds(open_one, loaded[name], given | more, rounds)
            for part, more in (("one day, one feed", PRUNED), ("everything", {}))
            for subject, open_one in subjects.items()
        }
        click.echo(f"{name}: {result[name]}", err=True)
    return result


def _seconds(
    open_one: Callable[[canned.Query], duckdb.DuckDBPyConnection],
    query: canned.Query,
    given: dict[str, str],
    rounds: int,
) -> float:
    """Return the median seconds to open, query and read, with the parameters that exist."""
    known = {p.name for p in query.parameters}
    chosen = {name: value for name, value in given.items() if name in known}
    took = []
    for _ in range(rounds):
        begin = time.perf_counter()
        with closing(open_one(query)) as connection:
            canned.run(connection, query, chosen)
        took.append(time.perf_counter() - begin)
    return round(median(took), 4)


def show(console: Console, seconds: Figures) -> None:
    """Print the seconds as a table."""
    columns = [*next(iter(seconds.values()))]
    table = Table("query", *columns, title="Seconds, including opening (medians)")
    for name, figures in seconds.items():
        table.add_row(name, *(f"{figures[column]:.3f}" for column in columns))
    console.print(table)
