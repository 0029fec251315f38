"""Two redundant lines, reset at random: as long as one is up, every event has exactly one row."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import duckdb
from kit.captures import capturing, eventually
from websockets.asyncio.server import ServerConnection, serve

from .kills import clean
from .network import ingested
from .outcome import Outcome, Scale

_FEED = "binance"
_PER_SECOND = 200
_MARGIN = 0.05  # seconds: what the server's and the recorder's view of one moment may differ by


class _Endpoint:
    """One of the two addresses; `lives` are the times between accept and end, wall clock."""

    def __init__(self) -> None:
        self.port = 0
        self.connection: ServerConnection | None = None
        self.lives: list[list[float]] = []

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[_Endpoint]:
        async with serve(self._take, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _take(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.lives.append([time.time(), float("inf")])
        await connection.wait_closed()
        self._ended(connection)

    def _ended(self, connection: ServerConnection) -> None:
        if self.connection is connection:
            self.connection = None
            self.lives[-1][1] = time.time()

    def reset(self) -> None:
        if self.connection is not None:
            sock = self.connection.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.transport.abort()
            self._ended(self.connection)

    def up_for(self, seconds: float) -> bool:
        return self.connection is not None and time.time() - self.lives[-1][0] >= seconds

    def up_between(self, since: float, until: float) -> bool:
        return any(start <= since and until <= end for start, end in self.lives)


class _Venue:
    """Sends the same numbered trades to both endpoints."""

    def __init__(self) -> None:
        self.lines = {"A": _Endpoint(), "B": _Endpoint()}
        self.times: list[float] = []  # wall clock, per event
        self.nobody: set[int] = set()  # events that no line could bring for certain
        self.resets = 0

    async def speak(self, done: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        while not done.is_set():
            number = len(self.times)
            self.times.append(time.time())
            if not any(line.up_for(0) for line in self.lines.values()):
                self.nobody.add(number)
            for line in self.lines.values():
                if line.connection is not None:
                    with contextlib.suppress(Exception):
                        await line.connection.send(trade(number))
            await asyncio.sleep(max(0, start + (number + 1) / _PER_SECOND - loop.time()))

    async def trouble(self, dice: Random, seconds: float, most: int) -> None:
        """Reset lines one at a time, so often at most, then both at once."""
        end = time.time() + seconds
        while time.time() < end and self.resets < most:
            victim, other = dice.sample(list(self.lines.values()), 2)
            if victim.up_for(0.3) and other.up_for(0.3):
                victim.reset()
                self.resets += 1
            await asyncio.sleep(dice.random())
        await eventually(lambda: all(line.up_for(0.5) for line in self.lines.values()), 60)
        for line in self.lines.values():
            line.reset()
        self.resets += 2
        self.nobody.update(n for n, at in enumerate(self.times) if time.time() - at < 0.3)
        await eventually(lambda: all(line.up_for(0.5) for line in self.lines.values()), 60)


def trade(number: int) -> str:
    data = {"e": "aggTrade", "E": 1_790_000_000_000 + number, "s": "BTCUSDT", "a": number}
    data |= {"p": f"{60_000 + number % 977}.5", "q": "2", "T": data["E"], "m": number % 2 == 0}
    return json.dumps({"stream": "btcusdt@aggTrade", "data": data}, separators=(",", ":"))


def redundant_lines(seed: int, scale: Scale) -> Outcome:
    """Random resets on both lines at 200 events a second."""
    outcome, dice = Outcome(), Random(seed)
    with tempfile.TemporaryDirectory() as place:
        # Each reset lengthens the back-off: few of them keep the short form short.
        trouble = scale.of(short=(10, 2), full=(60, 1_000))
        asyncio.run(_run(Path(place) / "data", dice, trouble, outcome))
    return outcome


async def _run(data: Path, dice: Random, trouble: tuple[float, int], outcome: Outcome) -> None:
    venue = _Venue()
    async with venue.lines["A"].serving() as a, venue.lines["B"].serving() as b:
        feed = {
            "kind": "binance",
            "url": [f"ws://127.0.0.1:{line.port}/" for line in (a, b)],
            "channels": ["btcusdt@aggTrade"],
            "lines": 2,
            "whale_usd": 1,
        }
        done = asyncio.Event()
        async with capturing(data, {_FEED: feed}) as child:
            await eventually(lambda: a.up_for(0.2) and b.up_for(0.2))
            speaking = asyncio.create_task(venue.speak(done))
            await venue.trouble(dice, *trouble)
            done.set()
            await speaking
            await asyncio.sleep(0.5)
            code = await child.stopped()
    with ingested(data) as tables:
        events = _events(tables, venue, outcome)
        gaps = _gaps(tables, venue, outcome)
        wrong = clean(data, code, child.said)
    for _ in range(venue.resets):
        outcome.survive(events, gaps, wrong)


def _events(tables: duckdb.DuckDBPyConnection, venue: _Venue, outcome: Outcome) -> str:
    found = tables.execute("SELECT tx::BIGINT, event_ns, price, side FROM whales").fetchall()
    numbers = [row[0] for row in found]
    due = set(range(len(venue.times))) - venue.nobody
    wrong = sum(
        number >= len(venue.times)
        or event_ns != (1_790_000_000_000 + number) * 1_000_000
        or (price, side) != (60_000.5 + number % 977, "sell" if number % 2 == 0 else "buy")
        for number, event_ns, price, side in found
    )
    lost, twice = len(due - set(numbers)), len(numbers) - len(set(numbers))
    outcome.acknowledged, outcome.recovered = len(due), len(numbers)
    outcome.lost, outcome.duplicated, outcome.altered = lost, twice, wrong
    return f"{lost} events lost, {twice} twice, {wrong} wrong" if lost or twice or wrong else ""


def _gaps(tables: duckdb.DuckDBPyConnection, venue: _Venue, outcome: Outcome) -> str:
    """`covered` against the times at which the other endpoint really had a connection."""
    found = tables.execute("SELECT line, from_ns / 1e9, to_ns / 1e9, covered FROM gaps").fetchall()
    closed = [gap for gap in found if gap[2] is not None]
    wrong = []
    for line, since, until, covered in closed:
        other = venue.lines["B" if line == "A" else "A"]
        surely = other.up_between(since - _MARGIN, until + _MARGIN)
        maybe = other.up_between(since + _MARGIN, until - _MARGIN)
        if covered not in {surely, maybe}:
            wrong.append(f"{line} {since:.3f} to {until:.3f}: covered {covered}, truth {surely}")
    outcome.figures["gaps"] = len(closed)
    outcome.figures["gaps covered by the other line"] = sum(gap[3] for gap in closed)
    if len(closed) != venue.resets:
        wrong.append(f"{len(closed)} gaps for {venue.resets} resets")
    return "; ".join(wrong[:3])
