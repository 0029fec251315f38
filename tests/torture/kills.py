"""`kill -9` at random points: of capture, of sealing, of ingest."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import duckdb
from kit.captures import capturing, eventually, journals, litter, rows

from recorder.record.layout import Layout
from recorder.record.verify import verify
from recorder.schema.tables import TABLES

from .outcome import Outcome, Scale, by_connection, judge
from .source import Source
from .written import whale, write_journals

_FEED = "mine"


def kill_capture(seed: int, scale: Scale) -> Outcome:
    """Capture killed while it starts, records, rotates and ends, and started again on the rest."""
    outcome, dice = Outcome(), Random(seed)
    rounds = scale.of(short=1, full=11)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as place:
            kills = scale.of(short=2, full=8)
            asyncio.run(_capture_round(Path(place) / "data", dice, kills, outcome))
    return outcome


async def _capture_round(data: Path, dice: Random, kills: int, outcome: Outcome) -> None:
    async with Source(dice.randrange(1 << 30)).serving() as source:
        feeds = {_FEED: {"url": source.url}}
        for _ in range(kills):
            async with capturing(data, feeds, rotate_mb=0.1) as child:
                if dice.random() < 0.3:  # anywhere, also before there is a connection
                    await asyncio.sleep(dice.random() * 1.2)
                else:
                    before = len(source.talks)
                    await eventually(lambda: len(source.talks) > before)  # noqa: B023
                    await asyncio.sleep(dice.random() * 0.6)
                if dice.random() < 0.2:
                    child.signal(signal.SIGTERM)  # while it ends
                    await asyncio.sleep(dice.random() * 0.3)
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    await child.killed()
            await _all_gone(source)
        async with capturing(data, feeds, rotate_mb=0.1) as child:
            await eventually(lambda: source.live)
            await source.settle()
            code = await child.stopped()
    problem = outcome.add(judge(source.talks, by_connection(rows(data, _FEED))))
    for _ in range(kills):
        outcome.survive(problem, clean(data, code, child.said))


async def _all_gone(source: Source) -> None:
    await eventually(lambda: not source.live)


def clean(data: Path, code: int, said: str) -> str:
    """What is wrong with a data directory after a clean end; empty if nothing is."""
    findings = [f.what for f in verify(Layout(data)).findings if f.wrong]
    left = [path.name for path in (*journals(data), *litter(data))]
    if code == 0 and not findings and not left and "Traceback" not in said:
        return ""
    return f"exit code {code}, findings {findings[:3]}, left over {left[:3]}, said {said[-300:]}"


def kill_seal(seed: int, scale: Scale) -> Outcome:
    """The sealing process killed within the moments in which it works."""
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=7)):
        kills, frames = scale.of(short=(2, 15_000), full=(10, 60_000))
        with tempfile.TemporaryDirectory() as place:
            data = Path(place) / "data"
            talk = write_journals(data, _FEED, dice, frames=frames, rotate_bytes=400_000)
            landed = sum(_kill_one_seal(data, dice) for _ in range(kills))
            done = _seal(data)
            code, said = done.wait(), done.communicate()[1]
            problem = outcome.add(judge([talk], by_connection(rows(data, _FEED))))
            for _ in range(landed):
                outcome.survive(problem, clean(data, code, said))
    return outcome


def _seal(data: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "recorder.record.seal", str(data)], stderr=subprocess.PIPE, text=True
    )


def _kill_one_seal(data: Path, dice: Random) -> bool:
    """Kill a sealing process some milliseconds after it began its next file."""
    before = len(list(data.rglob("*.parquet")))
    skip = dice.randrange(3)
    process = _seal(data)
    while process.poll() is None and len(list(data.rglob("*.parquet"))) < before + skip:
        time.sleep(0.001)
    while process.poll() is None and skip == 0 and not litter(data):
        time.sleep(0.001)
    time.sleep(dice.random() * 0.05)
    running = process.poll() is None
    process.kill()
    process.communicate()
    return running


def kill_ingest(seed: int, scale: Scale) -> Outcome:
    """`recorder ingest` killed at random points: then, row for row, what one quiet run makes."""
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=10)):
        kills, frames = scale.of(short=(1, 2_000), full=(10, 20_000))
        with tempfile.TemporaryDirectory() as place:
            data = Path(place) / "data"
            talk = write_journals(data, "smartmoney", dice, frames=frames, rotate_bytes=5 * frames)
            sealing = _seal(data)
            for number in range(kills):
                if number == kills // 2:
                    sealing.communicate()  # the first kills meet files that are being sealed
                _kill_one_ingest(data, dice)
            code, said = _ingest(data).wait(), ""
            problem = outcome.add(judge([talk], [_ingested(data)])) or _unlike_quiet(data)
            for _ in range(kills):
                outcome.survive(problem, clean(data, code, said))
    return outcome


def _ingest(data: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "recorder", "ingest", "--data-dir", str(data), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=data,
        text=True,
    )


def _kill_one_ingest(data: Path, dice: Random) -> None:
    process = _ingest(data, *(["--follow"] if dice.random() < 0.5 else []))
    lock = data / "work" / ".lock"
    while process.poll() is None:
        if lock.exists() and lock.read_text() == f"{process.pid}\n":
            break
        time.sleep(0.005)
    time.sleep(dice.random() * 0.9)
    process.kill()
    process.wait()


def _unlike_quiet(data: Path) -> str:
    """In which tables a killed ingest's rows are not those of one undisturbed run; or nothing."""
    with tempfile.TemporaryDirectory() as place:
        quiet = Path(place) / "data"
        shutil.copytree(data / "raw", quiet / "raw")
        _ingest(quiet).wait()
        killed, undisturbed = _rows(data), _rows(quiet)
    unlike = [name for name, rows in undisturbed.items() if rows != killed[name]]
    return f"other rows than one undisturbed run: {', '.join(unlike)}" if unlike else ""


def _rows(data: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, sorted; the ledger without how its rows came to be."""
    with duckdb.connect(str(Layout(data).database), read_only=True) as database:
        found = {name: database.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in TABLES}
        ledger = database.execute("SELECT * EXCLUDE (journal_offset) FROM ledger ORDER BY ALL")
        return found | {"ledger": ledger.fetchall()}


def _ingested(data: Path) -> list[tuple[str, bytes]]:
    """The events of the published tables, written again as the frames that they came from."""
    with duckdb.connect(str(Layout(data).database), read_only=True) as database:
        found = database.execute("SELECT wallet, notional_usd, tx FROM whales ORDER BY seq")
        return [("text", whale(*row)) for row in found.fetchall()]
