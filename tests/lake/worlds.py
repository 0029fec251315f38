"""Records for a lake's tests: every feed's frames, on one line or two, in many sealed files.

And how a lake is compared with what one machine makes of the same files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
from ingest.test_mutated_frames import GOLDEN
from kit.frames import MS, frames_of, marker, table
from kit.records import Published, coding, stamped

from recorder.clock import NS, ulid
from recorder.coding import encoded
from recorder.frame import Frame
from recorder.lake import delta
from recorder.lake.place import Place
from recorder.lake.run import Done, Engine
from recorder.record import seal
from recorder.record.layout import Layout, stem
from recorder.schema import duck
from recorder.schema.state import LEDGER
from recorder.schema.tables import TABLES
from recorder.tables.rules import Rules

KINDS = sorted(GOLDEN)

#: Rows by table.
Tables = dict[str, list[Any]]

#: 2026-09-21 23:59:50 UTC: rows fall on two days.
DUSK = 1_790_035_190 * NS

_SYMBOLS = ("BTCUSDT", "BTC-USDT-SWAP", "BTC-USD-SWAP", "XBTUSD", "XBTUSDT", "BTC-PERPETUAL")


def record(root: Path, kinds: Iterable[str] = KINDS, files: int = 3, **how: Any) -> Published:
    """A data directory with so many sealed files of each of these feeds, see `frames`."""
    made = Published(root)
    for kind in kinds:
        cut(made, kind, frames(kind, **how), files)
    return made


def frames(
    kind: str, lines: str = "A", captures: int = 2, start: int = DUSK, reason: str = "closed 1006"
) -> list[Frame]:
    """A feed's life: some captures, each with a connection per line, and lists of instruments.

    Lines bring the same messages, now and then one of them alone, in no steady order.
    """
    random = Random(f"{kind} {lines}")
    found: list[Frame] = []
    now = start
    for capture in range(captures):
        told = {"group": "all", "url": "wss://example.org/ws"}
        lives = {line: ulid(now, random.randbytes(10)) for line in lines}
        seqs = dict.fromkeys(lines, 0)
        found.append(_listed(now - MS, ulid(now, random.randbytes(10)), capture))

        def put(line: str, kind: str, at: int, **said: object) -> None:
            found.append(marker(seqs[line], kind, at, lives[line], line=line, **said))  # noqa: B023
            seqs[line] += 1  # noqa: B023

        for line in lines:
            put(line, "open", now + random.randrange(9) * MS, **told)
        for number in range(45):
            now += random.choice([40, 150, 400]) * MS
            payload = random.choice(GOLDEN[kind])
            some = random.sample(lines, random.choice([1, len(lines), len(lines)]))
            for late, line in enumerate(some):
                at = now + late * random.randrange(1, 20) * MS
                found += frames_of(
                    [encoded(coding(kind), payload.encode())],
                    first_seq=seqs[line],
                    recv_ns=at,
                    connection=lives[line],
                )
                seqs[line] += 1
            if number % 15 == 14:
                put(some[0], "stats", now + 30 * MS, heard_ns=now, rtt=0.01)
        for line in lines:
            now += 50 * MS
            heard = {"code": 1006, "reason": reason, "opened": True, "heard_ns": now}
            put(line, "closed", now, **told, **heard)
        now += 90 * NS
    return sorted(found, key=lambda frame: frame.recv_ns)


def _listed(at: int, connection: str, number: int) -> Frame:
    instruments = [
        {"symbol": symbol, "contract_size": 0.01 * (number + 1), "contract_unit": "base",
         "funding_interval_hours": 8.0}
        for symbol in _SYMBOLS
    ]  # fmt: skip
    return marker(0, "instruments", at, connection, exchange="venue", instruments=instruments)


def cut(made: Published, kind: str, some: Sequence[Frame], files: int) -> list[Path]:
    """Seal frames as so many files, one after the other."""
    size = -(-len(some) // files)
    return [made.seal(kind, some[at : at + size]) for at in range(0, len(some), size)]


def by_run(layout: Layout, feed: str, some: Sequence[Frame], run: str, number: int) -> Path:
    """Seal frames as a segment of a run of one's own."""
    path = layout.parquet(feed, stem(some[0].recv_ns, run, number))
    seal.write(path, iter([table(some)]), {"recorder.kind": feed})
    return path


# -- into a lake


def engine(root: Path, **how: Any) -> Engine:
    """An engine that runs in this process, from `root/raw` to `root/lake`; a feed's name is its
    kind."""
    raw, tables = Place.of(str(root / "raw")), Place.of(str(root / "lake"))
    return Engine(**{"raw": raw, "tables": tables, "rules": rules, **how})


def rules(feed: str, kind: str) -> Rules:
    """As `Published.ingest` has them."""
    del kind
    return Rules(feed, stamped=stamped(feed), coding=coding(feed))


def take(one: Engine) -> Done:
    """One run of an engine."""
    with delta.Writer(one.tables) as writer:
        return one.run(writer)


def step_by_step(root: Path, steps: int, each: Callable[[], object]) -> None:
    """Call `each` as files arrive: a share of every feed's at a time."""
    aside = root / "aside"
    shutil.move(root / "raw", aside)
    (root / "raw").mkdir()
    for step in range(steps):
        for feed in sorted(aside.iterdir()):
            files = sorted(feed.glob("*/*.parquet"), key=lambda path: path.name[16:])
            count = -(-len(files) // (steps - step))
            for path in files[:count]:
                target = root / "raw" / path.relative_to(aside)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
        each()


# -- comparing

_LEDGER = [c.name for c in LEDGER.columns if c.name != "journal_offset"]


def everything(place: Place) -> Tables:
    """Every row of a lake that a reader sees, as `Published.everything` gives a database's."""
    about = delta.about(place)
    assert about is not None
    found = {}
    with closing(duck.connect()) as db:
        for name in (*TABLES, "ledger"):
            rows = delta.rows(place, name, about.versions[name])
            assert _days_are_right(rows)
            db.register("found", rows)
            columns = _LEDGER if name == "ledger" else [c.name for c in TABLES[name].columns]
            found[name] = db.execute(
                f"SELECT {', '.join(columns)} FROM found ORDER BY ALL"
            ).fetchall()
    return found


def _days_are_right(rows: pa.Table) -> bool:
    if "day" not in rows.column_names or "recv_time" not in rows.column_names:
        return True
    days = rows["recv_time"].cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
    return bool(days.equals(rows["day"]))


def local(made: Published) -> Tables:
    """What one machine makes of the record, in a directory beside."""
    made.ingest()
    return made.everything()


def lake(one: Engine) -> Tables:
    """What readers of the engine's lake see."""
    return everything(one.tables)


def sealed(made: Published) -> Iterator[Path]:
    """Every sealed file."""
    return made.layout.raw.glob("*/*/*.parquet")
