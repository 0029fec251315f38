"""`recorder demo`."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from recorder.cli import options, types

_MARK = ".demo"


class Question(NamedTuple):
    """A canned query that the demo runs at the end."""

    heading: str
    query: str
    parameters: dict[str, str]
    columns: tuple[str, ...]


_QUESTIONS = (
    Question(
        "How late did events arrive? (milliseconds)",
        "latency_percentiles",
        {},
        ("feed", "channel", "hop", "count", "p50", "p90", "p99", "max"),
    ),
    Question(
        "The last listings",
        "listings",
        {"limit": "6"},
        ("recv_time", "exchange", "ticker", "listing_type", "title", "latency_ms"),
    ),
    Question(
        "The biggest whale moves",
        "whale_moves",
        {"limit": "6"},
        ("recv_time", "symbol", "action", "side", "notional_usd", "price", "wallet"),
    ),
    Question(
        "What was liquidated",
        "liquidation_totals",
        {"bucket": "1 day"},
        ("exchange", "position_side", "count", "notional_usd", "largest_usd"),
    ),
)


@click.command(epilog="\b\nExample:\n  recorder demo --seconds 10")
@click.option(
    "--seconds",
    type=types.Seconds(2),
    default=15.0,
    show_default=True,
    help="How long to record.",
)
@options.data_dir
def demo(seconds: float, data_dir: Path | None) -> None:
    """Try the whole pipeline without network or keys.

    Starts simulators of the two primary feeds on this machine, records both with `recorder
    capture`, ingests at the same time, and runs a few queries on the result.
    """
    from recorder.settings.config import load

    home = load(None, data_dir=data_dir).data_dir / "demo"
    _clear(home)
    with contextlib.ExitStack() as running:
        progress("Starting two simulated services on this machine …")
        urls = {
            "cryptolisting": running.enter_context(
                _service("cryptolisting", "--old-schema", "--rate", "2")
            ),
            "smartmoney": running.enter_context(_service("smartmoney", "--rate", "200")),
        }
        config = _configure(home, urls)
        environment = {
            **os.environ,
            "RECORDER_CRYPTOLISTING_KEY": "dsk_" + secrets.token_hex(32),
            "RECORDER_SMARTMONEY_KEY": secrets.token_hex(16),
        }
        with _ingest(home, config):
            progress(f"Recording and ingesting both for {seconds:.0f} s …\n")
            _capture(home, config, seconds, environment)
    _run_queries(home)


def progress(text: str) -> None:
    """Print a line of progress on stderr."""
    click.echo(text, err=True)


def _clear(home: Path) -> None:
    """Create an empty directory; an earlier demo's record is removed.

    Raises:
        UsageError: the directory holds anything else, or is not writable.
    """
    from recorder.errors import UsageError

    if home.exists() and any(home.iterdir()) and not (home / _MARK).exists():
        raise UsageError(
            "not empty, and not the record of an earlier demo",
            where=str(home),
            hint="choose another directory with --data-dir",
        )
    shutil.rmtree(home, ignore_errors=True)
    try:
        home.mkdir(parents=True)
        (home / _MARK).touch()
    except OSError as error:
        raise UsageError(f"not writable: {error.strerror}", where=str(home)) from None


@contextlib.contextmanager
def _service(name: str, *flags: str) -> Iterator[str]:
    """Run a simulated service in a separate process; yield its URL."""
    from recorder.errors import RecorderError

    command = [sys.executable, "-m", "recorder", "simulate", name, *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise RecorderError(f"the simulated {name} did not start")
        yield url
    finally:
        _end(process)
        process.stdout.close()


@contextlib.contextmanager
def _ingest(home: Path, config: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "recorder", "ingest", "--follow"]
    command += ["--config", str(config), "--data-dir", str(home), "--log-level", "warning"]
    with (home / "ingest.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            _end(process)
    if process.returncode:
        from recorder.errors import RecorderError

        output = (home / "ingest.log").read_text("utf-8", "replace")[-2000:]
        raise RecorderError(f"ingest failed (exit code {process.returncode})", hint=output)


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _configure(home: Path, urls: dict[str, str]) -> Path:
    config = home / "recorder.toml"
    feeds = "\n".join(f'[feeds.{name}]\nurl = "{url}"\n' for name, url in urls.items())
    config.write_text(f"# Written by `recorder demo`.\n{feeds}", "utf-8")
    return config


def _capture(home: Path, config: Path, seconds: float, environment: dict[str, str]) -> None:
    from recorder.errors import RecorderError

    command = [sys.executable, "-m", "recorder", "capture", "--duration", str(seconds)]
    command += ["--config", str(config), "--data-dir", str(home), "--log-level", "warning"]
    process = subprocess.Popen(command, env=environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = process.wait()  # Ctrl-C reached capture too: it closes, syncs and seals
    if code:
        raise RecorderError(f"capture failed (exit code {code})")


def _run_queries(home: Path) -> None:
    from recorder.answers import canned, output
    from recorder.record.layout import Layout
    from recorder.schema import duck

    queries = canned.load()
    with duck.connect(Layout(home).database, read_only=True) as connection:
        for question in _QUESTIONS:
            progress(f"\n{question.heading} · recorder query {question.query}")
            answer = canned.run(connection, queries[question.query], question.parameters)
            output.write(answer.select(question.columns), "table", sys.stdout)
            sys.stdout.flush()
    where = f"--data-dir {home}"
    program = "recorder"
    if shutil.which(program) is None:  # e.g. `make demo`: the virtual environment is not active
        program = os.path.relpath(Path(sys.executable).with_name(program))
    progress(
        f"\nThe record and its tables are in {home}. Try next:\n"
        f"  {program} query --list\n"
        f"  {program} query event_history {where}\n"
        f"  {program} query coverage {where}\n"
        f"  {program} verify {where}\n"
        f"  {program} feeds      the real services; then: {program} capture"
    )
