"""From a row back to the raw frame that made it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from recorder.clock import day
from recorder.record.journal import reader
from recorder.record.layout import Layout, day_of
from recorder.stream.event import Event


def payload(layout: Layout, event: Event) -> bytes | None:
    """The exact bytes of the frame that an event came in; None if it is not there any more."""
    wanted = day(event.recv_ns)
    place = (event.connection, event.seq)
    for stem in layout.sealed(event.feed):
        if day_of(stem) == wanted:
            found = _sealed(layout, event, stem)
            if found is not None:
                return found
    for stem in layout.active(event.feed):
        for frame in reader.frames(layout.journal(event.feed, stem)):
            if (frame.connection, frame.seq) == place:
                return frame.payload
    return None


def _sealed(layout: Layout, event: Event, stem: str) -> bytes | None:
    filters = [("connection", "=", event.connection), ("seq", "=", event.seq)]
    try:
        # A single file: the directories' names are no columns of it.
        table = pq.read_table(
            layout.parquet(event.feed, stem), columns=["payload"], filters=filters,
            partitioning=None,
        )  # fmt: skip
    except (OSError, pa.ArrowException):
        return None
    return bytes(table["payload"][0].as_py()) if len(table) else None
