"""The doctor: is this machine, this configuration, this directory fit to record for months?"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import resource
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recorder.capture.sources import Source, connect_options, sources
from recorder.clock import NS, sync_state
from recorder.errors import RecorderError
from recorder.feeds import feed as feed_of
from recorder.record.layout import Layout
from recorder.redact import safe_url
from recorder.settings.config import FeedSettings, Settings
from recorder.settings.keys import key_of, key_variable
from recorder.version import __version__

_LIBRARIES = ("websockets", "duckdb", "pyarrow", "msgspec", "pydantic")
_DAY = 86_400.0
_FEW_HOURS = 24.0
_FEW_DESCRIPTORS = 256


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: `ok` is None where it is neither good nor bad."""

    name: str
    ok: bool | None
    says: str
    hint: str = ""


def examine(settings: Settings) -> Iterator[Check]:
    """Every check that needs no network but the bucket's."""
    yield _versions()
    yield _descriptors()
    yield _clock()
    yield from _directory(settings.data_dir)
    yield _disk(settings.data_dir)
    yield _journals(settings.data_dir)
    if settings.raw_url is not None:
        yield _bucket(settings.raw_url)
    if not settings.feeds:
        yield Check("feeds", False, "none is configured", "for example: recorder feeds binance")
    for name, chosen in settings.feeds.items():
        yield _feed(name, chosen, settings)


def _versions() -> Check:
    found = [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("versions", None, f"recorder {__version__}, {python}, {', '.join(found)}")


def _descriptors() -> Check:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft == resource.RLIM_INFINITY or soft >= _FEW_DESCRIPTORS
    return Check("descriptors", enough, f"at most {soft} open files", "raise it: ulimit -n 4096")


def _clock() -> Check:
    state = sync_state()
    if state is None:
        return Check("clock", None, "the kernel does not say whether it is synchronised")
    error = f"estimated error {state.error_ns / 1e6:,.3f} ms"
    if state.synchronised:
        return Check("clock", True, f"synchronised, {error}")
    hint = "run an NTP client such as chrony: receive timestamps are only as good as this clock"
    return Check("clock", False, f"not synchronised, {error}", hint)


def _directory(data_dir: Path) -> Iterator[Check]:
    place = data_dir
    while not place.exists():
        place = place.parent
    writable = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    says = f"{data_dir} {'can' if writable else 'cannot'} be written"
    yield Check("directory", writable, says, "change its owner or mode, or use --data-dir")


def _disk(data_dir: Path) -> Check:
    place = data_dir
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    rate = _bytes_per_hour(Layout(data_dir))
    says = f"{free / 1e9:,.1f} GB free"
    if not rate:
        return Check("disk", None, f"{says}; nothing was recorded in the last day to measure by")
    hours = free / rate
    says += f", {hours:,.0f} hours at the last day's rate of {rate / 1e6:,.1f} MB an hour"
    return Check("disk", hours >= _FEW_HOURS, says, "free space, or prune old raw files")


def _bytes_per_hour(layout: Layout) -> float:
    """How fast sealed files grew over the last day, or since the first of them."""
    now = time.time()
    files = [path.stat() for path in layout.raw.glob("feed=*/date=*/*.parquet")]
    recent = [file for file in files if now - file.st_mtime < _DAY]
    if not recent:
        return 0.0
    span = max(now - min(file.st_mtime for file in recent), 300.0)
    return sum(file.st_size for file in recent) / span * 3600


def _journals(data_dir: Path) -> Check:
    layout = Layout(data_dir)
    waiting = sum(len(layout.active(feed)) for feed in layout.feeds())
    return Check("journals", None, f"{waiting} journals not sealed yet, active ones among them")


def _bucket(url: str) -> Check:
    from recorder.bucket.store import Store

    try:
        Store(url, attempts=1).check_writable()
    except RecorderError as error:
        return Check("bucket", False, f"{url} {error.what}", error.hint)
    return Check("bucket", True, f"{url} takes objects and gives them back")


def _feed(name: str, chosen: FeedSettings, settings: Settings) -> Check:
    label = f"feed {name}"
    try:
        key = key_of(name, chosen, os.environ)
        alone = settings.model_copy(update={"feeds": {name: chosen}})
        (source,) = sources(alone, {name: key})
        connect_options(source, settings.capture.max_frame_mb)
    except RecorderError as error:
        return Check(label, False, f"{error.where}: {error.what}".removeprefix(": "), error.hint)
    needs = feed_of(chosen.kind or name).key_help is not None
    keyed = f"key from {_key_place(name, chosen)}" if key else "no key needed"
    connections = len(source.places)
    says = f"{connections} connections, {keyed if needs or key else 'no key needed'}"
    return Check(label, True, says)


def _key_place(name: str, chosen: FeedSettings) -> str:
    """Where the key comes from; never what it is."""
    variable = key_variable(name)
    if os.environ.get(variable):
        return variable
    if os.environ.get(f"{variable}_FILE") or chosen.key_file:
        return "a key file"
    return "the settings file: better the environment" if chosen.key else "the credentials"


async def reach(settings: Settings, ready: list[Source]) -> list[Check]:
    """Open and close each endpoint once, as capture would; seconds, not minutes."""
    return [await _knock(settings, s, url) for s in ready for url in dict.fromkeys(_urls(s))]


def _urls(source: Source) -> Iterator[str]:
    for plan in source.plans:
        yield from plan.urls[: source.settings.lines]


async def _knock(settings: Settings, source: Source, url: str) -> Check:
    from websockets.asyncio.client import connect

    options = connect_options(source, settings.capture.max_frame_mb)
    if not url.startswith("wss:"):
        options.pop("ssl", None)
    headers = next(dict(plan.headers) for plan in source.plans if url in plan.urls)
    label, start = f"endpoint {safe_url(url)}", time.monotonic_ns()
    try:
        async with asyncio.timeout(12), connect(url, additional_headers=headers, **options):
            took = (time.monotonic_ns() - start) / NS
            return Check(label, True, f"answers in {took * 1000:,.0f} ms")
    except Exception as error:  # whatever keeps us out is the finding
        says = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return Check(label, False, says, "check the network, the URL and the key")
