"""The services' own example clients, their URL alone changed, against the replay; and capture.

Below `origin/` they stand as published, with the indentation that the pages had lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from ingest.records import Record, start

import recorder
import recorder.errors

pytestmark = pytest.mark.process

ORIGIN = Path(__file__).with_name("origin")
PUBLISHED = Path(__file__).parents[2].parent / "shared" / "origin"

EXAMPLES = ("threads.py.txt", "tasks.py.txt", "stateful.js", "listener.py.txt")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_the_published_ones(name: str) -> None:
    pages = sorted(PUBLISHED.glob("*.txt"))
    if not pages:
        pytest.skip(f"no pages at {PUBLISHED}")

    def flat(text: str) -> str:
        return "\n".join(line.strip() for line in text.strip().splitlines())

    ours = flat((ORIGIN / name).read_text("utf-8"))
    assert any(ours in flat(page.read_text("utf-8")) for page in pages)


@contextlib.contextmanager
def serving(data: Path, feed: str, *options: str) -> Iterator[str]:
    """`recorder replay --serve` as a process; its URL."""
    server = start("replay", "--data-dir", data, "--feed", feed, "--serve", "127.0.0.1:0", *options)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().split()[1]
    finally:
        server.terminate()
        server.communicate(timeout=30)


def lines(command: list[str], wanted: int) -> list[str]:
    """What a client prints, up to so many lines."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    client = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    assert client.stdout is not None
    try:
        return [line for line, _ in zip(client.stdout, range(wanted), strict=False)]
    finally:
        client.kill()
        client.communicate()


@pytest.mark.parametrize(
    ("name", "command", "expected"),
    [
        ("threads.py.txt", [sys.executable], ["Whale update: 0x", "Funding: ", "Signal: "]),
        ("tasks.py.txt", [sys.executable], ["Received: {'type': 'liquidation'"]),
        (
            "stateful.js",
            ["node", "--experimental-websocket"],
            ["Whale update: {", "Liquidation: {"],
        ),
    ],
)
def test_an_example_prints_the_recorded_events(
    sample: Path, tmp_path: Path, name: str, command: list[str], expected: list[str]
) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    with serving(sample, "smartmoney", "--stay") as url:
        text = (ORIGIN / name).read_text("utf-8")
        assert text.count("wss://api.smartmoneyapi.com/ws") == 1
        client = tmp_path / name.removesuffix(".txt")
        client.write_text(text.replace("wss://api.smartmoneyapi.com/ws", f"{url}/ws"))
        printed = "".join(lines([*command, str(client)], 300))
    assert [words for words in expected if words not in printed] == []


def test_the_listener_with_its_key_header_prints_the_recorded_announcements(
    sample: Path, tmp_path: Path
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    pem = tmp_path / "pem"
    make = f"req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 2 -keyout {pem} -out {pem}.cert"
    subprocess.run(["openssl", *make.split()], check=True, capture_output=True)
    pem.write_text(pem.read_text() + Path(f"{pem}.cert").read_text())
    text = (ORIGIN / "listener.py.txt").read_text("utf-8")
    if "extra_headers" not in inspect.signature(websockets.connect.__init__).parameters:
        text = text.replace("extra_headers=", "additional_headers=")  # renamed in websockets 14
    with serving(sample, "cryptolisting", "--tls", str(pem), "--stay") as url:
        assert url.startswith("wss://")
        client = tmp_path / "listener.py"
        client.write_text(text.replace('"wss://cryptolisting.ws"', f'"{url}"'))
        printed = lines([sys.executable, str(client)], 12)
    assert printed[0] == "Connected!\n"
    assert printed[1].startswith("Welcome: tier=premium, cex=*")
    assert any(line.startswith("[spot_listing] ") for line in printed)


# -- capture(replay(record)) = record


def data_of(root: Path, feed: str) -> list[tuple[str, bytes]]:
    """The data frames of a record: what a service answers to one session alone is left out."""
    own = (b'"welcome"', b'"heartbeat"', b'"authenticated"', b'"subscribed"', b'"pong"')
    return [
        (frame.kind, frame.payload)
        for frame in recorder.replay(feed, data_dir=root)
        if frame.kind in {"text", "binary"} and not any(word in frame.payload for word in own)
    ]


@pytest.mark.parametrize(("feed", "connections"), [("cryptolisting", 1), ("smartmoney", 6)])
def test_what_is_captured_from_the_replay_is_the_record(
    sample: Path, tmp_path: Path, feed: str, connections: int
) -> None:
    second = tmp_path / "second"
    with serving(sample, feed, "--clients", str(connections), "--stay") as url:
        settings = tmp_path / "recorder.toml"
        settings.write_text(
            f'[feeds.{feed}]\nurl = "{url}"\nkey = "dsk_{"0" * 64}"\n[capture]\nstats_seconds = 1\n'
        )
        capture = start("capture", "--config", settings, "--data-dir", second)
        expected = data_of(sample, feed)

        async def captured() -> None:
            async with asyncio.timeout(30):
                while not (second.exists() and _count(second, feed) >= len(expected)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)

        try:
            asyncio.run(captured())
        finally:
            capture.terminate()
            capture.communicate(timeout=30)
    found = data_of(second, feed)
    if connections == 1:
        assert found == expected
    else:  # several connections: in order on each
        assert sorted(found) == sorted(expected)
        for kind in (b'"whale_update"', b'"liquidation"', b'"signal"', b'"alert"'):
            assert [f for f in found if kind in f[1]] == [f for f in expected if kind in f[1]]
    assert _events(second, feed) == _events(sample, feed)


def _count(root: Path, feed: str) -> int:
    try:
        return len(data_of(root, feed))
    except recorder.errors.RecorderError:  # nothing there yet
        return 0


def _events(root: Path, feed: str) -> dict[str, list[str]]:
    """The rows of every table, but for where and when they were received."""
    record = Record(root)
    if not record.layout.database.exists():
        record.ingest()
    received = "recv_ns, recv_time, connection, seq"
    tables = {"cryptolisting": ["listings"], "smartmoney": ["whales", "funding", "liquidations"]}
    tables["smartmoney"] += ["open_interest", "flows", "signals", "alerts"]
    found = {}
    for name in tables[feed]:
        rows = record.sql(f"SELECT * EXCLUDE ({received}) FROM {name} WHERE feed = '{feed}'")
        found[name] = sorted(json.dumps(row, default=str) for row in rows)
        assert found[name]
    return found
