"""`recorder prune`."""

from __future__ import annotations

import dataclasses
import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from recorder.cli import options, types

if TYPE_CHECKING:
    import duckdb

    from recorder.record.compact import Day, Merged
    from recorder.record.layout import Layout
    from recorder.tables.prune import Choice, PrunePlan
    from recorder.times import Duration

_MB = 1_000_000


@click.command(
    epilog="\b\nExamples:\n  recorder prune --older-than 90d --raw --dry-run\n"
    "  recorder prune --older-than 90d --raw --tables\n  recorder prune --compact"
)
@options.record
@click.option(
    "--older-than",
    "age",
    type=types.Length(),
    help="Remove what is older than this, e.g. 90d, 36h, 4w.",
)
@click.option("--raw", "raw_files", is_flag=True, help="Remove raw files older than --older-than.")
@click.option("--tables", is_flag=True, help="Remove table rows older than --older-than.")
@click.option("--force", is_flag=True, help="Also remove raw files that were never ingested.")
@click.option("--compact", is_flag=True, help="Merge the small raw files of closed days.")
@click.option(
    "--target-mb",
    type=click.FloatRange(min=0, min_open=True),
    help="With --compact: largest size of a merged file.  [default: the setting, 128]",
)
@click.option(
    "--zstd-level",
    type=click.IntRange(1, 22),
    help="With --compact: compression level.  [default: the setting, 9]",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def prune(
    where: options.RecordOptions,
    age: Duration | None,
    raw_files: bool,
    tables: bool,
    force: bool,
    compact: bool,
    target_mb: float | None,
    zstd_level: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove old data, or merge small raw files.

    Capture may run at the same time; ingest may not. Raw files are removed only after they were
    ingested. The ledger, connections and gaps are kept: nothing is ingested twice, and coverage
    does not change. A merged file holds the same frames in the same order; it is compared with
    the originals before they are removed. Readers see either the originals of a day or its merged
    files.

    With a bucket (--raw-url), --raw also removes its objects, and files are not merged.
    """
    from recorder.record.compact import recover
    from recorder.record.layout import Layout
    from recorder.tables import private
    from recorder.tables.prune import Choice

    _check(age, raw_files=raw_files or tables, compact=compact)
    settings = where.settings_to_write()
    layout, how = Layout(settings.data_dir), settings.prune
    if compact and settings.raw_url is not None:
        _refuse_to_merge()
    everywhere = where.layout(settings)
    if raw_files and not dry_run:
        everywhere.store.check_removal()
    with private.claimed(layout), closing(private.connect(layout)) as db:
        if not dry_run:
            recover(layout)
        report: dict[str, Any] = {"dry_run": dry_run}
        if age is not None:
            choice = Choice(raw_files, tables, force)
            report |= _prune(db, everywhere, age.before(time.time_ns()), choice, dry_run=dry_run)
        if compact:
            report["merged"] = _compact(
                db, layout, target_mb or how.target_mb, zstd_level or how.zstd_level, dry_run
            )
        if not dry_run:
            private.show(db, layout)
    if as_json:
        click.echo(json.dumps(report))
    else:
        _print(report)


def _check(age: Duration | None, *, raw_files: bool, compact: bool) -> None:
    from recorder.errors import UsageError

    if age is None and raw_files:
        raise UsageError("--raw and --tables need an age", hint="for example: --older-than 90d")
    if age is not None and not raw_files:
        raise UsageError("--older-than needs --raw, --tables or both")
    if age is None and not compact:
        raise UsageError("nothing to do", hint="give --older-than 90d --raw --tables, or --compact")


def _refuse_to_merge() -> None:
    from recorder.errors import UsageError

    what = "files are not merged with a bucket: a merged file would reuse an uploaded file's name"
    hint = "for larger files raise rotate_seconds and rotate_mb in [capture]"
    raise UsageError(what, where="raw_url", hint=hint)


def _prune(
    db: duckdb.DuckDBPyConnection, layout: Layout, limit: int, choice: Choice, *, dry_run: bool
) -> dict[str, Any]:
    from recorder.tables import prune

    plan = prune.plan(db, layout, limit, choice)
    if not dry_run:
        prune.apply(db, plan, limit)
    return _plan_as_dict(plan, limit)


def _plan_as_dict(plan: PrunePlan, limit: int) -> dict[str, Any]:
    from recorder.clock import iso

    def files(candidates: list[Any]) -> list[dict[str, Any]]:
        return [
            {"path": f.where, "feed": f.feed, "frames": f.rows, "bytes": f.bytes}
            for f in candidates
        ]

    return {
        "before": iso(limit),
        "files": files(plan.files),
        "not_ingested": files(plan.held_back),
        "rows": plan.rows,
    }


def _compact(
    db: duckdb.DuckDBPyConnection, layout: Layout, target_mb: float, level: int, dry_run: bool
) -> list[dict[str, Any]]:
    from recorder.cli import progress
    from recorder.record import compact
    from recorder.tables import backlog

    rows = db.execute("SELECT segment FROM ledger WHERE sealed").fetchall()
    ingested = {row[0] for row in rows}
    days = [
        day
        for feed in layout.feeds()
        for day in compact.plan(layout, feed, ingested, time.time_ns(), int(target_mb * _MB))
    ]
    if dry_run:
        return [_merge_plan(day) for day in days]
    files = [
        layout.parquet(day.feed, file.stem) for day in days for one in day.groups for file in one
    ]
    with progress.frames("merge", backlog.rows(files)) as reporter:
        return [
            _merge_result(compact.compact(layout, day, level=level, reporter=reporter))
            for day in days
        ]


def _merge_plan(day: Day) -> dict[str, Any]:
    files = [file for group in day.groups for file in group]
    sizes = {"files": len(files), "into": len(day.groups), "bytes": sum(f.bytes for f in files)}
    return {"feed": day.feed, "day": day.date, **sizes}


def _merge_result(result: Merged) -> dict[str, Any]:
    fields = dataclasses.asdict(result)
    return {"feed": fields.pop("feed"), "day": fields.pop("day"), **fields}


def _print(report: dict[str, Any]) -> None:
    action = "would remove" if report["dry_run"] else "removed"
    for file in report.get("files", []):
        click.echo(f"{action}: {file['path']}  {file['frames']:,} frames, {_size(file['bytes'])}")
    for file in report.get("not_ingested", []):
        click.echo(f"kept, not ingested: {file['path']}  {_size(file['bytes'])}")
    for table, rows in report.get("rows", {}).items():
        if rows:
            click.echo(f"{action}: {rows:,} rows of {table}")
    for day in report.get("merged", []):
        _print_day(day, dry_run=report["dry_run"])
    if "files" in report:
        freed = sum(file["bytes"] for file in report["files"])
        click.echo(
            f"before {report['before']}: {len(report['files']):,} files, {_size(freed)}", err=True
        )
        if report["not_ingested"]:
            click.echo("ingest the kept files first: recorder ingest", err=True)
    if "merged" in report and not report["merged"]:
        click.echo("no small files to merge", err=True)


def _print_day(day: dict[str, Any], *, dry_run: bool) -> None:
    where = f"{day['feed']} {day['day']}"
    if dry_run:
        click.echo(f"{where}: {day['files']} files, {_size(day['bytes'])}, into {day['into']}")
        return
    sizes = f"{_size(day['bytes_before'])} -> {_size(day['bytes_after'])}"
    click.echo(f"{where}: {day['before']} files -> {day['after']}, {sizes}")


def _size(count: int) -> str:
    return f"{count / _MB:,.1f} MB"
