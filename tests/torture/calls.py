"""`kill -9` at each system call of what changes the record: seal, compact, prune, upload, ingest.

An operation is traced once, undisturbed, on a copy of a data directory. Then it is run on another
copy for each call that changes a file or makes one durable, and killed as that call begins; and
run once more to its end. What lies there must be what the undisturbed run left, to the last file.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import duckdb
import pyarrow.parquet as pq

from recorder.bucket.remote import layout_of
from recorder.clock import DAY_NS, NS
from recorder.frame import Frame
from recorder.record.journal import reader
from recorder.record.journal.block import Block
from recorder.record.layout import Layout
from recorder.record.verify import verify
from recorder.schema.tables import TABLES

from .outcome import Outcome, Scale, Talk, by_connection, judge
from .warm import Call, Ended, Warm, warmed
from .written import T0, write_journals

_FEEDS = ("smartmoney", "other")

#: Where an operation makes more calls than this, an even sample is taken of the frequent ones.
_MOST = 400
_RARE = 20  # a call that is made at most this often is always killed at


class _World:
    """A data directory, a bucket beside it, and what was recorded there."""

    def __init__(self, place: Path, talks: list[Talk]) -> None:
        self.data, self.bucket, self.talks = place / "data", place / "bucket", talks
        self.bucket.mkdir(parents=True, exist_ok=True)

    def copy(self, place: Path) -> _World:
        """Copy everything to another place."""
        shutil.copytree(self.data.parent, place, symlinks=True)
        return _World(place, self.talks)


# -- the data directories


def _recorded(world: _World, dice: Random, days: int, *, torn: bool = False) -> None:
    """Write a run's journals; `days` before T0."""
    for number, feed in enumerate(_FEEDS):
        talk = write_journals(
            *(world.data, feed, dice),
            frames=20 if number else 60,
            rotate_bytes=7_000,
            start_ns=T0 - days * DAY_NS,
            number=len(world.talks),
        )
        world.talks.append(talk)
        if torn:
            _tear(max(world.data.glob(f"journal/{feed}/*.journal")))


def _tear(journal: Path) -> None:
    """Append what a crash leaves of a block: sealing cuts it off."""
    *_, last = (item for item in reader.blocks(journal) if isinstance(item, Block))
    with journal.open("ab") as file:
        file.write(journal.read_bytes()[last.start : last.end - 20])


def _journals(world: _World, warm: Warm, dice: Random) -> None:
    del warm
    _recorded(world, dice, 3)
    _recorded(world, dice, 0, torn=True)


def _sealed(world: _World, warm: Warm, dice: Random) -> None:
    _journals(world, warm, dice)
    _done(warm.run(*_seal_command(world)))


def _ingested(world: _World, warm: Warm, dice: Random) -> None:
    """Ingest, and make it two published states: the older one goes with the next."""
    _sealed(world, warm, dice)
    _done(warm.run(*_ingest_command(world)))
    states = world.data / "work" / "published"
    shutil.copytree(states / "00000001", states / "00000000")


def _grown(world: _World, warm: Warm, dice: Random) -> None:
    """Add a sealed run to what was ingested."""
    _ingested(world, warm, dice)
    _recorded(world, dice, -1)
    _done(warm.run(*_seal_command(world)))


def _done(ended: Ended) -> None:
    if ended.code:
        raise RuntimeError(f"a preparation failed: {ended}")


# -- the operations


def _recorder(world: _World, command: str, *arguments: object) -> list[str]:
    return ["recorder", command, "--data-dir", str(world.data), *map(str, arguments)]


def _seal_command(world: _World) -> list[str]:
    return ["recorder.record.seal", str(world.data)]


def _ingest_command(world: _World) -> list[str]:
    return _recorder(world, "ingest")


def _compact_command(world: _World) -> list[str]:
    return _recorder(world, "prune", "--compact")


def _rebuild_command(world: _World) -> list[str]:
    return _recorder(world, "ingest", "--rebuild")


def _prune_command(world: _World) -> list[str]:
    hours = (time.time_ns() - T0 + DAY_NS) // (3600 * NS)
    return _recorder(world, "prune", "--older-than", f"{hours}h", "--raw", "--tables")


def _upload_command(world: _World) -> list[str]:
    return _recorder(world, "upload", "--raw-url", world.bucket.as_uri(), "--keep-hours", 0)


@dataclass(frozen=True)
class _Operation:
    command: Callable[[_World], list[str]]
    prepare: Callable[[_World, Warm, Random], None]
    few: int
    """The kills of the short form."""
    pruned: int = 0
    """How many of the runs it removes."""


_OPERATIONS = {
    "seal": _Operation(_seal_command, _journals, 3),
    "upload": _Operation(_upload_command, _sealed, 3),
    "compact": _Operation(_compact_command, _ingested, 1),
    "prune": _Operation(_prune_command, _ingested, 1, pruned=1),
    "rebuild": _Operation(_rebuild_command, _ingested, 1),
    "publish": _Operation(_ingest_command, _grown, 1),
}


# -- the class


def kill_at_calls(seed: int, scale: Scale) -> Outcome:
    """Each operation killed as each of its changing system calls begins, then run once more."""
    outcome, dice = Outcome(), Random(seed)
    slow = [name for name in _OPERATIONS if name not in {"seal", "upload"}]  # seconds each
    chosen = scale.of(short=("seal", "upload", dice.choice(slow)), full=_OPERATIONS)
    with warmed() as warm, tempfile.TemporaryDirectory() as place:
        trial = _Trial(Path(place), warm, dice, scale, outcome)
        for name in chosen:
            trial.kill(name)
    return outcome


@dataclass
class _Trial:
    place: Path
    warm: Warm
    dice: Random
    scale: Scale
    outcome: Outcome

    def kill(self, name: str) -> None:
        """Kill one operation at each of its calls."""
        operation, place = _OPERATIONS[name], self.place / name
        origin = self._prepared(operation)
        quiet = origin.copy(place / "quiet")
        ended, threads = self.warm.trace(place, *operation.command(quiet))
        _done(ended)
        expected = _state(quiet)
        made = sorted({call for thread in threads.values() for call in thread})
        due = _chosen(made, self.dice, self.scale.of(short=operation.few, full=_MOST))
        killed = sum(self._kill_at(name, call, origin, expected) for call in due)
        self.outcome.figures[f"{name}: calls counted"] = sum(map(len, threads.values()))
        self.outcome.figures[f"{name}: killed at"] = killed

    def _prepared(self, operation: _Operation) -> _World:
        """Return the data directory that an operation begins with; several share one."""
        world = _World(self.place / operation.prepare.__name__, [])
        known = self._worlds.get(operation.prepare)
        if known is None:
            operation.prepare(world, self.warm, self.dice)
        return self._worlds.setdefault(operation.prepare, world)

    _worlds: dict[object, _World] = field(default_factory=dict)

    def _kill_at(self, name: str, call: Call, origin: _World, expected: _State) -> bool:
        """Kill an operation at a call and run it again; False if it ended before the call."""
        operation = _OPERATIONS[name]
        world = origin.copy(self.place / name / "killed")
        killed = self.warm.kill_at(call, *operation.command(world)).code != 0
        if killed:
            again = self.warm.run(*operation.command(world))
            left = world.talks[operation.pruned * len(_FEEDS) :]
            problem = self.outcome.add(judge(left, by_connection(_frames(world))))
            unlike = _unlike(_state(world), expected)
            wrong = [problem, unlike, _unsound(world), _complaint(again)]
            self.outcome.survive("; ".join(f"{name}, {call}: {one}" for one in wrong if one))
        shutil.rmtree(world.data.parent)
        return killed


def _chosen(calls: list[Call], dice: Random, most: int) -> list[Call]:
    """Return the calls to kill at: all of them, or the rare ones and a sample of the others."""
    if len(calls) <= most:
        return calls
    often = Counter(call.name for call in calls)
    rare = [call for call in calls if often[call.name] <= _RARE and most > _RARE]
    others = [call for call in calls if call not in rare]
    return rare + sorted(dice.sample(others, max(0, most - len(rare))))


# -- what is there afterwards


def _complaint(ended: Ended) -> str:
    return "" if ended.code == 0 and "Traceback" not in ended.said else f"then {ended}"


def _parquet(world: _World) -> Iterator[Path]:
    for root in (world.data / "raw", world.bucket):
        yield from sorted(root.rglob("*.parquet"))


def _frames(world: _World) -> list[Frame]:
    found: list[Frame] = []
    for path in _parquet(world):
        columns = pq.ParquetFile(path).read().columns
        found += map(Frame._make, zip(*(c.to_pylist() for c in columns), strict=True))
    return found


_State = dict[str, object]


def _state(world: _World) -> _State:
    """Everything that must not depend on a kill: frames, tables, and the names of all files."""
    digest = hashlib.sha256(repr(sorted(_frames(world))).encode()).hexdigest()
    names = {
        re.sub(r"\d{8}", "*", str(path)) if "published" in path.parts else str(path)
        for path in (p.relative_to(world.data.parent) for p in world.data.parent.rglob("*"))
    }
    return {"the frames": digest, "the files": names, **_tables(world)}


def _tables(world: _World) -> _State:
    path = Layout(world.data).database
    if not path.exists():
        return {}
    with duckdb.connect(str(path), read_only=True) as db:
        rows = {name: db.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in TABLES}
        ledger = "SELECT * EXCLUDE (journal_offset) FROM ledger ORDER BY ALL"
        raw = db.execute("SELECT feed, count(*) FROM raw GROUP BY feed ORDER BY feed")
        return rows | {"ledger": db.execute(ledger).fetchall(), "raw": raw.fetchall()}


def _unlike(found: _State, expected: _State) -> str:
    """Return where a state is not that of an undisturbed run; empty if nowhere."""
    here, there = found["the files"], expected["the files"]
    assert isinstance(here, set) and isinstance(there, set)
    files = [f"+{name}" for name in sorted(here - there)] + [f"-{n}" for n in sorted(there - here)]
    other = [name for name in expected if name != "the files" and found.get(name) != expected[name]]
    parts = [f"files {files[:4]}"] * bool(files) + [f"{', '.join(other)} differ"] * bool(other)
    return "; ".join(parts)


def _unsound(world: _World) -> str:
    uploaded = any(world.bucket.iterdir())
    layout = layout_of(world.data, world.bucket.as_uri() if uploaded else None)
    report = verify(layout)
    shutil.rmtree(world.data / "work" / "cache", ignore_errors=True)
    return "" if report.verdict == "whole" else f"verify: {report.verdict}, {report.findings[:2]}"
