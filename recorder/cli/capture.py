"""`recorder capture`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from recorder.cli import options

if TYPE_CHECKING:
    from recorder.capture import Capture
    from recorder.config import Settings

_STATUS_SECONDS = 10.0


@click.command(
    epilog="\b\nExamples:\n  recorder capture\n  recorder capture --feed binance --duration 60"
)
@options.config
@options.data_dir
@click.option("--feed", "only", multiple=True, help="Record only this feed; may be repeated.")
@click.option(
    "--duration", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds."
)
@click.option(
    "--connect-timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="Give up (exit code 3) if nothing is connected after so many seconds.",
)
@options.logging
@click.pass_context
def capture(
    ctx: click.Context,
    config_path: Path | None,
    data_dir: Path | None,
    only: tuple[str, ...],
    duration: float | None,
    connect_timeout: float | None,
    log_format: str,
    log_level: str,
) -> None:
    """Record every frame of the configured feeds until stopped.

    Frames go to the journal under DATA_DIR/journal as they arrive and from there to Parquet under
    DATA_DIR/raw. Ctrl-C or SIGTERM closes the connections, syncs and seals; a second Ctrl-C stops
    at once (what was received is safe, and is sealed at the next start).
    """
    from recorder import log
    from recorder.capture import Capture
    from recorder.config import load
    from recorder.keys import key_of
    from recorder.redact import Redactor
    from recorder.sources import sources

    settings = _only(load(config_path, data_dir=data_dir), only)
    keys = {name: key_of(name, feed, os.environ) for name, feed in settings.feeds.items()}
    redactor = Redactor(_secrets(settings, keys))
    ready = sources(settings, keys)
    _check_writable(settings.data_dir)
    log.configure(
        redactor, level=log_level, json=log_format == "json", stream=cast(TextIO, _Stderr())
    )
    _warn_of_keys_in_file(settings)
    run = Capture(settings, ready, redactor, log.logger())
    with _display(run, settings.data_dir, wanted=log_format == "text"):
        code = asyncio.run(_main(run, duration, connect_timeout))
    ctx.exit(code)


def _only(settings: Settings, names: tuple[str, ...]) -> Settings:
    from recorder.errors import ConfigError, did_you_mean

    for name in names:
        if name not in settings.feeds:
            hint = did_you_mean(name, settings.feeds) if settings.feeds else "no feed is configured"
            raise ConfigError(f"no feed '{name}' in the configuration", hint=hint)
    if not names:
        return settings
    chosen = {name: settings.feeds[name] for name in names}
    return settings.model_copy(update={"feeds": chosen})


def _secrets(settings: Settings, keys: dict[str, str | None]) -> Iterator[str]:
    """Everything that must never be shown: keys, header values, a proxy's password."""
    from urllib.parse import urlsplit

    for name, feed in settings.feeds.items():
        key = keys[name] or ""
        yield key
        yield from (part for part in key.split(":") if len(part) >= 8)  # such as KEY:SECRET
        yield from (value for value in feed.headers.values() if len(value) >= 8)
        yield (urlsplit(feed.proxy).password or "") if feed.proxy else ""


def _warn_of_keys_in_file(settings: Settings) -> None:
    from recorder import log

    for name, feed in settings.feeds.items():
        if feed.key is not None:
            log.logger().warning(
                "a key stands in the settings file",
                feed=name,
                better="the environment, or a key_file of mode 0600",
            )


def _check_writable(data_dir: Path) -> None:
    from recorder.errors import ConfigError

    place = data_dir
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(
            "the data directory cannot be written",
            where=str(data_dir),
            hint="give another with --data-dir, or change its owner or mode",
        )


async def _main(run: Capture, duration: float | None, connect_timeout: float | None) -> int:
    loop = asyncio.get_running_loop()
    asked: list[int] = []

    def ask(number: int) -> None:
        if asked and number == signal.SIGINT:
            os._exit(130)  # what was received is in the journal already
        asked.append(number)
        run.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask, number)
    teller = asyncio.create_task(_tell(run))
    try:
        return await run.run(duration=duration, connect_timeout=connect_timeout)
    finally:
        teller.cancel()
        _summary(run)


async def _tell(run: Capture) -> None:
    """A line of status now and then, where no table is drawn."""
    if _draws():
        return
    before = 0
    while True:
        await asyncio.sleep(_STATUS_SECONDS)
        frames = _frames(run)
        live = sum(line.live for line in run.lines)
        run.log.info(
            "status",
            open=f"{live}/{len(run.lines)}",
            frames=frames,
            per_second=round((frames - before) / _STATUS_SECONDS, 1),
        )
        before = frames


def _frames(run: Capture) -> int:
    return sum(line.total_frames + (line.tape.frames if line.tape else 0) for line in run.lines)


def _summary(run: Capture) -> None:
    connections = sum(line.connections for line in run.lines)
    run.log.info(
        "recorded", frames=_frames(run), connections=connections, to=str(run.settings.data_dir)
    )


def _draws() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def _display(run: Capture, data_dir: Path, *, wanted: bool) -> Iterator[None]:
    if not (wanted and _draws()):
        yield
        return
    from rich.console import Console
    from rich.live import Live

    from recorder.cli.board import Board

    board = Board(run, data_dir)
    with Live(get_renderable=board, console=Console(stderr=True), refresh_per_second=4):
        yield


class _Stderr:
    """Standard error as it is when written to: the live table moves it aside and back.

    That nobody reads it any more is no reason to stop recording.
    """

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)
