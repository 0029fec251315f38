"""One recorder and one browser for the tests of a module."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kit.commands import clean, command

from .made import Pump, fill

CHROMIUM = Path("/usr/bin/chromium")


@dataclass(frozen=True)
class Served:
    """A running `recorder serve` and what feeds it."""

    url: str
    root: Path
    pump: Pump
    process: subprocess.Popen[str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox", "--headless", "--enable-precise-memory-info"]
        found = driver.chromium.launch(executable_path=str(CHROMIUM), args=options)
        yield found
        found.close()


@pytest.fixture(scope="module")
def served(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A week of record, a feed that goes on, and the page over them."""
    root = tmp_path_factory.mktemp("page")
    data = root / "data"
    fill(data, time.time_ns())
    with (
        Pump(data) as pump,
        (root / "serve.log").open("w") as log,
        subprocess.Popen(
            command("serve", "--port", "0", "--data-dir", data),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=clean(),
            cwd=root,
        ) as process,
    ):
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, (root / "serve.log").read_text()
        pump.rate = 20.0
        yield Served(url, data, pump, process)
        process.terminate()
