"""Frames on the wire: what `websockets` reads is what was recorded."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.effort import examples
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from recorder.player.wire import encoded

sizes = st.sampled_from([0, 1, 125, 126, 127, 8191, 8192, 65535, 65536, 70000])
payloads = st.lists(
    st.tuples(st.booleans(), st.one_of(st.binary(max_size=300), sizes.map(lambda n: b"x" * n))),
    min_size=1,
    max_size=12,
)


def read(data: bytes) -> list[tuple[bool, bytes]]:
    """What a client makes of it."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)
    client.receive_data(data)
    frames = [event for event in client.events_received() if isinstance(event, Frame)]
    assert all(frame.fin for frame in frames)
    return [(frame.opcode is Opcode.BINARY, bytes(frame.data)) for frame in frames]


@settings(max_examples=examples(60))
@given(payloads, st.integers(0, 3))
def test_what_a_client_reads_is_what_was_recorded(
    found: list[tuple[bool, bytes]], skipped: int
) -> None:
    kinds, contents = zip(*found, strict=True)
    column = pa.array([b"before"] * skipped + list(contents), pa.binary()).slice(skipped)
    wire = encoded(column, pa.array(kinds))
    whole = bytes(wire.data[wire.ends[0] : wire.ends[len(found)]])
    assert read(whole) == found
    for i, frame in enumerate(found):
        assert read(bytes(wire.data[wire.ends[i] : wire.ends[i + 1]])) == [frame]
