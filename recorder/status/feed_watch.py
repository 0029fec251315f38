"""A watch on one feed's files: it reads each frame of journals and sealed segments once."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from recorder.record.layout import Layout, is_stem, order
from recorder.record.skim import JournalTail
from recorder.status import sealed
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
        self.backlog_since_ns: int | None = None
        """When the oldest of them began (ns)."""
        self._tails: dict[str, JournalTail] = {}
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
        stems = sealed.of_today(self.layout, self.feed, now_ns)
        for stem in stems:
            self._grown(stem)
        wanted = stems if history else stems[-1:]
        for stem in wanted:
            if stem not in self._done and (past is None or stem in self._rows or stem in stems):
                self._sealed(stem, counted=False)
        self._done.update(stems)
        self._new_dates()

    def look(self) -> None:
        """Read what was written since the last look."""
        there = self._journals()
        newest = max(there, key=order, default="")
        for stem in sorted(there - self._tails.keys() - self._done, key=order):
            # Rates and the newest frame need the active journal whole, ingested or not.
            self._open(stem, 0 if stem == newest else self._offsets.pop(stem, 0))
        ended = self._tails.keys() - there
        self.backlog_bytes = 0
        for stem in sorted(self._tails, key=order):
            tail = self._tails[stem]
            self.lives.take(tail.new())
            self.about = tail.about or self.about
            if stem in ended:
                self._close(stem)
            else:
                self.backlog_bytes += os.fstat(tail.fd).st_size
        self.waiting = len(self._tails)
        self.backlog_since_ns = min(map(begun_ns, self._tails), default=None)
        self._missed()

    def close(self) -> None:
        """Close the files."""
        for stem in list(self._tails):
            self._close(stem)

    # -- journals

    def _journals(self) -> set[str]:
        try:
            with os.scandir(self.layout.journal_dir(self.feed)) as entries:
                names = [entry.name for entry in entries if entry.name.endswith(".journal")]
        except OSError:
            return set()
        stems = (name.removesuffix(".journal") for name in names)
        return {stem for stem in stems if is_stem(stem)}

    def _open(self, stem: str, offset: int) -> None:
        place = self.layout.journal(self.feed, stem)
        with suppress(OSError):  # sealed just now: `_missed` finds its file
            self._tails[stem] = JournalTail(place, offset)

    def _close(self, stem: str) -> None:
        """Close a journal that was read to its end; its sealed file holds the same frames."""
        self._tails.pop(stem).close()
        self._done.add(stem)
        self._grown(stem)

    # -- sealed files

    def _missed(self) -> None:
        """Read files that were sealed between two looks and whose journals were never seen."""
        for date in self._new_dates():
            files = (self.layout.raw / f"feed={self.feed}" / date).glob("*.parquet")
            stems = {path.stem for path in files if is_stem(path.stem)}
            unseen = stems - self._done - self._tails.keys()
            for stem in sorted(unseen, key=order):
                self._sealed(stem, counted=True)
                self._done.add(stem)
                self._grown(stem)

    def _sealed(self, stem: str, *, counted: bool) -> None:
        entries = sealed.found_in(self.layout, self.feed, stem, self._rows.pop(stem, 0))
        self.lives.take(entries, counted=counted)

    def _new_dates(self) -> list[str]:
        """Return the days, of the newest two, whose files changed since the last look."""
        place = self.layout.raw / f"feed={self.feed}"
        try:
            dates = sorted(place.glob("date=*"))[-2:]
            changed = {date.name: date.stat().st_mtime_ns for date in dates}
        except OSError:
            return []
        new = [date for date, at in changed.items() if self._dated.get(date) != at]
        self._dated = changed
        return new
