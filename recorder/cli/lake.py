"""`recorder ingest` into a lake, in this process or on a Spark cluster."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from recorder.errors import BusyError, StoreError, UsageError
from recorder.reporter import Reporter

if TYPE_CHECKING:
    from recorder.lake.run import Done, Engine, TaskRunner
    from recorder.settings.config import Settings

#: How often `--follow` polls for new files; they arrive every few minutes.
_POLL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LakeOptions:
    """The options of `recorder ingest` that concern a lake."""

    engine: str  # local, lake or spark
    master: str | None
    tables_url: str | None
    take_over: bool

    def check(self, *, rebuild: bool, diff: bool) -> None:
        """Check that the options fit together.

        Raises:
            UsageError: two options exclude each other, or one lacks another.
        """
        if self.engine == "local":
            if self.tables_url or self.take_over:
                raise UsageError("--tables-url and --take-over need --engine lake or spark")
        elif rebuild or diff:
            raise UsageError(
                "--rebuild and --diff need --engine local",
                hint="to rebuild a lake, ingest into an empty place: --tables-url URL",
            )
        if (self.master is not None) != (self.engine == "spark"):
            raise UsageError(
                "--engine spark and --master need each other",
                hint="for example --engine spark --master spark://host:7077",
            )


def ingest(settings: Settings, how: LakeOptions, reporter: Reporter, *, follow: bool) -> None:
    """Ingest new sealed files into the lake, once or until stopped.

    Raises:
        UsageError: no lake is named.
    """
    from recorder.lake.place import Place
    from recorder.lake.run import Engine
    from recorder.tables.rules import rules_of

    url = how.tables_url or settings.tables_url
    if url is None:
        raise UsageError("no lake is named", hint="name it: --tables-url s3://bucket/tables")
    raw = settings.raw_url or str(settings.data_dir / "raw")
    engine = Engine(
        raw=Place.of(raw, where="--raw-url"),
        tables=Place.of(url),
        rules=partial(rules_of, settings),
        reporter=reporter,
    )
    engine.raw.store().check()
    engine.tables.check()
    with _task_runner(how) as engine.run_tasks:
        if follow:
            _follow(engine, how.take_over)
        else:
            _report(engine, _once(engine, take_over=how.take_over))


@contextmanager
def _task_runner(how: LakeOptions) -> Iterator[TaskRunner]:
    if how.master is None:
        from recorder.lake.run import run_here

        yield run_here
        return
    from recorder.lake.spark import session

    with session(how.master) as cluster:
        yield cluster


def _once(engine: Engine, *, take_over: bool) -> Done:
    from recorder.lake.delta import Writer

    with Writer(engine.tables, take_over=take_over, reporter=engine.reporter) as writer:
        return engine.run(writer)


def _report(engine: Engine, done: Done) -> None:
    skipped = f"; {len(done.skipped)} files skipped" if done.skipped else ""
    click.echo(
        f"{done.frames:,} frames of {done.files:,} files ingested into "
        f"{engine.tables.url}{skipped}",
        err=True,
    )


def _follow(engine: Engine, take_over: bool) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    _report(engine, _once(engine, take_over=take_over))
    while not stop.wait(_POLL_SECONDS):
        try:
            done = _once(engine, take_over=False)
        except (StoreError, BusyError) as error:
            engine.reporter.warn(f"not ingested yet: {error}")
            continue
        if done.files or done.skipped:
            _report(engine, done)
    click.echo("ingest stopped", err=True)
