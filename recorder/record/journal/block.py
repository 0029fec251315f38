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

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

#: 0xF5 never occurs in UTF-8, so JSON text cannot hold the magic.
MAGIC = b"\xf5JB1"
HEADER = struct.Struct("<4sIIIQqq26s")
RECORD = struct.Struct("<BI")
_LENGTH = struct.Struct("<I")  # of a record, behind its kind
_CHECKED_FROM = 12  # the fields after the checksum

#: A journal's first block: one record of this kind, JSON that describes the journal.
ABOUT = 0

Buffer = bytes | bytearray | memoryview


class Block(NamedTuple):
    """One good block: its place in the journal, and its content."""

    start: int
    end: int
    frames: int
    first_seq: int
    recv_ns: int
    mono_ns: int
    connection: str
    body: bytes


class Damage(NamedTuple):
    """Bytes that are not a good block; `torn`: the beginning of the last one, cut off."""

    start: int
    end: int
    torn: bool


def seed(stem: str) -> int:
    """Return the checksum's start value for a journal of this stem."""
    return crc32(stem.encode())


def encode(  # noqa: PLR0913, PLR0917 - the block's fields, on the hot path
    salt: int,
    connection: str,
    first_seq: int,
    recv_ns: int,
    mono_ns: int,
    records: Sequence[Buffer],
) -> bytes:
    """Return one block. `records` alternates packed RECORD heads and payloads."""
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


def decode(data: bytes, position: int, salt: int, limit: int, base: int = 0) -> Block | None:
    """Return the good block at `position` of `data`, or None; `base` is added to its place."""
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
    return Block(base + position, base + end, count, first_seq, recv_ns, mono_ns, name, body)


def scan(
    data: bytes, salt: int, start: int = 0, end: int | None = None, *, base: int = 0
) -> Iterator[Block | Damage]:
    """Yield all blocks from `start`, with what is damaged between and after them.

    A position without a good block is skipped to the next magic that starts one. If none follows,
    the rest is one damage: `torn` if it is the beginning of a block, as a crash leaves it.
    `base` is where `data` begins in its file: the positions in what is yielded count from there.
    """
    limit = len(data) if end is None else end
    position = start
    while position < limit:
        block = decode(data, position, salt, limit, base)
        if block is None:
            resume = _next_good(data, position + 1, salt, limit)
            if resume is None:
                torn = is_cut(data[position:limit])
                yield Damage(base + position, base + limit, torn)
                return
            yield Damage(base + position, base + resume, False)
            position = resume
        else:
            yield block
            position = block.end - base


def _next_good(data: bytes, position: int, salt: int, limit: int) -> int | None:
    while (position := data.find(MAGIC, position, limit)) >= 0:
        if decode(data, position, salt, limit) is not None:
            return position
        position += 1
    return None


def is_cut(tail: bytes) -> bool:
    """Return True if bytes are the beginning of one block, and no more: a write that was cut off.

    A whole block with a wrong checksum is not, nor is a header whose length does not agree with
    its records, nor zeros: those were good once, and may have been somebody's frames.
    """
    if len(tail) < HEADER.size:
        return tail[: len(MAGIC)] == MAGIC[: len(tail)]
    magic, length, _, count, _, _, _, connection = HEADER.unpack_from(tail)
    length = int(length)
    if magic != MAGIC or not count or not connection.isalnum():
        return False
    rest, position = len(tail) - HEADER.size, 0
    if length <= rest:
        return False
    for _ in range(count):
        if position + RECORD.size > rest:
            return position + RECORD.size <= length
        position += RECORD.size + RECORD.unpack_from(tail, HEADER.size + position)[1]
        if position > length:
            return False
    return position == length


def columns(block: Block) -> tuple[bytes, list[bytes]]:
    """Return the kinds and the payloads of a good block's records."""
    body, end = block.body, 0
    unpack, size = _LENGTH.unpack_from, RECORD.size
    begins: list[int] = []
    payloads: list[bytes] = []
    for _ in range(block.frames):
        begins.append(end)
        (length,) = unpack(body, end + 1)
        begin = end + size
        end = begin + length
        payloads.append(body[begin:end])
    return bytes(map(body.__getitem__, begins)), payloads


def records(block: Block) -> Iterator[tuple[int, bytes]]:
    """Yield `(kind, payload)` of each record of a good block."""
    return zip(*columns(block), strict=True)
