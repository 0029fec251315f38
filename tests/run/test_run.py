"""`recorder run`: what dies comes back, what is recorded is whole, and the end is in order."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from pathlib import Path

import duckdb
import pytest
from kit.captures import eventually, journals, litter, received, recorded
from kit.servers import Peer, serving

from .runs import LONG, RULES, alive, running
from .service_manager import hears, managing

pytestmark = pytest.mark.process

TRADE = b'{"e":"aggTrade","E":1790000000123,"a":%d,"s":"BTCUSDT","p":"83434.%d","q":"5","m":true}'


async def quiet(peer: Peer) -> None:
    """A service that has not much to say."""
    await peer.accept()
    await peer.send(("text", TRADE % (1, 1)))


class Steady:
    """A service that sends numbered trades until it is told to stop."""

    def __init__(self) -> None:
        self.enough = asyncio.Event()
        self.sent = 0

    async def __call__(self, peer: Peer) -> None:
        await peer.accept()
        while not self.enough.is_set():
            self.sent += 1
            await peer.send(("text", TRADE % (self.sent, self.sent)))
            await asyncio.sleep(0.01)


async def test_whoever_is_killed_comes_back_and_the_record_is_whole(tmp_path: Path) -> None:
    """The watchers die at random moments; capture's record is the same, frame for frame."""
    data, script, dice = tmp_path / "data", Steady(), random.Random(7)
    others = ["ingest", "serve", "alerts"]
    async with serving(script) as server:
        feeds = {"mine": {"url": server.url, "kind": "binance", "channels": ["btcusdt@aggTrade"]}}
        async with running(data, feeds, "--port", "0", more=RULES, rotate_mb=0.02) as run:
            for name in [*others, *dice.sample(others, 3)]:
                await run.killed(name)
                before, more = script.sent, dice.randrange(1, 60)
                await eventually(lambda b=before, m=more: script.sent > b + m)  # type: ignore[misc]
            script.enough.set()
            await asyncio.wait_for(server.done.wait(), LONG)
            await eventually(lambda: frames_of(data) >= script.sent, LONG)
            assert await run.stopped() == 0, run.said
            assert run.starts("capture") == run.starts("capture")[:1]
        assert len(server.peers) == 1
        sent = server.peers[0].sent
    assert not journals(data) and not litter(data)
    [connection] = recorded(data, "mine")
    assert received(connection) == sent
    for name in others:
        assert run.says(name, "died; restarting")
        assert run.says(name, "died; restarting")[0]["how"] == "killed by SIGKILL"
    with duckdb.connect(str(data / "recorder.duckdb"), read_only=True) as db:
        counted = db.execute("SELECT count(*), count(DISTINCT seq) FROM prices").fetchall()
    assert counted == [(len(sent), len(sent))]


def frames_of(data: Path) -> int:
    """How many trades are on disk, sealed or not."""
    from recorder.record.layout import Layout
    from recorder.record.read import Reader, stems

    reader, total = Reader(Layout(data), "mine", columns=["kind"]), 0
    for stem in stems(reader.record, "mine"):
        for table in reader.parts(stem):
            total += table.column("kind").to_pylist().count("text")
    return total


async def test_the_death_of_the_supervisor_leaves_the_record_whole_and_no_process(
    tmp_path: Path,
) -> None:
    data, script = tmp_path / "data", Steady()
    async with serving(script) as server:
        async with running(data, {"mine": {"url": server.url}}, "--no-serve") as run:
            await eventually(lambda: run.starts("ingest"), LONG)
            [capture], [ingest] = run.starts("capture"), run.starts("ingest")
            before = script.sent
            await eventually(lambda: script.sent > before + 20)
            run.process.kill()
            await eventually(lambda: not alive(capture) and not alive(ingest), LONG)
        script.enough.set()
        sent = server.peers[0].sent
    assert not journals(data) and not litter(data)  # capture had a clean end
    [connection] = recorded(data, "mine")
    found = received(connection)
    assert found == sent[: len(found)]
    assert len(found) > before
    assert connection[-1].kind == "closed"


async def test_a_killed_capture_comes_back_and_keeps_what_it_had(tmp_path: Path) -> None:
    data, script = tmp_path / "data", Steady()
    async with serving(script, connections=2) as server:
        feeds = {"mine": {"url": server.url}}
        async with running(data, feeds, "--no-serve", "--no-ingest") as run:
            await eventually(lambda: script.sent > 20, LONG)
            await eventually(lambda: frames_of(data) > 10, LONG)
            had = frames_of(data)
            await run.killed("capture")
            await eventually(lambda: len(server.peers) == 2, LONG)
            before = script.sent
            await eventually(lambda: script.sent > before + 20)
            assert await run.stopped() == 0, run.said
        script.enough.set()
        peers = server.peers
    first, second = recorded(data, "mine")
    for peer, frames in zip(peers, (first, second), strict=True):
        found = received(frames)
        assert found == peer.sent[: len(found)]
    assert len(received(first)) >= had
    assert received(second)


async def test_the_service_manager_hears_of_capture_through_the_supervisor(tmp_path: Path) -> None:
    with managing() as manager:
        env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "300000"}
        async with (
            serving(quiet) as server,
            running(tmp_path / "data", {"mine": {"url": server.url}}, "--no-serve", env=env) as run,
        ):
            await hears(manager, "READY")
            await hears(manager, "WATCHDOG")
            assert await asyncio.to_thread(
                manager.hears, lambda told: "1 of 1 lines connected" in told.get("STATUS", "")
            )
            [capture] = run.starts("capture")
            os.kill(capture, signal.SIGSTOP)  # it hangs: from now on nobody feeds the watchdog
            await run.killed("ingest")  # what was under way has arrived by the time it is back
            before = manager.count("WATCHDOG")
            await run.killed("ingest")
            assert manager.count("WATCHDOG") == before
            os.kill(capture, signal.SIGCONT)
            await eventually(lambda: manager.count("WATCHDOG") > before)
            assert await run.stopped() == 0, run.said
        assert manager.count("READY") == 1
        assert manager.count("STOPPING") == 1


async def test_the_end_is_in_the_order_of_the_flow(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with (
        serving(quiet) as server,
        running(data, {"mine": {"url": server.url}}, "--port", "0", more=RULES) as run,
    ):
        for name in ("capture", "ingest", "serve", "alerts"):
            await eventually(lambda n=name: run.starts(n), LONG)  # type: ignore[misc]
        await eventually(lambda: server.peers and server.done.is_set(), LONG)
        run.process.send_signal(signal.SIGINT)
        assert await run.ended() == 0, run.said
    ended = [line["process"] for line in run.said if line.get("event") == "ended"]
    assert ended[:2] == ["capture", "ingest"]
    assert sorted(ended[2:]) == ["alerts", "serve"]


async def test_a_second_interrupt_ends_all_at_once(tmp_path: Path) -> None:
    async def deaf(peer: Peer) -> None:
        peer.answers_close = False
        await quiet(peer)

    async with (
        serving(deaf) as server,
        running(tmp_path / "data", {"mine": {"url": server.url}}, "--no-serve") as run,
    ):
        await eventually(lambda: run.starts("ingest") and server.done.is_set(), LONG)
        run.process.send_signal(signal.SIGINT)
        await eventually(lambda: server.peers[0].closed, LONG)
        run.process.send_signal(signal.SIGINT)
        assert await run.ended() == 130


async def test_a_hang_up_makes_capture_read_its_settings_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with serving(quiet, connections=2) as server:
        feeds = {"mine": {"url": server.url}}
        async with running(data, feeds, "--no-serve", "--no-ingest") as run:
            await eventually(lambda: len(server.peers) == 1, LONG)
            settings = data.parent / f"{data.name}.toml"
            more = f'[feeds.other]\nkind = "generic"\nurl = "{server.url}"\n'
            settings.write_text(settings.read_text() + more)
            run.process.send_signal(signal.SIGHUP)
            await run.until("capture", "the settings were reloaded")
            await eventually(lambda: len(server.peers) == 2, LONG)
            assert await run.stopped() == 0, run.said


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        ('[feeds.mine]\nkind = "nonsense"', 2, "no feed of kind 'nonsense'"),
        ("[feeds.smartmoney]", 4, "this feed needs"),
        ("", 2, "no feed is configured"),
    ],
)
async def test_wrong_settings_are_told_at_once_and_nothing_is_started(
    tmp_path: Path, settings: str, code: int, says: str
) -> None:
    async with running(tmp_path / "data", {}, more=settings) as run:
        assert await run.ended() == code
    assert says in run.said[0]["event"]
    assert run.starts("capture") == []
    assert not (tmp_path / "data").exists()


async def test_a_port_that_is_taken_costs_the_page_and_nothing_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with (
            serving(quiet) as server,
            running(
                tmp_path / "data", {"mine": {"url": server.url}}, "--port", port, "--no-ingest"
            ) as run,
        ):
            await eventually(
                lambda: (
                    run.says("serve", "died; restarting") or run.says("serve", "not restarting")
                ),
                LONG,
            )
            assert await run.stopped() in {0, 1, 2}
    assert received(recorded(tmp_path / "data", "mine")[0]) == server.peers[0].sent
