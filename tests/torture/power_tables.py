"""A power cut while tables are made of what capture writes: ingest may know more than the disk.

Ingest commits, durably, rows of frames that capture has written and not yet synced. When the power
goes, those frames are gone and their rows are not. Then rows and raw have to agree again, with a
warning.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from random import Random

import duckdb
from kit.captures import capturing, eventually, rows
from kit.records import stamped
from kit.servers import Message

from recorder.record.layout import Layout
from recorder.schema.tables import TABLES
from recorder.tables import private
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

from .kills import clean
from .lines import trade
from .outcome import CannotRunHereError, Outcome, Scale, Talk, by_connection, judge
from .power import Disk, check_power, kill_sealing
from .source import Source

FEED = "binance"
_KINDS = ("ext4", "xfs")
#: Longer than the pause between two looks of ingest, so that each cut takes frames that have rows.
_FSYNC_MS = 2000
_PATIENCE = 120.0


def power_cut_of_tables(seed: int, scale: Scale) -> Outcome:
    """The power cut under capture and `ingest --follow`, on ext4 and XFS: rows and raw agree."""
    outcome, dice = Outcome(), Random(seed)
    check_power(_KINDS[0])
    for kind in scale.of(short=_KINDS[:1], full=_KINDS):
        try:
            check_power(kind)
        except CannotRunHereError as reason:
            outcome.notes.append(f"left out: {reason}")
            continue
        with tempfile.TemporaryDirectory() as place:
            disk = Disk(Path(place), kind)
            for number in range(scale.of(short=1, full=20)):
                pause = dice.random() * scale.of(short=0.1, full=2)
                asyncio.run(_cut_once(disk, f"data{number}", dice, pause, outcome))
        _count(outcome, f"cuts on {kind}", scale.of(short=1, full=20))
    return outcome


def trades_feed(source: Source) -> dict[str, object]:
    """The settings of a feed that records a source of trades."""
    return {"kind": FEED, "url": source.url, "channels": ["btcusdt@aggTrade"]}


class Trades(Source):
    """Sends trades, each of which becomes rows."""

    def _next(self, talk: Talk) -> Message:
        return "text", trade(1_000_000 * talk.number + len(talk.sent)).encode()


async def _cut_once(disk: Disk, name: str, dice: Random, pause: float, outcome: Outcome) -> None:
    data, config = disk.at / name, disk.image.with_name(name)
    source = Trades(dice.randrange(1 << 30), batch=5, pause=0.02)
    with disk.mounted():
        async with source.serving():
            feeds = {FEED: trades_feed(source)}
            settings = {"rotate_mb": dice.choice((0.02, 0.2)), "fsync_ms": _FSYNC_MS}
            where = ("--data-dir", str(data))
            async with capturing(config, feeds, *where, **settings) as capture:
                await eventually(lambda: source.talks and source.talks[0].sent, _PATIENCE)
                ingest = await _recorder("ingest", "--follow", *where)
                await eventually((data / "recorder.duckdb").exists, _PATIENCE)
                await asyncio.sleep(pause)
                await _commit(data)
                await asyncio.sleep(dice.random() * 0.1)
                disk.cut()
                ingest.kill()
                await capture.killed()
                await ingest.communicate()
                kill_sealing(data)
    with disk.mounted():
        known = _ledger(data)
        seal = await _module("recorder.record.seal", str(data))
        sealed = (await seal.communicate())[1].decode()
        again = await _recorder("ingest", *where)
        said = (await again.communicate())[1].decode()
        problem = outcome.add(judge(_unacknowledged(source), by_connection(rows(data, FEED))))
        ahead = _ahead(data, known)
        _count(outcome, "cuts that took frames with rows", bool(ahead))
        _count(outcome, "frames that had rows and were gone", sum(ahead.values()))
        outcome.survive(
            problem,
            _unwarned(ahead, said),
            f"ingest: {said[-400:]}" if again.returncode or "Traceback" in said else "",
            unlike_raw(data),
            clean(data, seal.returncode or 0, sealed),
        )
        shutil.rmtree(data)


async def _commit(data: Path) -> None:
    """Wait until ingest has committed: just then the tables may know more than the disk."""
    log = data / "work" / "ingest.duckdb.wal"

    def size() -> int:
        return log.stat().st_size if log.exists() else 0

    before = size()
    await eventually(lambda: size() not in {0, before}, _PATIENCE)


def _unacknowledged(source: Source) -> list[Talk]:
    for talk in source.talks:
        talk.acknowledged = 0  # received is not yet durable
    return source.talks


async def _module(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
    )


async def _recorder(*arguments: str) -> asyncio.subprocess.Process:
    return await _module("recorder", *arguments)


def _count(outcome: Outcome, name: str, number: int) -> None:
    outcome.figures[name] = outcome.figures.get(name, 0) + number


def _ledger(data: Path) -> Mapping[str, int]:
    """How many frames of each segment the tables knew when the power went."""
    with tempfile.TemporaryDirectory() as place:
        copy = Layout(Path(place))
        copy.work.mkdir()
        for path in (data / "work").glob("ingest.duckdb*"):
            shutil.copy(path, copy.work)
        with duckdb.connect(str(private.database(copy))) as db:
            return dict(db.execute("SELECT segment, rows FROM ledger").fetchall())


def _ahead(data: Path, known: Mapping[str, int]) -> dict[str, int]:
    """How many frames of each segment the tables knew that raw does not hold."""
    layout = Layout(data)
    held = {stem: layout.parquet(FEED, stem) for stem in layout.sealed(FEED)}
    with duckdb.connect() as db:
        there = {
            stem: db.execute(f"SELECT count(*) FROM read_parquet('{path}')").fetchall()[0][0]
            for stem, path in held.items()
        }
    return {stem: n - there.get(stem, 0) for stem, n in known.items() if n > there.get(stem, 0)}


def _unwarned(ahead: Mapping[str, int], said: str) -> str:
    told = [int(count) for count in re.findall(r"lost ingested frames, (\d+) in all", said)]
    lost = sum(ahead.values())
    return "" if sum(told) == lost else f"{lost} frames had rows and are gone; it says {told}"


def unlike_raw(data: Path) -> str:
    """In which tables the rows are not those that raw alone gives; empty if in none."""
    with tempfile.TemporaryDirectory() as place:
        quiet = Layout(Path(place))
        shutil.copytree(data / "raw", quiet.raw)
        with closing(
            Ingest(quiet, lambda feed: Rules(feed, 100_000.0, stamped=stamped(feed)))
        ) as work:
            work.run()
        expected = _rows(private.database(quiet))
    found = _rows(Layout(data).database)
    unlike = [name for name in expected if expected[name] != found[name]]
    differ = {
        name: [
            row
            for row in (*found[name], *expected[name])
            if (row in found[name]) != (row in expected[name])
        ][:2]
        for name in unlike
    }
    return f"rows that only the tables or only raw gives: {differ}" if unlike else ""


def _rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(path), read_only=True) as db:
        found = {name: db.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in TABLES}
        ledger = db.execute("SELECT segment, rows, sealed FROM ledger ORDER BY ALL").fetchall()
        return found | {"ledger": ledger}
