"""A data directory for a test: sealed frames in, tables out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from recorder.clock import NS, ulid
from recorder.frame import Frame
from recorder.record import seal
from recorder.record.layout import Layout, stem
from recorder.schema.raw import RAW
from recorder.schema.tables import EVENT_TABLES, LEDGER, TABLES
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

MS = 1_000_000
US = 1_000
#: 2026-09-21 14:13:20 UTC.
T0 = 1_790_000_000 * NS
RUN = ulid(T0, bytes(10))
CONNECTION = ulid(T0, bytes([1] * 10))

#: What a price carries if it is a trade's.
TRADED = ("quantity", "quantity_unit", "notional_usd", "side", "trade_id")

#: Frames that others recorded; not part of this repository.
SHARED = Path(__file__).parents[2].parent / "shared" / "frames"


def shared(name: str) -> Path:
    """A file of recorded frames; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"no recorded frames at {path}")
    return path


def lines(name: str) -> list[bytes]:
    """The frames of a file that holds one a line."""
    return shared(name).read_bytes().splitlines()


def table(frames: Iterable[Frame]) -> pa.Table:
    """Frames as a table of the raw schema."""
    columns = list(zip(*frames, strict=True)) or [()] * len(RAW)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, RAW, strict=True)], RAW)


def frames_of(
    payloads: Sequence[bytes | str],
    *,
    kind: str = "text",
    first_seq: int = 0,
    recv_ns: int | Sequence[int] = T0,
    connection: str = CONNECTION,
) -> list[Frame]:
    """Frames of one connection; a single receive timestamp goes on by 1 ms a frame."""
    times = (
        [recv_ns + i * MS for i in range(len(payloads))] if isinstance(recv_ns, int) else recv_ns
    )
    return [
        Frame(at, at - T0, first_seq + i, connection, kind, _bytes(payload))
        for i, (payload, at) in enumerate(zip(payloads, times, strict=True))
    ]


def marker(seq: int, kind: str, at: int, connection: str = CONNECTION, **told: object) -> Frame:
    """A frame of our own making."""
    return Frame(at, at - T0, seq, connection, kind, json.dumps(told).encode())


def _bytes(payload: bytes | str) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


class Record:
    """One data directory."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.warnings: list[str] = []
        self._number = 0

    def seal(self, feed: str, frames: Sequence[Frame], kind: str | None = None) -> Path:
        """Write frames as the feed's next sealed segment."""
        self._number += 1
        path = self.layout.parquet(feed, stem(frames[0].recv_ns, RUN, self._number))
        seal.write(path, iter([table(frames)]), {"recorder.kind": kind or feed})
        return path

    def ingest(self, whale_usd: float = 100_000.0, sql: str | Path | None = None) -> int:
        """Ingest and publish once, in this process; a feed's name is its kind."""

        def rules(feed: str) -> Rules:
            return Rules(sql or feed, whale_usd)

        with closing(Ingest(self.layout, rules, self.warnings.append)) as work:
            frames = work.run()
            work.publish()
        return frames

    def take(self, feed: str, frames: Sequence[Frame], whale_usd: float = 100_000.0) -> None:
        """Seal the frames and ingest them."""
        self.seal(feed, frames)
        assert self.ingest(whale_usd) == len(frames)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the published database."""
        with duckdb.connect(str(self.layout.database), read_only=True) as db:
            db.execute("SET TimeZone = 'UTC'")
            return db.execute(query).fetchall()

    def rows(self, name: str, *columns: str) -> list[tuple[Any, ...]]:
        """The chosen columns of a table, by place."""
        return self.sql(f"SELECT {', '.join(columns)} FROM {name} ORDER BY seq, item")

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, sorted; the ledger without how it got there."""
        kept = [c.name for c in LEDGER.columns if c.name != "journal_offset"]
        with duckdb.connect(str(self.layout.database), read_only=True) as db:
            db.execute("SET TimeZone = 'UTC'")
            found = {name: db.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in TABLES}
            ledger = db.execute(f"SELECT {', '.join(kept)} FROM ledger ORDER BY ALL").fetchall()
        return {**found, "ledger": ledger}


class Workbench(Record):
    """A data directory that many tests share, for it takes time to make the tables.

    Each `take` is a feed of its own, and only its rows are seen.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.whale_usd = 0.0
        self.feed = ""
        self._work = Ingest(self.layout, self._rules, self.warnings.append)

    def _rules(self, feed: str) -> Rules:
        return Rules(feed.partition("-")[0], self.whale_usd)

    def take(self, feed: str, frames: Sequence[Frame], whale_usd: float = 100_000.0) -> None:
        """Seal the frames as a new feed of this kind and ingest them."""
        self.whale_usd, self.feed = whale_usd, f"{feed}-{self._number}"
        self.seal(self.feed, frames)
        assert self._work.run() == len(frames)
        self._work.publish()
        shutil.rmtree(self.layout.raw)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the published database for rows of the feed taken last."""
        with duckdb.connect(str(self.layout.database), read_only=True) as db:
            for name in (table for table in TABLES if table in query):
                db.execute(
                    f"CREATE TEMP VIEW {name} AS "
                    f"FROM recorder.main.{name} WHERE feed = '{self.feed}'"
                )
            return db.execute(query).fetchall()

    def places(self) -> dict[int, list[str]]:
        """For each frame that has rows, the tables that have one."""
        kept = (*EVENT_TABLES, "prices", "latency", "rejects")
        each = " UNION ALL ".join(f"SELECT DISTINCT seq, '{name}' FROM {name}" for name in kept)
        found: dict[int, list[str]] = {}
        for seq, name in self.sql(each):
            found.setdefault(seq, []).append(name)
        return {seq: sorted(names) for seq, names in found.items()}

    def close(self) -> None:
        """Give the directory free."""
        self._work.close()


def assert_same(found: dict[str, list[Any]], expected: dict[str, list[Any]]) -> None:
    """Compare two records' tables; the failure shows the rows that only one of them has."""
    for name, rows in expected.items():
        here, there = Counter(map(repr, found[name])), Counter(map(repr, rows))
        missing, added = (there - here).elements(), (here - there).elements()
        assert (name, [*islice(missing, 3)], [*islice(added, 3)]) == (name, [], [])


def command(*arguments: str | Path) -> list[str]:
    """The command line of a real `recorder` process."""
    return [sys.executable, "-m", "recorder", *map(str, arguments)]


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start a real `recorder` process."""
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean()
    )


def recorder(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a real `recorder` process to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, env=clean(), timeout=60
    )


def clean() -> dict[str, str]:
    """The environment without settings of the machine's own recorder."""
    return {k: v for k, v in os.environ.items() if not k.startswith("RECORDER_")}


def events(feed: str, number: int = 0) -> list[bytes]:
    """Frames of a busy feed, whole and broken; the number makes them unlike others."""
    return [payload.replace(b"%d", b"%d" % number) for payload in _EVENTS[feed]]


_EVENTS = {
    "binance": [
        b'{"e":"forceOrder","E":1790000000123,"o":{"s":"BTCUSDT","S":"SELL","q":"0.19","p":"82338",'
        b'"ap":"82651.%d","z":"0.19","T":1790000000001,"st":1}}',
        b'{"e":"markPriceUpdate","E":1790000000123,"s":"BTCUSDT","p":"85296.%d","i":"85345","r":"",'
        b'"T":0}',
        b'{"e":"aggTrade","E":1790000000123,"a":%d,"s":"BTCUSDT","p":"83434","q":"5","m":true}',
        b'{"result":null,"id":%d}',
        b"no JSON %d",
    ],
    "cryptolisting": [
        b'{"type":"announcement","title":"No %d","ticker":"A%d,B","publisher":"upbit",'
        b'"listingType":"spot_listing","detectedTimestampUs":1790000000000000}',
        b'{"type":"heartbeat","timestampNs":%d}',
        b'{"type":"surprise","n":%d}',
        b"\xff%d",
    ],
    "smartmoney": [
        b'{"type":"whale_update","wallet":"0x%d","asset":"BTC","size_usd":1,"n":%d}',
        b'{"type":"funding_rate","channel":"derivatives:funding","payload":{"symbol":"B","rate":%d}}',
        b'{"type":"signal","symbol":"BTC","signal_type":"s%d","timestamp":1790000000000}',
        b'{"type":"pong"}',
        b'{"n":%d}',
    ],
}
