"""Keeps the venues' lists of instruments up to date while capture runs.

Recording does not wait for them: a feed begins with the list that was kept. A feed with patterns
alone and no kept list begins when its first list arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from recorder.capture.catalogue import VenueListing, fetch, keep, kept
from recorder.capture.sources import FeedSource
from recorder.capture.threads import in_thread
from recorder.clock import Clock
from recorder.errors import CatalogueError
from recorder.record.layout import Layout

_EVERY = 24 * 3600.0
_AGAIN = 60.0  # after a failure


def known(layout: Layout, feeds: Iterable[str]) -> dict[str, VenueListing]:
    """Return the lists that were kept on disk, by the feed's name."""
    found = ((name, kept(layout.instruments(name))) for name in feeds)
    return {name: listing for name, listing in found if listing is not None}


class Symbols:
    """A poller of the feeds' lists; it calls `changed(feed, listing)` for each list it fetches."""

    def __init__(
        self, layout: Layout, clock: Clock, log: Any, changed: Callable[[str, VenueListing], None]
    ) -> None:
        self._layout, self._clock, self._log, self._changed = layout, clock, log, changed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sources: dict[str, FeedSource] = {}

    def follow(self, sources: Iterable[FeedSource]) -> None:
        """Poll the lists of these feeds, and of no others."""
        wanted = {source.name: source for source in sources if source.asks}
        for name in self._tasks.keys() - wanted.keys():
            self._tasks.pop(name).cancel()
        fresh = {name for name, s in wanted.items() if name not in self._tasks or self._differs(s)}
        self._sources = wanted
        for name in fresh:
            if name in self._tasks:
                self._tasks[name].cancel()
            self._tasks[name] = asyncio.get_running_loop().create_task(self._follow(name))

    def stop(self) -> None:
        """Stop polling."""
        self.follow(())

    def _differs(self, source: FeedSource) -> bool:
        before = self._sources[source.name]
        old, new = (before.feed, before.reach), (source.feed, source.reach)
        return old != new or before.catalogue.asks != source.catalogue.asks

    async def _follow(self, name: str) -> None:
        while True:
            source = self._sources[name]
            catalogue, now, reach = source.catalogue, self._clock.wall_ns(), source.reach
            try:
                listing = await in_thread(lambda: fetch(catalogue, now, reach), "instruments")  # noqa: B023
            except CatalogueError as error:
                self._complain(name, error)
                await asyncio.sleep(_AGAIN)
                continue
            try:
                where = self._layout.instruments(name)
                await in_thread(partial(keep, where, listing), "instruments")
            except OSError as error:
                self._log.warning("the list of instruments could not be kept", why=str(error))
            self._log.info("list of instruments", feed=name, instruments=len(listing.instruments))
            self._changed(name, listing)
            await asyncio.sleep(_EVERY)

    def _complain(self, name: str, error: CatalogueError) -> None:
        source = self._sources[name]
        without = "channels with * wait" if source.unmatched else "values in contracts stay NULL"
        serves = "the last list serves" if source.listing else without
        self._log.warning(
            "the venue's list of instruments is unavailable",
            feed=name,
            why=error.what,
            where=error.where,
            meanwhile=serves,
        )
