"""The delay until a reader of `recorder.duckdb` sees a frame while `recorder ingest --follow` runs.

`python -m benchmarks.fresh --help`; `benchmarks/README.md` explains the figures.
"""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import click
import duckdb
from rich.console import Console

from benchmarks import machine, mixed, options, report
from benchmarks.report import Figures
from recorder import frame
from recorder.answers import database
from recorder.clock import NS, Clock, ulid
from recorder.errors import RecorderError
from recorder.record.journal import sync
from recorder.record.journal.block import RECORD
from recorder.record.journal.writer import Journal, Limits, Reports, Stream
from recorder.record.layout import Layout
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

SEEN_SECONDS = 5.0
_FEED = "smartmoney"
_TICK = 0.01
_NEWEST = f"SELECT max(last_recv_ns) FROM ledger WHERE feed = '{_FEED}'"


@click.command()
@click.option("--seconds", type=float, default=60, show_default=True, help="Time to record.")
@click.option(
    "--rate", type=click.IntRange(100), default=1_000, show_default=True, help="Frames/s."
)
@click.option("--before", type=click.IntRange(0), default=0, help="Frames ingested beforehand.")
@options.as_json
@options.strict
@options.folder()
def main(  # noqa: PLR0913 - one parameter per option
    *, seconds: float, rate: int, before: int, as_json: bool, strict: bool, folder: Path
) -> None:
    """Record at a steady rate, follow with ingest, and poll the database every 50 ms.

    \b
    Example: python -m benchmarks.fresh --seconds 20
    """
    named, times = machine.describe(folder), machine.cpu_times()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        layout = Layout(Path(place))
        if before:
            mixed.record(layout, before)
            work = Ingest(layout, Rules)
            work.run()
            work.publish()
            work.close()
        seen = follow(layout, seconds, rate)
        size = layout.database.stat().st_size
    bars = [report.below("p95 until a reader sees a frame, s", seen["p95"], SEEN_SECONDS)]
    result = {
        "benchmark": "fresh",
        "machine": named | machine.shares(times, machine.cpu_times()),
        "settings": {"seconds": seconds, "rate": rate, "before": before},
        "seen_after_seconds": seen,
        "database_mb": round(size / 1e6, 1),
        "bars": report.as_rows(bars),
    }
    options.conclude(result, show, as_json=as_json, strict=strict)


def follow(layout: Layout, seconds: float, rate: int) -> Figures:
    """Return the seconds from a frame's receive time until a reader sees it: p50, p95, max."""
    stop = threading.Event()
    capture = threading.Thread(target=record, args=(layout, rate, stop))
    capture.start()
    command = [sys.executable, "-m", "recorder", "ingest", "--follow", "--data-dir", layout.root]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        polls = poll(layout, seconds)
    finally:
        child.send_signal(signal.SIGINT)
        child.wait()
        stop.set()
        capture.join()
    return delays(polls, rate)


def record(layout: Layout, rate: int, stop: threading.Event) -> None:
    """Write journals as capture does, at a steady rate, until `stop` is set."""
    clock = Clock()
    journal = Journal(
        layout,
        _FEED,
        ulid(clock.wall_ns(), b"fresh-runs"),
        limits=Limits(),
        clock=clock,
        about={"kind": _FEED},
        reports=Reports(),
    )
    stream = Stream(ulid(clock.wall_ns(), b"connection"))
    fields = {"line": "A", "group": "all", "url": "wss://example.org/"}
    journal.mark(stream, frame.OPEN, json.dumps(fields).encode())
    payloads, due = mixed.market(1 << 40), time.monotonic()
    while not stop.is_set():
        some = [next(payloads) for _ in range(int(rate * _TICK))]
        parts = [part for p in some for part in (RECORD.pack(frame.TEXT, len(p)), p)]
        journal.write(stream, clock.wall_ns(), clock.mono_ns(), parts, sum(map(len, parts)))
        jobs = journal.pulse()
        journal.synced(jobs, sync.run(jobs))
        due += _TICK
        time.sleep(max(0.0, due - time.monotonic()))


def poll(layout: Layout, seconds: float) -> list[tuple[int, int]]:
    """Poll the database for `seconds`; return the time of each poll and of its newest frame, in ns.

    The polls begin with the first that sees a frame.
    """
    polls: list[tuple[int, int]] = []
    end = None
    while end is None or time.monotonic() < end:
        try:
            with database.connect(layout.database) as db:
                [(newest,)] = db.execute(_NEWEST).fetchall()
        except (RecorderError, duckdb.Error):
            newest = None  # nothing is published yet
        if newest is not None:
            polls.append((time.time_ns(), newest))
            end = end or time.monotonic() + seconds
        time.sleep(0.05)
    return polls


def delays(polls: list[tuple[int, int]], rate: int) -> Figures:
    """Return p50, p95 and max of the delay of every frame received after the first poll, in s.

    Raises:
        ClickException: the polls saw none.
    """
    ordered = sorted(
        (at - received) / NS
        for (_, before), (at, newest) in pairwise(polls)
        for received in range(before + NS // rate, newest + 1, NS // rate)
    )
    if not ordered:
        raise click.ClickException("no poll saw a newer frame: record for longer (--seconds)")
    last = len(ordered) - 1
    marks = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {name: round(ordered[int(last * part)], 3) for name, part in marks.items()} | {
        "frames": len(ordered)
    }


def show(result: Figures) -> None:
    """Print the figures."""
    console, seen = Console(), result["seen_after_seconds"]
    report.show_machine(console, result["machine"])
    console.print(
        f"seen after: p50 {seen['p50']:.2f} s, p95 {seen['p95']:.2f} s, "
        f"max {seen['max']:.2f} s; "
        f"database {result['database_mb']:,} MB"
    )
    report.show_bars(console, result["bars"])


if __name__ == "__main__":
    main()
