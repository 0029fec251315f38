"""What a service packs is its text again, and nothing that it sends takes more than is allowed."""

from __future__ import annotations

import base64
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.coding import CODINGS, LARGEST, decoded, encoded, opening
from recorder.feeds import KINDS, feed

JSON = b'{"ping":1645289389619}'


def deflated(text: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(text) + packer.flush()


@given(st.sampled_from([None, *CODINGS]), st.binary(max_size=300), st.integers(1, 400))
def test_what_was_packed_is_read_again(coding: str | None, text: bytes, length: int) -> None:
    packed = encoded(coding, text)
    assert decoded(coding, packed) == text
    assert opening(coding, packed, length) == text[:length]


@given(st.sampled_from([*CODINGS]), st.binary(max_size=60), st.integers(1, 300))
def test_any_bytes_are_text_or_a_reason(coding: str, payload: bytes, largest: int) -> None:
    for broken in (payload, encoded(coding, payload)[:-1], encoded(coding, payload) + b"!"):
        try:
            assert len(decoded(coding, broken, largest)) <= max(largest, len(broken))
        except ValueError as error:
            assert str(error)
        assert len(opening(coding, broken, 10)) <= 10


def test_other_programs_pack_alike() -> None:
    assert decoded("gzip", gzip.compress(JSON, mtime=0)) == JSON
    assert decoded("deflate-base64", base64.b64encode(deflated(JSON))) == JSON
    assert gzip.decompress(encoded("gzip", JSON)) == JSON
    # As services flush: the block ends before the text does.
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    flushed = packer.compress(JSON) + packer.flush(zlib.Z_SYNC_FLUSH) + packer.flush()
    assert decoded("gzip", flushed) == JSON


@pytest.mark.parametrize("coding", CODINGS)
def test_json_that_is_not_packed_is_read_as_it_is(coding: str) -> None:
    for text in (JSON, b" [1]", b""):
        assert decoded(coding, text) == opening(coding, text, 100) == text


@pytest.mark.parametrize("coding", CODINGS)
def test_a_small_frame_cannot_take_much_memory(coding: str) -> None:
    bomb = encoded(coding, bytes(LARGEST + 1))
    assert len(bomb) < 30_000
    with pytest.raises(ValueError, match="grows to more than 16,777,216 bytes"):
        decoded(coding, bomb)
    assert len(decoded(coding, encoded(coding, bytes(LARGEST)))) == LARGEST
    assert opening(coding, bomb, 3) == bytes(3)


@pytest.mark.parametrize(
    ("coding", "payload", "why"),
    [
        ("gzip", gzip.compress(JSON, mtime=0)[:-9], "cut short"),
        ("gzip", gzip.compress(JSON, mtime=0)[:-1], "cut short"),
        ("gzip", gzip.compress(JSON, mtime=0) + b"x", "other bytes follow"),
        ("gzip", b"\x1f\x8b" + bytes(30), "broken"),
        ("gzip", gzip.compress(JSON, mtime=0)[:-8] + bytes(8), "broken"),  # another checksum
        ("deflate-base64", b"AAA", "not base64"),
        ("deflate-base64", b"\xff" * 8, "not base64"),
        ("deflate-base64", base64.b64encode(deflated(JSON)[:-2]), "cut short"),
    ],
)
def test_a_broken_payload_has_a_reason(coding: str, payload: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decoded(coding, payload)


def test_a_feed_cannot_name_a_coding_that_does_not_exist() -> None:
    one = feed(KINDS[0])
    with pytest.raises(ValueError, match="no coding 'lz4'"):
        type(one)(kind="x", title="", endpoints=(), plan=one.plan, coding="lz4")
