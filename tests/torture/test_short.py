"""A few tries of every fault class; the full suite is `python -m benchmarks.reliability`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from .outcome import CannotRunHereError, Outcome, Scale
from .suite import CLASSES

pytestmark = pytest.mark.process

_SEED = int(os.environ.get("TORTURE_SEED", "1"))
#: These wait for timers most of their time: begun first, they overlap with the others.
_WAITING = ("accept, then close", "refused and dripping handshakes", "half-open TCP")


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Future[Outcome]]]:
    """All classes at once, a few at a time; each test waits for its own."""
    with ThreadPoolExecutor(6) as pool:
        order = sorted(CLASSES, key=lambda name: name not in _WAITING)
        yield {name: pool.submit(CLASSES[name], _SEED, Scale.SHORT) for name in order}
        pool.shutdown(wait=False, cancel_futures=True)


@pytest.mark.parametrize("name", CLASSES)
def test_nothing_is_lost_twice_or_altered(name: str, running: dict[str, Future[Outcome]]) -> None:
    print(f"seed {_SEED}; set TORTURE_SEED to replay another")
    try:
        outcome = running[name].result(timeout=120)
    except CannotRunHereError as reason:
        pytest.skip(str(reason))
    assert outcome.sound, outcome


def test_the_page_describes_every_class() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text("utf-8")
    table = page.partition("## What each class does")[2]
    assert re.findall(r"^\| (.+?) \| ", table, re.M) == ["fault", *CLASSES]
