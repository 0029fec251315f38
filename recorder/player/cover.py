"""Gaps, lost connections and overlaps, found from the markers while a record is read. Pure.

When a line is without cover is the rule of `recorder.record.gaps`. The table `gaps` applies it to
all connections at once; here rows come in order, so a connection counts as open from its first
frame until it closes or its run has no more rows, even if it was mute when its line opened the next
one. A frame number that
a connection left out is a gap, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import LAST
from recorder.frame import DATA
from recorder.record import lost
from recorder.record.gaps import Lifetime, Longest
from recorder.record.layout import Layout
from recorder.record.merge import numbers
from recorder.stream.span import Gap, Span

_DATA = pa.array(DATA)
_MARKERS = pa.array(["open", "closed", "stats", "gap", "answer"])
_COLUMNS = ("run", "recv_ns", "connection", "kind", "payload")
_DAMAGED = "the journal was damaged"

#: No lost journal.
NOTHING: Mapping[str, list[Gap]] = {}

Place = tuple[str, str, str]  # feed, group, line


def lost_journals(layout: Layout, feeds: Sequence[str], span: Span) -> dict[str, list[Gap]]:
    """Return, for each feed, when frames of journals that could not be read may have come."""
    return {
        feed: [
            Gap(feed, None, one.from_ns, one.to_ns, lost.CAUSE)
            for one in lost.of_files(layout, feed)
            if one.from_ns < span.until_ns and (one.to_ns is None or one.to_ns >= span.since_ns)
        ]
        for feed in feeds
    }


def _end(gap: Gap) -> int:
    return LAST if gap.to_ns is None else gap.to_ns


class CoverNote(NamedTuple):
    """A note before row `row` of a batch: a gap that ends there, or a lost connection."""

    row: int
    gap: Gap | None = None
    lost: tuple[str, int | None, str] | None = None  # feed, code and reason of its end


@dataclass(slots=True)
class _Line:
    """One line of a group of a feed: its open connections, and the longest-lived that ended.

    Each open connection has the number of its run.
    """

    mute: dict[str, tuple[int, Lifetime]] = field(default_factory=dict)  # no frame came yet
    living: dict[str, tuple[int, Lifetime]] = field(default_factory=dict)
    ended: Longest = field(default_factory=Longest)


class Cover:
    """Follows the connections of a stream of batches; `feeds` are the runs' feeds by number.

    `ended` are the numbers of the runs that have no more rows; `lost` has the intervals of journals
    that could not be read, by feed.
    """

    def __init__(
        self, feeds: Sequence[str], ended: set[int], lost: Mapping[str, list[Gap]] = NOTHING
    ) -> None:
        self._feeds, self._ended = feeds, ended
        self._lost = {feed: sorted(gaps, key=_end) for feed, gaps in lost.items() if gaps}
        self._lines: dict[Place, _Line] = {}
        self._places: dict[str, Place] = {}
        self._next: dict[str, int] = {}  # connection -> the number that is due
        self._came: dict[str, int] = {}  # connection -> when its last row came
        self._heard: dict[str, int] = {}  # connection -> its last proof of life

    def look(self, batch: pa.RecordBatch) -> list[CoverNote]:
        """Return the notes of a batch, by row."""
        holes = list(self._holes(batch))  # first: an end forgets its connection
        notes = [*self._losses(batch), *holes, *self._connections(batch)]
        return sorted(notes, key=lambda note: note.row)

    def open_gaps(self, at_ns: int) -> list[Gap]:
        """Return the gaps that last at a time."""
        ended = [
            Gap(place[0], place[2], last.heard_ns, at_ns, last.cause)
            for place, line in self._lines.items()
            if not line.living and (last := line.ended.last) is not None
        ]
        return ended + [gap for gaps in self._lost.values() for gap in gaps if gap.from_ns < at_ns]

    def overlapping(self) -> set[str]:
        """Return the connections that currently receive the same frames as others."""
        groups: dict[tuple[str, str], set[str]] = {}
        for place, line in self._lines.items():
            groups.setdefault(place[:2], set()).update(line.living)
        # The group of a connection whose opening was not read is unknown.
        unknown = {name for name in self._next if name not in self._places}
        shared = {name for names in groups.values() if len(names) > 1 for name in names}
        return shared | (unknown if len(unknown) > 1 else set())

    def _losses(self, batch: pa.RecordBatch) -> Iterator[CoverNote]:
        """Yield the intervals of lost journals that end in a batch, at the rows that end them."""
        for feed, gaps in self._lost.items():
            runs = [number for number, name in enumerate(self._feeds) if name == feed]
            mine = pc.is_in(batch.column("run"), value_set=pa.array(runs, pa.int32()))
            while gaps and gaps[0].to_ns is not None:
                later = pc.greater_equal(batch.column("recv_ns"), gaps[0].to_ns)
                row = pc.index(pc.and_(mine, later), True).as_py()
                if row < 0:
                    break
                yield CoverNote(row, gaps.pop(0))

    # -- markers

    def _connections(self, batch: pa.RecordBatch) -> Iterator[CoverNote]:
        """Yield the notes of the markers, and of each first frame of a connection, by row."""
        marked = pc.is_in(batch.column("kind"), value_set=_MARKERS)
        rows = pc.indices_nonzero(pc.or_(marked, self._first_frames(batch)))
        for index, run, now, connection, kind, payload in zip(
            rows.to_pylist(),
            *(batch.column(name).take(rows).to_pylist() for name in _COLUMNS),
            strict=True,
        ):
            if kind in DATA:
                yield from self._begins(index, now, connection)
            else:
                yield from self._marker(index, run, now, connection, kind, payload)

    def _first_frames(self, batch: pa.RecordBatch) -> pa.Array:
        """Return, for each row, whether it is the first frame of a connection not yet heard."""
        opened = pc.equal(batch.column("kind"), "open")
        names = {name for line in self._lines.values() for name in line.mute}
        names |= set(batch.column("connection").filter(opened).to_pylist())
        if not names:
            return pa.repeat(False, len(batch))
        mute = pc.is_in(batch.column("connection"), value_set=pa.array(sorted(names)))
        data = pc.is_in(batch.column("kind"), value_set=_DATA)
        rows = pc.indices_nonzero(pc.and_(mute, data))
        table = pa.table({"name": batch.column("connection").take(rows), "row": rows})
        first = table.group_by("name").aggregate([("row", "min")])["row_min"]
        return pc.is_in(pa.array(range(len(batch)), rows.type), value_set=first.combine_chunks())

    def _marker(  # noqa: PLR0913, PLR0917
        self, index: int, run: int, now: int, connection: str, kind: str, payload: bytes
    ) -> Iterator[CoverNote]:
        fields = _fields(payload)
        place = (self._feeds[run], str(fields.get("group", "")), str(fields.get("line", "")))
        heard = now if kind == "answer" else fields.get("heard_ns")
        if isinstance(heard, int):
            self._prove(connection, heard)
            if kind != "open" and heard > self._opened_ns(connection):
                yield from self._begins(index, heard, connection)
        match kind:
            case "open":
                self._prove(connection, now)
                self._opened(run, now, connection, place)
            case "closed":
                yield from self._closed(index, now, connection, place, fields)
            case "gap":
                place = self._places.get(connection, place)
                since = fields.get("from_ns")
                begin = since if isinstance(since, int) else now
                cause = str(fields.get("cause", "lost"))
                yield CoverNote(index, Gap(place[0], place[2] or None, begin, now, cause))

    def _prove(self, connection: str, heard_ns: int) -> None:
        self._heard[connection] = max(heard_ns, self._heard.get(connection, heard_ns))

    def _opened(self, run: int, now: int, connection: str, place: Place) -> None:
        line = self._lines.setdefault(place, _Line())
        for name, (old, life) in list(line.living.items()):
            if old != run and old in self._ended:  # its run is over, and nothing closed it
                del line.living[name]
                self._end(line, life._replace(lost=True))
        for name, (old, _) in list(line.mute.items()):
            if old != run and old in self._ended:
                del line.mute[name]
        line.mute[connection] = run, Lifetime(place[1], place[2], connection, now)
        self._places[connection] = place

    def _opened_ns(self, connection: str) -> int:
        """Return when a connection opened that has not been heard; 0 for any other."""
        place = self._places.get(connection)
        known = None if place is None else self._lines[place].mute.get(connection)
        return 0 if known is None else known[1].opened_ns

    def _begins(self, index: int, at_ns: int, connection: str) -> Iterator[CoverNote]:
        """Note the first frame of a connection: it ends the gap of its line, if it has one."""
        place = self._places.get(connection)
        line = None if place is None else self._lines[place]
        if place is None or line is None or connection not in line.mute:
            return
        run, life = line.mute[connection]
        del line.mute[connection]
        life = life._replace(first_frame_ns=at_ns)
        last = None if line.living else line.ended.before(life.begins_ns)
        if last is not None:
            gap = Gap(place[0], place[2] or None, last.heard_ns, life.begins_ns, last.cause)
            yield CoverNote(index, gap)
        line.living[connection] = run, life

    def _closed(
        self, index: int, now: int, connection: str, place: Place, fields: dict[str, object]
    ) -> Iterator[CoverNote]:
        line = self._lines.setdefault(place, _Line())
        for known in (self._places, self._next, self._came):
            known.pop(connection, None)
        reason, code = str(fields.get("reason", "")), fields.get("code")
        if not fields.get("opened", True):  # an attempt that failed: the gap lasts
            self._heard.pop(connection, None)
            return
        if line.mute.pop(connection, None) is None:
            _, life = line.living.pop(
                connection, (0, Lifetime(place[1], place[2], connection, now))
            )
            self._end(line, life._replace(closed_ns=now, reason=reason))
        else:
            self._heard.pop(connection, None)
        if line.living or reason == "stopping" or "every" in fields:  # polled: no client had it
            return
        if not any(other.living for where, other in self._lines.items() if where[:2] == place[:2]):
            yield CoverNote(index, lost=(place[0], code if isinstance(code, int) else None, reason))

    def _end(self, line: _Line, life: Lifetime) -> None:
        """Add a connection that closed, or whose run is over."""
        life = life._replace(last_heard_ns=self._heard.pop(life.connection, None))
        line.ended.see(life, life.heard_ns)

    # -- numbers

    def _holes(self, batch: pa.RecordBatch) -> Iterator[CoverNote]:
        """Note each connection's last rows; yield numbers left out, but for `gap` markers'."""
        table = pa.Table.from_batches([batch]).select(["connection", "seq", "recv_ns"])
        data = pc.is_in(batch.column("kind"), value_set=_DATA)
        table = table.append_column("data_ns", pc.if_else(data, batch.column("recv_ns"), None))
        sums = table.group_by("connection").aggregate(
            [
                ("seq", "min"),
                ("seq", "max"),
                ("seq", "count"),
                ("recv_ns", "max"),
                ("data_ns", "max"),
            ]
        )
        names = ("connection", "seq_min", "seq_max", "seq_count", "recv_ns_max", "data_ns_max")
        rows = zip(*(sums[name].to_pylist() for name in names), strict=True)
        for name, low, high, count, came, heard in rows:
            if heard is not None:
                self._prove(name, heard)
            due = self._next.get(name, low)
            if low != due or high - low + 1 != count:
                yield from self._missing(batch, name, due)
            self._next[name], self._came[name] = max(due, high + 1), came

    def _missing(self, batch: pa.RecordBatch, name: str, due: int) -> Iterator[CoverNote]:
        rows = pc.indices_nonzero(pc.equal(batch.column("connection"), name)).to_pylist()
        seqs, at = numbers(batch.column("seq")), numbers(batch.column("recv_ns"))
        before = self._came.get(name, at[rows[0]])
        for index in rows:
            if seqs[index] > due and batch.column("kind")[index].as_py() != "gap":
                feed = self._feeds[batch.column("run")[index].as_py()]
                place = self._places.get(name, (feed, "", ""))
                yield CoverNote(index, Gap(feed, place[2] or None, before, at[index], _DAMAGED))
            due, before = max(due, seqs[index] + 1), at[index]


def _fields(payload: bytes) -> dict[str, object]:
    """Return the fields of a marker; empty if it is not a JSON object."""
    try:
        fields = json.loads(payload)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
