"""The feeds: one file each, found by name. A package adds one by the entry point group below."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from recorder.errors import ConfigError, did_you_mean
from recorder.feed import Feed

#: Feeds that come with the recorder: module `recorder.feeds.<kind>`, object `FEED`.
KINDS = (
    "cryptolisting",
    "smartmoney",
    "binance",
    "bybit",
    "okx",
    "hyperliquid",
    "deribit",
    "bitmex",
    "treeofalpha",
    "binance_announcements",
    "generic",
)

#: Other packages offer `name = "package.module:FEED"` here.
ENTRY_POINTS = "recorder.feeds"


def kinds() -> list[str]:
    """Every kind of feed that can be named in the configuration."""
    offered = {point.name for point in entry_points(group=ENTRY_POINTS)}
    return [*KINDS, *sorted(offered.difference(KINDS))]


def feed(kind: str, *, where: str = "") -> Feed:
    """The feed of this kind.

    Raises:
        ConfigError: there is none, and the message names the nearest; or a package offers one
            that cannot be used.
    """
    if kind in KINDS:
        found = import_module(f"recorder.feeds.{kind}").FEED
    else:
        points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        if kind not in points:
            raise ConfigError(
                f"no feed of kind '{kind}'",
                where=where,
                hint=f'{did_you_mean(kind, kinds())}; for any other WebSocket: kind = "generic".',
            )
        found = _offered(points[kind], where)
    assert isinstance(found, Feed)
    return found


def _offered(point: EntryPoint, where: str) -> Feed:
    """The feed of another package, whatever may be wrong with that package."""
    what = f"the feed that '{point.value}' offers cannot be used"
    try:
        found = point.load()
    except Exception as error:
        hint = f"{type(error).__name__}: {error}"
        raise ConfigError(what, where=where or point.name, hint=hint) from error
    if not isinstance(found, Feed):
        raise ConfigError(what, where=where or point.name, hint="it is no recorder.feed.Feed")
    return found
