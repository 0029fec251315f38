"""Codings: how a service packs the text of its frames, and the text again.

Raw keeps the bytes as received. What reads frames (SQL, notices, replay) gets the decoded text. A
coding leaves plain JSON as it is, so that a service may pack some channels and not others.
"""

from __future__ import annotations

import binascii
import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass

#: Bytes that one frame may grow to.
LARGEST = 16 << 20

#: DEFLATE makes a text at most this many times smaller (1,032).
MOST_PACKED = 1100

_GZIP = b"\x1f\x8b"
_WITH_GZIP_HEAD, _RAW_DEFLATE = 31, -15


@dataclass(frozen=True, slots=True)
class _Coding:
    """`unpack` takes a payload and the most bytes to return, and returns no more than that."""

    unpack: Callable[[bytes, int], bytes]
    pack: Callable[[bytes], bytes]


def decoded(coding: str | None, payload: bytes, largest: int = LARGEST) -> bytes:
    """Return the text of a payload, at most `largest` bytes; without a coding the payload itself.

    Raises:
        ValueError: the payload is broken or cut short, or grows to more than `largest` bytes.
    """
    if coding is None:
        return payload
    text = CODINGS[coding].unpack(payload, largest + 1)
    if len(text) > largest:
        raise ValueError(f"grows to more than {largest:,} bytes")
    return text


def text_of(coding: str | None, payload: bytes) -> bytes:
    """Return the text of a payload; the payload itself if it cannot be decoded."""
    try:
        return decoded(coding, payload)
    except ValueError:
        return payload


def opening(coding: str | None, payload: bytes, length: int) -> bytes:
    """Return the first bytes of the text, at most `length`; empty if the payload is broken."""
    if coding is None:
        return payload[:length]
    try:
        return CODINGS[coding].unpack(payload, length)[:length]
    except ValueError:
        return b""


def encoded(coding: str | None, text: bytes) -> bytes:
    """Return a payload with this text, as the service would pack it."""
    return text if coding is None else CODINGS[coding].pack(text)


# -- gzip


def _gunzip(payload: bytes, most: int) -> bytes:
    """Unpack gzip; a payload that does not begin like it is the text itself."""
    return _inflated(payload, _WITH_GZIP_HEAD, most) if payload[:2] == _GZIP else payload


def _gzip(text: bytes) -> bytes:
    return gzip.compress(text, 6, mtime=0)


# -- raw DEFLATE in base64


def _from_base64(payload: bytes, most: int) -> bytes:
    """Unpack base64 of raw DEFLATE; JSON objects and arrays are the text itself."""
    if payload.lstrip()[:1] in {b"{", b"[", b""}:
        return payload
    try:
        packed = binascii.a2b_base64(payload, strict_mode=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    return _inflated(packed, _RAW_DEFLATE, most)


def _to_base64(text: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, _RAW_DEFLATE)
    return binascii.b2a_base64(packer.compress(text) + packer.flush(), newline=False)


def _inflated(packed: bytes, form: int, most: int) -> bytes:
    """Return the first `most` bytes of what is packed, or all of it.

    Raises:
        ValueError: it is broken or cut short, or other bytes follow it.
    """
    stream = zlib.decompressobj(form)
    try:
        text = stream.decompress(packed, most)
    except zlib.error as error:
        raise ValueError(f"broken: {error}") from None
    if len(text) >= most:
        return text
    if not stream.eof:
        raise ValueError("cut short")
    if stream.unused_data:
        raise ValueError("other bytes follow the packed text")
    return text


#: By the name that a feed gives.
CODINGS = {"gzip": _Coding(_gunzip, _gzip), "deflate-base64": _Coding(_from_base64, _to_base64)}
