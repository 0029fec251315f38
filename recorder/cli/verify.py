"""`recorder verify`."""

from __future__ import annotations

import dataclasses

import click

from recorder.cli import options


@click.command(
    epilog="\b\nExamples:\n  recorder verify\n  recorder verify --data-dir data/sample --json"
)
@options.record
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.pass_context
def verify(
    ctx: click.Context,
    where: options.RecordOptions,
    as_json: bool,
) -> None:
    """Verify the record: every checksum, every frame number, every day, and the ledger.

    Exits with code 1 if anything is wrong. The report may be published with a data set. Files that
    only the bucket holds are downloaded one by one.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from recorder.record.verify import verify as examine
    from recorder.reporter import Reporter

    layout = where.layout(fetch_again=True)
    options.check_recorded(layout)
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} frames verified"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("verify", total=None)
        report = examine(layout, Reporter(progress=lambda frames: progress.advance(task, frames)))
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
