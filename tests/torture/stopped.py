"""SIGSTOP: a process that stands still for a while, as under a debugger or a paused container."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

from kit.captures import capturing, eventually, journals, rows

from recorder.record.layout import Layout
from recorder.settings.config import load
from recorder.status import Watcher

from .disk import holes
from .kills import clean
from .outcome import Outcome, Scale, by_connection, judge
from .power import sealing
from .power_tables import FEED, Trades, trades_feed, unlike_raw

_ADDRESS = re.compile(r"http://[\d.:]+/")


def stopped(seed: int, scale: Scale) -> Outcome:
    """Capture, its sealing child, ingest and serve, each stopped for a while, then continued."""
    outcome, dice = Outcome(), Random(seed)
    victims = scale.of(short=("capture", "sealing"), full=("capture", "sealing", "ingest", "serve"))
    with tempfile.TemporaryDirectory() as place:
        seconds = scale.of(short=1.5, full=150)
        asyncio.run(_stop_each(Path(place) / "data", dice, victims, seconds, outcome))
    return outcome


async def _stop_each(
    data: Path, dice: Random, victims: tuple[str, ...], seconds: float, outcome: Outcome
) -> None:
    source = Trades(dice.randrange(1 << 30), batch=10, pause=0.02)
    problems: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(source.serving())
        feeds = {FEED: trades_feed(source)}
        capture = await stack.enter_async_context(capturing(data, feeds, rotate_mb=0.03))
        await eventually(lambda: source.talks and source.talks[0].sent, 120)
        beside = {
            name: await stack.enter_async_context(_running(data, *command))
            for name, command in _BESIDE.items()
            if name in victims
        }
        page = await _page(beside["serve"].stdout) if beside else ""
        pids = {"capture": capture.pid} | {name: child.pid for name, child in beside.items()}
        for name in victims:
            problems[name] = await _stop(name, pids, data, seconds, outcome)
        if page:
            problems["serve"] += await asyncio.to_thread(_unhealthy, page)
        await source.settle(60)
        await eventually(lambda: len(journals(data)) < 3, 300)  # what has piled up is sealed
        code = await capture.stopped()
        if beside:
            beside["ingest"].terminate()
            await asyncio.wait_for(beside["ingest"].communicate(), 60)
            problems["ingest"] += unlike_raw(data)
    found = rows(data, FEED)
    problem = outcome.add(judge(source.talks, by_connection(found)))
    for name in victims:
        outcome.survive(problems[name], problem, holes(found), clean(data, code, capture.said))


_BESIDE = {"ingest": ("ingest", "--follow"), "serve": ("serve", "--port", "0")}


@contextlib.asynccontextmanager
async def _running(data: Path, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "recorder", *command, "--data-dir", str(data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _page(stdout: asyncio.StreamReader | None) -> str:
    assert stdout is not None
    async with asyncio.timeout(120):
        while line := (await stdout.readline()).decode():
            if address := _ADDRESS.search(line):
                return address[0]
    raise RuntimeError("serve ended")


def _unhealthy(page: str) -> str:
    with urllib.request.urlopen(f"{page}healthz", timeout=30) as answer:
        return "" if answer.status == 200 else f"/healthz answers {answer.status}"


async def _stop(
    name: str, pids: dict[str, int], data: Path, seconds: float, outcome: Outcome
) -> str:
    """Stop one process for some seconds; what is wrong with what status says meanwhile."""
    if name == "sealing":
        await eventually(lambda: sealing(data), 60)
    pid = sealing(data)[0] if name == "sealing" else pids[name]
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:  # it has sealed everything just now
        return await _stop(name, pids, data, seconds, outcome)
    try:
        await asyncio.sleep(seconds)
        conditions = await asyncio.to_thread(_conditions, data)
    finally:
        os.kill(pid, signal.SIGCONT)
    outcome.figures[f"seconds that {name} stood still"] = seconds
    expected = _SAID.get(name, set()) if seconds >= 150 else set()
    unsaid = expected - conditions
    return f"{name}: status says {sorted(conditions)}, not {sorted(unsaid)}" if unsaid else ""


#: What status says of a process that has stood still for minutes.
_SAID = {"capture": {"journal_unwritable"}, "sealing": {"journals_unsealed"}}


def _conditions(data: Path) -> set[str]:
    settings = load(data.with_name(f"{data.name}.toml"), data_dir=data)
    status = Watcher(Layout(data), settings).look()
    return {problem.condition for problem in status.problems}
