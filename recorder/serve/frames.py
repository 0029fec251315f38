"""One exact raw frame, wherever it is by now: in a journal or in a sealed file."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from recorder.clock import day
from recorder.errors import DataError, UsageError
from recorder.frame import Frame
from recorder.record.journal import reader
from recorder.record.journal.block import Block
from recorder.record.layout import Layout, day_of

#: More of a payload is not shown, but downloaded.
_LONGEST = 1 << 20


class Place(NamedTuple):
    """What names a frame: every row of every table has it."""

    feed: str
    connection: str
    seq: int
    recv_ns: int


def find(layout: Layout, place: Place) -> Frame:
    """Read a frame; blocks.

    Raises:
        UsageError: no such feed.
        DataError: no such frame; it was pruned, or never recorded.
    """
    if place.feed not in layout.feeds():  # so that no name leads out of the data directory
        raise UsageError("no such feed in the record", where=place.feed[:80])
    for found in (_in_journals, _in_sealed, _in_journals):  # sealed meanwhile? Once more.
        for frame in found(layout, place):
            return frame
    where = f"{place.feed}, {day(place.recv_ns)}, frame {place.seq} of {place.connection[:40]}"
    raise DataError("no such frame in the record", where=where, hint="it may have been pruned")


def _in_journals(layout: Layout, place: Place) -> Iterator[Frame]:
    for stem in reversed(layout.active(place.feed)):
        try:
            yield from _in_journal(layout.journal(place.feed, stem), place)
        except (FileNotFoundError, ValueError):
            continue  # sealed meanwhile


def _in_journal(path: Path, place: Place) -> Iterator[Frame]:
    for block in reader.blocks(path):
        if (
            isinstance(block, Block)
            and block.connection == place.connection
            and block.first_seq <= place.seq < block.first_seq + block.frames
        ):
            yield list(reader.frames_of(block))[place.seq - block.first_seq]


def _in_sealed(layout: Layout, place: Place) -> Iterator[Frame]:
    wanted = day(place.recv_ns)
    for stem in reversed(layout.sealed(place.feed)):
        if day_of(stem) == wanted:
            yield from _in_parquet(layout.parquet(place.feed, stem), place)


def _in_parquet(path: Path, place: Place) -> Iterator[Frame]:
    here = [("recv_ns", "=", place.recv_ns), ("seq", "=", place.seq)]
    try:
        table = pq.read_table(path, filters=[*here, ("connection", "=", place.connection)])
    except (OSError, pa.ArrowException):
        return  # damaged, or pruned meanwhile: `recorder verify` tells
    for row in table.to_pylist()[:1]:
        yield Frame(**{name: row[name] for name in Frame._fields})


def told(place: Place, frame: Frame) -> dict[str, Any]:
    """A frame as JSON: its text, or its bytes in base64 where they are none."""
    payload = bytes(frame.payload)
    found: dict[str, Any] = {
        "feed": place.feed,
        "connection": frame.connection,
        "seq": frame.seq,
        "kind": frame.kind,
        "recv_ns": str(frame.recv_ns),
        "size": len(payload),
        "cut": len(payload) > _LONGEST,
    }
    try:
        return found | {"text": payload.decode()[:_LONGEST]}
    except UnicodeDecodeError:
        return found | {"base64": base64.b64encode(payload[:_LONGEST]).decode()}
