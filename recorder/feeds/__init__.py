"""The feeds: one file each, found by name. A package adds one by the entry point group below."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from recorder.errors import ConfigError, did_you_mean
from recorder.feed import Feed

#: Feeds that come with the recorder: module `recorder.feeds.<kind>`, object `FEED`.
KINDS = ("cryptolisting", "smartmoney", "binance", "generic")

#: Other packages offer `name = "package.module:FEED"` here.
ENTRY_POINTS = "recorder.feeds"


def kinds() -> list[str]:
    """Every kind of feed that can be named in the configuration."""
    return [*KINDS, *sorted(point.name for point in entry_points(group=ENTRY_POINTS))]


def feed(kind: str, *, where: str = "") -> Feed:
    """The feed of this kind.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if kind in KINDS:
        found = import_module(f"recorder.feeds.{kind}").FEED
    else:
        points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        if kind not in points:
            raise ConfigError(
                f"no feed of kind '{kind}'",
                where=where,
                hint=f'{did_you_mean(kind, kinds())} For any other WebSocket: kind = "generic".',
            )
        found = points[kind].load()
    assert isinstance(found, Feed)
    return found
