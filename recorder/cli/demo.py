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

from recorder.cli import options

_MARK = ".demo"


class Question(NamedTuple):
    """What is asked of the record at the end."""

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
    type=click.FloatRange(min=2),
    default=15.0,
    show_default=True,
    help="How long to record.",
)
@options.data_dir
def demo(seconds: float, data_dir: Path | None) -> None:
    """See the whole flow at work, without network or key.

    Starts simulated services of the two primary feeds on this machine, records both with
    `recorder capture`, ingests while they are recorded, and asks the result a few questions.
    """
    from recorder.settings.config import load

    home = load(None, data_dir=data_dir).data_dir / "demo"
    _clear(home)
    with contextlib.ExitStack() as running:
        say("Starting two simulated services on this machine …")
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
            say(f"Recording both for {seconds:.0f} s, and ingesting meanwhile …\n")
            _capture(home, config, seconds, environment)
    _answer(home)


def say(text: str) -> None:
    """Talk to the person at the terminal."""
    click.echo(text, err=True)


def _clear(home: Path) -> None:
    """An earlier demo's record goes; anything else there is left alone."""
    from recorder.errors import UsageError

    if home.exists() and any(home.iterdir()) and not (home / _MARK).exists():
        raise UsageError(
            "holds something that is not a demo's record",
            where=str(home),
            hint="give another directory with --data-dir",
        )
    shutil.rmtree(home, ignore_errors=True)
    try:
        home.mkdir(parents=True)
        (home / _MARK).touch()
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(home)) from None


@contextlib.contextmanager
def _service(name: str, *flags: str) -> Iterator[str]:
    """A simulated service in a process of its own; its URL."""
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

        said = (home / "ingest.log").read_text("utf-8", "replace")[-2000:]
        raise RecorderError(f"ingest failed (exit code {process.returncode})", hint=said)


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
        code = process.wait()  # Ctrl-C reached it too: it is closing, syncing and sealing
    if code:
        raise RecorderError(f"capture failed (exit code {code})")


def _answer(home: Path) -> None:

    from recorder.answers import canned, output
    from recorder.record.layout import Layout
    from recorder.schema import duck

    queries = canned.load()
    with duck.connect(Layout(home).database, read_only=True) as connection:
        for ask in _QUESTIONS:
            say(f"\n{ask.heading} · recorder query {ask.query}")
            answer = canned.run(connection, queries[ask.query], ask.parameters)
            output.write(answer.select(ask.columns), "table", sys.stdout)
            sys.stdout.flush()
    where = f"--data-dir {home}"
    program = "recorder"
    if shutil.which(program) is None:  # as after `make demo`: the environment is not activated
        program = os.path.relpath(Path(sys.executable).with_name(program))
    say(
        f"\nThe record and its tables are in {home}. What to type next:\n"
        f"  {program} query --list\n"
        f"  {program} query event_history {where}\n"
        f"  {program} query coverage {where}\n"
        f"  {program} verify {where}\n"
        f"  {program} feeds      the real services; then: {program} capture"
    )
