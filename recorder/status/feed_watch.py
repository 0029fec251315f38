"""A watch on one feed's files: it reads each frame of journals and sealed segments once."""

from __future__ import annotations

import time
from collections.abc import Callable

from recorder.clock import day
from recorder.durable import GRAIN_NS
from recorder.record.layout import Layout, began_ns, order
from recorder.record.skim import Skim
from recorder.record.store import directories, stems_in
from recorder.status.connection_state import FeedState
from recorder.status.disk import begun_ns
from recorder.status.tables import Past


class FeedWatch:
    """Follows one feed; calls `grown(stem)` for each file that was sealed."""

    def __init__(self, layout: Layout, feed: str, grown: Callable[[str], None]) -> None:
        self.layout, self.feed, self._grown = layout, feed, grown
        self.lives = FeedState(feed)
        self.about: dict[str, object] = {}
        self.backlog_bytes = 0
        self.waiting = 0
        """Journals that are not sealed."""
        self.waiting_since_ns: int | None = None
        """When the oldest of them was finished (ns): when the next one began."""
        self.backlog_since_ns: int | None = None
        """When the oldest of them began (ns)."""
        self._skim = Skim(layout, feed)
        self._done: set[str] = set()
        self._rows: dict[str, int] = {}
        self._offsets: dict[str, int] = {}
        self._dated: dict[str, int] = {}
        self._first = True

    def begin(self, past: Past | None, now_ns: int, *, history: bool) -> None:
        """Begin with the state that the tables hold, then read the sealed files beyond it."""
        if past is not None:
            self.lives.seed(past.connections.get(self.feed, ()), past.written_ns.get(self.feed))
            self.lives.holes.extend(past.holes.get(self.feed, ()))
            for stem, (rows, offset, whole) in past.read.items():
                if whole:
                    self._done.add(stem)
                else:
                    self._rows[stem], self._offsets[stem] = rows, offset
        older = self._missed()  # what is there now came before this watch: not to be counted
        stems = self._of_today(now_ns)
        for stem in stems:
            self._grown(stem)
        wanted = stems if history else stems[-1:]
        for stem in wanted:
            if stem not in self._done and (past is None or stem in self._rows or stem in stems):
                self._sealed(stem, counted=False)
        self._done.update(older, stems)

    def look(self) -> None:
        """Read what was written since the last look."""
        there = set(self.layout.active(self.feed))
        fresh = sorted(there - self._done - set(self._skim.journals), key=order)
        if fresh:
            # Rates and the newest frame need the active journal whole, ingested or not.
            self._offsets.pop(max(there, key=order), None)
            self._skim.open(fresh, self._offsets)
        self.backlog_bytes = 0
        missed = self._missed()  # afterwards: what was sealed before it was opened is among them
        # In the order they were written: a frame number that comes early looks like a gap.
        for stem in sorted({*self._skim.journals, *missed}, key=order):
            if stem in missed:
                self._sealed(stem, counted=True)
                self._done.add(stem)
                self._grown(stem)
                continue
            self.lives.take(self._skim.new(stem))
            self.about = self._skim.about(stem) or self.about
            if stem in there:
                self.backlog_bytes += self._skim.size(stem)
            else:
                self._close(stem)
        journals = self._skim.journals
        self.waiting = len(journals)
        self.waiting_since_ns = began_ns(journals[1]) if len(journals) > 1 else None
        self.backlog_since_ns = min(map(begun_ns, journals), default=None)
        self._skim.forget()

    def close(self) -> None:
        """Close the files."""
        for stem in self._skim.journals:
            self._close(stem)

    def _close(self, stem: str) -> None:
        """Close a journal that was read to its end; its sealed file holds the same frames."""
        self._skim.close(stem)
        self._done.add(stem)
        self._grown(stem)

    # -- sealed files

    def _missed(self) -> set[str]:
        """Return the segments that were sealed between two looks, their journals never opened."""
        dates = self.layout.raw / f"feed={self.feed}"
        stems = {one for date in self._new_dates() for one in stems_in(dates / date, ".parquet")}
        return stems - self._done - set(self._skim.journals)

    def _sealed(self, stem: str, *, counted: bool) -> None:
        entries = self._skim.sealed(stem, self._rows.pop(stem, 0))
        self.lives.take(entries, counted=counted)

    def _of_today(self, now_ns: int) -> list[str]:
        """Return the stems of today's sealed files and the newest earlier one, oldest first."""
        today = day(now_ns)
        dates = self.layout.raw / f"feed={self.feed}"
        days = (name.removeprefix("date=") for name in directories(dates, "date="))
        result: list[str] = []
        for one in sorted((d for d in days if d <= today), reverse=True):
            stems = sorted(stems_in(dates / f"date={one}", ".parquet"), key=order)
            if one != today:
                return stems[-1:] + result
            result = stems
        return result

    def _new_dates(self) -> list[str]:
        """Return the days, of the newest two, whose files may have changed since the last look."""
        place = self.layout.raw / f"feed={self.feed}"
        try:
            dates = sorted(directories(place, "date="))[-2:]
            changed = {date: (place / date).stat().st_mtime_ns for date in dates}
        except OSError:
            return []
        new = [date for date, at in changed.items() if self._dated.get(date) != at]
        settled_ns = time.time_ns() - GRAIN_NS
        self._dated = {date: at for date, at in changed.items() if at < settled_ns}
        return new
