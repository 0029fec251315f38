"""The log goes to standard error as it is now, and never stops the work."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from kit.exchange import Exchange, capturing, until

from recorder import log
from recorder.redact import Redactor


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class Refusing(io.StringIO):
    """Raises when a line with this word is written, so many times."""

    def __init__(self, word: str, times: int) -> None:
        super().__init__()
        self.word, self.left = word, times

    def write(self, text: str) -> int:
        if self.word in text and self.left:
            self.left -= 1
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_it_follows_standard_error_and_survives_a_closed_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    log.configure(Redactor(["s3cr3t"]))
    bound = log.logger(feed="x")
    bound.info("one", why="s3cr3t")
    assert "one" in first.getvalue() and "s3cr3t" not in first.getvalue()
    first.close()
    bound.info("lost")
    monkeypatch.setattr(sys, "stderr", second)
    bound.info("two")
    assert "two" in second.getvalue()
    monkeypatch.setattr(sys, "stderr", Refusing("", 99))
    bound.warning("no room")


@pytest.mark.process
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("command", [["ingest"], ["serve", "--port", "0"]])
def test_no_command_ends_because_its_log_cannot_be_written(
    command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "raw/feed=x/date=2026-01-01").mkdir(parents=True)
    broken = tmp_path / "raw/feed=x/date=2026-01-01"
    (broken / "20260101T000000Z-01KDVG6V000000000000000000-000001.parquet").write_text("broken")
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "recorder", *command, "--data-dir", str(tmp_path)],
            stdout=subprocess.PIPE, stderr=full, text=True,
        )  # fmt: skip
        try:
            if command[0] == "serve":
                assert process.stdout and process.stdout.readline().startswith("http://")
                assert process.poll() is None
            else:
                process.wait(timeout=120)
                assert (tmp_path / "recorder.duckdb").exists()
        finally:
            process.kill()
            process.communicate()


@pytest.mark.process
async def test_a_connection_whose_attempt_fails_by_itself_is_tried_again(tmp_path: Path) -> None:
    """Whatever breaks in there: an attempt that nobody hears of would be a silent end."""
    told = Refusing("connecting", 1)
    log.configure(Redactor(), stream=told)
    exchange = Exchange()
    async with exchange.open("/ws"):
        settings = f'kind = "generic"\nurl = "{exchange.url}"'
        async with capturing(tmp_path, "mine", settings):
            await until(lambda: exchange.talks)
    assert told.left == 0
    assert "not connected" in told.getvalue() and "No space left on device" in told.getvalue()
