"""How each recorded feed is normalised: as configured, else as its own record says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorder.errors import ConfigError
from recorder.feeds import feed as feed_of
from recorder.sealed.raw import kind_of
from recorder.segment import Layout
from recorder.tables.ingest import Rules

if TYPE_CHECKING:
    from recorder.config import Settings


class RulesOf:
    """The rules of a data directory's feeds, found once each; `settings` None: none are set."""

    def __init__(self, layout: Layout, settings: Settings | None = None) -> None:
        self._layout, self._settings = layout, settings
        self._known: dict[str, Rules] = {}

    def __call__(self, feed: str) -> Rules:
        """The rules of a feed."""
        if feed not in self._known:
            self._known[feed] = self._find(feed)
        return self._known[feed]

    def _find(self, feed: str) -> Rules:
        chosen = self._settings.feeds.get(feed) if self._settings else None
        kind = (chosen.kind or feed) if chosen else kind_of(self._layout, feed) or feed
        try:
            normalise = feed_of(kind).normalise
        except ConfigError:
            normalise = None  # recorded by a plug-in that is not installed here: raw only
        return Rules(normalise, chosen.whale_usd if chosen else 100_000.0)
