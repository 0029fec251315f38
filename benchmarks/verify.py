"""The time and memory of `recorder verify`, by the number of files and their size.

`python -m benchmarks.verify --help`; `benchmarks/README.md` explains the figures.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks import machine, options, report
from benchmarks.report import Figures
from recorder.clock import NS, ulid
from recorder.record import heads, seal
from recorder.record.digest import Digest
from recorder.record.layout import Layout, run_of, stem
from recorder.schema.raw import RAW, RAW_VERSION

FEED = "feed"
#: CPU time of a file in the largest record, compared with the smallest one.
LINEAR = 1.3

_T0 = 1_790_000_000 * NS
#: Segments of a run, and the time between two of them: some 35 days for 10,000.
_RUN, _STEP_NS = 200, 300 * NS


def record(layout: Layout, files: int, frames: int, payload: int) -> None:
    """Write sealed files of some frames each, with payloads of random bytes, and their heads."""
    dice = random.Random(1)
    for number in range(files):
        at = _T0 + number * _STEP_NS
        first_of_run = _T0 + (number - number % _RUN) * _STEP_NS
        name = stem(at, ulid(first_of_run, b"verify-run"), 1 + number % _RUN)
        seq = number % _RUN * frames
        table = _table(at, first_of_run, (seq, frames, payload), dice)
        digest = Digest()
        digest.update(table)
        metadata = {"recorder.schema": RAW_VERSION, "recorder.feed": FEED, "recorder.kind": FEED}
        seal.write(
            layout.parquet(FEED, name), iter([table]), metadata | {"recorder.run": run_of(name)}
        )
        last = at + (frames - 1) * 1000
        segment = heads.Segment(name, frames, digest.hexdigest(), at, last)
        heads.note_sealed(layout, FEED, segment, heads.Origin(kind=FEED), lives=False)


def _table(at: int, run: int, shape: tuple[int, int, int], dice: random.Random) -> pa.Table:
    """Return frames from a time (ns) on; `shape` is the first number, the count, and the size."""
    seq, frames, payload = shape
    columns = [
        pa.array(range(at, at + frames * 1000, 1000), pa.int64()),
        pa.array(range(at - run, at - run + frames * 1000, 1000), pa.int64()),
        pa.array(range(seq, seq + frames), pa.int64()),
        pa.array([ulid(run, b"connection")] * frames, pa.string()),
        pa.array(["binary"] * frames, pa.string()),
        pa.array([dice.randbytes(payload) for _ in range(frames)], pa.binary()),
    ]
    return pa.table(columns, RAW)


def verified(root: Path) -> Figures:
    """Return the seconds, CPU seconds and peak memory of one `recorder verify`.

    Raises:
        click.ClickException: the record is not whole.
    """
    command = [sys.executable, "-m", "recorder", "verify", "--data-dir", str(root), "--json"]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"verify exited with {process.returncode}: {said[:2000]!r}")
    return {
        "seconds": round(time.perf_counter() - begin, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6, 1),
    }


def one(folder: Path, files: int, frames: int, payload: int) -> Figures:
    """Make a record, verify it, remove it, and return the figures."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        layout = Layout(Path(place))
        begin = time.perf_counter()
        record(layout, files, frames, payload)
        made = round(time.perf_counter() - begin, 1)
        size = sum(path.stat().st_size for path in layout.raw.rglob("*.parquet"))
        figures = verified(layout.root)
    return {"files": files, "frames": files * frames, "bytes": size, "made_seconds": made} | figures


def per_file(figures: Figures, empty: Figures) -> float:
    """Return the CPU time of one file in ms, without the start of the program."""
    spent = float(figures["cpu_seconds"]) - float(empty["cpu_seconds"])  # type: ignore[arg-type]
    return round(1000 * spent / int(figures["files"]), 3)  # type: ignore[call-overload]


@click.command()
@click.option("--files", type=click.IntRange(2), multiple=True, help="Files.  [1,000 and 10,000]")
@click.option("--frames", type=click.IntRange(1), default=100, show_default=True, help="A file's.")
@click.option("--payload", type=click.IntRange(9), default=300, show_default=True, help="Bytes.")
@click.option("--large", is_flag=True, help="Also 10,000 files of 1 MB: needs 10 GB of disk.")
@click.option("--quick", is_flag=True, help="100 and 1,000 files.")
@options.as_json
@options.strict
@options.folder()
def main(  # noqa: PLR0913 - one parameter per option
    *,
    files: tuple[int, ...],
    frames: int,
    payload: int,
    large: bool,
    quick: bool,
    as_json: bool,
    strict: bool,
    folder: Path,
) -> None:
    """Make records of several sizes, with heads, and verify each in a separate process.

    \b
    Example: python -m benchmarks.verify --quick
    """
    sizes = [
        (count, frames, payload) for count in files or ((100, 1000) if quick else (1000, 10_000))
    ]
    if large:
        sizes.append((10_000, 1000, 1000))
        needed = shutil.disk_usage(folder).free
        if needed < 15 << 30:
            raise click.ClickException(f"{folder} has {needed >> 30} GB free; 15 are needed")
    named, times = machine.describe(folder), machine.cpu_times()
    empty = one(folder, 1, frames, payload)
    runs = []
    for size in sizes:
        figures = one(folder, *size)
        runs.append(figures | {"cpu_ms_per_file": per_file(figures, empty)})
        click.echo(f"{figures['files']:,} files: {figures['seconds']} s", err=True)
    alike = [
        figures for figures, size in zip(runs, sizes, strict=True) if size[1:] == (frames, payload)
    ]
    ratio = round(float(alike[-1]["cpu_ms_per_file"]) / float(alike[0]["cpu_ms_per_file"]), 3)
    bars = [report.at_most("CPU time per file, largest / smallest record", ratio, LINEAR)]
    result = {
        "benchmark": "verify",
        "machine": named | machine.shares(times, machine.cpu_times()),
        "settings": {"frames_per_file": frames, "payload": payload},
        "one_file": empty,
        "runs": runs,
        "bars": report.as_rows(bars),
    }
    options.conclude(result, show, as_json=as_json, strict=strict)


def show(result: Figures) -> None:
    """Print the figures as tables."""
    console = Console()
    report.show_machine(console, result["machine"])
    table = Table("files", title="recorder verify: sealed files with heads")
    for name in ("frames", "MB", "seconds", "CPU s", "CPU ms/file", "peak MB"):
        table.add_column(name, justify="right")
    for figures in result["runs"]:
        table.add_row(
            f"{figures['files']:,}",
            f"{figures['frames']:,}",
            f"{figures['bytes'] / 1e6:,.1f}",
            f"{figures['seconds']:,.1f}",
            f"{figures['cpu_seconds']:,.1f}",
            f"{figures['cpu_ms_per_file']:.2f}",
            f"{figures['peak_mb']:,.0f}",
        )
    console.print(table)
    report.show_bars(console, result["bars"], "Bars")


if __name__ == "__main__":
    main()
