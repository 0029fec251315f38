"""A description of the machine of a measurement, without its name or owner."""

import os
import platform
from importlib import metadata
from pathlib import Path

from recorder.version import __version__

LIBRARIES = ("websockets", "pyarrow", "duckdb", "msgspec", "uvloop")


def describe(directory: Path) -> dict[str, object]:
    """Return processor, memory, kernel, Python, libraries, and the file system of `directory`."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(directory),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {
            "recorder": __version__,
            **{name: version for name in LIBRARIES if (version := _version(name))},
        },
        "load_before": round(os.getloadavg()[0], 2),
    }


def shares(before: list[float], after: list[float]) -> dict[str, float]:
    """Return the shares of the cores' time that others used between two `cpu_times()`.

    `stolen_share` is that of other machines, `others_share` that of other processes and the kernel.
    """
    *states, ours = (late - early for early, late in zip(before, after, strict=True))
    total = sum(states)
    idle, iowait, steal = states[3], states[4], states[7]
    others = total - idle - iowait - steal - ours
    return {
        "stolen_share": round(steal / total, 4),
        "others_share": round(max(0.0, others) / total, 4),
    }


def cpu_times() -> list[float]:
    """Return the machine's CPU seconds by state (`man proc_stat`), then those of this process."""
    states = Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
    ticks = os.sysconf("SC_CLK_TCK")
    return [*(int(state) / ticks for state in states), sum(os.times()[:4])]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(directory: Path) -> str:
    """Return the type of the longest mount point above `directory`."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    above = [mount for mount in mounts if directory.resolve().is_relative_to(mount[1])]
    return max(above, key=lambda mount: len(mount[1]))[2]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
