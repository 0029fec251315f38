"""The delay and cost of `recorder serve`, and its effect on a capture on the same machine.

`python -m benchmarks.serve --help`; `benchmarks/README.md` explains the figures.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import pyarrow.parquet as pq

from benchmarks import machine, options
from benchmarks.percentiles import percentiles
from benchmarks.process import Watched, cpu

Figures = dict[str, object]

_PYTHON = (sys.executable, "-m")
_CONFIG = """\
data_dir = "{folder}/data"

[feeds.tape]
kind = "{kind}"
url = "{url}"
rest_url = "http://127.0.0.1:9"
channels = ["!forceOrder@arr"]
"""
_KIND = "binance"
_RATES = (1_000, 5_000)
_DRAIN_SECONDS = 60.0


@click.command()
@click.option("--seconds", type=click.FloatRange(3), default=60.0, show_default=True)
@click.option("--rate", "rates", type=click.IntRange(1), multiple=True, help="[1000 and 5000]")
@options.as_json
@options.folder("Record below this folder.")
def main(seconds: float, rates: tuple[int, ...], as_json: bool, folder: Path) -> None:
    """Measure serve with one client at each rate, and capture with and without it.

    \b
    Example: python -m benchmarks.serve --seconds 10 --rate 1000
    """
    result: Figures = {"benchmark": "serve", "machine": machine.describe(folder)}
    result["settings"] = {"seconds": seconds}
    for rate in rates or _RATES:
        click.echo(f"{rate} events/s without serve …", err=True)
        alone = run(folder, rate, seconds, serving=False)
        click.echo(f"{rate} events/s with serve …", err=True)
        both = run(folder, rate, seconds, serving=True)
        result[str(rate)] = {"without": alone, "with": both}
        if not as_json:
            show(rate, alone, both)
    if as_json:
        click.echo(json.dumps(result))


def run(base: Path, rate: int, seconds: float, *, serving: bool) -> Figures:
    """Return the figures of one run: source, capture and, if `serving`, serve with a client."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=base)))
        source = stack.enter_context(_watched(folder, "source", _tape("source", rate, seconds)))
        port = _event(source, "listening")["port"]
        config = folder / "recorder.toml"
        url = f"ws://127.0.0.1:{port}/"
        config.write_text(_CONFIG.format(folder=folder, kind=_KIND, url=url))
        capture = stack.enter_context(_watched(folder, "capture", _recorder("capture", config)))
        _event(source, "open")
        figures: Figures = {}
        if serving:
            figures |= _serve(stack, folder, config, source, seconds)
        else:
            _go(source)
        _event(source, "done")
        capture.popen.send_signal(signal.SIGTERM)
        capture.wait(_DRAIN_SECONDS)
        return figures | {"stamp_lag_ms": percentiles(_lags(folder / "data"))}


def _serve(
    stack: ExitStack, folder: Path, config: Path, source: Watched, seconds: float
) -> Figures:
    command = [*_recorder("serve", config), "--port", "0"]
    server = stack.enter_context(_watched(folder, "serve", command))
    url = server.popen.stdout.readline().strip().replace("http://", "ws://")
    command = _tape("client", f"{url}api/live", seconds)
    client = stack.enter_context(_watched(folder, "client", command))
    _event(client, "connected")
    _go(source)
    time.sleep(3.0)  # until the start is over
    before, began, small = cpu(server.pid), time.monotonic(), _resident_mb(server.pid)
    time.sleep(max(1.0, seconds - 3.0))
    used, took, grown = cpu(server.pid), time.monotonic() - began, _resident_mb(server.pid)
    counted = _event(client, "counted")
    return {
        "age_ms": counted["age_ms"],
        "newest_ms": counted["newest_ms"],
        **{name: counted[name] for name in ("events", "batches", "left_out", "dropped")},
        "serve_cpu_percent": round(100 * (used.own - before.own) / took, 1),
        "serve_mb": [round(small, 1), round(grown, 1)],
    }


def _tape(*arguments: object) -> list[str]:
    return [*_PYTHON, "benchmarks.tape", *map(str, arguments)]


def _recorder(command: str, config: Path) -> list[str]:
    return [*_PYTHON, "recorder", command, "--config", str(config)]


@contextmanager
def _watched(folder: Path, name: str, command: list[str]) -> Iterator[Watched]:
    process = Watched(command, folder / f"{name}.log", stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.stop()


def _go(source: Watched) -> None:
    source.popen.stdin.write("\n")
    source.popen.stdin.flush()


def _event(process: Watched, event: str) -> Figures:
    """Return the fields of the next line of a process, which must be the event `event`."""
    line = process.popen.stdout.readline()
    if not line:
        raise RuntimeError(f"the process ended before {event!r}\n{process.complaint()}")
    fields = json.loads(line)
    if fields["event"] != event:
        raise RuntimeError(f"the process printed {line.strip()} instead of {event!r}")
    return fields


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _lags(data_dir: Path) -> Iterator[int]:
    """Yield recv_ns - sent_ns of each frame, in ns."""
    for path in data_dir.glob("raw/**/*.parquet"):
        table = pq.ParquetFile(path).read(columns=["recv_ns", "kind", "payload"])
        for row in table.to_pylist():
            if row["kind"] == "text":
                yield row["recv_ns"] - json.loads(row["payload"])["sent_ns"]


def show(rate: int, alone: Figures, both: Figures) -> None:
    """Print one rate's figures."""
    lags = [figures["stamp_lag_ms"]["p99"] for figures in (alone, both)]
    click.echo(f"{rate:,} events/s")
    for name, what in (("age_ms", "every event"), ("newest_ms", "newest of each batch")):
        age = both[name]
        click.echo(
            f"  received → client, {what}: p50 {age['p50']:.0f} "
            f"p90 {age['p90']:.0f} p99 {age['p99']:.0f} ms"
        )
    small, grown = both["serve_mb"]
    click.echo(f"  serve: {both['serve_cpu_percent']} % of a core, {small} → {grown} MB")
    counts = ", ".join(f"{both[name]:,} {name}" for name in ("events", "left_out", "dropped"))
    click.echo(f"  {counts} in {both['batches']:,} batches")
    click.echo(f"  capture's stamp lag p99: {lags[0]} ms alone, {lags[1]} ms with serve")


if __name__ == "__main__":
    main()
