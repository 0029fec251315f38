"""The checks of `recorder doctor`: is everything ready to record for months?"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recorder.capture import http
from recorder.capture.sources import FeedSource, connect_options, sources
from recorder.capture.threads import in_thread
from recorder.clock import NS, Clock, Sync, sync_state
from recorder.errors import RecorderError
from recorder.feed import Plan
from recorder.feeds import feed as feed_of
from recorder.record.layout import Layout
from recorder.redact import safe_url
from recorder.settings.config import FeedSettings, Settings
from recorder.settings.keys import key_of, key_variable
from recorder.status import disk, problems
from recorder.status.conditions import JOURNALS_UNSEALED
from recorder.status.model import Disk, Problem, Status
from recorder.status.watch import Watcher
from recorder.times import duration
from recorder.version import __version__

_LIBRARIES = ("websockets", "duckdb", "pyarrow", "msgspec", "pydantic")
_FEW_DESCRIPTORS = 256


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `ok` None: neither good nor bad."""

    name: str
    ok: bool | None
    says: str
    hint: str = ""


def examine(
    settings: Settings,
    *,
    clock: Clock | None = None,
    space: disk.Space = disk.space,
    sync: Callable[[], Sync | None] = sync_state,
) -> Iterator[Check]:
    """Yield every check that needs no network except the bucket's.

    Checks that a running recorder's verdict also makes have the same thresholds.
    """
    yield _versions()
    yield _descriptors()
    yield _clock(sync())
    yield from _directory(settings.data_dir)
    watcher = Watcher(Layout(settings.data_dir), settings, clock, history=False, space=space)
    try:
        status = watcher.look()
    finally:
        watcher.close()
    yield from _record(settings.data_dir, status, space)
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


def _clock(state: Sync | None) -> Check:
    if state is None:
        return Check("clock", None, "the kernel does not say whether it is synchronised")
    error = f"estimated error {state.error_ns / 1e6:,.3f} ms"
    for problem in problems.clock(state.synchronised, "this machine"):
        return Check("clock", False, f"{problem.what}, {error}", problem.next)
    return Check("clock", True, f"synchronised, {error}")


def _directory(data_dir: Path) -> Iterator[Check]:
    place = data_dir
    while not place.exists():
        place = place.parent
    writable = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    says = f"{data_dir} {'can' if writable else 'cannot'} be written"
    yield Check("directory", writable, says, "change its owner or mode, or use --data-dir")


def _record(data_dir: Path, status: Status, space: disk.Space) -> Iterator[Check]:
    """Yield the checks of the verdict that may end a recording: the disk, and unsealed journals."""
    place = data_dir
    while not place.exists():
        place = place.parent
    found = status.disk or disk.disk([place], None, space)
    full = list(problems.disk(found, str(data_dir)))
    unsealed = [one for one in status.problems if one.condition == JOURNALS_UNSEALED.name]
    yield _disk(found, full)
    waiting = sum(len(Layout(data_dir).active(feed)) for feed in Layout(data_dir).feeds())
    if unsealed:
        says = "; ".join(f"{one.feed}: {one.what}" for one in unsealed)
        yield Check("journals", False, says, unsealed[0].next)
    else:
        yield Check("journals", None, f"{waiting} not sealed yet, active ones among them")


def _disk(found: Disk | None, full: list[Problem]) -> Check:
    if full:
        return Check("disk", False, full[0].what, full[0].next)
    if found is None:
        return Check("disk", None, "the file system does not say how much is free")
    says = f"{found.free_bytes / 1e9:,.1f} GB free"
    if not found.hours_left:
        return Check("disk", None, f"{says}; nothing was recorded in the last hour to measure by")
    rate = (found.bytes_per_second or 0.0) * 3600 / 1e6
    left = duration(int(found.hours_left * 3600 * NS))
    return Check("disk", True, f"{says}; at the present {rate:,.1f} MB an hour full in {left}")


def _bucket(url: str) -> Check:
    from recorder.bucket.store import Store

    try:
        Store(url, attempts=1).check_writable()
    except RecorderError as error:
        return Check("bucket", False, f"{url} {error.what}", error.hint)
    return Check("bucket", True, f"{url} stores objects and returns them")


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
    """Return where the key comes from; never the key."""
    variable = key_variable(name)
    if os.environ.get(variable):
        return variable
    if os.environ.get(f"{variable}_FILE") or chosen.key_file:
        return "a key file"
    return "the settings file: better the environment" if chosen.key else "the credentials"


async def reach(settings: Settings, ready: list[FeedSource]) -> list[Check]:
    """Connect to each endpoint once with capture's options; return a check for each.

    Of a group of polled URLs the first is asked.
    """
    found = [
        await _try_endpoint(settings, s, url) for s in ready for url in dict.fromkeys(_urls(s))
    ]
    polled = [(s, plan) for s in ready for plan in s.plans if plan.every is not None]
    return found + [await _try_poll(source, plan) for source, plan in polled]


def _urls(source: FeedSource) -> Iterator[str]:
    for plan in source.plans:
        if plan.every is None:
            yield from plan.urls[: source.settings.lines]


async def _try_poll(source: FeedSource, plan: Plan) -> Check:
    url = plan.urls[0] if plan.own else source.reach.url(plan.urls[0])
    label, start = f"polled {safe_url(url)}", time.monotonic_ns()
    client = http.pool(source.reach)
    ask = partial(http.ask, client, url, {**http.OWN_HEADERS, **plan.headers}, Clock().wall_ns)
    try:
        answer = await in_thread(ask, "doctor")
    except http.UnansweredError as error:
        return Check(label, False, str(error), "check the network and the URL")
    finally:
        client.clear()
    took = (time.monotonic_ns() - start) / NS
    if answer.status == 200:
        return Check(label, True, f"answers in {took * 1000:,.0f} ms")
    return Check(label, False, f"answers HTTP {answer.status}", "check the URL and the key")


async def _try_endpoint(settings: Settings, source: FeedSource, url: str) -> Check:
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
    except Exception as error:  # any error is the finding
        says = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return Check(label, False, says, "check the network, the URL and the key")
