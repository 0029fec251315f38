"""The feeds: one file each, found by kind.

Another package adds a feed by the entry point group below.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

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
    "htx",
    "gate",
    "bitget",
    "treeofalpha",
    "binance_announcements",
    "notices",
    "generic",
)

#: Other packages offer `name = "package.module:FEED"` here.
ENTRY_POINTS = "recorder.feeds"


T = TypeVar("T")


def kinds() -> list[str]:
    """Return every kind of feed that the settings can name."""
    others = {point.name for point in entry_points(group=ENTRY_POINTS)}
    return [*KINDS, *sorted(others.difference(KINDS))]


def feed(kind: str, *, where: str = "") -> Feed:
    """Return the feed of this kind.

    Raises:
        ConfigError: no feed is of this kind (the message names the nearest), or the package that
            offers it cannot be used.
    """
    if kind in KINDS:
        known = import_module(f"{__name__}.{kind}").FEED
        assert isinstance(known, Feed)
        return known
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if kind not in points:
        raise ConfigError(
            f"no feed of kind '{kind}'",
            where=where,
            hint=f'{did_you_mean(kind, kinds())}; for any other WebSocket: kind = "generic".',
        )
    return offered(points[kind], Feed, where=where)


def coding_of(kind: str) -> str | None:
    """Return the coding of a kind's frames; None for a plug-in's that is not installed here."""
    try:
        return feed(kind).coding
    except ConfigError:
        return None


def offered(point: EntryPoint, wanted: type[T], *, where: str = "") -> T:
    """Load what another package offers by an entry point, whatever may be wrong with the package.

    Raises:
        ConfigError: loading it fails, or it is not of the wanted class.
    """
    name = wanted.__name__
    what = f"the {name.lower()} that '{point.value}' offers cannot be used"
    try:
        result = point.load()
    except Exception as error:
        hint = f"{type(error).__name__}: {error}"
        raise ConfigError(what, where=where or point.name, hint=hint) from error
    if not isinstance(result, wanted):
        hint = f"it is not a {wanted.__module__}.{name}"
        raise ConfigError(what, where=where or point.name, hint=hint)
    return result
