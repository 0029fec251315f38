"""A data directory that looks real, and a feed that goes on while the page is open."""

from __future__ import annotations

import itertools
import json
import random
import re
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
from kit.frames import MS, frames_of, marker
from kit.journals import Writer
from kit.records import Published

from recorder.clock import NS, ulid
from recorder.frame import Frame

SAMPLE = Path(__file__).parents[3] / "data/sample/raw"
DAY, HOUR, MINUTE = 86_400 * NS, 3_600 * NS, 60 * NS

#: What a service must never be able to do to a reader.
EVIL = (
    "<img src=x onerror=\"window.pwned='img'\"><script>window.pwned='script'</script>"
    "{{7*7}} javascript:alert(1) \x1b[31m\x00\x07 \u202egnp.exe\u202c \u200b\u2066 \ufeff"
    "'\"><svg onload=window.pwned='svg'>"
)
_STAMPS = re.compile(rb"\b1[78]\d{11}(?:\d{3})?(?:\d{3})?\b")


def moved(payload: bytes, shift_ns: int) -> bytes:
    """A payload whose times, of whatever unit, are moved."""

    def one(found: re.Match[bytes]) -> bytes:
        unit = 10 ** (19 - len(found[0]))
        return b"%d" % (int(found[0]) + shift_ns // unit)

    return _STAMPS.sub(one, payload)


def sample(feed: str, now: int) -> list[Frame]:
    """The sample's frames of a feed, as if the recording had ended a minute before `now`."""
    [path] = SAMPLE.glob(f"feed={feed}/**/*.parquet")
    rows = pq.read_table(path).to_pylist()
    shift = now - MINUTE - rows[-1]["recv_ns"]
    return [
        Frame(
            row["recv_ns"] + shift,
            row["mono_ns"],
            row["seq"],
            row["connection"],
            row["kind"],
            moved(row["payload"], shift),
        )
        for row in rows
    ]


def liquidation(at: int, symbol: str, side: str, price: float, quantity: float) -> bytes:
    """One of Binance's liquidations."""
    order = {"s": symbol, "S": side, "q": f"{quantity}", "p": f"{price}", "ap": f"{price}"}
    order |= {"z": f"{quantity}", "T": (at - 40 * MS) // MS, "st": 1}  # type: ignore[dict-item]
    return json.dumps({"e": "forceOrder", "E": (at - 25 * MS) // MS, "o": order}).encode()


def funding(at: int, symbol: str, price: float, rate: float) -> bytes:
    """A mark price with its funding rate."""
    told = {"e": "markPriceUpdate", "E": (at - 20 * MS) // MS, "s": symbol, "p": f"{price}"}
    told |= {"i": f"{price}", "r": f"{rate:.8f}", "T": (at + 4 * HOUR) // MS}  # type: ignore[dict-item]
    return json.dumps(told).encode()


def _market(begin: int, end: int, dice: random.Random) -> Iterator[tuple[int, bytes]]:
    """A few hours of liquidations and funding rates."""
    at = begin
    while at < end:
        for symbol, price in (("BTCUSDT", 85_300.0), ("ETHUSDT", 3_120.5)):
            yield at, funding(at, symbol, price, 0.0001 + dice.gauss(0, 2e-5))
            if dice.random() < 0.6:
                side = dice.choice(("SELL", "BUY"))
                yield (
                    at,
                    liquidation(at, symbol, side, price, round(dice.paretovariate(1.2) / 9, 3)),
                )
        at += 4 * MINUTE


def _life(begin: int, end: int, line: str, frames: Iterable[tuple[int, bytes]]) -> list[Frame]:
    """One connection from its opening to a close without goodbye."""
    name = ulid(begin, line.encode() * 10)
    told = {"line": line, "group": "market", "url": "wss://fstream.example/ws"}
    stats = {"heard_ns": end, "rtt": 0.021, "clock": {"error_ns": 350_000}}
    life = [marker(0, "open", begin, name, **told)]
    for seq, (at, payload) in enumerate(frames, start=1):
        life += frames_of([payload], first_seq=seq, recv_ns=[at], connection=name)
    life.append(marker(len(life), "stats", end, name, **told, **stats))
    gone = {"code": 1006, "reason": "no close frame", "opened": True, "heard_ns": end}
    return [*life, marker(len(life), "closed", end + MS, name, **told, **gone)]


def fill(root: Path, now: int) -> None:
    """A week of one feed with gaps, a few hours of market, a minute of two simulated services."""
    record, dice = Published(root), random.Random(7)
    midnight = now - now % DAY
    for back, lengths in ((5, (20.0,)), (4, (9.0, 14.5)), (3, (23.9,)), (2, (8.0, 15.8))):
        at = midnight - back * DAY + MINUTE
        for hours in lengths:
            record.seal("binance", _life(at, at + int(hours * HOUR), "A", []))
            at += int(hours * HOUR) + 90 * NS
    begin = max(now - 5 * HOUR, midnight + MINUTE)
    end = max(now - 3 * MINUTE, begin + MINUTE)
    record.seal("binance", _life(begin, end, "A", _market(begin, end, dice)))
    for feed in ("smartmoney", "cryptolisting"):
        record.seal(feed, sample(feed, now))
    record.ingest()


class Pump:
    """Writes a feed's journal as capture does, at a rate, from a thread of its own."""

    def __init__(self, root: Path, feed: str = "smartmoney", seed: int = 3) -> None:
        self.writer = Writer(root, feed, now=time.time_ns())
        self.stream = self.writer.open("A", "market")
        self._dice = random.Random(seed)
        self._pool = [f for f in sample(feed, time.time_ns()) if f.kind in {"text", "binary"}]
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.rate = 0.0
        self.frames = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Pump:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def put(self, *payloads: bytes) -> None:
        """Frames that were received now."""
        with self._lock:
            self.writer.now = time.time_ns() - MS  # `put` adds one millisecond
            self.writer.put(self.stream, *payloads)
            self.frames += len(payloads)

    def _run(self) -> None:
        owed, before = 0.0, time.monotonic()
        for turn in itertools.count():
            if self._stop.wait(0.02):
                return
            now = time.monotonic()
            owed = min(owed + self.rate * (now - before), 4 * self.rate)
            before = now
            some = [self._frame() for _ in range(int(owed))]
            owed -= len(some)
            for payload in some:
                self.put(payload)
            if turn % 25 == 0:
                with self._lock:
                    self.writer.beat()

    def _frame(self) -> bytes:
        """One of the sample's frames, as if its event had just happened."""
        chosen = self._dice.choice(self._pool)
        late = int(self._dice.lognormvariate(3.3, 0.5) * MS)
        return moved(chosen.payload, time.time_ns() - late - chosen.recv_ns)
