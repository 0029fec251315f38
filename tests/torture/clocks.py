"""The wall clock is stepped while capture records."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from random import Random

from kit.captures import capturing, eventually, rows

from recorder.frame import Frame

from .kills import clean
from .outcome import Outcome, Scale, by_connection, judge
from .power import INSIDE
from .source import Source

_FEED = "mine"
_SIZES = (0.5, -0.5, 3_600, -3_600, 90_000, -90_000, 86_400 * 40, -86_400 * 40)


def clock_steps(seed: int, scale: Scale) -> Outcome:
    """Steps of half a second to forty days, both ways: no frame rejected, each step is noted."""
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=8)):
        steps = dice.sample(_SIZES, 2)
        with tempfile.TemporaryDirectory() as place:
            asyncio.run(_step(Path(place) / "data", dice, steps, outcome))
    return outcome


async def _step(data: Path, dice: Random, steps: list[float], outcome: Outcome) -> None:
    clock = data.with_name("clock")
    clock.write_text("0", "ascii")
    env = {"PYTHONPATH": INSIDE, "TORTURE_CLOCK": str(clock)}
    source = Source(dice.randrange(1 << 30))
    async with source.serving():
        feeds = {_FEED: {"url": source.url}}
        async with capturing(data, feeds, env=env, rotate_mb=0.2) as child:
            await eventually(lambda: source.talks and source.talks[0].sent)
            for number in range(len(steps)):
                await asyncio.sleep(1.3 + dice.random())  # capture looks once a second
                shifted = clock.with_suffix(".new")
                shifted.write_text(str(sum(steps[: number + 1])), "ascii")
                shifted.replace(clock)
                await eventually(lambda: child.said.count("was stepped") > number)  # noqa: B023
            await source.settle()
            code = await child.stopped()
    found = sorted(rows(data, _FEED), key=lambda frame: (frame.connection, frame.seq))
    problem = outcome.add(judge(source.talks, by_connection(found)))
    # `recorder verify` walks segments by the time in their names, which goes back with the clock:
    # its order is no judge here.
    wrong = clean(data, code, child.said)
    outcome.survive(problem, _noted(found, steps), _monotonic(found), wrong)


def _noted(found: list[Frame], steps: list[float]) -> str:
    told = [json.loads(frame.payload) for frame in found if frame.kind == "stats"]
    noted = [stats["clock_step_ns"] / 1e9 for stats in told if "clock_step_ns" in stats]
    right = len(noted) == len(steps)
    right = right and all(abs(a - b) < 0.05 for a, b in zip(noted, steps, strict=True))
    return "" if right else f"stepped by {steps}, noted {noted}"


def _monotonic(found: list[Frame]) -> str:
    stamps = [frame.mono_ns for frame in found]
    return "" if stamps == sorted(stamps) else "the monotonic stamps are out of order"
