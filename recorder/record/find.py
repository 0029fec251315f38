"""One raw frame by its connection and number, in a journal or in a sealed file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import pyarrow.compute as pc

from recorder.clock import day
from recorder.errors import DataError
from recorder.frame import Frame
from recorder.record.journal import reader
from recorder.record.journal.block import Block
from recorder.record.layout import Layout, day_of
from recorder.record.sealed import sealed_file

#: How often to search again because a file was sealed or merged meanwhile.
_ATTEMPTS = 3


class FramePlace(NamedTuple):
    """The identity of a frame, which every row of every table has; `recv_ns` is in ns UTC."""

    feed: str
    connection: str
    seq: int
    recv_ns: int


def find(record: Layout, place: FramePlace) -> Frame | None:
    """Return the frame of this place. Blocks.

    None if the record does not have it: it was pruned, was never recorded, or its file is damaged.
    """
    for _ in range(_ATTEMPTS):
        try:
            # Journals first: a frame of one that is sealed meanwhile is in a file by then.
            return next(chain(_in_journals(record, place), _in_files(record, place)), None)
        except FileNotFoundError:
            continue  # a file that was listed is gone: its frames are in another by now
    return None


def _in_journals(record: Layout, place: FramePlace) -> Iterator[Frame]:
    feed, connection, seq, recv_ns = place
    for stem in reversed(record.active(feed)):
        if day_of(stem) != day(recv_ns):
            continue
        for block in reader.blocks(record.journal(feed, stem)):
            if (
                isinstance(block, Block)
                and (block.connection, block.recv_ns) == (connection, recv_ns)
                and block.first_seq <= seq < block.first_seq + block.frames
            ):
                yield list(reader.frames_of(block))[seq - block.first_seq]


def _in_files(record: Layout, place: FramePlace) -> Iterator[Frame]:
    for stem in reversed(record.sealed(place.feed)):
        if day_of(stem) == day(place.recv_ns):
            try:
                yield from _in_file(record, stem, place)
            except DataError:
                continue  # `recorder verify` names it


def _in_file(record: Layout, stem: str, place: FramePlace) -> Iterator[Frame]:
    feed, connection, seq, recv_ns = place
    with sealed_file(record.store.look(feed, stem)) as file:
        for index in range(file.num_row_groups):
            times = file.metadata.row_group(index).column(0).statistics
            if times is not None and times.has_min_max and not times.min <= recv_ns <= times.max:
                continue
            places = file.read_row_group(index, columns=["recv_ns", "connection", "seq"])
            here = pc.and_(
                pc.and_(pc.equal(places["recv_ns"], recv_ns), pc.equal(places["seq"], seq)),
                pc.equal(places["connection"], connection),
            )
            for row in pc.indices_nonzero(here).to_pylist():
                yield Frame(**file.read_row_group(index).slice(row, 1).to_pylist()[0])
