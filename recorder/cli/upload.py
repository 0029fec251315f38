"""`recorder upload`."""

from __future__ import annotations

import dataclasses
import json

import click

from recorder.cli import options

_MB = 1_000_000


@click.command(
    epilog="\b\nExamples:\n  recorder upload\n"
    "  recorder upload --raw-url s3://bucket/prefix --dry-run"
)
@options.record
@click.option(
    "--keep-hours",
    type=click.FloatRange(min=0),
    help="Hours to keep uploaded files.  [default: the setting keep_local_hours, 24]",
)
@click.option("--dry-run", is_flag=True, help="Print what waits; upload nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def upload(
    ctx: click.Context,
    where: options.RecordOptions,
    keep_hours: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Upload sealed files to the bucket, as a running capture does by itself.

    Each file is uploaded, read back and compared. Files that the bucket already has are not
    uploaded again, and nothing there is overwritten. Local files are removed when the bucket has
    them and they are old enough. Exits with code 1 if an upload failed.
    """
    from recorder.bucket import spool
    from recorder.bucket.store import Store
    from recorder.bucket.upload import HOUR_NS, run
    from recorder.errors import ConfigError
    from recorder.record.layout import Layout
    from recorder.reporter import Reporter

    settings = where.settings_to_write()
    if settings.raw_url is None:
        hint = "name it with --raw-url s3://bucket/prefix, or set raw_url"
        raise ConfigError("no bucket is set", where="raw_url", hint=hint)
    layout, store = Layout(settings.data_dir), Store(settings.raw_url)
    waiting = spool.waiting(layout, store.url)
    counts = {"waiting": len(waiting), "waiting_bytes": sum(file.bytes for file in waiting)}
    failed = 0
    if not dry_run:
        store.check_writable()
        hours = settings.bucket.keep_local_hours if keep_hours is None else keep_hours
        done = run(layout, store, int(hours * HOUR_NS), Reporter(_warn))
        counts, failed = dataclasses.asdict(done), done.failed
    click.echo(
        json.dumps({"to": store.url, "dry_run": dry_run, **counts}) if as_json else _summary(counts)
    )
    ctx.exit(1 if failed else 0)


def _warn(text: str) -> None:
    click.echo(text, err=True)


def _summary(counts: dict[str, int]) -> str:
    if "files" not in counts:
        return f"{counts['waiting']:,} files wait, {counts['waiting_bytes'] / _MB:,.1f} MB"
    return (
        f"{counts['files']:,} files uploaded, {counts['bytes'] / _MB:,.1f} MB; "
        f"{counts['dropped']:,} removed here, {counts['waiting']:,} wait"
    )
