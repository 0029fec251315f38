"""The rules by which a feed's frames are normalised: from the settings, else from its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recorder.errors import ConfigError
from recorder.feed import WHALE_USD, Feed, Options
from recorder.feeds import feed as feed_of
from recorder.record.layout import Layout
from recorder.record.read import kind_of
from recorder.tables import normalise
from recorder.tables.normalise import Normaliser

if TYPE_CHECKING:
    from recorder.settings.config import FeedSettings, Settings


class Rules(NamedTuple):
    """The rules for one feed: its `sql` (see `normalise.load`); None: its frames stay raw.

    `cadences` has, for each group of channels of a configured feed, the longest time in seconds
    between two data frames (None: it has no cadence); None for a feed that is not configured.
    `stamped` is the pattern of `Feed.stamped`, `coding` is `Feed.coding`.
    """

    sql: str | Path | None
    whale_usd: float = WHALE_USD
    cadences: Mapping[str, float | None] | None = None
    stamped: str | None = None
    coding: str | None = None

    def load(self) -> Normaliser | None:
        """Read the feed's SQL; None if the feed has none.

        Raises:
            DataError: the SQL is missing or wrong.
        """
        return None if self.sql is None else normalise.load(self.sql)


def rules_of(settings: Settings | None, feed: str, recorded_kind: str) -> Rules:
    """Return a feed's rules: by its kind in `settings`, else by the kind that its files name.

    A feed of a plug-in that is not installed here has no SQL: its frames stay raw.
    """
    chosen = settings.feeds.get(feed) if settings else None
    kind = (chosen.kind if chosen else recorded_kind) or feed
    try:
        known = feed_of(kind)
    except ConfigError:
        return Rules(None) if chosen is None else Rules(None, chosen.whale_usd, {})
    if chosen is None:
        return Rules(known.normalise, stamped=stamped_of(known), coding=known.coding)
    cadences = _cadences(known, feed, chosen)
    return Rules(known.normalise, chosen.whale_usd, cadences, stamped_of(known), known.coding)


def stamped_of(feed: Feed) -> str | None:
    """Return the pattern of what a feed's service stamps per connection, for SQL."""
    return feed.stamped.pattern.decode() if feed.stamped else None


def _cadences(known: Feed, name: str, chosen: FeedSettings) -> Mapping[str, float | None]:
    """Return the cadence of each group that a feed's plan has; empty where it has none to plan."""
    options = Options(name, channels=tuple(chosen.channels or known.default_channels), key="-")
    try:
        return {plan.group: plan.cadence for plan in known.plan(options)}
    except ConfigError:
        return {}


class RulesOf:
    """The rules of a data directory's feeds, looked up once each and cached."""

    def __init__(self, layout: Layout, settings: Settings | None = None) -> None:
        self._layout, self._settings = layout, settings
        self._known: dict[str, Rules] = {}

    def __call__(self, feed: str) -> Rules:
        """Return the rules of a feed."""
        if feed not in self._known:
            configured = self._settings is not None and feed in self._settings.feeds
            recorded = "" if configured else kind_of(self._layout, feed)
            self._known[feed] = rules_of(self._settings, feed, recorded)
        return self._known[feed]
