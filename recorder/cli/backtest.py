"""`recorder backtest`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recorder.cli import options

if TYPE_CHECKING:
    import pyarrow as pa

    from recorder.backtest import Costs, Latency, Result, Strategy
    from recorder.stream.event import Filter

_EXAMPLES = """\b
Examples:
  recorder backtest fade --since '30d ago' --feed binance --plot equity.png
  recorder backtest mine.py:strategy --latency recorded:binance --costs 2,1 --fills fills.csv"""


@click.command(epilog=_EXAMPLES)
@click.argument("strategy")
@options.since("Only events received", former="--from")
@options.until("Only events received", former="--to")
@click.option("--feed", "feeds", multiple=True, help="Only events of this feed; repeatable.")
@click.option("--symbol", "symbols", multiple=True, help="Only events of this symbol; repeatable.")
@click.option("--table", "tables", multiple=True, help="Only events of this table; repeatable.")
@click.option(
    "--latency",
    default="50ms",
    show_default=True,
    help="Order latency: 50ms, 0.2s, or recorded:FEED to sample that feed's latencies.",
)
@click.option(
    "--reaction", default="1ms", show_default=True, help="Time the strategy takes to decide."
)
@click.option(
    "--patience",
    default="1m",
    show_default=True,
    help="How long an order waits for a price before it is missed.",
)
@click.option(
    "--costs",
    default="5,0",
    show_default=True,
    metavar="FEE[,SLIPPAGE]",
    help="Basis points per fill: the fee, and the slippage against the recorded price.",
)
@click.option(
    "--capital", default=10_000.0, show_default=True, help="Starting capital in US dollars."
)
@click.option(
    "--fills",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the fills to FILE.parquet or FILE.csv.",
)
@click.option(
    "--equity",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the equity curve to FILE.parquet or FILE.csv.",
)
@click.option(
    "--plot",
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Plot the equity curve in the terminal, or to FILE.png or FILE.svg.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@options.directory
def backtest(
    strategy: str,
    since: int | None,
    until: int | None,
    feeds: tuple[str, ...],
    symbols: tuple[str, ...],
    tables: tuple[str, ...],
    latency: str,
    reaction: str,
    patience: str,
    costs: str,
    capital: float,
    fills: Path | None,
    equity: Path | None,
    plot: str | None,
    as_json: bool,
    where: options.RecordOptions,
) -> None:
    """Backtest a strategy and print a report.

    STRATEGY is module:object or file.py:object, where the object is a function (event, as_of) ->
    orders or has a method on_event; or it is a built-in example: listing (buy newly announced
    coins) or fade (trade against a cascade of liquidations).
    """
    from recorder.backtest import Market, run
    from recorder.backtest.named import strategy as named
    from recorder.cli.answers import AnswerOptions
    from recorder.stream import event
    from recorder.stream.span import between
    from recorder.times import exact

    AnswerOptions(plot=plot).check()
    files = [(path, _form(path)) for path in (fills, equity) if path is not None]
    market = Market(
        _latency(latency, reaction), _costs(costs), patience=_length(patience, "--patience")
    )
    wanted = event.wanted(between(since, until), feeds or None, symbols or None)
    chosen = named(strategy)
    place = where.settings().data_dir
    with _bar(place, _tables(chosen, tables), wanted) as progress:
        result = run(
            chosen,
            data_dir=place,
            tables=tables or None,
            since=None if since is None else exact(since),
            until=None if until is None else exact(until),
            feeds=feeds or None,
            symbols=symbols or None,
            market=market,
            capital_usd=capital,
            progress=progress,
        )
    for (path, form), table in zip(files, _results(result, fills, equity), strict=True):
        _write(table, path, form)
    click.echo(json.dumps(result.figures()) if as_json else result.summary())
    if plot is not None:
        result.plot(None if plot == "-" else plot, strategy)


def _results(result: Result, fills: Path | None, equity: Path | None) -> list[pa.Table]:
    both = ((fills, result.fills), (equity, result.equity))
    return [table for path, table in both if path is not None]


def _latency(order: str, reaction: str) -> Latency:
    from recorder.backtest import Latency

    decision = _length(reaction, "--reaction")
    if order.startswith("recorded:"):
        return Latency(decision, recorded=order.removeprefix("recorded:"))
    return Latency(decision, _length(order, "--latency"))


def _length(text: str, option: str) -> timedelta:
    from recorder.errors import UsageError
    from recorder.times import parse_fixed

    try:
        ns = parse_fixed(text)
    except UsageError as error:
        more = "; --latency takes recorded:FEED too" if option != "--patience" else ""
        hint = f"{error.hint}{more}"
        raise UsageError(error.what, where=option, hint=hint) from None
    if ns % 1000:
        raise UsageError(f"'{text}' is not a whole number of microseconds", where=option)
    return timedelta(microseconds=ns // 1000)


def _costs(text: str) -> Costs:
    from recorder.backtest import Costs
    from recorder.errors import UsageError

    try:
        fee, slippage = [*map(float, text.split(",")), 0.0][:2]
    except ValueError:
        hint = "write 5, or 5,1 with slippage"
        raise UsageError(
            f"'{text}' is not a fee in basis points", where="--costs", hint=hint
        ) from None
    return Costs(fee, slippage)


def _form(path: Path) -> str:
    from recorder.errors import UsageError

    form = path.suffix.lower().removeprefix(".")
    if form not in {"parquet", "csv"}:
        hint = "name it FILE.parquet or FILE.csv"
        raise UsageError("unknown file format", where=str(path), hint=hint)
    if not path.absolute().parent.is_dir():
        raise UsageError("no such directory", where=str(path.parent))
    return form


def _write(table: pa.Table, path: Path, form: str) -> None:
    """Write the table to a temporary file, then rename it, so that `path` is never partial."""
    from recorder import durable
    from recorder.answers.output import write

    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            write(table, form, stream)
        durable.publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _tables(strategy: Strategy, given: tuple[str, ...]) -> tuple[str, ...]:
    from recorder.backtest.orders import tables_of
    from recorder.stream import event

    return event.checked(given or tables_of(strategy))


@contextmanager
def _bar(
    data_dir: Path, tables: tuple[str, ...], wanted: Filter
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; yield the function that sets it to a number of events."""
    if not sys.stderr.isatty():
        yield lambda events: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns: tuple[Any, ...] = ("events", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("events", total=_total(data_dir, tables, wanted))
        yield lambda events: progress.update(task, completed=events)


def _total(data_dir: Path, tables: tuple[str, ...], wanted: Filter) -> int:
    from recorder.answers import database
    from recorder.record.layout import Layout
    from recorder.stream import event
    from recorder.stream.span import check_version

    layout = Layout(data_dir)
    with database.connect(layout.database) as connection:
        check_version(connection, str(layout.database))
        return event.count(connection, tables, wanted)
