"""How fast orphaned journals become sealed files again."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq
from kit.servers import Message

from recorder.record.layout import Layout

from .outcome import Outcome, Scale
from .written import Writer

_FEED = "mine"
_AT_ONCE = 20
_AIM = 500_000  # frames a second


def recovery_speed(seed: int, scale: Scale) -> Outcome:
    """Frames of 300 bytes in the journals of a killed capture, sealed by a new process.

    The figures are medians over the rounds, the start of the process included. They belong to the
    machine and to whatever else it does: a slow one is noted, and no failure.
    """
    del seed
    outcome = Outcome()
    frames = scale.of(short=20_000, full=1_000_000)
    seconds, size = [], 0
    for _ in range(scale.of(short=1, full=5)):
        with tempfile.TemporaryDirectory() as place:
            data = Path(place) / "data"
            size = _write(data, frames)
            start = time.monotonic()
            command = [sys.executable, "-m", "recorder.record.seal", str(data)]
            done = subprocess.run(command, check=False)
            seconds.append(time.monotonic() - start)
            outcome.survive("" if done.returncode == 0 else f"exit code {done.returncode}")
            _compare(data, frames, outcome)
    rate = frames / median(seconds)
    outcome.figures |= {
        "recovered frames per second": round(rate),
        "best round": round(frames / min(seconds)),
        "recovery, s per GB": round(median(seconds) / (size / 1e9), 2),
    }
    if scale is Scale.FULL and rate < _AIM:
        outcome.notes.append(f"{rate:,.0f} frames a second on this machine; the aim is {_AIM:,}")
    return outcome


def _payload(number: int) -> bytes:
    """A trade as venues send it, 300 bytes long: it compresses as the real ones do."""
    price, at = 6_000_000 + number * 7919 % 9_973, 1_790_000_000_000 + number * 3
    told = _TRADE % (at, number, price // 100, price % 100, number * 31 % 9_000, at - 4)
    return told + b" " * (300 - len(told))


_TRADE = (
    b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":%d,"s":"BTCUSDT","a":%012d,'
    b'"p":"%d.%02d","q":"0.%04d","nq":"0.0000","f":7203446510,"l":7203446511,"T":%d,"m":true,'
    b'"st":1,"ps":"BTCUSDT","source":"wss://fstream.binance.com/market/stream","route":"tokyo"}}'
)


def _write(data: Path, frames: int) -> int:
    writer = Writer(data, _FEED, rotate_bytes=64_000_000)
    for first in range(0, frames, _AT_ONCE):
        some: list[Message] = [("text", _payload(first + n)) for n in range(_AT_ONCE)]
        writer.block(some)
        if first % 50_000 == 0:
            writer.beat()
    writer.close()
    return sum(path.stat().st_size for path in data.rglob("*.journal"))


def _sealed(data: Path) -> Iterator[bytes]:
    layout = Layout(data)
    for stem in layout.sealed(_FEED):
        for batch in pq.ParquetFile(layout.parquet(_FEED, stem)).iter_batches():
            kinds, payloads = batch["kind"].to_pylist(), batch["payload"].to_pylist()
            yield from (p for kind, p in zip(kinds, payloads, strict=True) if kind == "text")


def _compare(data: Path, frames: int, outcome: Outcome) -> None:
    found = 0
    for payload in _sealed(data):
        outcome.altered += payload != _payload(found)
        found += 1
    outcome.acknowledged += frames
    outcome.recovered += found
    outcome.lost += max(0, frames - found)
    outcome.duplicated += max(0, found - frames)
