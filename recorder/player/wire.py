"""Frames as a WebSocket server sends them, many at once. Pure.

A server's frames are not masked: a head of 2, 4 or 10 bytes, then the payload as it is. Arrow puts
the heads of a whole column between the payloads, so that what is left to do for each frame is
nothing at all.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

TEXT, BINARY = 0x81, 0x82  # opcodes with the bit of a frame that is the message's last

_TABLED = 8192  # heads of payloads below this many bytes are in a table


class Wire(NamedTuple):
    """Encoded frames one after another; frame i is `data[ends[i]:ends[i + 1]]`."""

    data: memoryview
    ends: memoryview


def head(length: int, first: int) -> bytes:
    """Return a frame's head (RFC 6455, section 5.2)."""
    if length < 126:
        return bytes((first, length))
    if length < 1 << 16:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)


@cache
def _heads() -> pa.Array:
    """Return the heads of text frames by length, then those of binary frames."""
    return pa.array([head(n, first) for first in (TEXT, BINARY) for n in range(_TABLED)])


def encoded(payloads: pa.Array, binary: pa.Array) -> Wire:
    """Return a column of payloads as frames; `binary` marks the binary ones."""
    lengths = pc.binary_length(payloads)
    if (pc.max(lengths).as_py() or 0) < _TABLED:
        places = pc.add(lengths, pc.multiply(pc.cast(binary, pa.int32()), _TABLED))
        heads = _heads().take(places)
    else:
        firsts = [BINARY if each else TEXT for each in binary.to_pylist()]
        heads = pa.array(map(head, lengths.to_pylist(), firsts), pa.binary())
    frames = pc.binary_join_element_wise(heads, payloads, b"")
    _, ends, data = frames.buffers()
    found = memoryview(ends).cast("i")[frames.offset : frames.offset + len(frames) + 1]
    return Wire(memoryview(data) if data is not None else memoryview(b""), found)
