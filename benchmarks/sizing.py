"""The needs and costs of recorders of several sizes, computed from measured figures.

`python -m benchmarks.scale --sizing` prints the table of `docs/scale.md`; a test compares the two.
"""

import json
from dataclasses import dataclass
from math import ceil
from pathlib import Path

_FIGURES = Path(__file__).parent
_DAY = 86_400


@dataclass(frozen=True)
class Prices:
    """Assumed (not measured) prices of a large public cloud, in US dollars."""

    vcpu_hour: float = 0.04
    gb_month: float = 0.023
    hours: float = 730  # per month
    days_kept: int = 30


@dataclass(frozen=True)
class Scale:
    """The size of a recorder."""

    channels: int
    frames_per_second: int


#: Three sizes; every channel is recorded by two hosts.
SCALES = (Scale(100, 1_000), Scale(1_000, 50_000), Scale(10_000, 1_000_000))
LINES = 2

#: The largest share of time that the cores are busy.
BUSY = 0.7


@dataclass(frozen=True)
class Measured:
    """The cost of a frame; `measured` says where each figure is from."""

    host_frames_per_second: float
    host_cores: float
    raw_bytes: float
    table_bytes: float
    ingest_core_seconds: float


def measured() -> Measured:
    """Return the figures of the full runs, from the JSON files beside this module.

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
    """The needs of one size: hosts, vCPUs, GB per day, and dollars per month."""

    hosts: int
    capture_vcpus: int
    ingest_vcpus: int
    raw_gb_day: float
    tables_gb_day: float
    dollars: float


def need(scale: Scale, figures: Measured, prices: Prices) -> Need:
    """Return the needs of a size with every channel recorded twice."""
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
    """Return the table of `docs/scale.md`, with the sources of its figures."""
    figures = measured()
    columns = [(scale, need(scale, figures, prices)) for scale in SCALES]
    head = "".join(f" {scale.channels:,} channels |" for scale, _ in columns)
    rows = {
        "frames/s of one line": [f"{scale.frames_per_second:,}" for scale, _ in columns],
        "hosts": [f"{needs.hosts:,}" for _, needs in columns],
        "vCPUs of all hosts": [f"{needs.capture_vcpus:,}" for _, needs in columns],
        "vCPUs of the cluster": [f"{needs.ingest_vcpus:,}" for _, needs in columns],
        "GB per day, raw (both lines)": [_size(needs.raw_gb_day) for _, needs in columns],
        "GB per day, tables": [_size(needs.tables_gb_day) for _, needs in columns],
        "US dollars per month": [f"{round(needs.dollars, -1):,.0f}" for _, needs in columns],
    }
    lines = [f"| |{head}", "|---|" + "---:|" * len(columns)]
    lines += [f"| {title} | {' | '.join(cells)} |" for title, cells in rows.items()]
    return "\n".join([*lines, "", _sources(figures, prices)])


def _size(gigabytes: float) -> str:
    return f"{gigabytes:,.1f}" if gigabytes < 100 else f"{gigabytes:,.0f}"


def _sources(figures: Measured, prices: Prices) -> str:
    return (
        f"Measured: a host records {figures.host_frames_per_second:,.0f} frames/s with "
        f"{figures.host_cores:.2f} of a core, including sealing; a sealed frame has "
        f"{figures.raw_bytes:.1f} bytes; its rows have {figures.table_bytes:.1f} bytes of Parquet; "
        f"the rows of a million frames take {figures.ingest_core_seconds * 1e6:.1f} s of a core. "
        f"Assumed (November 2026; use your own): {prices.vcpu_hour} dollars per vCPU-hour, "
        f"{prices.gb_month} per GB-month, {prices.days_kept} days of both kept, cores busy at most "
        f"{BUSY:.0%} of the time. Not included: requests, traffic, disks of the hosts."
    )


# -- the results of the full run of `benchmarks.scale`, for docs/scale.md


def verdict() -> str:
    """Return the seconds by number of files, and when a cluster is faster than one machine."""
    scale = json.loads((_FIGURES / "scale.json").read_text("utf-8"))
    machine, ingest = scale["machine"], scale["ingest"]
    subjects, pays_off = ingest["subjects"], ingest["pays_off"]
    frames = scale["settings"]["frames"]
    lines = [
        f"Seconds for {frames:,} frames in different numbers of files, medians of "
        f"{scale['settings']['rounds']} on {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['kernel']}, {machine['python']} (other processes, including Spark's, used "
        f"{machine['others_share']:.0%}); each worker has one core, and the driver and the master "
        "run on the same cores:",
        "",
        f"| | {' | '.join(subjects)} |",
        "|---|" + "---:|" * len(subjects),
    ]
    lines += [f"| {title} | {' | '.join(cells)} |" for title, cells in _curve(subjects).items()]
    return "\n".join([*lines, "", _when(pays_off, machine["cores"], subjects)])


def _curve(subjects: dict[str, dict]) -> dict[str, list[str]]:
    each = [*subjects.values()]
    costs = [one["cost"] for one in each]
    rows = {"first run, including start-up": [f"{one['cold_seconds']:.1f}" for one in each]}
    for files in each[0]["warm_seconds"]:
        rows[f"warm, {files}"] = [f"{one['warm_seconds'][files]:.2f}" for one in each]
    rows["frames/s, warm, fewest files"] = [f"{one['frames_per_second']['warm']:,}" for one in each]
    rows["fit: per run, s"] = [f"{cost['fixed']:.2f}" for cost in costs]
    rows["fit: per file, ms"] = [f"{cost['per_file'] * 1e3:.1f}" for cost in costs]
    rows["fit: per million frames, s"] = [f"{cost['per_frame'] * 1e6:.2f}" for cost in costs]
    return rows


def _when(pays_off: dict, cores: int, subjects: dict[str, dict]) -> str:
    reached = {n: some for n, some in pays_off["frames"].items() if some is not None}
    some = ", ".join(f"{frames:,} frames with {n} cores" for n, frames in reached.items())
    alone, *_, most = (one["warm_seconds"] for one in subjects.values())
    times = [most[files] / alone[files] for files in alone]
    here = (
        f"On these {cores} cores the cluster takes {min(times):.1f} to {max(times):.1f} times as "
        "long: it does the same work, and has its own overhead. "
        if min(times) > 1
        else ""
    )
    runs = f"of more than {some}" if some else "larger than any measured"
    return (
        f"{here}By the fit, with {pays_off['frames_per_file']:,} frames per file, a cluster with "
        f"its own cores can be faster than one such machine if it has at least "
        f"{pays_off['from_cores']} cores, in runs {runs}. That matters for backfills: one machine "
        "keeps up with high rates of incoming frames. A few large files are cheaper than many "
        "small ones: set `rotate_seconds` as high as your readers can wait."
    )
