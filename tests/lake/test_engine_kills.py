"""A driver killed after any commit, and two drivers at once: whole batches, and nothing twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import pytest
from kit.effort import cases
from kit.records import Published, assert_same

from recorder.errors import BusyError
from recorder.lake import claim, delta
from recorder.lake.claim import Claim
from recorder.lake.place import Place
from recorder.reporter import Reporter
from recorder.schema.tables import TABLES

from . import worlds
from .dying import DIED

pytestmark = pytest.mark.process

FEED = "cryptolisting"
_FRAMES = [column.name for column in TABLES["connections"].columns].index("frames")


@pytest.fixture
def record(tmp_path: Path) -> Published:
    """One feed in two files, which are two batches."""
    made = Published(tmp_path)
    worlds.cut(made, FEED, worlds.frames(FEED, captures=1), files=2)
    return made


def run_until(root: Path, number: int) -> int:
    dying = Path(__file__).with_name("dying.py")
    done = subprocess.run(
        [sys.executable, str(dying), str(root), str(number)], check=False, capture_output=True
    )
    assert done.returncode in (0, DIED), done.stderr.decode()
    return done.returncode


def seen(one: Place) -> set[str]:
    """The segments that a reader sees, if there is a lake; its rows are theirs, or it fails."""
    if delta.about(one) is None:
        return set()
    tables = worlds.everything(one)
    frames = sum(row[_FRAMES] for row in tables["connections"])
    markers = sum(row[3] for row in tables["ledger"]) - frames
    assert 0 <= markers < 10, "the books are of another batch than the ledger"
    return {row[1] for row in tables["ledger"]}


@pytest.mark.parametrize("share", cases(2, 0, 1, 3))
def test_a_driver_killed_after_any_commit_leaves_whole_batches(
    record: Published, share: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The first batch is there; the second one's driver dies, at every step."""
    expected = worlds.local(record)
    root = record.layout.root
    first, second = sorted(worlds.sealed(record))
    second.rename(root / "aside")
    worlds.take(worlds.engine(root))
    (root / "aside").rename(second)
    steps = 0
    for number in count(1 + share, 4):
        place = tmp_path_factory.mktemp("killed")
        shutil.copytree(root / "raw", place / "raw")
        shutil.copytree(root / "lake", place / "lake")
        code = run_until(place, number)
        again = worlds.engine(place)
        whole = seen(again.tables)
        assert first.stem in whole
        if code == 0:
            assert whole == {first.stem, second.stem}
            break
        worlds.take(again)  # the dead driver is known to be dead: nobody has to take over
        assert_same(worlds.lake(again), expected)
        steps += 1
    assert steps > 2


def test_a_driver_killed_again_and_again_gets_there(record: Published) -> None:
    expected = worlds.local(record)
    codes = [run_until(record.layout.root, number) for number in (25, 3, 9)]
    assert codes[0] == DIED
    one = worlds.engine(record.layout.root)
    worlds.take(one)
    assert_same(worlds.lake(one), expected)


def test_of_two_drivers_one_works_and_one_is_told(record: Published) -> None:
    one = worlds.engine(record.layout.root)
    with delta.Writer(one.tables) as first:
        with pytest.raises(BusyError, match="another ingest works here"):
            worlds.take(one)
        assert one.run(first).files == 2
    worlds.take(one)
    assert_same(worlds.lake(one), worlds.local(record))


@pytest.mark.parametrize("there", [False, True], ids=["no lake yet", "a lake"])
def test_of_drivers_that_start_at_once_exactly_one_works(tmp_path: Path, there: bool) -> None:
    place = Place.of(str(tmp_path / "lake"))
    if there:
        with delta.Writer(place):
            pass
    start, entered, over = threading.Barrier(4), [], threading.Event()
    told: list[BusyError] = []

    def drive() -> None:
        start.wait()
        try:
            with delta.Writer(place) as writer:
                entered.append(writer)
                over.wait(60)
        except BusyError as error:
            told.append(error)
            if len(told) == 3:
                over.set()

    drivers = [threading.Thread(target=drive) for _ in range(4)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert (len(entered), len(told)) == (1, 3)


def test_who_was_taken_over_can_commit_nothing_more(record: Published) -> None:
    one = worlds.engine(record.layout.root, batch_bytes=1)
    with pytest.raises(BusyError, match="took over"), delta.Writer(one.tables) as first:
        assert first.rows("ledger").num_rows == 0
        with delta.Writer(one.tables, take_over=True) as second:
            assert one.run(second).files == 2
        one.run(first)
    assert_same(worlds.lake(one), worlds.local(record))


def test_a_claim_that_cannot_be_renewed_is_warned_of_once(tmp_path: Path) -> None:
    about, away = tmp_path / "lake/about", tmp_path / "away"
    place, warnings = Place.of(str(tmp_path / "lake")), list[str]()
    here, arrived, go = threading.current_thread(), threading.Semaphore(0), threading.Semaphore(0)

    def clock() -> int:
        if threading.current_thread() is not here:  # a renewal, before it writes
            arrived.release()
            go.acquire()
        return time.time_ns()

    def renewals(count: int) -> None:
        for _ in range(count):
            go.release()
            assert arrived.acquire(timeout=60)

    with delta.Writer(place, clock=clock, reporter=Reporter(warnings.append), renew_seconds=0.01):
        assert arrived.acquire(timeout=60)
        renewals(2)
        assert warnings == []
        for outage in (1, 2):
            about.rename(away)
            about.touch()
            renewals(3)
            about.unlink()
            away.rename(about)
            assert len(warnings) == outage
            renewals(1)
        go.release(1_000)
    assert all("this ingest's claim was not renewed" in text for text in warnings)
    assert place.url in warnings[0]


def test_a_claim_that_nobody_renews_ends_by_itself(tmp_path: Path) -> None:
    place, now = Place.of(str(tmp_path / "lake")), 10**18
    elsewhere = Claim("x", "another-host", 1, now)
    assert elsewhere.lives(now + claim.STALE_NS - 1)
    assert not elsewhere.lives(now + claim.STALE_NS)
    assert Claim.read(elsewhere.encoded()) == elsewhere
    assert not Claim.read("no claim").lives(now)
    first = delta.Writer(place, clock=lambda: now)
    first.__enter__()
    with pytest.raises(BusyError), delta.Writer(place, clock=lambda: now + claim.STALE_NS - 1):
        pass
    with delta.Writer(place, clock=lambda: now + claim.STALE_NS):
        pass
    with pytest.raises(BusyError, match="took over"):
        first.__exit__(None, None, None)
