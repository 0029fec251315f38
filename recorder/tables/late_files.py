"""Segments that come late, and waiting for those that are still on their way from other hosts.

A copy of a frame is known by those that came a short time before it (see `arrivals`). So where
files of several hosts are ingested, a file may be late: another line of the same channels was
ingested beyond its first frame. Then the rows from there on have to be made anew, in order of time.

To make that seldom, ingest may wait: of a feed that several hosts record at the moment, it takes
what is older than the time that files need to get here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import DAY_NS, NS
from recorder.errors import DataError
from recorder.record import raw
from recorder.record.layout import Layout, began_ns, order, run_of
from recorder.tables import bulk
from recorder.tables.arrivals import MARGIN_NS, QUIET_NS
from recorder.tables.ingest_order import LAST, Span
from recorder.tables.merge_runs import frames_left, known, latest_of

K = TypeVar("K")
V = TypeVar("V")


class Late(NamedTuple):
    """A feed's first segment that came late, and from when (ns) on rows have to be made anew.

    Frames from `wait_ns` on have to wait still, for those of other hosts.
    """

    feed: str
    stem: str
    from_ns: int
    wait_ns: int = LAST


# -- what came late

_TAKEN = """
SELECT substr(segment, 18, 26) AS run, max(last_recv_ns) FROM ledger WHERE feed = $feed GROUP BY run
"""

# Another connection of one of these groups that lived then, ingested beyond the first frame left.
_BEYOND = """
WITH mine AS (
    SELECT l.connection, coalesce(c.line_group, l.line_group, '') AS line_group
    FROM left_over AS l
    LEFT JOIN connections AS c ON c.feed = $feed AND c.connection = l.connection
)
SELECT count(*)
FROM connections AS o JOIN mine AS m ON coalesce(o.line_group, '') = m.line_group
WHERE o.feed = $feed AND o.connection NOT IN (SELECT connection FROM mine)
    AND greatest(o.opened_ns, o.closed_ns, o.last_heard_ns) > $first
    AND o.opened_ns <= $last + $quiet
"""


def first_late(
    db: duckdb.DuckDBPyConnection, layout: Layout, feed: str, stems: Sequence[str]
) -> Late | None:
    """The first of a feed's waiting segments that came late; None if all are in time."""
    taken = dict(db.execute(_TAKEN, {"feed": feed}).fetchall())
    for stem in sorted(stems):
        others = max((at for run, at in taken.items() if run != run_of(stem)), default=-LAST)
        if others <= began_ns(stem) or others <= (latest := latest_of(db, feed, stem)):
            continue
        first = _beyond(db, layout, feed, stem, latest)
        if first is not None:
            return Late(feed, stem, first - MARGIN_NS)
    return None


def _beyond(
    db: duckdb.DuckDBPyConnection, layout: Layout, feed: str, stem: str, latest_ns: int
) -> int | None:
    """When the frames left of a segment begin, if another line was ingested beyond that."""
    try:
        left = [
            told
            for table in frames_left(layout, feed, stem, known(db, stem))
            if (told := _told(table)) is not None
        ]
    except (FileNotFoundError, DataError):
        return None  # ingest says so
    if not left:
        return None
    first = min(one.first_ns for one in left)
    last = max(one.last_ns for one in left)
    db.register("left_over", pa.concat_tables([one.connections for one in left]))
    # A frame counts as late as any before it in its run: the wall clock may have been set back.
    span = {"first": max(first, latest_ns), "last": last, "quiet": QUIET_NS + MARGIN_NS}
    [(count,)] = db.execute(_BEYOND, {"feed": feed} | span).fetchall()
    db.unregister("left_over")
    return first if count else None


class _Told(NamedTuple):
    """Some frames' connections, with the groups of those opened there; the span of time (ns)."""

    connections: pa.Table
    first_ns: int
    last_ns: int


def _told(table: pa.Table) -> _Told | None:
    table = table.filter(pc.not_equal(table["kind"], "instruments"))
    if not len(table):
        return None
    opened = table.filter(pc.equal(table["kind"], "open"))
    names, payloads = (opened[name].to_pylist() for name in ("connection", "payload"))
    groups = {name: _group(payload) for name, payload in zip(names, payloads, strict=True)}
    there = pc.unique(table["connection"]).to_pylist()
    told = {"connection": there, "line_group": [groups.get(name) for name in there]}
    columns = {name: pa.array(values, pa.string()) for name, values in told.items()}
    times = pc.min_max(table["recv_ns"]).as_py()
    return _Told(pa.table(columns), times["min"], times["max"])


def _group(payload: bytes) -> str | None:
    try:
        told = json.loads(payload)
    except ValueError:
        return None
    group = told.get("group") if isinstance(told, dict) else None
    return group if isinstance(group, str) else None


# -- what is still on its way


_NEWEST = """
SELECT segment, first_recv_ns, last_recv_ns FROM ledger
WHERE feed = $feed AND last_recv_ns >= $since
"""

#: Runs that were heard within so much of now are looked at.
_RECENT_NS = 3600 * NS
#: So many files are remembered.
_MANY = 10_000
#: Waiting goes on by the minute: each step reads a part of the same files again.
_STEP_NS = 60 * NS


@dataclass(slots=True)
class Files:
    """What sealed files say of themselves, asked once: they do not change."""

    layout: Layout
    _spans: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _closed: dict[tuple[str, str], bool] = field(default_factory=dict)

    def span(self, feed: str, stem: str) -> tuple[int, int] | None:
        """The times (ns) of the first and last frame; None where there is no sealed file yet."""
        if (feed, stem) not in self._spans:
            found = bulk.span(self.layout, feed, stem)
            if found is None:
                return None
            _keep(self._spans, (feed, stem), found)
        return self._spans[feed, stem]

    def closed(self, feed: str, stem: str) -> bool:
        """True if every connection of the file ended in it."""
        if (feed, stem) not in self._closed:
            _keep(self._closed, (feed, stem), _closed(self.layout, feed, stem))
        return self._closed[feed, stem]


def _keep(known: dict[K, V], key: K, value: V) -> None:
    if len(known) >= _MANY:
        known.clear()
    known[key] = value


@dataclass(frozen=True, slots=True)
class Hosts:
    """What ingest does where files of several hosts come one after the other.

    `late(found)` hears of segments that came late, before they are taken; where it answers True,
    their feed is left as it is. `settle_ns` is how long files may be on their way. `until` says of
    feeds from when (ns) on their frames are left for later in any case.
    """

    late: Callable[[Late], bool] | None = None
    settle_ns: int = 0
    until: Mapping[str, int] = field(default_factory=dict)

    def wait_from(
        self, db: duckdb.DuckDBPyConnection, files: Files, feed: str, stems: Iterable[str]
    ) -> int:
        """Frames of a feed from this moment (ns) on are to wait; `LAST`: none.

        Those of a feed that is being recorded into this very directory never wait for other hosts:
        they are promised soon.
        """
        known = self.until.get(feed, LAST)
        if not self.settle_ns or files.layout.active(feed):
            return known
        now_ns = time.time_ns()
        recent = _recent(db, files, feed, stems, now_ns)

        def over(run: str) -> bool:
            last = max((span.stem for span in recent if run_of(span.stem) == run), key=order)
            return files.closed(feed, last)

        waiting = until(recent, now_ns, self.settle_ns, over)
        # What readers have already stays.
        return min(known, max(waiting, 1 + _newest_taken(db, feed)))


def _recent(
    db: duckdb.DuckDBPyConnection, files: Files, feed: str, stems: Iterable[str], now_ns: int
) -> list[Span]:
    """A feed's newest segments, ingested or not."""
    since = now_ns - _RECENT_NS
    spans = {
        stem: Span(stem, first, last)
        for stem, first, last in db.execute(_NEWEST, {"feed": feed, "since": since}).fetchall()
    }
    for stem in stems:
        if began_ns(stem) >= now_ns - DAY_NS and (found := files.span(feed, stem)):
            spans[stem] = Span(stem, *found)
    return [span for span in spans.values() if span.last_ns >= since]


def _newest_taken(db: duckdb.DuckDBPyConnection, feed: str) -> int:
    [(last,)] = db.execute(
        "SELECT max(last_recv_ns) FROM ledger WHERE feed = $feed", {"feed": feed}
    ).fetchall()
    return 0 if last is None else int(last)


def _closed(layout: Layout, feed: str, stem: str) -> bool:
    """True if every connection of a run's last file ended in it."""
    try:
        with raw.sealed_file(layout.look(feed, stem)) as file:
            table = file.read(["connection", "kind"])
    except (OSError, DataError):
        return False
    lived = table.filter(pc.not_equal(table["kind"], "instruments"))
    ended = lived.filter(pc.equal(lived["kind"], "closed"))
    return set(pc.unique(lived["connection"]).to_pylist()) == set(ended["connection"].to_pylist())


def until(recent: Sequence[Span], now_ns: int, settle_ns: int, over: Callable[[str], bool]) -> int:
    """From which moment (ns) on frames are to wait: see `Hosts.wait_from`.

    `recent` are the feed's newest segments, ingested or not; `over(run)` is asked of runs of which
    a frame came within the settling time: True where they have ended.
    """
    shared = any(
        run_of(a.stem) != run_of(b.stem) and a.first_ns <= b.last_ns and b.first_ns <= a.last_ns
        for a, b in combinations(recent, 2)
    )
    if not shared:
        return LAST
    live = {run_of(span.stem) for span in recent if span.last_ns >= now_ns - settle_ns}
    if all(over(run) for run in live):
        return LAST
    return (now_ns - settle_ns) // _STEP_NS * _STEP_NS
