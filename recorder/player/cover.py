"""Where frames may be missing, as the record's own markers tell it while it is read. Pure.

A line of a feed is covered while a connection of it lives. Its end without another one opens a
gap, which the next connection ends; a number left out on a connection is a gap too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from recorder.player.run import numbers
from recorder.stream.span import Gap

_MARKERS = pa.array(["open", "closed", "gap"])
_KILLED = "the recorder ended without closing"
_DAMAGED = "the journal was damaged"

Place = tuple[str, str, str]  # feed, group, line


class Note(NamedTuple):
    """What to say before the row `row` of a batch: a gap that ends there, or a lost connection."""

    row: int
    gap: Gap | None = None
    lost: tuple[str, int | None, str] | None = None  # feed, code and reason of its end


@dataclass(slots=True)
class _Line:
    """One line of a group of a feed: its living connections, or since when and why it has none."""

    living: dict[str, int] = field(default_factory=dict)  # connection -> run
    since_ns: int | None = None
    cause: str = ""


class Cover:
    """Follows the connections of a stream of batches; `feeds` are the runs' feeds by number."""

    def __init__(self, feeds: Sequence[str], ended: set[int]) -> None:
        self._feeds, self._ended = feeds, ended
        self._lines: dict[Place, _Line] = {}
        self._places: dict[str, Place] = {}
        self._next: dict[str, int] = {}  # connection -> the number that is due
        self._came: dict[str, int] = {}  # connection -> when its last row came
        self._last: dict[int, int] = {}  # run -> its last row's time

    def look(self, batch: pa.RecordBatch) -> list[Note]:
        """What is to be said of a batch, by row."""
        holes = list(self._holes(batch))  # first: an end forgets its connection
        notes = sorted([*holes, *self._marked(batch)], key=lambda note: note.row)
        for run in pc.unique(batch.column("run")).to_pylist():
            of_run = pc.equal(batch.column("run"), run)
            self._last[run] = pc.max(batch.column("at").filter(of_run)).as_py()
        return notes

    def open_gaps(self, at_ns: int) -> list[Gap]:
        """The gaps that last at a time."""
        return [
            Gap(place[0], place[2], line.since_ns, at_ns, line.cause)
            for place, line in self._lines.items()
            if line.since_ns is not None
        ]

    def overlapping(self) -> set[str]:
        """Connections that bring the same frames as others do at this time."""
        groups: dict[tuple[str, str], set[str]] = {}
        for place, line in self._lines.items():
            groups.setdefault(place[:2], set()).update(line.living)
        # Of a connection whose opening was not read nobody knows what it brings.
        unknown = {name for name in self._next if name not in self._places}
        shared = {name for names in groups.values() if len(names) > 1 for name in names}
        return shared | (unknown if len(unknown) > 1 else set())

    # -- markers

    def _marked(self, batch: pa.RecordBatch) -> Iterator[Note]:
        rows = pc.indices_nonzero(pc.is_in(batch.column("kind"), value_set=_MARKERS)).to_pylist()
        for index in rows:
            row = {name: batch.column(name)[index].as_py() for name in batch.schema.names}
            told = _told(row["payload"])
            place = (
                self._feeds[row["run"]],
                str(told.get("group", "")),
                str(told.get("line", "")),
            )
            match row["kind"]:
                case "open":
                    yield from self._opened(index, row, place)
                case "closed":
                    yield from self._closed(index, row, place, told)
                case "gap":
                    place = self._places.get(row["connection"], place)
                    since = told.get("from_ns")
                    begin = since if isinstance(since, int) else row["recv_ns"]
                    cause = str(told.get("cause", "lost"))
                    yield Note(index, Gap(place[0], place[2] or None, begin, row["recv_ns"], cause))

    def _opened(self, index: int, row: dict[str, int | str], place: Place) -> Iterator[Note]:
        line = self._lines.setdefault(place, _Line())
        now, run, connection = int(row["recv_ns"]), int(row["run"]), str(row["connection"])
        for name, old in list(line.living.items()):
            if old != run and old in self._ended:  # its run is over, and nothing closed it
                del line.living[name]
                if not line.living:
                    line.since_ns, line.cause = self._last.get(old, now), _KILLED
        if line.since_ns is not None:
            yield Note(index, Gap(place[0], place[2] or None, line.since_ns, now, line.cause))
            line.since_ns = None
        line.living[connection] = run
        self._places[connection] = place

    def _closed(
        self, index: int, row: dict[str, int | str], place: Place, told: dict[str, object]
    ) -> Iterator[Note]:
        line = self._lines.setdefault(place, _Line())
        connection = str(row["connection"])
        self._places.pop(connection, None)
        self._next.pop(connection, None)
        self._came.pop(connection, None)
        reason = str(told.get("reason", ""))
        if not told.get("opened", True):  # an attempt that failed: the gap lasts
            return
        line.living.pop(connection, None)
        if line.living:
            return
        heard, now = told.get("heard_ns"), int(row["recv_ns"])
        line.since_ns = min(heard, now) if isinstance(heard, int) else now
        line.cause = "the recorder was stopped" if reason == "stopping" else reason
        alone = not any(
            other.living for where, other in self._lines.items() if where[:2] == place[:2]
        )
        if alone and reason != "stopping":
            code = told.get("code")
            yield Note(index, lost=(place[0], code if isinstance(code, int) else None, reason))

    # -- numbers

    def _holes(self, batch: pa.RecordBatch) -> Iterator[Note]:
        """Numbers left out, but for those that a `gap` marker accounts for."""
        table = pa.Table.from_batches([batch]).select(["connection", "seq", "recv_ns"])
        sums = table.group_by("connection").aggregate(
            [("seq", "min"), ("seq", "max"), ("seq", "count"), ("recv_ns", "max")]
        )
        names = ("connection", "seq_min", "seq_max", "seq_count", "recv_ns_max")
        found = zip(*(sums[name].to_pylist() for name in names), strict=True)
        for name, low, high, count, came in found:
            due = self._next.get(name, low)
            if low != due or high - low + 1 != count:
                yield from self._missing(batch, name, due)
            self._next[name], self._came[name] = max(due, high + 1), came

    def _missing(self, batch: pa.RecordBatch, name: str, due: int) -> Iterator[Note]:
        rows = pc.indices_nonzero(pc.equal(batch.column("connection"), name)).to_pylist()
        seqs, at = numbers(batch.column("seq")), numbers(batch.column("recv_ns"))
        before = self._came.get(name, at[rows[0]])
        for index in rows:
            if seqs[index] > due and batch.column("kind")[index].as_py() != "gap":
                feed = self._feeds[batch.column("run")[index].as_py()]
                place = self._places.get(name, (feed, "", ""))
                yield Note(index, Gap(feed, place[2] or None, before, at[index], _DAMAGED))
            due, before = max(due, seqs[index] + 1), at[index]


def _told(payload: bytes) -> dict[str, object]:
    """What a marker says; nothing if it was written by who knows whom."""
    try:
        told = json.loads(payload)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
