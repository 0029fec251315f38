"""The journal's format: blocks of records, each checked on its own. Pure.

A journal is a run of blocks. One block is what one read from a socket brought, so all its
records share one receive timestamp:

    magic 4s │ length u32 │ crc32 u32 │ count u32 │ first seq u64 │ recv_ns i64 │ mono_ns i64
    │ connection 26s │ records: (kind u8 │ length u32 │ payload), count times

Little endian. The checksum covers everything after it and starts from the journal's own name,
which ends in random bits: a payload that holds a valid-looking block, or a block of another
file, is never taken for one of ours.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

#: 0xF5 never occurs in UTF-8, so JSON text cannot hold the magic.
MAGIC = b"\xf5JB1"
HEADER = struct.Struct("<4sIIIQqq26s")
RECORD = struct.Struct("<BI")
_CHECKED_FROM = 12  # the fields after the checksum

#: A journal's first block: one record of this kind, JSON that describes the journal.
ABOUT = 0

Buffer = bytes | bytearray | memoryview
Readable = bytes | mmap.mmap


class Block(NamedTuple):
    """One good block: where it lies, and what it holds."""

    start: int
    end: int
    frames: int
    first_seq: int
    recv_ns: int
    mono_ns: int
    connection: str
    body: bytes


class Damage(NamedTuple):
    """Bytes that are no good block: `torn` at the journal's end, else in its midst."""

    start: int
    end: int
    torn: bool


def seed(stem: str) -> int:
    """The checksum's start value for a journal of this stem."""
    return crc32(stem.encode())


def encode(  # noqa: PLR0913, PLR0917 - the block's fields, on the hot path
    salt: int,
    connection: str,
    first_seq: int,
    recv_ns: int,
    mono_ns: int,
    records: Sequence[Buffer],
) -> bytes:
    """One block. `records` alternates packed RECORD heads and payloads."""
    body = b"".join(records)
    checked = HEADER.pack(
        MAGIC,
        len(body),
        0,
        len(records) // 2,
        first_seq,
        recv_ns,
        mono_ns,
        connection.encode("ascii"),
    )[_CHECKED_FROM:]
    check = crc32(body, crc32(checked, salt))
    return b"".join((MAGIC, struct.pack("<II", len(body), check), checked, body))


def decode(data: Readable, position: int, salt: int, limit: int) -> Block | None:
    """The good block at `position`, or None."""
    body_at = position + HEADER.size
    if body_at > limit:
        return None
    head = data[position:body_at]
    magic, length, check, count, first_seq, recv_ns, mono_ns, connection = HEADER.unpack(head)
    end = body_at + length
    if magic != MAGIC or end > limit:
        return None
    body = data[body_at:end]
    if crc32(body, crc32(head[_CHECKED_FROM:], salt)) != check:
        return None
    name = connection.decode("ascii", "replace")
    return Block(position, end, count, first_seq, recv_ns, mono_ns, name, body)


def scan(
    data: Readable, salt: int, start: int = 0, end: int | None = None
) -> Iterator[Block | Damage]:
    """All blocks from `start`, with what is damaged between and after them.

    A position without a good block is skipped to the next magic that starts one. If none
    follows, what is left is a torn tail.
    """
    limit = len(data) if end is None else end
    position = start
    while position < limit:
        block = decode(data, position, salt, limit)
        if block is None:
            resume = _next_good(data, position + 1, salt, limit)
            yield Damage(position, resume if resume is not None else limit, resume is None)
            if resume is None:
                return
            position = resume
        else:
            yield block
            position = block.end


def _next_good(data: Readable, position: int, salt: int, limit: int) -> int | None:
    while (position := data.find(MAGIC, position, limit)) >= 0:
        if decode(data, position, salt, limit) is not None:
            return position
        position += 1
    return None


def columns(block: Block) -> tuple[list[int], list[bytes]]:
    """The kinds and the payloads of a good block's records."""
    body, position = block.body, 0
    unpack, size = RECORD.unpack_from, RECORD.size
    kinds: list[int] = []
    payloads: list[bytes] = []
    for _ in range(block.frames):
        kind, length = unpack(body, position)
        position += size
        kinds.append(kind)
        payloads.append(body[position : position + length])
        position += length
    return kinds, payloads


def records(block: Block) -> Iterator[tuple[int, bytes]]:
    """`(kind, payload)` of each record of a good block."""
    return zip(*columns(block), strict=True)
