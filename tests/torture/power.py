"""A power cut: ext4 on a loop device is shut down under the recorder, without flushing its log.

What a file system had not made durable by then is gone, as after a real power cut. Each sync of
the recorder is noted outside that file system; what one of them covered must be there afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from kit.captures import capturing, eventually, rows

from recorder.frame import BINARY, TEXT
from recorder.record.journal.block import Block, records, scan, seed
from recorder.record.layout import Layout

from .kills import clean
from .outcome import CannotRunHereError, Outcome, Scale, Talk, by_connection, judge
from .source import Source

_FEED = "mine"
_FSYNC_MS = 100
_RECEIVED = {TEXT, BINARY}
_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN, _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2
INSIDE = str(Path(__file__).parent / "inside")


def power_cut(seed: int, scale: Scale) -> Outcome:
    """The file system shut down while capture records and seals; then it is mounted again."""
    check_power("ext4")
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=5)):
        with tempfile.TemporaryDirectory() as place:
            disk = Disk(Path(place))
            for number in range(scale.of(short=1, full=8)):
                asyncio.run(_cut_once(disk, f"data{number}", dice, outcome))
    return outcome


def check_power(kind: str) -> None:
    """Raise a CannotRunHereError unless the power of a file system of this kind can be cut here."""
    tools = shutil.which(f"mkfs.{kind}") and Path("/dev/loop-control").exists()
    if os.geteuid() != 0 or not tools:
        raise CannotRunHereError(f"a power cut needs root, mkfs.{kind} and a loop device")
    known = Path("/proc/filesystems").read_text("ascii").split()
    if kind not in known and subprocess.run(["modprobe", kind], check=False).returncode:
        raise CannotRunHereError(f"this kernel has no {kind}")


class Disk:
    """A file system of some kind in a file, mounted at `at`."""

    def __init__(self, place: Path, kind: str = "ext4") -> None:
        self.image, self.at = place / "image", place / "mounted"
        self.at.mkdir()
        with self.image.open("wb") as file:
            file.truncate(320 << 20)
        _call(f"mkfs.{kind}", "-q", self.image)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        done = subprocess.run(
            ["mount", "-o", "loop", self.image, self.at], check=False, capture_output=True
        )
        if done.returncode:
            raise CannotRunHereError(f"cannot mount a loop device: {done.stderr.decode().strip()}")
        try:
            yield
        finally:
            self._unmount()

    def cut(self) -> float:
        """Let the power go; when it was (monotonic)."""
        fd = os.open(self.at, os.O_RDONLY)
        try:
            at = time.monotonic()
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(fd)
        return at

    def _unmount(self) -> None:
        for _ in range(200):  # a sealing child may still be about to find out
            if (
                subprocess.run(["umount", self.at], check=False, capture_output=True).returncode
                == 0
            ):
                return
            time.sleep(0.05)
        _call("umount", "--lazy", self.at)


def _call(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


async def _cut_once(disk: Disk, name: str, dice: Random, outcome: Outcome) -> None:
    data, notes = disk.at / name, disk.image.with_name(f"{name}.syncs")
    env = {"PYTHONPATH": INSIDE, "TORTURE_SYNCS": str(notes)}
    with disk.mounted():
        async with Source(dice.randrange(1 << 30)).serving() as source:
            feeds = {_FEED: {"url": source.url}}
            settings = {"rotate_mb": 0.3, "fsync_ms": _FSYNC_MS}
            config = disk.image.with_name(name)  # the settings lie beside it, not on that disk
            async with capturing(config, feeds, "--data-dir", str(data), env=env, **settings) as c:
                await eventually(lambda: source.talks and source.talks[0].sent)
                await asyncio.sleep(0.1 + dice.random() * 1.5)
                at = disk.cut()
                await c.killed()
                kill_sealing(data)
    with disk.mounted():
        synced = _synced(data, notes, at)
        seal = [sys.executable, "-m", "recorder.record.seal", str(data)]
        done = await asyncio.to_thread(_run, seal)
        recorded = by_connection(rows(data, _FEED))
        problem = _compare(source.talks, recorded, synced, at, outcome)
        outcome.survive(problem, clean(data, done.returncode, done.stderr))
        shutil.rmtree(data)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True)


def kill_sealing(data: Path) -> None:
    """No process survives a power cut, and the child that seals outlives its parent."""
    for pid in sealing(data):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def sealing(data: Path) -> list[int]:
    """The processes that seal this data directory."""
    wanted, found = f"\0-m\0recorder.record.seal\0{data}\0".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


def _compare(
    talks: list[Talk],
    recorded: list[list[tuple[str, bytes]]],
    synced: _Synced,
    cut_at: float,
    outcome: Outcome,
) -> str:
    """What is wrong: synced frames that are missing, a hole, or a window wider than promised."""
    (talk,) = talks
    talk.acknowledged = 0  # received is not yet durable: `synced` says what is
    tally = judge(talks, recorded)
    missing = max(synced.missing, synced.frames - tally.recovered)
    tally.acknowledged, tally.lost = synced.frames, tally.lost + missing
    problem = outcome.add(tally)
    outcome.worst("slowest sync, ms", 1000 * synced.slowest)
    if tally.recovered < len(talk.times):
        # From when the oldest lost frame was sent: it was received a little later.
        window = cut_at - talk.times[tally.recovered]
        outcome.worst("worst un-synced window, ms", 1000 * window)
        # A frame that just missed a sync waits for its end, for the next one's turn, and for it.
        allowed = _FSYNC_MS / 1000 + 2 * synced.slowest + 0.1
        if window > allowed:
            problem += f" frames of {1000 * window:.0f} ms before the cut are gone"
    return problem


@dataclass
class _Synced:
    """What the syncs before the cut promise."""

    frames: int = 0  # in synced parts of journals, or sealed
    missing: int = 0  # parts of those that are not there
    slowest: float = 0.0  # seconds; the one that the cut fell into counts up to the cut


def _synced(data: Path, notes: Path, cut_at: float) -> _Synced:
    """Look, before anything repairs it, for what was synced."""
    layout, found = Layout(data), _Synced()
    sizes: dict[str, int] = {}
    under_way: dict[str, float] = {}
    new: dict[str, float] = {}  # journals whose directory entry is not yet durable
    for line in notes.read_text().splitlines():
        path, size, start, end = json.loads(line)
        if end is None or end >= cut_at:  # if it returned, then to a machine without power
            under_way[path] = start
            continue
        under_way.pop(path, None)
        if path.endswith(".journal"):
            found.slowest = max(found.slowest, end - start)
            new.setdefault(path, start)
            sizes[path] = size
        for journal, since in list(new.items()):
            if path == str(Path(journal).parent) and start > since:
                new[journal] = float("inf")
    for path, start in under_way.items():
        if path.endswith(".journal"):
            found.slowest = max(found.slowest, cut_at - start)
    for path, size in sizes.items():
        stem = Path(path).stem
        if new[path] == float("inf") and not layout.parquet(_FEED, stem).exists():
            _count(Path(path), size, found)
    found.frames += sum(map(len, by_connection(rows(data, _FEED))))
    return found


def _count(journal: Path, size: int, found: _Synced) -> None:
    position = 0
    for block in scan(journal.read_bytes() if journal.exists() else b"", seed(journal.stem)):
        if not isinstance(block, Block) or block.end > size:
            break
        found.frames += sum(kind in _RECEIVED for kind, _ in records(block))
        position = block.end
    found.missing += position < size
