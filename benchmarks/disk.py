"""The size of the record on disk, compared with gzip'ed JSON lines of the same frames.

`python -m benchmarks.disk --help`; `benchmarks/README.md` explains the figures.
"""

import ast
import gzip
import itertools
import json
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table

from benchmarks import machine, mixed, options, report
from benchmarks.report import Figures
from recorder import frame
from recorder.clock import DAY_NS, Clock, ulid
from recorder.record import compact, seal
from recorder.record.journal import sync
from recorder.record.journal.block import RECORD
from recorder.record.journal.writer import Journal, Limits, Reports, Stream
from recorder.record.layout import Layout
from recorder.record.sealed import columns
from recorder.schema.raw import RAW

RATIO = 0.9
#: Frames recorded by others; not part of this repository.
RECORDED = Path(__file__).parents[2] / "shared" / "frames"
_GZIP_LEVEL = 6
_MIXED_T0 = 1_790_000_000 * 10**9


class Received(NamedTuple):
    """A frame with its receive time in ns."""

    recv_ns: int
    payload: bytes


# -- the frames


def corpora(place: Path, simulated: int) -> Iterator[tuple[str, Iterable[Received]]]:
    """Yield the name and frames of each feed: real ones if there are any, then simulated ones."""
    for path in sorted(place.glob("*/hftbacktest_*.gz")):
        yield _name(path), _stamped_lines(gzip.decompress(path.read_bytes()))
    for path in sorted(place.glob("*/cryptofeed_*")):
        yield _name(path), _cryptofeed(path.read_bytes())
    for path in sorted(place.glob("*/crypto-msg-parser_*.jsonl")):
        yield _name(path), _spread(path.read_bytes().splitlines())
    yield "simulated market", _spread(mixed.market(simulated))
    yield "simulated listings", _spread(mixed.announcements(simulated // 5))


def _name(path: Path) -> str:
    return f"{path.parent.name}, {path.name.split('_')[0]}"


def _stamped_lines(text: bytes) -> Iterator[Received]:
    """Yield the frames of lines `<recv_ns> <frame>`."""
    for line in text.splitlines():
        at, _, payload = line.partition(b" ")
        yield Received(int(at), payload)


def _cryptofeed(text: bytes) -> Iterator[Received]:
    """Yield the frames of lines `<recv seconds>: <frame>`; a line with an arrow was sent."""
    for line in text.splitlines():
        at, colon, payload = line.partition(b": ")
        if colon and b"<-" not in at:
            literal = payload.startswith(b"b'")
            frame_ = ast.literal_eval(payload.decode()) if literal else payload
            yield Received(int(float(at) * 1e9), frame_)


def _spread(payloads: Iterable[bytes]) -> Iterator[Received]:
    """Yield frames that have no time at random times, on average 1 ms apart."""
    now, dice = _MIXED_T0, random.Random(1)
    for payload in payloads:
        now += int(dice.expovariate(1e-6))
        yield Received(now, payload)


def cycled(real: list[Received], least: int) -> list[Received]:
    """Return the frames; if they are fewer than `least`, repeat them with other digits.

    Each repetition changes every digit after the first four of a number, so that no repetition is a
    copy of another.
    """
    if len(real) >= least:
        return real
    span = real[-1].recv_ns - real[0].recv_ns + 1_000_000
    return [
        Received(at + turn * span, _varied(payload, turn))
        for turn in range(-(-least // len(real)))
        for at, payload in real
    ]


def _varied(payload: bytes, turn: int) -> bytes:
    if not turn:
        return payload
    varied, digits = bytearray(payload), 0
    for place, byte in enumerate(payload):
        digits = digits + 1 if 48 <= byte <= 57 else 0
        if digits > 4:
            varied[place] = 48 + (byte - 48 + turn * (place + 3)) % 10
    return bytes(varied)


# -- the record


def record(layout: Layout, feed: str, frames: list[Received], rotate_seconds: float) -> None:
    """Write journals as capture does, with one socket read per frame and a simulated clock."""
    now, dice = frames[0].recv_ns, random.Random(2)
    # The second clock is read slightly after the first.
    clock = Clock(lambda: now, lambda: now - frames[0].recv_ns + 10**12 + dice.randrange(40, 400))
    journal = Journal(
        layout,
        feed,
        ulid(now, b"disk-bench"),
        limits=Limits(rotate_ns=int(rotate_seconds * 1e9)),
        clock=clock,
        about={"kind": feed},
        reports=Reports(),
    )
    stream = Stream(ulid(now, b"connection"))
    for number, (at, payload) in enumerate(frames):
        now = at
        parts = [RECORD.pack(frame.TEXT, len(payload)), payload]
        journal.write(stream, at, clock.mono_ns(), parts, len(payload))
        if number % 500 == 0:
            _pulse(journal)
    journal.rotate()
    _pulse(journal)


def _pulse(journal: Journal) -> None:
    jobs = journal.pulse()
    journal.synced(jobs, sync.run(jobs))


def json_lines(layout: Layout, feed: str) -> bytes:
    """Return the JSON lines that a simple recorder would write: one per frame, payload as text."""
    parts = itertools.chain.from_iterable(
        columns(layout.parquet(feed, stem), RAW.names) for stem in layout.sealed(feed)
    )
    rows = itertools.chain.from_iterable(part.to_pylist() for part in parts)
    kept = ("recv_ns", "connection", "seq", "kind")
    lines = (
        json.dumps(
            {name: row[name] for name in kept} | {"payload": row["payload"].decode()},
            separators=(",", ":"),
            ensure_ascii=False,
        )
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines).encode()


def sizes(layout: Layout, feed: str) -> int:
    """Return the size of a feed's sealed files in bytes."""
    return sum(layout.parquet(feed, stem).stat().st_size for stem in layout.sealed(feed))


def one(folder: Path, frames: list[Received], level: int, rotate_seconds: float) -> Figures:
    """Return the sizes and CPU seconds of one feed for each format."""
    feed = "feed"
    with tempfile.TemporaryDirectory(dir=folder) as place:
        layout = Layout(Path(place))
        record(layout, feed, frames, rotate_seconds)
        seconds: dict[str, float] = {}
        begin = time.process_time()
        for stem in layout.active(feed):
            seal.seal(layout, feed, stem)
        seconds["sealed"] = time.process_time() - begin
        sealed, files, plain = (
            sizes(layout, feed),
            len(layout.sealed(feed)),
            json_lines(layout, feed),
        )
        begin = time.process_time()
        zipped = len(gzip.compress(plain, _GZIP_LEVEL))
        seconds["gzip"] = time.process_time() - begin
        begin = time.process_time()
        for day in compact.plan(
            layout, feed, layout.sealed(feed), frames[-1].recv_ns + 2 * DAY_NS, 128_000_000
        ):
            compact.compact(layout, day, level=level)
        seconds["compacted"] = time.process_time() - begin
        return {
            "frames": len(frames),
            "json_lines": len(plain),
            "gzip": zipped,
            "sealed": sealed,
            "sealed_files": files,
            "compacted": sizes(layout, feed),
            "files": len(layout.sealed(feed)),
            "cpu_seconds": seconds,
        }


# -- figures


@click.command()
@click.option("--recorded", type=click.Path(path_type=Path), default=RECORDED, help="Real frames.")
@click.option(
    "--simulated", type=click.IntRange(100), help="Simulated frames.  [1 M; quick 50,000]"
)
@click.option(
    "--least",
    type=click.IntRange(1),
    default=400,
    show_default=True,
    help="Repeat the frames of a feed with fewer, with other digits.",
)
@click.option(
    "--level", type=click.IntRange(1, 22), default=9, help="Level of zstd for compaction."
)
@click.option("--rotate-seconds", type=float, default=300, help="Age at which a journal is sealed.")
@click.option("--quick", is_flag=True, help="Few frames.")
@options.as_json
@options.strict
@options.folder()
def main(  # noqa: PLR0913 - one parameter per option
    *,
    recorded: Path,
    simulated: int | None,
    least: int,
    level: int,
    rotate_seconds: float,
    quick: bool,
    as_json: bool,
    strict: bool,
    folder: Path,
) -> None:
    """Record frames, seal and compact them, and gzip the same frames as JSON lines.

    \b
    Example: python -m benchmarks.disk --quick
    """
    simulated = simulated or (50_000 if quick else 1_000_000)
    named, times = machine.describe(folder), machine.cpu_times()
    feeds = {}
    for name, frames in corpora(recorded, simulated):
        distinct = list(frames)
        sizes_of = one(folder, cycled(distinct, least), level, rotate_seconds)
        feeds[name] = {"distinct_frames": len(distinct)} | sizes_of
        click.echo(f"{name}: {feeds[name]['compacted'] / feeds[name]['gzip']:.3f}", err=True)
    feeds["together"] = together(list(feeds.values()))
    result = {
        "benchmark": "disk",
        "machine": named | machine.shares(times, machine.cpu_times()),
        "settings": {"simulated": simulated, "least": least, "zstd_level": level,
                     "rotate_seconds": rotate_seconds},
        "feeds": {name: figures | rates(figures) for name, figures in feeds.items()},
    }  # fmt: skip
    bars = [
        report.at_most(f"{name}: Parquet / gzip", figures["ratio"], RATIO)
        for name, figures in result["feeds"].items()
    ]
    result["bars"] = report.as_rows(bars)
    options.conclude(result, show, as_json=as_json, strict=strict)


def together(each: list[Figures]) -> Figures:
    """Return the sums over all feeds."""
    names = [name for name in each[0] if name != "cpu_seconds"]
    seconds = {way: sum(one["cpu_seconds"][way] for one in each) for way in each[0]["cpu_seconds"]}
    return {name: sum(one[name] for one in each) for name in names} | {"cpu_seconds": seconds}


def rates(figures: Figures) -> Figures:
    """Return the ratios to gzip, and MB of JSON lines per CPU second."""
    megabytes = figures["json_lines"] / 1e6
    return {
        "ratio": round(figures["compacted"] / figures["gzip"], 4),
        "sealed_ratio": round(figures["sealed"] / figures["gzip"], 4),
        "mb_per_cpu_second": {
            way: round(megabytes / max(spent, 1e-3), 1)
            for way, spent in figures["cpu_seconds"].items()
        },
    }


def show(result: Figures) -> None:
    """Print the figures as tables."""
    console = Console()
    report.show_machine(console, result["machine"])
    table = Table(
        "feed",
        title="Sizes: MB, and ratios to gzip -6. Rates: MB of JSON lines per CPU second.\n"
        "* few frames, repeated with other digits",
    )
    for name in ("frames", "gzip", "sealed", "compacted", "gzip/s", "seal/s", "compact/s"):
        table.add_column(name, justify="right")
    for name, figures in result["feeds"].items():
        fast = figures["mb_per_cpu_second"]
        repeated = "*" if figures["distinct_frames"] < figures["frames"] else ""
        table.add_row(
            name,
            f"{figures['frames']:,}{repeated}",
            f"{figures['gzip'] / 1e6:,.2f}",
            f"{figures['sealed_ratio']:.2f}",
            f"{figures['ratio']:.2f}",
            *(f"{fast[way]:,.0f}" for way in ("gzip", "sealed", "compacted")),
        )
    console.print(table)
    report.show_bars(console, result["bars"], "Bars")


if __name__ == "__main__":
    main()
