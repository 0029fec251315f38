"""The error for a range without frames: the frames around it, and what ended the record."""

from __future__ import annotations

from collections.abc import Sequence

from recorder.clock import iso
from recorder.errors import DataError
from recorder.player.cover import Cover, lost_journals
from recorder.player.merge import before
from recorder.player.run import runs
from recorder.record.layout import Layout, began_ns
from recorder.record.merge import numbers
from recorder.stream.span import FOR_EVER, Span


def nothing_recorded(layout: Layout, feeds: Sequence[str], span: Span) -> DataError:
    """Return the error for a range without frames; it names each feed's frames around it."""
    end = iso(span.until_ns) if span.until_ns < FOR_EVER else "now"
    what = f"nothing was recorded of {', '.join(feeds)} from {iso(span.since_ns)} to {end}"
    return DataError(
        what,
        where=str(layout.root),
        hint="\n  ".join(around(layout, feed, span) for feed in feeds),
    )


def around(layout: Layout, feed: str, span: Span) -> str:
    """Return, as text, a feed's frames before and after a range without frames."""
    found = runs(layout, [feed], span)
    # Of all that came before, every run is over: no frame of the range follows.
    lost = lost_journals(layout, [feed], span)
    cover = Cover([run.feed for run in found], {run.number for run in found}, lost)
    last: int | None = None
    for batch in before(found, span):
        cover.look(batch)
        last = numbers(batch.column("recv_ns"))[-1]
    causes = {gap.cause for gap in cover.open_gaps(span.since_ns) if gap.cause}
    cause = ", ".join(sorted(causes)) or "the recorder ended without closing"
    starts = map(began_ns, {*layout.active(feed), *layout.sealed(feed)})
    after = min((start for start in starts if start >= span.until_ns - 1), default=None)
    parts = [f"the last frame before it came at {iso(last)} ({cause})"] if last else []
    parts += [f"the next came at {iso(after)}"] if after else []
    return f"{feed}: {'; '.join(parts) or 'no frame before or after it'}"
