"""Detection of late segments: another host's frames of the same time are already in the tables.

Ingest recognises a copy of a frame by the frames shortly before it (see `arrivals`). So a file of
one of several hosts is late if frames of another line of the same group were ingested beyond its
first frame. The rows from there on then have to be rebuilt, in order of time.

To make that rare, ingest waits (`Hosts.settle_ns`): of a feed that several hosts record right now,
it takes only frames that are older than the time that files need to arrive.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import LAST
from recorder.errors import DataError
from recorder.record import heads
from recorder.record.footers import footer
from recorder.record.layout import Layout, began_ns, run_of
from recorder.record.read import Reader
from recorder.tables.arrivals import MARGIN_NS, QUIET_NS
from recorder.tables.ledger import known, latest_of


class Late(NamedTuple):
    """A feed's first segment that came late, and from when (ns) on its rows have to be rebuilt.

    Frames from `wait_ns` on still have to wait for those of other hosts. With `lost` it did not
    come late, but this many frames that were ingested of it, and of later segments, are not in the
    record any more.
    """

    feed: str
    stem: str
    from_ns: int
    wait_ns: int = LAST
    lost: int = 0


# Other connections of the same groups that were open then and are ingested beyond the first frame.
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
    db: duckdb.DuckDBPyConnection, layout: Layout, feed: str, perhaps: Mapping[str, int]
) -> Late | None:
    """Return the first of a feed's segments that came late; None if all are in time.

    `perhaps` are the segments to check, each with the latest receive time (ns) ingested of other
    runs.
    """
    for stem, others in perhaps.items():
        if others <= (latest := latest_of(db, feed, stem)):
            continue
        first = _beyond(db, layout, feed, stem, latest)
        if first is not None:
            return Late(feed, stem, first - MARGIN_NS)
    return None


def shrunk(
    db: duckdb.DuckDBPyConnection, layout: Layout, feed: str, stems: Iterable[str]
) -> Late | None:
    """Return the first segment with fewer frames than were ingested; `lost` counts those of all.

    `stems` are segments of which ingest read a part, and whose journals are gone. A power cut takes
    frames, or a whole journal: ingest reads what capture has written, whether it was synced or not.
    """
    missing = {}
    for stem in stems:
        left = _frames_left(layout, feed, stem)
        if left is not None and (lost := known(db, stem).rows - left) > 0:
            missing[stem] = lost
    if not missing:
        return None
    first = min(missing, key=began_ns)
    return Late(feed, first, began_ns(first), lost=sum(missing.values()))


def _frames_left(layout: Layout, feed: str, stem: str) -> int | None:
    """Return how many frames the record has of a segment without a journal; None if unknown."""
    try:
        there = footer(layout.store.look(feed, stem))
    except DataError:
        return None  # ingest warns of it
    except FileNotFoundError:
        # Sealed once, it was merged, pruned, or only a bucket has it. Else it left nothing.
        head = heads.read(layout, feed, run_of(stem))
        sealed = head is not None and stem in head.stems and head.stems[stem].rows > 0
        moved = {one.stem for one in heads.pruned(layout, feed)}
        moved |= {one.stem for one in heads.dropped(layout, feed)}
        return None if sealed or stem in moved else 0
    return {one.stem: one.rows for one in there.held}.get(stem, there.rows)


def _beyond(
    db: duckdb.DuckDBPyConnection, layout: Layout, feed: str, stem: str, latest_ns: int
) -> int | None:
    """Return the time (ns) of a segment's first new frame if another line was ingested beyond it.

    Return None if no line was, or if the segment has no new frames or cannot be read.
    """
    try:
        tables = Reader(layout, feed, {stem: known(db, stem)}).parts(stem)
        left = [part for table in tables if (part := _left(table)) is not None]
    except (FileNotFoundError, DataError):
        return None  # ingest warns of it
    if not left:
        return None
    first = min(one.first_ns for one in left)
    last = max(one.last_ns for one in left)
    db.register("left_over", pa.concat_tables([one.connections for one in left]))
    # A frame counts as at least as late as the frames before it in its run: the wall clock may have
    # been set back.
    span = {"first": max(first, latest_ns), "last": last, "quiet": QUIET_NS + MARGIN_NS}
    [(count,)] = db.execute(_BEYOND, {"feed": feed} | span).fetchall()
    db.unregister("left_over")
    return first if count else None


class _Left(NamedTuple):
    """The connections of some frames, with the groups that their open markers name, and times."""

    connections: pa.Table
    first_ns: int
    last_ns: int


def _left(table: pa.Table) -> _Left | None:
    """Return the connections and times of some frames; None if all are instrument lists."""
    table = table.filter(pc.not_equal(table["kind"], "instruments"))
    if not len(table):
        return None
    opened = table.filter(pc.equal(table["kind"], "open"))
    names, payloads = (opened[name].to_pylist() for name in ("connection", "payload"))
    groups = {name: _group(payload) for name, payload in zip(names, payloads, strict=True)}
    there = pc.unique(table["connection"]).to_pylist()
    line_groups = [groups.get(name) for name in there]
    connections = pa.table({"connection": there, "line_group": pa.array(line_groups, pa.string())})
    times = pc.min_max(table["recv_ns"]).as_py()
    return _Left(connections, times["min"], times["max"])


def _group(payload: bytes) -> str | None:
    """Return the group that an open marker names; None if it names none or cannot be read."""
    try:
        marker = json.loads(payload)
    except ValueError:
        return None
    group = marker.get("group") if isinstance(marker, dict) else None
    return group if isinstance(group, str) else None


@dataclass(frozen=True, slots=True)
class Hosts:
    """The rules of an ingest for files of several hosts, which arrive one after the other.

    Ingest calls `late(segment)` before it takes a late segment; if that returns True, ingest skips
    the feed. Files may need `settle_ns` to arrive. `until` holds for each feed the receive time
    (ns) from which on frames are left for later in any case.
    """

    late: Callable[[Late], bool] | None = None
    settle_ns: int = 0
    until: Mapping[str, int] = field(default_factory=dict)
