"""`recorder seal-day`."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.cli import options
from recorder.cli.types import Moment


@click.command(
    "seal-day",
    epilog="\b\nExamples:\n  recorder seal-day\n"
    "  recorder seal-day --day 2026-01-31 --feed binance --sign day.key",
)
@options.record
@click.option("--day", "day_ns", type=Moment(), help="The UTC day.  [default: yesterday]")
@click.option("--feed", "feeds", multiple=True, help="Only this feed (repeatable).")
@click.option(
    "--sign",
    "key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Sign with this Ed25519 private key (PEM).",
)
def seal_day(
    where: options.RecordOptions, day_ns: int | None, feeds: tuple[str, ...], key: Path | None
) -> None:
    """Seal a day: write down what the record holds of it, for a proof later and elsewhere.

    Reads every frame of the day and writes heads/FEED/DAY.json in the data directory, one for each
    feed: the digests of its segments, counts, gaps and clock error under one root. Keep a copy
    where the writer of the record cannot reach it, or have it time-stamped; `recorder verify
    --against FILE` compares it with the record. Prints the paths.
    """
    import time

    from recorder.clock import DAY_NS, day
    from recorder.errors import UsageError, did_you_mean
    from recorder.record import day_seal, read
    from recorder.record.layout import day_of

    layout = where.layout(where.settings_to_write())
    options.check_recorded(layout)
    date = day(time.time_ns() - DAY_NS if day_ns is None else day_ns)
    known = layout.feeds()
    for name in feeds:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UsageError(f"no feed '{name}' is recorded here", where="--feed", hint=hint)
    chosen = [
        name
        for name in feeds or known
        if feeds or any(day_of(stem) == date for stem in read.stems(layout, name))
    ]
    if not chosen:
        raise UsageError(f"nothing was recorded on {date}", where=str(layout.root))
    for name in chosen:
        seal = day_seal.signed(day_seal.sealed(layout, name, date), key)
        click.echo(day_seal.write(layout, seal))
        body = seal.body
        text = f"{name} {date}: {body.frames:,} frames in {len(body.segments):,} segments"
        click.echo(f"{text}, root {seal.root}", err=True)
