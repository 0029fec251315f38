"""The way back from a row to the raw frame that it was made from."""

from __future__ import annotations

from recorder.record.find import FramePlace, find
from recorder.record.layout import Layout
from recorder.stream.event import Event


def payload(layout: Layout, event: Event) -> bytes | None:
    """Return the exact bytes of the frame that an event came in; None if it is gone."""
    place = FramePlace(event.feed, event.connection, event.seq, event.recv_ns)
    frame = find(layout, place)
    return None if frame is None else bytes(frame.payload)
