"""A record of several days, feeds and lines, as a local database and as a lake; only to read."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit import lakes
from kit.frames import T0, events, frames_of, marker
from kit.records import Published

from recorder.clock import NS, ulid
from recorder.record.layout import Layout

DAY = 86_400 * NS
FEEDS = ("binance", "smartmoney")
SYMBOLS = (b"BTCUSDT", b"ETHUSDT", b"SOLUSDT")


@dataclass(frozen=True, slots=True)
class Both:
    """The same rows twice, and the raw frames that they came from."""

    layout: Layout
    tables_url: str

    @property
    def raw_url(self) -> str:
        """The raw files as a bucket."""
        return self.layout.raw.as_uri()


@pytest.fixture(scope="session")
def both(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    place = tmp_path_factory.mktemp("both")
    record = Published(place / "data")
    shutil.copytree(sample / "raw", record.layout.raw)
    for day in range(3):
        for feed in FEEDS:
            _record(record, feed, day)
    record.ingest(whale_usd=1)
    lakes.write(record.layout.database, str(place / "lake"))
    return Both(record.layout, str(place / "lake"))


def _record(record: Published, feed: str, day: int) -> None:
    """One day of a feed on two lines; B brings most of it a moment later."""
    at = T0 + day * DAY
    payloads = [
        payload.replace(b"BTCUSDT", SYMBOLS[number % 3])
        for number in range(9)
        for payload in events(feed, 100 * day + number)
    ]
    for line, late in (("A", 0), ("B", 700_000)):
        connection = ulid(at, f"{line}{day}{feed}".encode().ljust(10)[:10])
        begin = at + late
        told = {"line": line, "group": "all", "url": "wss://example.org/ws"}
        frames = [marker(0, "open", begin, connection, **told)]
        some = payloads if line == "A" else payloads[: -2 - day]
        frames += frames_of(some, first_seq=1, recv_ns=begin + NS, connection=connection)
        record.seal(feed, frames)
