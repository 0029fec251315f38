"""What a recorder of a size needs and costs, reckoned from measured figures.

`python -m benchmarks.scale --sizing` prints the table of `docs/scale.md`; a test compares them.
"""

import json
from dataclasses import dataclass
from math import ceil
from pathlib import Path

_FIGURES = Path(__file__).parent
_DAY = 86_400


@dataclass(frozen=True)
class Prices:
    """Assumed, not measured: round prices of a large public cloud, in US dollars."""

    vcpu_hour: float = 0.04
    gb_month: float = 0.023
    hours: float = 730  # a month's
    days_kept: int = 30


@dataclass(frozen=True)
class Scale:
    """How much is recorded."""

    channels: int
    frames_per_second: int


#: Three sizes; every channel is recorded by two hosts.
SCALES = (Scale(100, 1_000), Scale(1_000, 50_000), Scale(10_000, 1_000_000))
LINES = 2

#: Cores are bought so that they are busy at most so much of the time.
BUSY = 0.7


@dataclass(frozen=True)
class Measured:
    """What one frame costs; where each figure is from stands beside it in `measured`."""

    host_frames_per_second: float
    host_cores: float
    raw_bytes: float
    table_bytes: float
    ingest_core_seconds: float


def measured() -> Measured:
    """The figures of the full runs, from the JSON files beside this one.

    A host: a paced service of 10,000 frames/s, capture and the process that seals (capture.json).
    Raw: a sealed frame of a recorded market (disk.json). Tables: Parquet of a lake, a frame with
    1.6 rows; and the CPU of one core that a frame takes on a cluster (scale.json).
    """
    capture, disk, scale = (
        json.loads((_FIGURES / f"{name}.json").read_text("utf-8"))
        for name in ("capture", "disk", "scale")
    )
    rate = max(capture["paced"], key=int)
    busy = capture["paced"][rate]["recorder"]
    feed = disk["feeds"]["binance_usdm, hftbacktest"]
    one = scale["ingest"]["subjects"]["Spark, 1 worker"]["cost"]
    a_file = one["per_file"] / scale["ingest"]["pays_off"]["frames_per_file"]
    return Measured(
        host_frames_per_second=int(rate),
        host_cores=busy["cpu_percent"] / 100
        + busy["children_cpu_seconds"] / capture["settings"]["seconds"],
        raw_bytes=feed["sealed"] / feed["frames"],
        table_bytes=scale["ingest"]["lake_bytes_per_frame"],
        ingest_core_seconds=one["per_frame"] + a_file,
    )


@dataclass(frozen=True)
class Need:
    """What one size needs: hosts, vCPUs, GB a day, and dollars a month."""

    hosts: int
    capture_vcpus: int
    ingest_vcpus: int
    raw_gb_day: float
    tables_gb_day: float
    dollars: float


def need(scale: Scale, figures: Measured, prices: Prices) -> Need:
    """The needs of a size, every channel recorded twice."""
    arriving = scale.frames_per_second * LINES
    hosts = max(LINES, ceil(arriving / figures.host_frames_per_second))
    share = arriving / hosts / figures.host_frames_per_second
    capture = hosts * max(1, ceil(figures.host_cores * share / BUSY))
    ingest = max(1, ceil(arriving * figures.ingest_core_seconds / BUSY))
    raw = arriving * _DAY * figures.raw_bytes / 1e9
    tables = scale.frames_per_second * _DAY * figures.table_bytes / 1e9
    machines = (capture + ingest) * prices.hours * prices.vcpu_hour
    kept = (raw + tables) * prices.days_kept * prices.gb_month
    return Need(hosts, capture, ingest, raw, tables, machines + kept)


def markdown(prices: Prices = Prices()) -> str:
    """The table, and the sentences that say where its figures are from."""
    figures = measured()
    columns = [(scale, need(scale, figures, prices)) for scale in SCALES]
    head = "".join(f" {scale.channels:,} channels |" for scale, _ in columns)
    rows = {
        "frames/s, each once": [f"{scale.frames_per_second:,}" for scale, _ in columns],
        "hosts": [f"{found.hosts:,}" for _, found in columns],
        "vCPUs of all hosts": [f"{found.capture_vcpus:,}" for _, found in columns],
        "vCPUs of the cluster": [f"{found.ingest_vcpus:,}" for _, found in columns],
        "GB a day, raw (both lines)": [_size(found.raw_gb_day) for _, found in columns],
        "GB a day, tables": [_size(found.tables_gb_day) for _, found in columns],
        "US dollars a month": [f"{round(found.dollars, -1):,.0f}" for _, found in columns],
    }
    lines = [f"| |{head}", "|---|" + "---:|" * len(columns)]
    lines += [f"| {title} | {' | '.join(cells)} |" for title, cells in rows.items()]
    return "\n".join([*lines, "", _from(figures, prices)])


def _size(gigabytes: float) -> str:
    return f"{gigabytes:,.1f}" if gigabytes < 100 else f"{gigabytes:,.0f}"


def _from(figures: Measured, prices: Prices) -> str:
    return (
        f"Measured: a host takes {figures.host_frames_per_second:,.0f} frames/s with "
        f"{figures.host_cores:.2f} of a core, sealing included; a sealed frame is "
        f"{figures.raw_bytes:.1f} bytes; its rows are {figures.table_bytes:.1f} bytes of Parquet; "
        f"a million take {figures.ingest_core_seconds * 1e6:.1f} s of a core to make. Assumed "
        f"(November 2026; put in your own): {prices.vcpu_hour} dollars a vCPU-hour, "
        f"{prices.gb_month} a GB-month, {prices.days_kept} days of both kept, cores busy at most "
        f"{BUSY:.0%}. Not in it: requests, traffic, disks of the hosts."
    )


# -- what the full run of `benchmarks.scale` found, as docs/scale.md tells it


def verdict() -> str:
    """The curve, and when a cluster is faster than one machine."""
    scale = json.loads((_FIGURES / "scale.json").read_text("utf-8"))
    machine, found = scale["machine"], scale["ingest"]
    subjects, told = found["subjects"], found["pays_off"]
    frames = scale["settings"]["frames"]
    lines = [
        f"Seconds for {frames:,} frames in more and more files, medians of "
        f"{scale['settings']['rounds']} on {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['kernel']}, {machine['python']} (other processes, Spark's among "
        f"them, had {machine['others_share']:.0%}); each worker has one core, and shares the two "
        "with the driver and the master:",
        "",
        f"| | {' | '.join(subjects)} |",
        "|---|" + "---:|" * len(subjects),
    ]
    lines += [f"| {title} | {' | '.join(cells)} |" for title, cells in _curve(subjects).items()]
    return "\n".join([*lines, "", _when(told, machine["cores"], subjects)])


def _curve(subjects: dict[str, dict]) -> dict[str, list[str]]:
    each = [*subjects.values()]
    costs = [one["cost"] for one in each]
    rows = {"first run, everything started": [f"{one['cold_seconds']:.1f}" for one in each]}
    for files in each[0]["warm_seconds"]:
        rows[f"warm, {files}"] = [f"{one['warm_seconds'][files]:.2f}" for one in each]
    rows["frames/s, warm, fewest files"] = [f"{one['frames_per_second']['warm']:,}" for one in each]
    rows["fit: a run, s"] = [f"{cost['fixed']:.2f}" for cost in costs]
    rows["fit: a file, ms"] = [f"{cost['per_file'] * 1e3:.1f}" for cost in costs]
    rows["fit: a million frames, s"] = [f"{cost['per_frame'] * 1e6:.2f}" for cost in costs]
    return rows


def _when(told: dict, cores: int, subjects: dict[str, dict]) -> str:
    reached = {n: some for n, some in told["frames"].items() if some is not None}
    some = ", ".join(f"{frames:,} frames with {n} cores" for n, frames in reached.items())
    alone, *_, most = (one["warm_seconds"] for one in subjects.values())
    times = [most[files] / alone[files] for files in alone]
    here = (
        f"On these {cores} cores the cluster takes {min(times):.1f} to {max(times):.1f} times as "
        "long: it does the same work and its own beside. "
        if min(times) > 1
        else ""
    )
    return (
        f"{here}By the fit, with {told['frames_per_file']:,} frames a file, a cluster with cores "
        f"of its own can be faster than one such machine from {told['from_cores']} on, in runs of "
        "more than "
        f"{some or 'was looked at'}. That is for backfills; to keep up with what "
        "arrives, one machine is enough for longer than one expects. Few large files are cheaper "
        "than many small ones: let `rotate_seconds` be what you can wait for."
    )
