"""The rate, latency and CPU time of capture, compared with the bare receive loop.

`python -m benchmarks.capture --help`; `benchmarks/README.md` explains the figures.
"""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks import machine, options, report, subjects
from benchmarks.payloads import BLOCK_FRAMES, PAYLOAD_BYTES
from benchmarks.record import RecordError
from benchmarks.subjects import Bench, Figures

RATES = (1_000, 10_000)
Subject = Callable[[], Figures]


@dataclass(frozen=True)
class Size:
    """The extent of a run."""

    rounds: int
    frames: int
    seconds: float


FULL = Size(rounds=5, frames=1_000_000, seconds=10.0)
QUICK = Size(rounds=1, frames=200_000, seconds=3.0)


@click.command()
@click.option("--rounds", type=click.IntRange(1), help="Rounds of every subject.  [5; quick 1]")
@click.option("--frames", type=click.IntRange(BLOCK_FRAMES), help="Frames of a flood.  [1,000,000]")
@click.option("--seconds", type=click.FloatRange(1.0), help="Length of a paced run.  [10; quick 3]")
@click.option("--quick", is_flag=True, help="One short round, for a rough figure.")
@click.option("--only", type=click.Choice(["flood", "paced"]), help="One of the two parts.")
@options.as_json
@options.strict
@options.folder("Record below this folder, on the disk to measure.")
@click.option(
    "--command",
    default=f"{shlex.quote(sys.executable)} -m recorder capture",
    help="The command that captures, to compare another build.",
)
def main(  # noqa: PLR0913 - one parameter per option
    *,
    rounds: int | None,
    frames: int | None,
    seconds: float | None,
    quick: bool,
    only: str | None,
    as_json: bool,
    strict: bool,
    folder: Path,
    command: str,
) -> None:
    """Compare capture with the bare `websockets` receive loop.

    \b
    Example: python -m benchmarks.capture --quick
    """
    default = QUICK if quick else FULL
    size = Size(
        rounds or default.rounds,
        (frames or default.frames) // BLOCK_FRAMES * BLOCK_FRAMES,
        seconds or default.seconds,
    )
    try:
        result = measure(Bench(folder, shlex.split(command)), size, only)
    except (RecordError, RuntimeError) as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from error
    options.conclude(result, report.show, as_json=as_json, strict=strict)


def measure(bench: Bench, size: Size, only: str | None) -> Figures:
    """Run the rounds; return all figures: medians, bars, and those of each round."""
    named = machine.describe(bench.folder)
    times = machine.cpu_times()
    rounds: Figures = {}
    result: Figures = {}
    bars: list[report.Bar] = []
    if only != "paced":
        rounds["flood"] = in_turn(flood_subjects(bench, size), size.rounds)
        result["flood"] = over_rounds(rounds["flood"])
        result["flood"]["ratio"] = report.ratio(rounds["flood"])
        bars += report.flood_bars(result["flood"])
    if only != "flood":
        per_rate = {
            str(rate): in_turn(paced_subjects(bench, size, rate), size.rounds) for rate in RATES
        }
        rounds["paced"] = per_rate
        result["paced"] = {rate: over_rounds(each) for rate, each in per_rate.items()}
        bars += report.paced_bars(result["paced"])
    named |= machine.shares(times, machine.cpu_times())
    settings = {
        "rounds": size.rounds,
        "frames": size.frames,
        "payload_bytes": PAYLOAD_BYTES,
        "seconds": size.seconds,
    }
    head = {"benchmark": "capture", "machine": named, "settings": settings}
    return {**head, **result, "bars": report.as_rows(bars), "rounds": rounds}


def flood_subjects(bench: Bench, size: Size) -> dict[str, Subject]:
    """Return the subjects measured at full speed, by name."""
    return {
        "bare recv": lambda: subjects.flood_bare(bench, "recv", size.frames),
        "bare for": lambda: subjects.flood_bare(bench, "for", size.frames),
        "recorder": lambda: subjects.flood_recorder(bench, size.frames),
    }


def paced_subjects(bench: Bench, size: Size, rate: int) -> dict[str, Subject]:
    """Return the subjects measured at an exact rate, by name."""
    return {
        "bare": lambda: subjects.paced_bare(bench, rate, size.seconds),
        "recorder": lambda: subjects.paced_recorder(bench, rate, size.seconds),
    }


def in_turn(runs: dict[str, Subject], rounds: int) -> list[dict[str, Figures]]:
    """Run the subjects A B A B …, so that a slow minute of the machine affects all of them."""
    done = []
    for number in range(1, rounds + 1):
        done.append({})
        for name, run in runs.items():
            done[-1][name] = run()
            click.echo(f"round {number}/{rounds} {name}: {_summary(done[-1][name])}", err=True)
    return done


def over_rounds(rounds: list[dict[str, Figures]]) -> Figures:
    """Return each subject's medians."""
    return {name: report.medians([each[name] for each in rounds]) for name in rounds[0]}


def _summary(figures: Figures) -> str:
    if "latency_ms" in figures:
        latency = figures["latency_ms"]
        return f"p50 {latency['p50']} p99 {latency['p99']} ms, {figures['cpu_percent']:.1f} % CPU"
    return f"{figures['frames_per_second']:,.0f} frames/s"


if __name__ == "__main__":
    main()
