"""One exact raw frame for the page."""

from __future__ import annotations

import base64
from typing import Any

from recorder.clock import day
from recorder.coding import text_of
from recorder.errors import DataError, UsageError
from recorder.feeds import coding_of
from recorder.frame import Frame
from recorder.record.find import FramePlace, find
from recorder.record.layout import Layout
from recorder.record.read import kind_of

#: More of a payload is not shown, but downloaded.
_LONGEST = 1 << 20


def read(layout: Layout, place: FramePlace) -> Frame:
    """Return a frame; blocks.

    Raises:
        UsageError: no such feed.
        DataError: no such frame; it was pruned, or never recorded.
    """
    if place.feed not in layout.feeds():  # so that no name leads out of the data directory
        raise UsageError("no such feed in the record", where=place.feed[:80])
    frame = find(layout, place)
    if frame is None:
        where = f"{place.feed}, {day(place.recv_ns)}, frame {place.seq} of {place.connection[:40]}"
        raise DataError("no such frame in the record", where=where, hint="it may have been pruned")
    return frame


def encoded(layout: Layout, place: FramePlace, frame: Frame) -> dict[str, Any]:
    """Return a frame as JSON: its text, and its bytes in base64 where they are not text; blocks."""
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
        found["base64"] = base64.b64encode(payload[:_LONGEST]).decode()
    coding = coding_of(kind_of(layout, place.feed) or place.feed)
    text = text_of(coding, payload)
    if text is not payload:
        found |= {"coding": coding, "text": text[:_LONGEST].decode("utf-8", "replace")}
    return found
