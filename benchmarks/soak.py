"""Memory and descriptors over time: capture, ingest, serve and alerts beside each other.

    python -m benchmarks.soak                       # half an hour
    python -m benchmarks.soak --minutes 60 --rate 400 --json

One server sends trades of several feeds at a rate. Every 10 s the resident memory and the open
descriptors of each process are read; their slopes are those of straight lines through the samples
after the warm-up, the first third of the time.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression
from typing import NamedTuple

import click
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks import machine, options

_SETTINGS = """
[capture]
rotate_seconds = 60

[alerts.large]
table = "prices"
when = "price < 0"
to = "nobody"

[destinations.nobody]
command = ["true"]
"""
_FEED = """
[feeds.venue{number}]
kind = "binance"
url = "ws://127.0.0.1:{port}/{number}"
channels = ["btcusdt@aggTrade"]
"""
_COMMANDS = {
    "capture": ("capture",),
    "ingest": ("ingest", "--follow"),
    "serve": ("serve", "--port", "0"),
    "alerts": ("alerts",),
}


class Sample(NamedTuple):
    """One look at a process: seconds since the start, resident memory, open descriptors."""

    seconds: float
    rss_kb: int
    descriptors: int


@click.command()
@click.option("--minutes", type=click.FloatRange(0.5), default=30.0, show_default=True)
@click.option("--rate", type=click.IntRange(1), default=200, show_default=True, help="Frames a s.")
@click.option("--feeds", type=click.IntRange(1), default=4, show_default=True)
@click.option("--every", type=click.FloatRange(1), default=10.0, show_default=True, help="Seconds.")
@options.as_json
def main(*, minutes: float, rate: int, feeds: int, every: float, as_json: bool) -> None:
    """Run the four processes for some minutes, and print the slopes of their memory."""
    with tempfile.TemporaryDirectory() as place:
        samples, sent = asyncio.run(_run(Path(place), minutes * 60, rate, feeds, every))
    result = {
        "minutes": minutes,
        "rate": rate,
        "feeds": feeds,
        "frames_sent": sent,
        "frames_per_second": round(sent / minutes / 60, 1),
        "machine": machine.describe(Path(tempfile.gettempdir())),
        "processes": {name: figures(found) for name, found in samples.items()},
    }
    if as_json:
        click.echo(json.dumps({**result, "samples": samples}))
        return
    click.echo(f"{sent:,} frames, {sent / minutes / 60:,.0f} a second, {minutes:g} minutes")
    for name, found in samples.items():
        click.echo(f"{name:8} " + ", ".join(f"{k} {v:,}" for k, v in figures(found).items()))


def figures(samples: Sequence[Sample]) -> dict[str, float]:
    """Return first, last and largest memory, and the slopes after the warm-up."""
    settled = [one for one in samples if one.seconds >= samples[-1].seconds / 3]
    half = [one for one in samples if one.seconds >= samples[-1].seconds / 2]
    return {
        "first_mb": round(samples[0].rss_kb / 1e3, 1),
        "last_mb": round(samples[-1].rss_kb / 1e3, 1),
        "most_mb": round(max(one.rss_kb for one in samples) / 1e3, 1),
        "kb_per_minute": _slope(settled, [one.rss_kb for one in settled]),
        "kb_per_minute_second_half": _slope(half, [one.rss_kb for one in half]),
        "descriptors_first": settled[0].descriptors,
        "descriptors_last": samples[-1].descriptors,
        "descriptors_per_minute": _slope(settled, [one.descriptors for one in settled]),
    }


def _slope(samples: Sequence[Sample], values: Sequence[float]) -> float:
    """Return the slope of the line through the values, per minute."""
    if len(samples) < 2:
        return 0.0
    return round(linear_regression([one.seconds for one in samples], values).slope * 60, 2)


async def _run(
    place: Path, seconds: float, rate: int, feeds: int, every: float
) -> tuple[dict[str, list[Sample]], int]:
    source = _Source(rate / feeds)
    async with serve(source.speak, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        named = [_FEED.format(number=number, port=port) for number in range(feeds)]
        (place / "recorder.toml").write_text(_SETTINGS + "".join(named), "utf-8")
        children: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name, command in _COMMANDS.items():
                children[name] = _start(place, name, command)
                await asyncio.sleep(5)  # ingest and alerts need a record
            begin = time.monotonic()
            samples: dict[str, list[Sample]] = {name: [] for name in children}
            before = source.sent
            while (now := time.monotonic() - begin) < seconds:
                for name, child in children.items():
                    samples[name].append(_sample(now, child, place / f"{name}.log"))
                await asyncio.sleep(every)
            return samples, source.sent - before
        finally:
            for child in children.values():
                child.send_signal(signal.SIGTERM)
            for child in children.values():
                await asyncio.to_thread(child.wait, 90)


def _start(place: Path, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RECORDER_")}
    with (place / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "recorder", *command, "--config", "recorder.toml"],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )


def _sample(seconds: float, child: subprocess.Popen[bytes], log: Path) -> Sample:
    if child.poll() is not None:
        raise click.ClickException(f"a process has ended: {log.read_text('utf-8')[-500:]}")
    status = Path(f"/proc/{child.pid}/status").read_text("ascii")
    rss = int(status.partition("VmRSS:")[2].split()[0])
    return Sample(round(seconds, 1), rss, len(list(Path(f"/proc/{child.pid}/fd").iterdir())))


class _Source:
    """Sends numbered trades to each client, `rate` a second."""

    def __init__(self, rate: float) -> None:
        self.sent, self._rate = 0, rate

    async def speak(self, connection: ServerConnection) -> None:
        """Send until the client is gone; catch up after a pause."""
        loop = asyncio.get_running_loop()
        begin, count = loop.time(), 0
        with contextlib.suppress(ConnectionClosed):
            while True:
                while count < (loop.time() - begin) * self._rate:
                    await connection.send(_trade(self.sent))
                    count += 1
                    self.sent += 1
                await asyncio.sleep(0.02)


def _trade(number: int) -> str:
    now = time.time_ns() // 1_000_000
    trade = {"e": "aggTrade", "E": now, "s": "BTCUSDT", "a": number, "T": now}
    trade |= {"p": f"{60_000 + number % 977}.5", "q": "0.02", "m": number % 2 == 0}
    return json.dumps({"stream": "btcusdt@aggTrade", "data": trade}, separators=(",", ":"))


if __name__ == "__main__":
    main()
