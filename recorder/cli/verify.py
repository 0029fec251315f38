"""`recorder verify`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from recorder.cli import options


@click.command(
    epilog="\b\nExamples:\n  recorder verify\n  recorder verify --data-dir data/sample --json"
)
@options.config
@options.data_dir
@options.raw_url
@click.option("--json", "as_json", is_flag=True, help="The whole report as one JSON object.")
@click.pass_context
def verify(
    ctx: click.Context,
    config_path: Path | None,
    data_dir: Path | None,
    raw_url: str | None,
    as_json: bool,
) -> None:
    """Prove what was recorded: every checksum, every number, every day, and the ledger.

    Exit code 1 if anything is wrong. The report may be published with a data set. What is in a
    bucket alone is fetched, file by file.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from recorder.bucket.remote import layout_of
    from recorder.errors import UsageError
    from recorder.record.verify import verify as examine
    from recorder.settings.config import load

    settings = load(config_path, data_dir=data_dir, raw_url=raw_url)
    cache_gb = settings.bucket.cache_gb
    layout = layout_of(settings.data_dir, settings.raw_url, cache_gb=cache_gb, refetch=True)
    if not layout.feeds():
        raise UsageError(
            "nothing is recorded here",
            where=str(layout.root),
            hint="record something first: recorder capture, or recorder demo",
        )
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} frames verified"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("verify", total=None)
        report = examine(layout, lambda frames: progress.advance(task, frames))
    if as_json:
        import json

        click.echo(json.dumps({"sound": report.sound, **dataclasses.asdict(report)}, indent=2))
    else:
        _print(report)
    ctx.exit(0 if report.sound else 1)


def _print(report: object) -> None:
    from recorder.answers.cells import visible
    from recorder.clock import iso
    from recorder.record.verify import Report

    assert isinstance(report, Report)
    for feed in report.feeds:
        since = iso(feed.first_recv_ns) if feed.first_recv_ns else "-"
        until = iso(feed.last_recv_ns) if feed.last_recv_ns else "-"
        click.echo(
            f"{feed.feed}: {feed.frames:,} frames of {feed.connections:,} connections in "
            f"{feed.segments:,} sealed files and {feed.journals:,} journals, {since} to {until}"
        )
    for finding in report.findings:
        mark = "WRONG" if finding.wrong else "note "
        click.echo(f"{mark} {visible(finding.where)}\n      {visible(finding.what)}")
        click.echo(f"      {visible(finding.remedy)}")
    click.echo("sound: nothing is missing" if report.sound else "NOT sound: see above")
