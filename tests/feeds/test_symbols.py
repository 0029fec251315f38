"""Channels with a `*`: the venue's list decides, follows and may fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from kit.exchange import Exchange, Talk, until

from recorder.capture.catalogue import VenueListing, keep
from recorder.feed import Instrument
from recorder.record.layout import Layout
from recorder.tables.ingest import Ingest
from recorder.tables.rules import Rules

from .recording import KEYLESS, payloads, raw

pytestmark = pytest.mark.process


class Venue(Exchange):
    """Subscriptions as Bybit takes them, and a REST list that the test decides."""

    def __init__(self) -> None:
        super().__init__()
        self.symbols: list[str] | None = None  # None: an outage
        self.asked = 0
        self.rest = ""
        self.answering = threading.Event()  # cleared: the list keeps its askers waiting
        self.answering.set()

    async def hear(self, talk: Talk, message: str) -> None:
        told = json.loads(message)
        if told["op"] == "subscribe":
            talk.subscribed.update(told["args"])
        elif told["op"] == "unsubscribe":
            talk.subscribed.difference_update(told["args"])
        await talk.send(json.dumps({"success": True, "op": told["op"], "ret_msg": ""}))

    @property
    def subscribed(self) -> set[str]:
        """Everything that is subscribed to now."""
        return set().union(*(talk.subscribed for talk in self.talks))

    def answer(self) -> tuple[int, bytes]:
        self.asked += 1
        assert self.answering.wait(30)
        if self.symbols is None:
            return 503, b"maintenance"
        listed = [
            {"symbol": symbol, "status": "Trading", "contractType": "LinearPerpetual",
             "baseCoin": symbol[:-4], "quoteCoin": "USDT", "settleCoin": "USDT",
             "fundingInterval": 240}
            for symbol in self.symbols
        ]  # fmt: skip
        result = {"category": "linear", "list": listed, "nextPageCursor": ""}
        return 200, json.dumps({"retCode": 0, "retMsg": "OK", "result": result}).encode()

    @contextlib.contextmanager
    def listing(self) -> Iterator[None]:
        """Serve the list."""
        venue = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = venue.answer()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            self.rest = f"http://127.0.0.1:{server.server_port}"
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


class Running:
    """`recorder capture` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.said = process, ""
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        while data := await self.process.stderr.read(1 << 16):
            self.said += data.decode()

    async def stopped(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self.process.wait(), 30) == 0, self.said
        await self.listening


@contextlib.asynccontextmanager
async def capturing(
    where: Path, venue: Venue, *channels: str, **more: str
) -> AsyncIterator[Running]:
    given = {"url": venue.url, "rest_url": venue.rest, "channels": channels, **more}
    settings = "\n".join(f"{name} = {json.dumps(value)}" for name, value in given.items())
    (where / "recorder.toml").write_text(f"[feeds.bybit]\n{settings}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "recorder", "capture", "--log-format", "json",
        cwd=where, env=KEYLESS, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    running = Running(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await running.listening


async def test_a_star_is_put_into_words_by_the_venue_s_list(tmp_path: Path) -> None:
    venue = Venue()
    venue.symbols = ["BTCUSDT", "ETHUSDT", "BTCPERP"]
    with venue.listing():
        async with venue.open(), capturing(tmp_path, venue, "allLiquidation.*USDT") as running:
            wanted = {"allLiquidation.BTCUSDT", "allLiquidation.ETHUSDT"}
            await until(lambda: venue.subscribed == wanted)
            await running.stopped()
    assert venue.asked == 1
    kept = json.loads((tmp_path / "data/instruments/bybit.json").read_bytes())
    assert [listed["symbol"] for listed in kept["instruments"]] == venue.symbols

    with closing(Ingest(Layout(tmp_path / "data"), Rules)) as work:
        work.run()
        found = work._db.execute(
            "SELECT symbol, funding_interval_hours FROM instruments"
        ).fetchall()
    assert sorted(found) == [("BTCPERP", 4.0), ("BTCUSDT", 4.0), ("ETHUSDT", 4.0)]


def keep_list(where: Path, *symbols: str) -> None:
    instruments = tuple(Instrument(symbol, symbol) for symbol in symbols)
    keep(where / "data/instruments/bybit.json", VenueListing(1, "https://x.example/", instruments))


async def test_in_an_outage_the_last_list_serves(tmp_path: Path) -> None:
    venue = Venue()
    keep_list(tmp_path, "OLDUSDT")
    with venue.listing():
        async with venue.open(), capturing(tmp_path, venue, "allLiquidation.*") as running:
            await until(lambda: venue.subscribed == {"allLiquidation.OLDUSDT"})
            await until(lambda: "is unavailable" in running.said)
            await running.stopped()
    assert "HTTP 503" in running.said
    assert "the last list serves" in running.said


async def test_a_newer_list_changes_the_living_connection(tmp_path: Path) -> None:
    venue = Venue()
    venue.symbols = ["ETHUSDT"]
    venue.answering.clear()
    keep_list(tmp_path, "BTCUSDT")
    with venue.listing():
        async with venue.open(), capturing(tmp_path, venue, "allLiquidation.*") as running:
            await until(lambda: venue.subscribed == {"allLiquidation.BTCUSDT"})
            venue.answering.set()
            await until(lambda: venue.subscribed == {"allLiquidation.ETHUSDT"})
            await running.stopped()
    assert len(venue.talks) == 1
    recorded = raw(tmp_path / "data", "bybit").values()
    sent = [payload for frames in recorded for payload in payloads(frames, "sent")]
    assert any(b"unsubscribe" in payload for payload in sent)


async def test_without_any_list_the_rest_is_recorded_and_the_log_says_what_waits(
    tmp_path: Path,
) -> None:
    venue = Venue()
    channels = ("allLiquidation.*", "publicTrade.BTCUSDT")
    with venue.listing():
        async with venue.open(), capturing(tmp_path, venue, *channels) as running:
            await until(lambda: venue.subscribed == {"publicTrade.BTCUSDT"})
            await until(lambda: "channels with * wait" in running.said)
            await running.stopped()
    left_out = [json.loads(line) for line in running.said.splitlines() if "left out" in line]
    assert [(line["channels"], line["why"]) for line in left_out] == [
        ("allLiquidation.*", "no list yet")
    ]


@pytest.mark.parametrize("symbols", [[], ["ETHUSDT"]])
async def test_a_feed_of_patterns_alone_waits_for_its_symbols(
    tmp_path: Path, symbols: list[str]
) -> None:
    """Neither an empty list nor an unknown symbol ends it; it can be stopped all the same."""
    venue = Venue()
    venue.symbols = symbols
    with venue.listing():
        async with venue.open(), capturing(tmp_path, venue, "allLiquidation.BTC*") as running:
            says = "no instrument of that name" if symbols else "the list of instruments is empty"
            await until(lambda: says in running.said)
            assert running.process.returncode is None
            running.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(running.process.wait(), 30) == 3  # nothing connected
            await running.listening
    assert venue.talks == []
