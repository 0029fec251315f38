"""Mutated journals met by the real processes: the child that seals, and the start of capture."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from kit.captures import capturing, eventually, journals

from recorder.record.layout import Layout

from .damage import Original, accounted, mutated, write
from .outcome import Outcome, Scale

_HERE = "here"


def orphans(seed: int, scale: Scale) -> Outcome:
    """Mutated journals of many feeds: no good frame is lost, no byte deleted that is nowhere else.

    One half is sealed by the child alone, the other by a capture that starts.
    """
    outcome, dice = Outcome(), Random(seed)
    for _ in range(scale.of(short=1, full=5)):
        for start in (False, True):
            with tempfile.TemporaryDirectory() as place:
                data = Path(place) / "data"
                left = _leave(data, dice, scale.of(short=20, full=100))
                problem = asyncio.run(_start_capture(data, set(left))) if start else _seal(data)
                for feed, (original, hurt) in left.items():
                    wrong = accounted(data, feed, hurt, original, outcome)
                    frames = len(original.expected(hurt))
                    outcome.acknowledged += frames
                    outcome.recovered += frames if not wrong else 0
                    outcome.survive(problem, wrong)
    return outcome


def _leave(data: Path, dice: Random, count: int) -> dict[str, tuple[Original, bytes]]:
    """Leave one mutated journal per feed."""
    left = {}
    for number in range(count):
        feed = f"f{number}"
        original, other = write(data, feed, dice), write(data, feed, dice)
        hurt = mutated(original, other, dice)
        (Layout(data).journal_dir(feed) / original.name).write_bytes(hurt)
        left[feed] = original, hurt
    return left


def _seal(data: Path) -> str:
    command = [sys.executable, "-m", "recorder.record.seal", str(data)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    bad = done.returncode or journals(data) or "Traceback" in done.stderr
    return f"exit code {done.returncode}, said {done.stderr[-300:]}" if bad else ""


async def _start_capture(data: Path, feeds: set[str]) -> str:
    """Start and stop a capture of another feed, whose service is away."""

    def sealed() -> bool:
        return not feeds.intersection(path.parent.name for path in journals(data))

    async with capturing(data, {_HERE: {"url": "ws://127.0.0.1:9/"}}) as child:
        await eventually(sealed, 120)
        code = await child.stopped()
    bad = code != 3 or "Traceback" in child.said  # 3: nothing connected
    return f"exit code {code}, said {child.said[-300:]}" if bad else ""
