"""The name of a segment: a stem, `<UTC time of the first frame>-<run>-<number>`.

A run is one feed in one capture. Stems sort by time, name the day, and cannot collide between runs
or hosts. A journal and the sealed file made of it share their stem.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from recorder.clock import NS

#: Digits of a segment's number at least; there is no largest number.
_DIGITS = 6

_STEM = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z-[0-9A-Z]{26}-([0-9]{6,18})"
)
_RUN = re.compile(r"[0-9A-Z]{26}")


def stem(first_recv_ns: int, run: str, number: int) -> str:
    """Return the stem of a segment whose first frame was received at `first_recv_ns`."""
    time = datetime.fromtimestamp(first_recv_ns // NS, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{time}-{run}-{number:0{_DIGITS}d}"


def is_stem(name: str) -> bool:
    """Return True for a name that `stem` can return; its time has to exist."""
    match = _STEM.fullmatch(name)
    if match is None or (len(match[7]) > _DIGITS and match[7].startswith("0")):
        return False
    try:
        datetime(*map(int, match.groups()[:6]))  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def is_run(name: str) -> bool:
    """Return True for the name of a run."""
    return _RUN.fullmatch(name) is not None


def order(name: str) -> str:
    """Return a key that sorts stems in the order of writing, even if the clock was set back.

    The numbers are padded: beyond 999,999 they have more digits than those before.
    """
    return f"{name[16:44]}{name[44:]:0>18}"


def number_of(name: str) -> int:
    """Return the number of a segment within its run, from 1."""
    return int(name[44:])


def run_of(name: str) -> str:
    """Return the run that wrote a segment."""
    return name[17:43]


def began_ns(name: str) -> int:
    """Return when a segment's first frame was received: ns UTC, rounded down to a second."""
    time = datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(time.timestamp()) * NS


def day_of(name: str) -> str:
    """Return the UTC day, `YYYY-MM-DD`, of a segment's frames."""
    return f"{name[:4]}-{name[4:6]}-{name[6:8]}"


def sealed_name(feed: str, name: str) -> str:
    """Return where a segment's sealed file is below `raw/` or a bucket's URL."""
    return f"feed={feed}/date={day_of(name)}/{name}.parquet"
