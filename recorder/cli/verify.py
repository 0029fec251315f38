"""`recorder verify`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recorder.cli import options

if TYPE_CHECKING:
    from recorder.record.report import Report


@click.command(
    epilog="\b\nExamples:\n  recorder verify\n  recorder verify --data-dir data/sample --json\n"
    "  recorder verify --against binance-2026-01-31.json --key day.pub"
)
@options.record
@click.option(
    "--against",
    "seal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Compare with a day seal, from `recorder seal-day`.",
)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --against: the Ed25519 public key (PEM) that has to have signed it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.pass_context
def verify(
    ctx: click.Context,
    where: options.RecordOptions,
    seal: Path | None,
    key: Path | None,
    as_json: bool,
) -> None:
    """Verify the record: is every frame there that ought to be, unaltered and in its place?

    Compares every frame with the heads of its run, with the ledger and with what was pruned. Exits
    with code 0 if the record is whole, 1 if anything is wrong, and 5 if nothing is wrong but
    something cannot be proven. The report may be published with a data set. Files that only the
    bucket has are downloaded one by one.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from recorder.errors import UsageError
    from recorder.record import day_seal
    from recorder.record.verify import against
    from recorder.record.verify import verify as examine
    from recorder.reporter import Reporter

    if key is not None and seal is None:
        raise UsageError("belongs to --against", where="--key")
    layout = where.layout(fetch_again=True)
    options.check_recorded(layout)
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} frames verified"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("verify", total=None)
        reporter = Reporter(progress=lambda frames: progress.advance(task, frames))
        if seal is None:
            report = examine(layout, reporter)
        else:
            report = against(layout, day_seal.load(seal), key, reporter)
    if as_json:
        import json

        click.echo(json.dumps(_as_dict(report), indent=2))
    else:
        _print(report)
    ctx.exit(report.verdict.exit_code)


_MARKS = {"wrong": "WRONG   ", "unproven": "unproven", "note": "note    "}
_VERDICTS = {
    "whole": "sound: nothing is missing",
    "wrong": "NOT sound: see above",
    "unverified": "unverified: nothing contradicts the record, but not all of it can be proven",
}


def _as_dict(report: Report) -> dict[str, Any]:
    findings = [{**dataclasses.asdict(one), "wrong": one.wrong} for one in report.findings]
    head = {"verdict": report.verdict, "sound": report.sound}
    return {**head, **dataclasses.asdict(report), "findings": findings}


def _print(report: Report) -> None:
    from recorder.answers.cells import visible
    from recorder.clock import iso

    for feed in report.feeds:
        since = iso(feed.first_recv_ns) if feed.first_recv_ns else "-"
        until = iso(feed.last_recv_ns) if feed.last_recv_ns else "-"
        click.echo(
            f"{feed.feed}: {feed.frames:,} frames of {feed.connections:,} connections in "
            f"{feed.segments:,} sealed files and {feed.journals:,} journals, {since} to {until}"
        )
    for finding in report.findings:
        mark = _MARKS[finding.grade]
        click.echo(f"{mark} {visible(finding.where)}\n         {visible(finding.what)}")
        click.echo(f"         {visible(finding.remedy)}")
    click.echo(_VERDICTS[report.verdict])
