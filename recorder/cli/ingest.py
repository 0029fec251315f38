"""`recorder ingest`."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import click

from recorder.cli import options, types

if TYPE_CHECKING:
    from recorder.cli.hosts import LateSegments
    from recorder.record.layout import Layout
    from recorder.reporter import Reporter
    from recorder.tables.ingest import Ingest
    from recorder.tables.late_files import Hosts
    from recorder.tables.rebuild.difference import Difference
    from recorder.tables.rebuild.run import Scope
    from recorder.tables.rules import RulesOf

_POLL_SECONDS = 0.5
_RETRY_SECONDS = 5.0


@click.command(
    epilog="\b\nExamples:\n  recorder ingest\n  recorder ingest --follow\n"
    "  recorder ingest --diff --feed binance\n"
    "  recorder ingest --rebuild --feed binance --since 2026-09-01 --until 2026-09-08\n"
    "  recorder ingest --engine spark --master spark://host:7077 --tables-url s3://bucket/tables"
)
@options.record
@click.option(
    "--follow", is_flag=True, help="Keep running: ingest and publish while capture records."
)
@click.option("--rebuild", is_flag=True, help="Rebuild the tables' rows from the raw record.")
@click.option("--diff", is_flag=True, help="Show what --rebuild would change; change nothing.")
@click.option(
    "--feed", "feeds", multiple=True, help="With --rebuild or --diff: only this feed (repeatable)."
)
@options.since("... only rows received", former="--from")
@options.until("... only rows received", former="--to")
@click.option("--json", "as_json", is_flag=True, help="With --diff: one JSON object.")
@click.option(
    "--settle",
    type=types.Seconds(),
    default=600.0,
    show_default=True,
    help="How long files of other hosts may take to arrive: newer frames wait for them.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "lake", "spark"]),
    default="local",
    show_default=True,
    help="local: recorder.duckdb. lake: Delta tables at --tables-url, written by this process. "
    "spark: the same tables, written by a cluster.",
)
@click.option("--master", metavar="URL", help="With --engine spark: URL of the Spark master.")
@options.tables_url
@click.option("--take-over", is_flag=True, help="Write the lake although another ingest claims it.")
@options.logging
def ingest(
    where: options.RecordOptions,
    follow: bool,
    rebuild: bool,
    diff: bool,
    feeds: tuple[str, ...],
    since: int | None,
    until: int | None,
    as_json: bool,
    settle: float,
    engine: str,
    master: str | None,
    tables_url: str | None,
    take_over: bool,
    logs: options.LogOptions,
) -> None:
    """Normalise recorded frames into the tables of DATA_DIR/recorder.duckdb.

    Reads each frame of the sealed segments and of the journals exactly once. Readers of
    recorder.duckdb are never blocked. Ctrl-C or SIGTERM stops --follow after a last publish.

    --rebuild normalises all frames, or a part, again into separate tables, then swaps in the new
    rows in one step; readers see the old rows until then. Rows whose raw frames were pruned stay.

    --engine lake and spark ingest sealed files into Delta tables in a bucket, in batches:
    docs/cluster.md.
    """
    from recorder.cli import lake
    from recorder.clock import NS
    from recorder.reporter import Reporter
    from recorder.tables.rules import RulesOf

    ranged = bool(feeds) or since is not None or until is not None
    _check(rebuild=rebuild, diff=diff, follow=follow, ranged=ranged, as_json=as_json)
    how = lake.LakeOptions(engine, master, tables_url, take_over)
    how.check(rebuild=rebuild, diff=diff)
    settings, say = where.settings_to_write(), logs.begin()
    reporter = Reporter(say.warning)
    if engine != "local":
        lake.ingest(settings, how, reporter, follow=follow)
        return
    layout = where.layout(settings, reporter=reporter)
    if not follow:
        options.check_recorded(layout)
    rules = RulesOf(layout, settings)
    if rebuild or diff:
        scope = _scope(layout, feeds, since, until)
        if diff:
            _diff(layout, rules, scope, reporter, as_json=as_json)
            return
        _rebuild(layout, rules, scope, reporter)
    settle_ns = int(settle * NS)
    if follow:
        _follow(layout, rules, settle_ns, reporter)
        return
    frames = _ingest_all(layout, rules, settle_ns, reporter)
    if rebuild:
        click.echo(f"rows rebuilt in {layout.database}", err=True)
    if frames or not rebuild:
        click.echo(f"{frames:,} frames ingested into {layout.database}", err=True)
    _warn_of_outdated(layout, rules)


def _check(*, rebuild: bool, diff: bool, follow: bool, ranged: bool, as_json: bool) -> None:
    from recorder.errors import UsageError

    if diff and (rebuild or follow):
        raise UsageError("--diff cannot be combined with --rebuild or --follow")
    if ranged and not (rebuild or diff):
        raise UsageError("--feed, --since and --until need --rebuild or --diff")
    if as_json and not diff:
        raise UsageError("--json needs --diff")


def _scope(layout: Layout, feeds: tuple[str, ...], since: int | None, until: int | None) -> Scope:
    from recorder.errors import UsageError, did_you_mean
    from recorder.tables.rebuild.run import Scope

    for feed in feeds:
        if feed not in layout.feeds():
            raise UsageError(
                f"no feed '{feed}' is recorded here", hint=did_you_mean(feed, layout.feeds())
            )
    if since is not None and until is not None and since >= until:
        raise UsageError("--since must be before --until")
    return Scope(feeds, since, until)


def _rebuild(layout: Layout, rules: RulesOf, scope: Scope, reporter: Reporter) -> None:
    from recorder.cli import progress
    from recorder.tables.backlog import recorded
    from recorder.tables.rebuild.run import rebuild

    with progress.frames("rebuilt", recorded(layout, scope.feeds), reporter) as shown:
        rebuild(layout, rules, scope, shown)


def _diff(
    layout: Layout, rules: RulesOf, scope: Scope, reporter: Reporter, *, as_json: bool
) -> None:
    import dataclasses
    import json

    from recorder.cli import progress
    from recorder.tables.backlog import recorded
    from recorder.tables.rebuild.difference import differences

    with progress.frames("compared", recorded(layout, scope.feeds), reporter) as shown:
        changes = differences(layout, rules, scope, shown)
    if as_json:
        tables = [dataclasses.asdict(one) for one in changes]
        click.echo(json.dumps({"differs": any(one.any for one in changes), "tables": tables}))
        return
    for one in changes:
        _print_difference(one)
    if any(one.any for one in changes):
        click.echo("to apply these changes: recorder ingest --rebuild", err=True)
    else:
        click.echo("no row would change", err=True)


def _print_difference(one: Difference) -> None:
    from recorder.answers.cells import visible

    click.echo(
        f"{one.feed} {one.table}: {one.changed:,} rows changed, {one.added:,} added, "
        f"{one.removed:,} removed, {one.same:,} the same"
    )
    for example in one.examples:
        place = f"connection {example['connection']} frame {example['seq']} item {example['item']}"
        click.echo(f"  {example['what']}: {place}")
        for name, value in example["columns"].items():
            old_new = example["what"] == "changed"
            text = f"{value[0]!r} -> {value[1]!r}" if old_new else repr(value)
            click.echo(f"    {name}: {visible(text)}")


def _warn_of_outdated(layout: Layout, rules: RulesOf) -> None:
    from recorder.tables.rebuild.run import outdated

    for feed, segments in outdated(layout, rules).items():
        which = "1 segment" if segments == 1 else f"{segments} segments"
        was = "was" if segments == 1 else "were"
        click.echo(
            f"{which} of '{feed}' {was} normalised by an older version of its SQL; "
            f"rebuild with: recorder ingest --rebuild --feed {feed}",
            err=True,
        )


def _ingest_all(layout: Layout, rules: RulesOf, settle_ns: int, reporter: Reporter) -> int:
    """Ingest all frames, then rebuild feeds whose files arrived late; return the count."""
    from recorder.cli import progress
    from recorder.cli.hosts import LateSegments, rebuild_late
    from recorder.tables.backlog import waiting
    from recorder.tables.late_files import Hosts

    late = LateSegments(reporter, following=False)
    with progress.frames("ingest", waiting(layout), reporter) as shown:
        frames, waits = _ingest_once(layout, rules, shown, Hosts(late, settle_ns))
    _report_waiting(waits)
    if late.segments:
        rebuild_late(layout, rules, late.segments, reporter)
        with progress.frames("ingest", 0, reporter) as shown:
            more, waits = _ingest_once(layout, rules, shown, Hosts(settle_ns=settle_ns))
        _report_waiting(waits)
        frames += more
    return frames


def _ingest_once(
    layout: Layout, rules: RulesOf, reporter: Reporter, hosts: Hosts
) -> tuple[int, list[str]]:
    """Ingest and publish once; return the frames, and the feeds whose newest frames wait."""
    from recorder.tables.ingest import Ingest
    from recorder.tables.rebuild.run import clear

    with closing(Ingest(layout, rules, reporter, hosts)) as work:
        clear(layout)
        total = work.run()
        work.publish()
        return total, sorted(work.waits)


def _report_waiting(feeds: list[str]) -> None:
    for feed in feeds:
        click.echo(
            f"the newest frames of '{feed}' wait for other hosts' files (--settle 0: do not wait)",
            err=True,
        )


def _try_ingest(work: Ingest, reporter: Reporter) -> bool:
    """Ingest once; return False if the bucket is unavailable."""
    from recorder.errors import StoreError

    try:
        work.run()
    except StoreError as error:
        reporter.warn(f"not ingested yet: {error}")
        return False
    return True


def _follow(layout: Layout, rules: RulesOf, settle_ns: int, reporter: Reporter) -> None:
    """Ingest until a signal; rebuild what has lost frames, and continue."""
    from recorder.cli.hosts import LateSegments, rebuild_late
    from recorder.tables.ingest import Ingest
    from recorder.tables.late_files import Hosts
    from recorder.tables.rebuild.run import clear

    stop, tried = threading.Event(), set[str]()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while True:
        late = LateSegments(reporter, following=True, tried=tried)
        with closing(Ingest(layout, rules, reporter, Hosts(late, settle_ns))) as work:
            clear(layout)
            _follow_until(work, reporter, late, stop)
        if stop.is_set():
            break
        rebuild_late(layout, rules, late.segments, reporter)
        tried.update(one.stem for one in late.segments)
    print("ingest stopped; everything recorded so far is published", file=sys.stderr)


def _follow_until(
    work: Ingest, reporter: Reporter, late: LateSegments, stop: threading.Event
) -> None:
    """Ingest again and again, and publish, until `stop` is set or a segment has to be rebuilt."""
    work.run()
    work.publish()
    while not (stop.is_set() or late.segments):
        if not _try_ingest(work, reporter):
            stop.wait(_RETRY_SECONDS)
        if work.publish_due():
            work.publish()
        stop.wait(_POLL_SECONDS)
    _try_ingest(work, reporter)
    work.publish()
