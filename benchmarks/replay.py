"""The speed of a replay to Python and to WebSocket clients, and the accuracy of its pace.

`python -m benchmarks.replay --help`; `benchmarks/README.md` explains the figures.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import click
import pyarrow.parquet as pq
from rich.console import Console

import recorder
from benchmarks import machine, options, report
from benchmarks.listeners import arrivals, read, receive
from benchmarks.long_records import make, repeat
from benchmarks.percentiles import percentiles
from benchmarks.process import Watched
from benchmarks.report import Figures
from recorder.clock import NS


@dataclass(frozen=True)
class Size:
    """The extent of a run."""

    rounds: int
    frames: int
    gigabytes: float
    paced_seconds: float


FULL = Size(rounds=5, frames=1_000_000, gigabytes=10, paced_seconds=10)
QUICK = Size(rounds=1, frames=200_000, gigabytes=0.5, paced_seconds=3)


@click.command()
@click.option("--rounds", type=click.IntRange(1), help="Rounds of every subject.  [5; quick 1]")
@click.option("--frames", type=click.IntRange(1000), help="Frames.  [1 M; quick 200,000]")
@click.option("--quick", is_flag=True, help="One short round.")
@options.as_json
@options.strict
@options.folder("Make the records below this folder.")
def main(  # noqa: PLR0913 - one parameter per option
    *,
    rounds: int | None,
    frames: int | None,
    quick: bool,
    as_json: bool,
    strict: bool,
    folder: Path,
) -> None:
    """Replay a record to Python and to WebSocket clients, compared with plain loops.

    \b
    Example: python -m benchmarks.replay --quick
    """
    default = QUICK if quick else FULL
    size = Size(
        rounds or default.rounds, frames or default.frames, default.gigabytes, default.paced_seconds
    )
    result = measure(folder, size)
    options.conclude(result, show, as_json=as_json, strict=strict)


def measure(folder: Path, size: Size) -> Figures:
    """Return all figures: medians, bars, and those of each round."""
    named = machine.describe(folder)
    times = machine.cpu_times()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        root = Path(place)
        full, steady, long = root / "full", root / "steady", root / "long"
        click.echo(f"making {size.frames:,} frames", err=True)
        total = make(full, size.frames, gap_ns=1_000_000)
        make(steady, int(1000 * size.paced_seconds), gap_ns=1_000_000)
        seconds = 60 * size.paced_seconds
        make(long, 6001, gap_ns=int(seconds * NS / 6000))
        rounds = [
            one_round(full, steady, long, Plan(size, total, number))
            for number in range(size.rounds)
        ]
        figures = report.medians(rounds)
        figures["memory"] = memory(root / "many", full, size.gigabytes)
    named |= machine.shares(times, machine.cpu_times())
    ratios = {
        "python": ratio(rounds, "python", "replay", "plain"),
        "raw_reader": ratio(rounds, "websocket", "replay_to_reader", "sends_to_reader"),
        "client": ratio(rounds, "websocket", "replay_to_client", "sends_to_client"),
    }
    bars = [
        report.at_least("Python: replay / plain per-row loop", ratios["python"], 1.0),
        report.below("10 GB record: peak memory, MB", figures["memory"]["peak_mb"], 200),
        report.at_least("WebSocket to a raw reader: replay / send loop", ratios["raw_reader"], 10),
        report.at_least("WebSocket to a client: replay / send loop", ratios["client"], 1.0),
        report.below("1x: error between frames, p99, ms", figures["pace"]["error_ms"]["p99"], 1),
        report.below("60x: error of the end, %", figures["fast"]["error_percent"], 1),
    ]
    head = {"benchmark": "replay", "machine": named, "settings": asdict(size), "ratios": ratios}
    return {**head, **figures, "bars": report.as_rows(bars), "rounds": rounds}


@dataclass(frozen=True)
class Plan:
    """The parameters of one round."""

    size: Size
    total: int  # bytes of all frames, as WebSocket frames
    number: int


def one_round(full: Path, steady: Path, long: Path, plan: Plan) -> Figures:
    """Measure every subject once, in turn, so that a slow minute affects all."""
    frames, total = plan.size.frames, plan.total
    figures: Figures = {
        "python": {"plain": plain(full), "replay": replayed(full)},
        "websocket": {
            "sends_to_reader": read(sends(full), total, frames),
            "replay_to_reader": read(serves(full, "max"), total, frames),
            "sends_to_client": receive(sends(full), frames),
            "replay_to_client": receive(serves(full, "max"), frames),
        },
        "pace": pace(steady, plan.size),
        "fast": fast(long, plan.size),
    }
    rates = {**figures["python"], **figures["websocket"]}
    click.echo(
        f"round {plan.number + 1}: "
        + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
        + f"; 1x p99 {figures['pace']['error_ms']['p99']:.3f} ms"
        + f", 60x {figures['fast']['error_percent']:.2f} %",
        err=True,
    )
    return figures


# -- to Python


def memory(many: Path, full: Path, gigabytes: float) -> Figures:
    """Replay many copies of the same files as one long record; return the peak memory in MB."""
    size = repeat(full, many, gigabytes)
    code = "import recorder, sys\nprint(sum(1 for _ in recorder.replay(data_dir=sys.argv[1])))"
    child = Watched([sys.executable, "-c", code, str(many)], many / "log")
    child.wait(3600)
    assert child.popen.stdout is not None
    frames = int(child.popen.stdout.read())
    return {"peak_mb": child.peak_mb, "frames": frames, "uncompressed_gb": size / 1e9}


def timed(run: Callable[[], int]) -> float:
    """Return the frames per second of a run, which returns its number of frames."""
    begin = time.perf_counter()
    count = run()
    return round(count / (time.perf_counter() - begin), 1)


def plain(root: Path) -> float:
    """Return the rate of a plain loop: batches, columns as lists, a call for each row."""
    count = 0

    def take(*row: object) -> None:
        nonlocal count
        count += 1

    def run() -> int:
        for path in sorted((root / "raw").rglob("*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches():
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    take(*row)
        return count

    return timed(run)


def replayed(root: Path) -> float:
    """Return the rate of `recorder.replay` with a call for each frame."""
    count = 0

    def take(played: object) -> None:
        nonlocal count
        count += 1

    def run() -> int:
        for played in recorder.replay(data_dir=root):
            take(played)
        return count

    return timed(run)


# -- to WebSocket clients

SENDS = """
import asyncio, sys, pyarrow.parquet as pq
from pathlib import Path
from websockets.asyncio.server import serve
frames = [
    payload.decode()
    for path in sorted((Path(sys.argv[1]) / "raw").rglob("*.parquet"))
    for payload in pq.ParquetFile(path).read(columns=["payload"])["payload"].to_pylist()
]
async def handle(ws):
    for frame in frames:
        await ws.send(frame)
async def main():
    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print("bench", f"ws://127.0.0.1:{port}", flush=True)
        await asyncio.Future()
asyncio.run(main())
"""


def sends(root: Path) -> list[str]:
    """Return the command of a `websockets` server that awaits each send of frames in memory."""
    return [sys.executable, "-c", SENDS, str(root)]


def serves(root: Path, speed: str) -> list[str]:
    """Return the command of `recorder replay --serve`."""
    options = ["--serve", "127.0.0.1:0", "--speed", speed, "--data-dir", str(root)]
    return [sys.executable, "-m", "recorder", "replay", *options, "--log-level", "error"]


def pace(steady: Path, size: Size) -> Figures:
    """Replay 1,000 frames/s at 1x; return the error of the time between two frames."""
    times = arrivals(serves(steady, "1"))
    if len(times) != int(1000 * size.paced_seconds):
        raise RuntimeError(f"{len(times)} frames arrived")
    return {
        "error_ms": percentiles(
            [abs(later - earlier - 1_000_000) for earlier, later in pairwise(times)]
        )
    }


def fast(long: Path, size: Size) -> Figures:
    """Replay a record of `60 * paced_seconds` seconds at 60x; return the error of its duration."""
    times = arrivals(serves(long, "60"))
    took = (times[-1] - times[0]) / 1e9
    error = abs(took - size.paced_seconds) / size.paced_seconds * 100
    return {"seconds": round(took, 4), "error_percent": round(error, 4)}


def ratio(rounds: list[Figures], part: str, ours: str, theirs: str) -> float:
    """Return the median of the rounds' ratios: the machine's speed varies less within a round."""
    return round(median(each[part][ours] / each[part][theirs] for each in rounds), 4)


def show(result: Figures) -> None:
    """Print the result as tables."""
    console = Console()
    report.show_machine(console, result["machine"])
    report.show_bars(console, result["bars"], f"{result['settings']['frames']:,} frames")


if __name__ == "__main__":
    main()
