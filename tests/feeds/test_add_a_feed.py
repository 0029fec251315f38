"""The sections on adding a feed and its service, followed to the letter by another package."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from recorder.errors import DataError
from recorder.tables.normalise import load

from .recording import KEYLESS, PATIENCE, Outcome, capture, recorder

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
SUBSCRIBE = {
    "method": "subscribe",
    "params": {"channel": "trade", "symbol": ["BTC/USD", "ETH/USD"]},
}


def traded(kind: str, *trades: tuple[str, str, float, float, int, str]) -> dict[str, Any]:
    """A frame of trades as Kraken documents it."""
    names = ("symbol", "side", "price", "qty", "trade_id", "timestamp")
    data = [dict(zip(names, trade, strict=True)) | {"ord_type": "market"} for trade in trades]
    return {"channel": "trade", "type": kind, "data": data}


TRADES: list[dict[str, Any]] = [
    {"method": "subscribe", "result": {"channel": "trade", "symbol": "BTC/USD"}, "success": True},
    traded("snapshot", ("BTC/USD", "buy", 82396.5, 0.5, 70001, "2026-10-10T01:00:00.992123Z")),
    traded(
        "update",
        ("BTC/USD", "sell", 82394.0, 2.0, 70002, "2026-10-10T01:00:01.058000Z"),
        ("BTC/USD", "sell", 82393.0, 0.5, 70003, "2026-10-10T01:00:01.058000Z"),
    ),
    {"channel": "something else"},
]

BTC = ("kraken", "BTC/USD", "last")


def documented(language: str, page: str = "README.md", section: str = "Add a feed") -> str:
    """The section's only block of code in this language."""
    section = (ROOT / page).read_text("utf-8").split(f"\n## {section}\n")[1]
    [block] = re.findall(rf"```{language}\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    return str(block)


def install(site: Path) -> None:
    """The two files as a package with an entry point, as pip would lay it down."""
    package = site / "kraken_feed"
    package.mkdir(parents=True)
    module = documented("python")
    assert module.count('normalise="kraken"') == 1
    own = 'normalise=Path(__file__).with_name("kraken.sql")'
    module = module.replace('normalise="kraken"', own)
    module = module.replace("\nfrom recorder.", "\nfrom pathlib import Path\n\nfrom recorder.", 1)
    (package / "__init__.py").write_text(module, "utf-8")
    (package / "kraken.sql").write_text(documented("sql"), "utf-8")
    about = site / "kraken_feed-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: kraken-feed\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[recorder.feeds]\nkraken = kraken_feed:FEED\n")


def install_service(site: Path) -> None:
    """Add the third, optional file and its entry point to the package."""
    module = documented("python", "docs/replay.md", "For a feed of your own")
    (site / "kraken_feed/service.py").write_text(module, "utf-8")
    with (site / "kraken_feed-1.0.dist-info/entry_points.txt").open("a") as points:
        points.write("[recorder.services]\nkraken = kraken_feed.service:SERVICE\n")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    install(tmp_path / "site")
    return tmp_path / "site"


async def record(tmp_path: Path, site: Path) -> tuple[Outcome, list[str]]:
    """Capture the new feed from a server that plays its part; what the server heard."""
    heard: list[str] = []

    async def play(connection: ServerConnection) -> None:
        heard.append(str(await connection.recv()))
        for message in TRADES:
            await connection.send(json.dumps(message))
        await connection.wait_closed()

    async with serve(play, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        feeds = {"kraken": {"url": f"ws://127.0.0.1:{port}"}}
        return await capture(tmp_path, feeds, seconds=1, PYTHONPATH=str(site)), heard


async def test_two_files_make_a_feed(tmp_path: Path, site: Path) -> None:
    listed = await recorder("feeds", "kraken", cwd=tmp_path, PYTHONPATH=str(site))
    assert listed.out.startswith("Trades (Kraken spot)")

    outcome, heard = await record(tmp_path, site)
    assert outcome.code == 0, outcome.err
    assert [json.loads(text) for text in heard] == [SUBSCRIBE]

    ingested = await recorder("ingest", cwd=tmp_path, PYTHONPATH=str(site))
    assert ingested.code == 0, ingested.err
    with duckdb.connect(str(tmp_path / "data/recorder.duckdb"), read_only=True) as connection:
        prices = connection.execute(
            "SELECT exchange, symbol, kind, price, quantity, quantity_unit, notional_usd, side,"
            " trade_id, backfill, event_ns FROM prices ORDER BY seq, item"
        ).fetchall()
        rejects = connection.execute("SELECT decode(payload), reason FROM rejects").fetchall()
    assert prices == [
        (*BTC, 82396.5, 0.5, "base", 41198.25, "buy", "70001", True, 1791594000992123000),
        (*BTC, 82394.0, 2.0, "base", 164788.0, "sell", "70002", False, 1791594001058000000),
        (*BTC, 82393.0, 0.5, "base", 41196.5, "sell", "70003", False, 1791594001058000000),
    ]
    assert rejects == [('{"channel": "something else"}', "neither trades nor an answer")]


@contextlib.asynccontextmanager
async def replayed(tmp_path: Path, site: Path) -> AsyncIterator[str]:
    """Replay the record to WebSocket clients; the URL."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "recorder", "replay", "--serve", "127.0.0.1:0", "--stay"),
        cwd=tmp_path,
        env=KEYLESS | {"PYTHONPATH": str(site)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            yield (await child.stdout.readline()).decode().split()[1]
    finally:
        child.kill()
        await child.wait()


async def test_a_third_file_says_what_the_service_says_to_clients(
    tmp_path: Path, site: Path
) -> None:
    install_service(site)
    await record(tmp_path, site)
    async with replayed(tmp_path, site) as url, connect(url) as client:
        await client.send(json.dumps({"method": "subscribe", "params": {"symbol": ["BTC/USD"]}}))
        messages = [json.loads(await client.recv()) for _ in range(3)]
    assert (
        messages == TRADES[:3]
    )  # a frame without a channel goes to clients that asked for nothing


async def test_without_it_every_client_gets_every_recorded_frame(
    tmp_path: Path, site: Path
) -> None:
    await record(tmp_path, site)
    async with replayed(tmp_path, site) as url, connect(url) as client:
        assert [json.loads(await client.recv()) for _ in TRADES] == TRADES


async def test_a_service_that_cannot_be_used_is_named(tmp_path: Path, site: Path) -> None:
    install_service(site)
    await record(tmp_path, site)
    (site / "kraken_feed/service.py").write_text("SERVICE = 5")
    refused = await recorder("replay", "--serve", "127.0.0.1:0", cwd=tmp_path, PYTHONPATH=str(site))
    assert refused.code == 2
    assert "kraken_feed.service:SERVICE" in refused.err
    assert "it is not a recorder.service.Service" in refused.err


async def test_a_record_of_a_feed_that_is_not_installed_here_stays_raw(
    tmp_path: Path, site: Path
) -> None:
    await record(tmp_path, site)
    (tmp_path / "recorder.toml").unlink()
    ingested = await recorder("ingest", cwd=tmp_path)
    assert ingested.code == 0, ingested.err
    with duckdb.connect(str(tmp_path / "data/recorder.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM prices").fetchall() == [(0,)]
        assert connection.execute("SELECT count(*) FROM connections").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
        ("FEED = 5", "it is not a recorder.feed.Feed"),
        ("", "AttributeError"),
    ],
)
async def test_a_broken_package_is_named_and_breaks_nothing_else(
    tmp_path: Path, site: Path, code: str, why: str
) -> None:
    (site / "kraken_feed/__init__.py").write_text(code)
    one = await recorder("feeds", "kraken", cwd=tmp_path, PYTHONPATH=str(site))
    assert one.code == 2
    assert "kraken_feed:FEED" in one.err
    assert why in one.err
    assert "Traceback" not in one.err
    if code:
        return
    every = await recorder("feeds", cwd=tmp_path, PYTHONPATH=str(site))
    assert every.code == 0
    assert "smartmoney" in every.out
    assert "kraken_feed:FEED" in every.err


def test_messages_about_a_plug_in_s_sql_name_its_file(tmp_path: Path) -> None:
    missing = tmp_path / "mine.sql"
    with pytest.raises(DataError, match="is missing") as caught:
        load(missing)
    assert caught.value.where == str(missing)
    missing.write_text("-- table: prices\nSELECT 1")
    with pytest.raises(DataError, match="messages") as caught:
        load(missing)
    assert caught.value.where == str(missing)
