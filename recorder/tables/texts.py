"""The text of frames that a service packs (`Feed.coding`): decoded before the feed's SQL runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from recorder.coding import decoded
from recorder.frame import DATA

#: Bytes of text in one part of a batch, about: packed frames may be a thousand times smaller.
_PART_BYTES = 64 << 20

#: The columns that decoded frames have beside those of raw.
_COLUMNS = (("decoded", pa.binary()), ("undecoded", pa.string()))

_RECEIVED = pa.array(DATA)


def with_texts(coding: str, frames: pa.Table) -> Iterator[pa.Table]:
    """Yield the frames in parts, each with the columns `decoded` and `undecoded`; at least one.

    `decoded` is the text, NULL in markers and in frames that are broken or grow too large;
    `undecoded` is then the reason.
    """
    texts: list[bytes | None] = []
    reasons: list[str | None] = []
    start, size = 0, 0
    received = pc.is_in(frames["kind"], value_set=_RECEIVED).to_pylist()
    polled = pc.equal(frames["kind"], "polled").to_pylist()  # packed for the transfer alone
    for place, payload in enumerate(frames["payload"]):
        own = None if polled[place] else coding
        text, reason = _read(own, payload.as_py()) if received[place] else (None, None)
        size += len(text or b"")
        if size > _PART_BYTES and texts:
            yield _part(frames.slice(start, place - start), texts, reasons)
            texts, reasons, start, size = [], [], place, len(text or b"")
        texts.append(text)
        reasons.append(reason)
    yield _part(frames.slice(start), texts, reasons)


def _read(coding: str | None, payload: bytes) -> tuple[bytes | None, str | None]:
    """Return the text of a payload, or the reason why it has none."""
    try:
        return decoded(coding, payload), None
    except ValueError as error:
        return None, f"{coding}: {error}"


def _part(frames: pa.Table, *columns: Sequence[bytes | str | None]) -> pa.Table:
    for (name, kind), values in zip(_COLUMNS, columns, strict=True):
        frames = frames.append_column(name, pa.array(values, kind))
    return frames
