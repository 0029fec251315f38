"""A disk that refuses: full, failing to sync, writing short, or too slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from random import Random

from kit.captures import capturing, eventually, rows

from recorder.frame import Frame

from .kills import clean
from .outcome import CannotRunHereError, Outcome, Scale, by_connection, judge
from .power import INSIDE
from .source import Source

_FEED = "mine"
_REFUSED = "recording into memory"
_TAKEN = "the disk takes frames again"
_PATIENCE = 60.0


@contextlib.contextmanager
def small_disk(megabytes: int, inodes: int = 0) -> Iterator[Path]:
    """A file system in memory that is soon full; it holds any number of files, or `inodes`."""
    with tempfile.TemporaryDirectory() as place:
        size = f"size={megabytes}m,nr_inodes={inodes}"
        mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", place]
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            raise CannotRunHereError("a small tmpfs needs root and the right to mount")
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "--lazy", place], check=True)


def full_disk(seed: int, scale: Scale) -> Outcome:
    """ENOSPC: recording goes on into memory, and onto the disk when space returns."""
    return _full(seed, scale.of(short=1, full=10), buffer_mb=64)


def overflow(seed: int, scale: Scale) -> Outcome:
    """ENOSPC until the buffer is full too: a gap marker counts what is missing."""
    return _full(seed, scale.of(short=1, full=10), buffer_mb=0.1)


def _full(seed: int, tries: int, buffer_mb: float) -> Outcome:
    outcome, dice = Outcome(), Random(seed)
    for _ in range(tries):
        with small_disk(24) as disk, tempfile.TemporaryDirectory() as place:
            asyncio.run(_fill(disk, Path(place) / "config", dice, buffer_mb, outcome))
    return outcome


async def _fill(disk: Path, config: Path, dice: Random, buffer_mb: float, outcome: Outcome) -> None:
    ballast, data = disk / "ballast", disk / "data"
    ballast.write_bytes(bytes((24 << 20) - dice.randrange(800_000, 2_000_000)))
    source = Source(dice.randrange(1 << 30), batch=400, size=500)
    async with source.serving():
        feeds = {_FEED: {"url": source.url}}
        settings = {"buffer_mb": buffer_mb, "rotate_mb": dice.choice((0.2, 64))}
        async with capturing(config, feeds, "--data-dir", str(data), **settings) as child:
            await eventually(lambda: _REFUSED in child.said, _PATIENCE)
            source.pause = 0.05  # what piles up must fit, once there is space
            await asyncio.sleep(0.3 + dice.random())
            ballast.unlink()
            await eventually(lambda: _TAKEN in child.said, _PATIENCE)
            await source.settle(_PATIENCE)
            code = await child.stopped()
    _judge_full(data, source, code, child.said, outcome)


def no_inodes(seed: int, scale: Scale) -> Outcome:
    """No file can be made, while a journal is full: recording goes on, and nothing is lost."""
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=10)):
        buffer_mb = scale.of(short=64, full=dice.choice((64, 0.1)))
        with small_disk(64, 200) as disk, tempfile.TemporaryDirectory() as place:
            asyncio.run(_use_up(disk, Path(place) / "config", dice, buffer_mb, outcome))
    return outcome


async def _use_up(
    disk: Path, config: Path, dice: Random, buffer_mb: float, outcome: Outcome
) -> None:
    ballast, data = disk / "ballast", disk / "data"
    ballast.mkdir()
    source = Source(dice.randrange(1 << 30), batch=40)
    async with source.serving():
        feeds = {_FEED: {"url": source.url}}
        settings = {"buffer_mb": buffer_mb, "rotate_mb": dice.choice((0.1, 0.3))}
        async with capturing(config, feeds, "--data-dir", str(data), **settings) as child:
            await eventually(lambda: source.talks and source.talks[0].sent)
            await asyncio.sleep(dice.random() * 0.5)
            await eventually(lambda: _filled(ballast) and _REFUSED in child.said, _PATIENCE)
            source.pause = 0.05
            await asyncio.sleep(0.3 + dice.random())
            for file in ballast.iterdir():
                file.unlink()
            await eventually(lambda: _TAKEN in child.said, _PATIENCE)
            await source.settle(_PATIENCE)
            code = await child.stopped()
    _judge_full(data, source, code, child.said, outcome)


def _filled(ballast: Path) -> bool:
    """Make files until none can be made: sealing sets some free now and then."""
    with contextlib.suppress(OSError):
        for number in range(sum(1 for _ in ballast.iterdir()), 1_000):
            (ballast / f"{number}").touch()
    return True


def _judge_full(data: Path, source: Source, code: int, said: str, outcome: Outcome) -> None:
    """Every frame is there, or is counted by a gap marker at its place."""
    found = rows(data, _FEED)
    declared = sum(json.loads(f.payload)["frames"] for f in found if f.kind == "gap")
    tally = judge(source.talks, by_connection(found))
    # A marker counts the recorder's own markers as well; `holes` compares number by number.
    unsaid = tally.lost = max(0, tally.lost - declared)
    outcome.figures["frames counted by gap markers"] = declared + outcome.figures.get(
        "frames counted by gap markers", 0
    )
    outcome.add(tally)
    problem = f"{unsaid} frames are missing and not counted" if unsaid else ""
    told = sum(int(count) for count in re.findall(r"(\d+) frames were lost", said))
    silent = "" if told == declared and _TAKEN in said else f"stderr says {told}, not {declared}"
    # A capture that lost frames says so with its exit code, too.
    outcome.survive(
        problem, silent, holes(found), clean(data, code if not declared else code - 1, said)
    )


def holes(found: list[Frame]) -> str:
    """Numbers that are missing without a gap marker at the place; empty if none are."""
    before: dict[str, int] = {}
    for frame in sorted(found, key=lambda f: (f.connection, f.seq)):
        missing = frame.seq - before.get(frame.connection, -1) - 1
        if missing and frame.kind != "gap":
            return f"{missing} frames missing before {frame.seq}, unsaid"
        if frame.kind == "gap" and json.loads(frame.payload)["frames"] != missing:
            return f"a gap marker counts wrongly: {missing} are missing"
        before[frame.connection] = frame.seq
    return ""


def failing_sync(seed: int, scale: Scale) -> Outcome:
    """EIO from `fdatasync`: what was in doubt is written again elsewhere, and sealed once."""
    if not shutil.which("strace"):
        raise CannotRunHereError("EIO on fdatasync needs strace")
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=20)):
        with tempfile.TemporaryDirectory() as place:
            asyncio.run(_fail_syncs(Path(place) / "data", dice, outcome))
    return outcome


async def _fail_syncs(data: Path, dice: Random, outcome: Outcome) -> None:
    source = Source(dice.randrange(1 << 30))
    async with source.serving():
        feeds = {_FEED: {"url": source.url}}
        async with capturing(data, feeds, rotate_mb=0.2, fsync_ms=20) as child:
            await eventually(lambda: source.talks and source.talks[0].sent)
            which = dice.choice([f"{dice.randrange(1, 8)}", f"1+{dice.randrange(2, 9)}", "1..3"])
            fault = f"fdatasync:error=EIO:when={which}"
            async with _injecting(child.pid, fault, lambda: _REFUSED in child.said):
                await asyncio.sleep(dice.random() * 0.5)
            await eventually(lambda: _TAKEN in child.said, _PATIENCE)
            await source.settle(_PATIENCE)
            code = await child.stopped()
    problem = outcome.add(judge(source.talks, by_connection(rows(data, _FEED))))
    outcome.survive(problem, clean(data, code, child.said))


@contextlib.asynccontextmanager
async def _injecting(pid: int, fault: str, seen: Callable[[], bool]) -> AsyncIterator[None]:
    """Let a system call of a process fail, from when that is seen to the end of the block.

    strace that attaches while the process makes a child may leave all three standing: it is
    killed, which sets the others free, and tried once more.
    """
    for patience in (15.0, 15.0, _PATIENCE):
        strace = await asyncio.create_subprocess_exec(
            *("strace", "-f", "-q", "-p", str(pid), "-e", "trace=fdatasync"),
            *("-e", f"inject={fault}"),
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await eventually(seen, patience)
            yield
        except TimeoutError:
            if patience == _PATIENCE:
                raise
        else:
            return
        finally:
            strace.kill()
            await strace.wait()


def short_write(seed: int, scale: Scale) -> Outcome:
    """A file may grow to a limit only: `write` comes back short, then fails; later it may again."""
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=20)):
        with tempfile.TemporaryDirectory() as place:
            asyncio.run(_write_short(Path(place) / "data", dice, outcome))
    return outcome


async def _write_short(data: Path, dice: Random, outcome: Outcome) -> None:
    source = Source(dice.randrange(1 << 30))
    async with source.serving():
        feeds = {_FEED: {"url": source.url}}
        async with capturing(data, feeds, rotate_mb=1) as child:
            await eventually(lambda: source.talks and len(source.talks[0].sent) > 100)
            limit = dice.randrange(2_000, 100_000)
            hard = resource.RLIM_INFINITY
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (limit, hard))
            await eventually(lambda: _REFUSED in child.said, _PATIENCE)
            await asyncio.sleep(dice.random() * 0.5)
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (hard, hard))
            await eventually(lambda: _TAKEN in child.said, _PATIENCE)
            await source.settle(_PATIENCE)
            code = await child.stopped()
    problem = outcome.add(judge(source.talks, by_connection(rows(data, _FEED))))
    outcome.survive(problem, clean(data, code, child.said))


def slow_disk(seed: int, scale: Scale) -> Outcome:
    """A server that floods a disk of 2 MB/s: it is slowed down, nothing is dropped or piled up."""
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=3)):
        with tempfile.TemporaryDirectory() as place:
            seconds = scale.of(short=1.5, full=10)
            asyncio.run(_flood(Path(place) / "data", dice, seconds, outcome))
    return outcome


async def _flood(data: Path, dice: Random, seconds: float, outcome: Outcome) -> None:
    source = Source(dice.randrange(1 << 30), batch=5_000, pause=0, size=2_000)
    env = {"PYTHONPATH": INSIDE, "TORTURE_SLOW_MB": "2"}
    async with source.serving():
        feeds = {_FEED: {"url": source.url}}
        async with capturing(data, feeds, env=env, rotate_mb=4) as child:
            await eventually(lambda: source.talks and source.talks[0].sent)
            await asyncio.sleep(seconds)
            await source.settle(60)
            peak = peak_mb(child.pid)
            code = await child.stopped()
    problem = outcome.add(judge(source.talks, by_connection(rows(data, _FEED))))
    outcome.worst("peak memory of capture, MB", peak)
    fat = "" if peak < 150 else f"{peak:.0f} MB of memory"
    outcome.survive(problem, fat, clean(data, code, child.said))


def peak_mb(pid: int) -> float:
    """The most memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3
