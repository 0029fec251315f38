"""Journals of which no frame could be read: when the frames that they held may have come.

Such a journal lies in `damaged/`, and the head of its run has it with damaged bytes and without a
frame. Its frames came after the last frame of its run before it, or at the earliest when its name
says, and before the next frame of its run; if its run has no more, before the feed's next frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from recorder.errors import DataError
from recorder.record import footers, heads, read
from recorder.record.journal import reader
from recorder.record.journal.block import Block
from recorder.record.known_heads import KnownHeads
from recorder.record.layout import Layout, began_ns, order, run_of

CAUSE = "the journal could not be read"

#: Every line of a head whose journal was damaged holds these bytes.
_DAMAGED = b'"damaged":'


class LostJournal(NamedTuple):
    """A journal without a readable frame, and the connections of its run that others hold."""

    stem: str
    connections: frozenset[str]


class LostInterval(NamedTuple):
    """When frames of a lost journal came; a `to_ns` of None: no later frame is known yet."""

    journal: LostJournal
    from_ns: int
    to_ns: int | None


Span = tuple[int, int]
"""The receive times of a segment's first and last frame, in ns."""


def intervals(journals: Iterable[LostJournal], spans: Mapping[str, Span]) -> list[LostInterval]:
    """Return when the frames of each journal came; `spans` are of one feed's segments. Pure."""
    return [_interval(journal, spans) for journal in journals]


def _interval(journal: LostJournal, spans: Mapping[str, Span]) -> LostInterval:
    run, place = run_of(journal.stem), order(journal.stem)
    mine = {stem: span for stem, span in spans.items() if run_of(stem) == run}
    earlier = [last for stem, (_, last) in mine.items() if order(stem) < place]
    from_ns = max(earlier, default=began_ns(journal.stem))
    later = [stem for stem in mine if order(stem) > place]
    if later:
        to_ns = spans[min(later, key=order)][0]
    else:
        others = [first for first, _ in spans.values() if first > from_ns]
        if not others:
            return LostInterval(journal, from_ns, None)
        to_ns = min(others)
    return LostInterval(journal, min(from_ns, to_ns), to_ns)


class LostJournals:
    """The lost journals of a record; a head is read again only after it grew.

    Heads that only a bucket has are read once.
    """

    def __init__(self, layout: Layout) -> None:
        self._heads = KnownHeads(layout, _in_head)

    def of(self, feed: str) -> list[LostJournal]:
        """Return a feed's lost journals in the order in which they were written.

        Raises:
            StoreError: the bucket with copies of its heads is unavailable.
        """
        here, _ = self._heads.here(feed)
        found = {one.stem: one for each in (*self._heads.copies(feed), *here) for one in each}
        return sorted(found.values(), key=lambda one: order(one.stem))


def _in_head(run: str, data: bytes) -> list[LostJournal]:
    if _DAMAGED not in data:
        return []
    head = heads.parse(run, data)
    names = frozenset(name for one in head.segments for name in one.connections)
    return [LostJournal(one.stem, names) for one in head.segments if one.damaged and not one.rows]


def of_files(layout: Layout, feed: str) -> list[LostInterval]:
    """Return when the frames of a feed's lost journals came, by its files alone."""
    journals = LostJournals(layout).of(feed)
    if not journals:
        return []
    spans: dict[str, Span] = {}
    for stem in read.stems(layout, feed):
        spans |= _of_file(layout, feed, stem) or _of_journal(layout, feed, stem)
    return intervals(journals, spans)


def _of_file(layout: Layout, feed: str, stem: str) -> dict[str, Span]:
    """Return the times of the segments in a sealed file; none where it cannot be read."""
    try:
        known = footers.footer(layout.store.look(feed, stem))
    except (DataError, FileNotFoundError):
        return {}
    held = {one.stem: (one.first_ns, one.last_ns) for one in known.held}
    return held or ({stem: known.span} if known.span is not None else {})


def _of_journal(layout: Layout, feed: str, stem: str) -> dict[str, Span]:
    """Return the times of a journal's first and last frame; none if it has none, or is sealed."""
    times: list[int] = []
    with suppress(FileNotFoundError):
        for block in reader.blocks(layout.journal(feed, stem)):
            if isinstance(block, Block):
                times = [*times[:1], block.recv_ns]
    return {stem: (times[0], times[-1])} if times else {}
