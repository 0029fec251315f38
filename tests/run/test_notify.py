"""What capture tells a service manager, and when the watchdog is fed."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.captures import capturing, eventually
from kit.servers import Peer, serving

from recorder import durable, log
from recorder.capture import notify
from recorder.capture.capture import Capture
from recorder.capture.notify import Beat, Notifier
from recorder.capture.sources import sources
from recorder.clock import NS, Clock
from recorder.record.journal import writer
from recorder.redact import Redactor
from recorder.settings.config import Settings

from .service_manager import hears, managing

pytestmark = pytest.mark.process


async def stay(peer: Peer) -> None:
    """A service that has not much to say."""
    await peer.accept()
    await peer.send(("text", b"hello"))


# -- the protocol


@given(st.dictionaries(st.sampled_from(["READY", "STATUS", "X"]), st.text(max_size=300)))
def test_a_message_says_what_was_meant_and_nothing_can_be_smuggled_in(
    told: dict[str, str],
) -> None:
    found = notify.fields(notify.message(**told))
    assert list(found) == list(told)
    for name, value in told.items():
        assert len(found[name]) == len(value)
        if value.isprintable():
            assert found[name] == value


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_the_manager_s_for_this_process(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert notify.watchdog_seconds(environ, 7) == seconds


@pytest.mark.parametrize("address", ["", "relative", "/nonexistent/notify", "@" + "x" * 300])
def test_without_a_manager_nothing_is_said_and_nothing_fails(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address})
    assert not notifier.connected
    notifier.say(READY=1)


async def test_ready_is_said_once_and_the_watchdog_is_fed_only_while_all_is_well() -> None:
    beats = [
        Beat(ready=False, well=True, status="one"),
        Beat(ready=True, well=True, status="one"),
        Beat(ready=True, well=False, status="two"),
        Beat(ready=True, well=True, status="two"),
    ]
    with managing() as manager:
        notifier = Notifier({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "3000"})

        def look() -> Beat:
            if len(beats) == 1:
                notifier.say(LAST=1)
            return beats.pop(0) if beats else Beat(ready=True, well=False, status="two")

        keeping = asyncio.create_task(notify.keep(notifier, look))
        await hears(manager, "LAST")
        keeping.cancel()
        said = [told for told in manager.heard if "LAST" not in told]
        wanted = [{"STATUS": "one"}, {"READY": "1"}, {"WATCHDOG": "1"}, {"STATUS": "two"}]
        assert said[:4] == wanted
        assert said[4:] in ([], [{"WATCHDOG": "1"}])


# -- capture


async def test_capture_tells_that_it_records_that_it_goes_on_and_that_it_ends(
    tmp_path: Path,
) -> None:
    with managing() as manager:
        env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "300000"}
        async with (
            serving(stay) as server,
            capturing(tmp_path / "data", {"mine": {"url": server.url}}, env=env) as child,
        ):
            await hears(manager, "READY", "1")
            await hears(manager, "STATUS", "1 of 1 lines connected")
            await eventually(lambda: manager.count("WATCHDOG") >= 3)
            assert await child.stopped() == 0, child.said
            await hears(manager, "STOPPING", "1")
        assert manager.count("READY") == 1
        first = next(i for i, told in enumerate(manager.heard) if "WATCHDOG" in told)
        assert any("READY" in told for told in manager.heard[:first])


async def test_a_capture_whose_service_is_away_is_ready_too(tmp_path: Path) -> None:
    """What it must do is to wait: a manager that restarts it would not help."""
    with managing() as manager:
        env = {"NOTIFY_SOCKET": manager.address}
        feeds = {"mine": {"url": "ws://127.0.0.1:9/"}}
        async with capturing(tmp_path / "data", feeds, env=env):
            await hears(manager, "READY", "1")
            await hears(manager, "STATUS", "0 of 1 lines connected")


class Late:
    """A clock that the test can put forward."""

    def __init__(self) -> None:
        self.by_ns = 0
        self.clock = Clock(
            lambda: time.time_ns() + self.by_ns, lambda: time.monotonic_ns() + self.by_ns
        )


def capture(data: Path, url: str, late: Late, **settings: Any) -> Capture:
    given = Settings.model_validate(
        {"data_dir": data, "capture": settings, "feeds": {"mine": {"kind": "generic", "url": url}}}
    )
    log.configure(Redactor())
    return Capture(given, sources(given, {}), Redactor(), log.logger(), clock=late.clock)


async def test_a_sync_that_hangs_starves_the_watchdog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, hangs, go_on, real = Late(), threading.Event(), threading.Event(), durable.sync
    go_on.set()

    def sync(fd: int) -> None:
        if not go_on.is_set():
            hangs.set()
            go_on.wait(60)
        real(fd)

    monkeypatch.setattr(durable, "sync", sync)
    async with serving(stay) as server:
        run = capture(tmp_path, server.url, late, fsync_ms=5)
        running = asyncio.create_task(run.run())
        await eventually(lambda: run.recordings and run.beat().ready and run.lines[0].live)
        assert run.beat().well
        go_on.clear()
        await server.peers[0].send(("text", b"more"))
        await eventually(hangs.is_set)
        late.by_ns += 11 * NS
        assert not run.beat().well
        go_on.set()
        await eventually(lambda: run.beat().well)
        run.stop()
        assert await running == 0


async def test_a_disk_that_refuses_starves_it_only_once_frames_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the buffer takes them, to be killed would lose them."""
    late, full, real = Late(), threading.Event(), writer._write_all

    def write(fd: int, data: bytes) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, data)

    monkeypatch.setattr(writer, "_write_all", write)
    async with serving(stay) as server:
        run = capture(tmp_path, server.url, late, fsync_ms=5, buffer_mb=0.01, stats_seconds=3600)
        running = asyncio.create_task(run.run())
        await eventually(lambda: run.recordings and run.beat().ready and run.lines[0].live)
        full.set()
        await server.peers[0].send(("text", b"kept"))
        await eventually(lambda: run.journals["mine"].trouble)
        for _ in range(3):
            late.by_ns += 11 * NS
            await eventually(lambda: run.beat().well)
        assert "the disk refuses" in run.beat().status
        await server.peers[0].send(("text", b"x" * 20_000))
        await eventually(lambda: run.journals["mine"].losing)
        late.by_ns += 11 * NS
        assert not run.beat().well
        full.clear()
        await eventually(lambda: run.beat().well)
        run.stop()
        assert await running == 1  # it says that frames were lost
