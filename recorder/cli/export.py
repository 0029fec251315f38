"""`recorder export`: the record in the file formats of other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recorder.cli import options

if TYPE_CHECKING:
    from recorder.export.job import Job

_FORMATS = {
    "parquet": "plain Parquet, a file per table",
    "ohlcv": "candles, CSV or Parquet",
    "tardis": "CSV in Tardis's layout",
    "nautilus": "a nautilus_trader catalogue",
    "hftbacktest": "hftbacktest's .npz",
}


@click.command(
    epilog="\b\nExamples:\n  recorder export parquet --out rows --since '1d ago'\n"
    "  recorder export ohlcv --out candles --bucket '5 minutes' --symbol BTCUSDT\n"
    "  recorder export nautilus --out catalog --feed binance",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("format_", metavar="FORMAT", type=click.Choice(tuple(_FORMATS)))
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory to write to.",
)
@options.since("Only events received")
@options.until("Only events received")
@click.option("--feed", "feeds", multiple=True, help="Only this feed (repeatable).")
@click.option("--symbol", "symbols", multiple=True, help="Only this symbol (repeatable).")
@click.option("--table", "tables", multiple=True, help="parquet: only this table (repeatable).")
@click.option(
    "--type", "types", multiple=True, help="tardis, nautilus: only this type of data (repeatable)."
)
@click.option(
    "--bucket", default="1 minute", show_default=True, help="ohlcv: the candles' duration."
)
@click.option(
    "--kind", default="last", show_default=True, help="ohlcv: the price: last, mark, mid or index."
)
@click.option("--as-parquet", is_flag=True, help="ohlcv: write Parquet instead of CSV.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@click.option("--json", "as_json", is_flag=True, help="Print each file as a JSON object.")
@options.directory
def export(
    format_: str,
    out: Path,
    since: int | None,
    until: int | None,
    feeds: tuple[str, ...],
    symbols: tuple[str, ...],
    tables: tuple[str, ...],
    types: tuple[str, ...],
    bucket: str,
    kind: str,
    as_parquet: bool,
    force: bool,
    as_json: bool,
    where: options.RecordOptions,
) -> None:
    """Export the record to Parquet, CSV and other formats.

    FORMAT is parquet (a file per table), ohlcv (candles), tardis (CSV), nautilus (a catalogue) or
    hftbacktest (.npz). File names go to stdout. Gaps in the range, and what a format cannot hold,
    go to stderr.
    """
    from recorder.stream import event
    from recorder.stream.span import between

    wanted = event.wanted(between(since, until), feeds or None, symbols or None)
    write = _writer(format_, tables, types, bucket, kind, as_parquet)
    data = where.settings().data_dir
    _run(data, out, wanted, write, force=force, as_json=as_json)


def _writer(
    format_: str,
    tables: tuple[str, ...],
    types: tuple[str, ...],
    bucket: str,
    kind: str,
    as_parquet: bool,
) -> Callable[[Job], None]:
    """Return the function that writes the chosen format.

    Raises:
        UsageError: an option of another format was given, or a table or type is unknown.
    """
    from recorder.errors import UsageError

    belongs = {"--table": ({"parquet"}, tables), "--type": ({"tardis", "nautilus"}, types)}
    for option, (formats, given) in belongs.items():
        if given and format_ not in formats:
            hint = f"it belongs to: {', '.join(sorted(formats))}"
            raise UsageError(f"{format_} does not take {option}", hint=hint)
    match format_:
        case "parquet":
            from recorder.export import tables as plain

            names = _checked(tables, plain.NAMES, "table")
            return lambda job: plain.export(job, names)
        case "ohlcv":
            from recorder.export import ohlcv

            return lambda job: ohlcv.export(job, bucket, kind, "parquet" if as_parquet else "csv")
        case "tardis":
            from recorder.export import tardis

            chosen = _checked(types, tardis.TYPES, "type of data")
            return lambda job: tardis.export(job, chosen)
        case "nautilus":
            from recorder.export import nautilus

            chosen = _checked(types, nautilus.TYPES, "type of data")
            return lambda job: nautilus.export(job, chosen)
        case _:
            from recorder.export import hftbacktest

            return hftbacktest.export


def _checked(given: tuple[str, ...], known: tuple[str, ...], what: str) -> tuple[str, ...]:
    from recorder.errors import UsageError, did_you_mean

    for name in given:
        if name not in known:
            raise UsageError(f"no {what} '{name}'", hint=did_you_mean(name, known))
    return given or known


def _run(
    data_dir: Path,
    out: Path,
    wanted: Any,
    write: Callable[[Job], None],
    *,
    force: bool,
    as_json: bool,
) -> None:
    from recorder.answers import database
    from recorder.errors import DataError
    from recorder.export.job import Job
    from recorder.record.layout import Layout
    from recorder.stream.span import check_feeds, check_recorded, check_version, gaps

    layout = Layout(data_dir)
    with database.connect(layout.database) as connection:
        check_version(connection, str(layout.database))
        check_feeds(connection, wanted.feeds or ())
        check_recorded(connection, wanted.span)
        job = Job(connection, out, wanted, force)
        with _progress(job, as_json):
            write(job)
        for gap in gaps(connection, wanted.span, wanted.feeds):
            click.echo(f"gap: {gap}", err=True)
    for note in job.notes:
        click.echo(f"note: {note}", err=True)
    if not job.written:
        hint = "list what was recorded: recorder query feed_rates"
        raise DataError("no event of this kind was received in this range", hint=hint)
    rows = sum(written.rows for written in job.written)
    click.echo(f"{len(job.written):,} files, {rows:,} rows in {out}", err=True)


def _progress(job: Job, as_json: bool) -> Any:
    """Print each file's name when it is finished; show progress if stdout is not a terminal."""
    import json
    import sys
    from contextlib import nullcontext

    from rich.console import Console

    from recorder.export.job import Written

    console = Console(stderr=True)
    status = console.status("exporting …")

    def progress(written: Written) -> None:
        line = {"path": str(written.path), "rows": written.rows}
        click.echo(json.dumps(line) if as_json else str(written.path))
        status.update(f"exporting … {len(job.written):,} files")

    job.progress = progress
    return nullcontext() if sys.stdout.isatty() else status
