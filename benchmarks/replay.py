"""How fast the record comes back: to Python, to WebSocket clients, and how well it keeps time.

`python -m benchmarks.replay --help`; what each figure means is in `benchmarks/README.md`.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

import recorder
from benchmarks import machine, report
from benchmarks.payloads import HEADER, stamped_frame
from benchmarks.percentiles import percentiles
from benchmarks.process import Watched
from benchmarks.report import Figures
from recorder import seal
from recorder.clock import NS, ulid
from recorder.raw import RAW
from recorder.segment import Layout, stem

START = 1_790_000_000 * NS
PER_FILE = 200_000


@dataclass(frozen=True)
class Size:
    """How much is measured."""

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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--strict", is_flag=True, help="Exit 1 when a bar is missed.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(tempfile.gettempdir()),
    help="Make the records below this folder.  [the system's temporary one]",
)
def main(  # noqa: PLR0913 - one parameter per option
    *,
    rounds: int | None,
    frames: int | None,
    quick: bool,
    as_json: bool,
    strict: bool,
    folder: Path,
) -> None:
    """Replay a record to Python and to WebSocket clients, beside the plain ways.

    \b
    Example: python -m benchmarks.replay --quick
    """
    default = QUICK if quick else FULL
    size = Size(
        rounds or default.rounds, frames or default.frames, default.gigabytes, default.paced_seconds
    )
    result = measure(folder, size)
    if as_json:
        click.echo(json.dumps(result))
    else:
        show(result)
    if strict and not all(bar["passed"] for bar in result["bars"]):
        sys.exit(1)


def measure(folder: Path, size: Size) -> Figures:
    """Give every figure: medians, bars, and each round's own."""
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
    """What one round measures."""

    size: Size
    total: int  # bytes of all frames, as WebSocket frames
    number: int


def one_round(full: Path, steady: Path, long: Path, plan: Plan) -> Figures:
    """Every subject once, in turn, so that a slow minute hits all."""
    frames, total = plan.size.frames, plan.total
    found: Figures = {
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
    told = {**found["python"], **found["websocket"]}
    click.echo(
        f"round {plan.number + 1}: "
        + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in told.items())
        + f"; 1x p99 {found['pace']['error_ms']['p99']:.3f} ms"
        + f", 60x {found['fast']['error_percent']:.2f} %",
        err=True,
    )
    return found


# -- records


def make(root: Path, frames: int, gap_ns: int) -> int:
    """Seal a record of one connection; give the bytes of its frames on the wire."""
    run, connection = ulid(START, bytes(10)), ulid(START, b"\1" * 10)
    total = 0
    for number, first in enumerate(range(0, frames, PER_FILE), 1):
        path = Layout(root).parquet("bench", stem(START + first * gap_ns, run, number))
        parts = []
        for begin in range(first, min(first + PER_FILE, frames), 20_000):
            seqs = range(begin, min(begin + 20_000, first + PER_FILE, frames))
            payloads = [stamped_frame(seq, START)[len(HEADER) :] for seq in seqs]
            total += sum(len(p) + (2 if len(p) < 126 else 4) for p in payloads)
            times = [START + seq * gap_ns for seq in seqs]
            columns = [times, [t - START for t in times], list(seqs), [connection] * len(seqs)]
            columns += [["text"] * len(seqs), payloads]
            arrays = [pa.array(c, f.type) for c, f in zip(columns, RAW, strict=True)]
            parts.append(pa.table(arrays, RAW))
        seal.write(path, iter(parts), {"recorder.kind": "generic"})
    return total


def memory(many: Path, full: Path, gigabytes: float) -> Figures:
    """Iterate over the same files again and again, as one long record: the peak of the process."""
    size = repeat(full, many, gigabytes)
    code = "import recorder, sys\nprint(sum(1 for _ in recorder.replay(data_dir=sys.argv[1])))"
    child = Watched([sys.executable, "-c", code, str(many)], many / "log")
    child.wait(3600)
    assert child.popen.stdout is not None
    frames = int(child.popen.stdout.read())
    return {"peak_mb": child.peak_mb, "frames": frames, "uncompressed_gb": size / 1e9}


def repeat(full: Path, many: Path, gigabytes: float) -> int:
    """Write the files' frames again with later times and numbers, up to a size; give the size."""
    sources = sorted((full / "raw").rglob("*.parquet"))
    run, size, number, rows = ulid(START, b"\2" * 10), 0, 0, 0
    while size < gigabytes * 1e9:
        with pq.ParquetFile(sources[number % len(sources)]) as source:
            first = START + rows * 1_000_000
            number += 1
            path = Layout(many).parquet("bench", stem(first, run, number))
            path.parent.mkdir(parents=True, exist_ok=True)
            with pq.ParquetWriter(path, RAW, compression="zstd") as writer:
                for group in range(source.num_row_groups):
                    table = source.read_row_group(group)
                    seqs = pa.array(range(rows, rows + len(table)))
                    times = pc.add(pc.multiply(seqs, 1_000_000), START)
                    columns = [times, times, seqs, *table.columns[3:]]
                    writer.write_table(pa.table(columns, RAW))
                    size += table.nbytes
                    rows += len(table)
    return size


# -- to Python


def timed(run: Callable[[], int]) -> float:
    """Frames per second."""
    begin = time.perf_counter()
    count = run()
    return round(count / (time.perf_counter() - begin), 1)


def plain(root: Path) -> float:
    """The loop that one would write: batches, columns as lists, a call for each row."""
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
    """`recorder.replay`, a call for each frame."""
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
    """A `websockets` server that awaits each send; its frames are in memory beforehand."""
    return [sys.executable, "-c", SENDS, str(root)]


def serves(root: Path, speed: str) -> list[str]:
    """`recorder replay --serve`."""
    options = ["--serve", "127.0.0.1:0", "--speed", speed, "--data-dir", str(root)]
    return [sys.executable, "-m", "recorder", "replay", *options, "--log-level", "error"]


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """Run a server; give its URL, which it prints first."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def shaken(url: str) -> socket.socket:
    """A raw socket after its WebSocket handshake; what came with the answer is not read."""
    host, _, port = url.removeprefix("ws://").rpartition(":")
    raw = socket.create_connection((host, int(port)), timeout=60)
    raw.sendall(
        f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += raw.recv(1)
    return raw


def read(command: list[str], total: int, frames: int) -> float:
    """A client that only counts bytes: frames per second from the first byte to the last."""
    with serving(command) as url, closing(shaken(url)) as raw:
        buffer = bytearray(1 << 18)
        size = raw.recv_into(buffer)
        begin = time.perf_counter()
        while size < total:
            got = raw.recv_into(buffer)
            if not got:
                raise RuntimeError(f"only {size:,} of {total:,} bytes came")
            size += got
        return round(frames / (time.perf_counter() - begin), 1)


def receive(command: list[str], frames: int) -> float:
    """A `websockets` client that receives every frame."""

    async def run(url: str) -> float:
        from websockets.asyncio.client import connect

        async with connect(url, compression=None, max_queue=1024) as ws:
            await ws.recv(decode=False)
            begin = time.perf_counter()
            for _ in range(frames - 1):
                await ws.recv(decode=False)
            return round(frames / (time.perf_counter() - begin), 1)

    with serving(command) as url:
        return asyncio.run(run(url))


# -- keeping time


def arrivals(command: list[str], head: int = 4) -> list[int]:
    """When each frame came (ns), to a raw reader, until the close frame."""
    found: list[int] = []
    with serving(command) as url, closing(shaken(url)) as raw:
        data = b""
        while True:
            got = raw.recv(1 << 16)
            now = time.monotonic_ns()
            data += got
            while len(data) >= head:
                length, start = data[1] & 0x7F, 2
                if length == 126:
                    length, start = int.from_bytes(data[2:4], "big"), 4
                if len(data) < start + length:
                    break
                if data[0] & 0x0F == 8:
                    return found
                if data[0] & 0x0F in {1, 2}:
                    found.append(now)
                data = data[start + length :]
            if not got or (len(data) >= 2 and data[0] & 0x0F == 8):
                return found


def pace(steady: Path, size: Size) -> Figures:
    """1,000 frames a second at 1x: how far the time between two frames is off."""
    times = arrivals(serves(steady, "1"))
    if len(times) != int(1000 * size.paced_seconds):
        raise RuntimeError(f"{len(times)} frames came")
    return {
        "error_ms": percentiles(
            [abs(later - earlier - 1_000_000) for earlier, later in pairwise(times)]
        )
    }


def fast(long: Path, size: Size) -> Figures:
    """A record of `60 * paced_seconds` seconds at 60x: how far its end is off."""
    times = arrivals(serves(long, "60"))
    took = (times[-1] - times[0]) / 1e9
    error = abs(took - size.paced_seconds) / size.paced_seconds * 100
    return {"seconds": round(took, 4), "error_percent": round(error, 4)}


def ratio(rounds: list[Figures], part: str, ours: str, theirs: str) -> float:
    """Give the median of each round's own ratio: neighbours in time share the machine's mood."""
    return round(median(each[part][ours] / each[part][theirs] for each in rounds), 4)


def show(result: Figures) -> None:
    """Print the result as tables."""
    console = Console()
    report.show_machine(console, result["machine"])
    report.show_bars(console, result["bars"], f"{result['settings']['frames']:,} frames")


if __name__ == "__main__":
    main()
