"""Three hosts record two services into a bucket while a cluster takes it in; the store fails."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pytest
from kit.effort import FULL
from kit.records import Published, assert_same
from lake import worlds

from recorder.lake.place import Place
from recorder.lake.raw import listed
from recorder.record.layout import run_of

from .conftest import Stage
from .standalone import wait_until

pytestmark = pytest.mark.process

HOSTS = 3
RAW, TABLES = "s3://recorder/hosts/raw", "s3://recorder/hosts/tables"

#: How long the store is away.
OUTAGE_SECONDS = 30 if FULL else 10

CHANNELS = [
    "whales:BTC", "whales:ETH", "whales:SOL", "derivatives:funding", "derivatives:liquidations",
    "derivatives:open_interest", "signals:BTC", "signals:ETH",
]  # fmt: skip


@contextmanager
def service(name: str, *flags: str) -> Iterator[str]:
    """A simulated service in a process of its own; its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "recorder", "simulate", name, *flags],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def configure(root: Path, urls: dict[str, str]) -> Path:
    """The settings that all hosts share."""
    path = root / "recorder.toml"
    channels = ", ".join(f'"{channel}"' for channel in CHANNELS)
    path.write_text(
        f'raw_url = "{RAW}"\n[capture]\nrotate_seconds = 8\n[bucket]\nkeep_local_hours = 0\n'
        f'[feeds.cryptolisting]\nurl = "{urls["cryptolisting"]}"\nlines = 2\n'
        f'[feeds.smartmoney]\nurl = "{urls["smartmoney"]}"\nlines = 2\nchannels = [{channels}]\n'
    )
    return path


def runs(place: Place) -> set[tuple[str, str]]:
    """Which captures of which feeds brought files."""
    return {(file.feed, run_of(file.stem)) for file in listed(place)}


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for the clean end of a process that was sent SIGTERM; what it said."""
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    return said


@pytest.fixture
def hosts(aws: Stage, tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Three captures, each with its share of both feeds, on two lines across hosts."""
    keys = {
        "RECORDER_CRYPTOLISTING_KEY": "dsk_" + secrets.token_hex(32),
        "RECORDER_SMARTMONEY_KEY": secrets.token_hex(16),
    }
    with ExitStack() as running:
        urls = {
            "cryptolisting": running.enter_context(
                service("cryptolisting", "--rate", "5", "--no-limits")
            ),
            "smartmoney": running.enter_context(service("smartmoney", "--rate", "60")),
        }
        config = configure(tmp_path, urls)
        captures = [
            aws.recorder("capture", "--config", config, "--data-dir", tmp_path / f"host-{number}",
                         "--shard", f"{number}/{HOSTS}", "--log-level", "error", **keys)
            for number in range(1, HOSTS + 1)
        ]  # fmt: skip
        try:
            yield captures
        finally:
            for capture in captures:
                capture.kill()
                capture.communicate()


def test_three_hosts_and_a_cluster_make_the_rows_of_one_machine(
    aws: Stage, hosts: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    raw, config = Place.of(RAW), tmp_path / "recorder.toml"
    wait_until(
        lambda: len(runs(raw)) >= 5 and len(listed(raw)) >= 2 * len(runs(raw)),
        "every host has sent files of its share",
    )
    assert not [host.poll() for host in hosts if host.poll() is not None]
    ingests = 0

    def ingest() -> str:
        nonlocal ingests
        process = aws.ingest(TABLES, "--config", config, "--data-dir", tmp_path / "driver")
        _, said = process.communicate(timeout=600)
        ingests += process.returncode == 0
        return said

    ingest()
    aws.store.stop()
    away = time.monotonic()
    said = ingest()
    assert ingests == 1 and "cannot be reached" in said, said
    time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - away)))
    assert all(host.poll() is None for host in hosts)
    aws.store.start()
    before = len(listed(raw))
    wait_until(lambda: len(listed(raw)) > before + HOSTS, "what waited is sent")
    ingest()
    for host in hosts:
        host.send_signal(signal.SIGTERM)
    for host in hosts:
        ended(host)
    for number in range(1, HOSTS + 1):
        sent = aws.recorder("upload", "--config", config, "--data-dir", tmp_path / f"host-{number}")
        _, said = sent.communicate(timeout=180)
        assert sent.returncode == 0, said
    said = ingest()
    assert ingests == 3, said

    local = aws.recorder("ingest", "--config", config, "--data-dir", tmp_path / "local")
    _, said = local.communicate(timeout=300)
    assert local.returncode == 0, said
    expected = Published(tmp_path / "local").everything()
    assert_same(worlds.everything(Place.of(TABLES)), expected)
    assert {row[0] for row in expected["ledger"]} == {"cryptolisting", "smartmoney"}
    assert len(expected["listings"]) > 0 and len(expected["latency"]) > 100
    no_frame_is_missing(tmp_path / "local")


def no_frame_is_missing(place: Path) -> None:
    """Frame numbers have no hole, and no row is twice, whatever became of the store."""
    with duckdb.connect(str(place / "recorder.duckdb"), read_only=True) as db:
        missing = db.execute("FROM gaps WHERE frames_missing IS NOT NULL").fetchall()
        twice = db.execute(
            "SELECT count(*) - count(DISTINCT (feed, connection, seq, item)) FROM latency"
        ).fetchall()
    assert (missing, twice) == ([], [(0,)])
