"""Frames for tests: what a service sent, and the markers that capture writes beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import pyarrow as pa

from recorder.clock import NS, ulid
from recorder.frame import Frame
from recorder.schema.raw import RAW

MS = 1_000_000
US = 1_000
#: 2026-09-21 14:13:20 UTC.
T0 = 1_790_000_000 * NS
RUN = ulid(T0, bytes(10))
CONNECTION = ulid(T0, bytes([1] * 10))


def table(frames: Iterable[Frame]) -> pa.Table:
    """Return frames as a table of the raw schema."""
    columns = list(zip(*frames, strict=True)) or [()] * len(RAW)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, RAW, strict=True)], RAW)


def frames_of(
    payloads: Sequence[bytes | str],
    *,
    kind: str = "text",
    first_seq: int = 0,
    recv_ns: int | Sequence[int] = T0,
    connection: str = CONNECTION,
) -> list[Frame]:
    """Return frames of one connection; after a single receive timestamp each comes 1 ms later."""
    times = (
        [recv_ns + i * MS for i in range(len(payloads))] if isinstance(recv_ns, int) else recv_ns
    )
    return [
        Frame(at, at - T0, first_seq + i, connection, kind, _bytes(payload))
        for i, (payload, at) in enumerate(zip(payloads, times, strict=True))
    ]


def marker(seq: int, kind: str, at: int, connection: str = CONNECTION, **fields: object) -> Frame:
    """Return a marker as capture writes it, with these fields."""
    return Frame(at, at - T0, seq, connection, kind, json.dumps(fields).encode())


def _bytes(payload: bytes | str) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


def events(feed: str, number: int = 0) -> list[bytes]:
    """Return payloads of a busy feed, whole and broken; `number` makes them differ from others."""
    return [payload.replace(b"%d", b"%d" % number) for payload in _EVENTS[feed]]


_EVENTS = {
    "binance": [
        b'{"e":"forceOrder","E":1790000000123,"o":{"s":"BTCUSDT","S":"SELL","q":"0.19","p":"82338",'
        b'"ap":"82651.%d","z":"0.19","T":1790000000001,"st":1}}',
        b'{"e":"markPriceUpdate","E":1790000000123,"s":"BTCUSDT","p":"85296.%d","i":"85345","r":"",'
        b'"T":0}',
        b'{"e":"aggTrade","E":1790000000123,"a":%d,"s":"BTCUSDT","p":"83434","q":"5","m":true}',
        b'{"result":null,"id":%d}',
        b"no JSON %d",
    ],
    "cryptolisting": [
        b'{"type":"announcement","title":"No %d","ticker":"A%d,B","publisher":"upbit",'
        b'"listingType":"spot_listing","detectedTimestampUs":1790000000000000}',
        b'{"type":"heartbeat","timestampNs":%d}',
        b'{"type":"surprise","n":%d}',
        b"\xff%d",
    ],
    "smartmoney": [
        b'{"type":"whale_update","wallet":"0x%d","asset":"BTC","size_usd":1,"n":%d}',
        b'{"type":"funding_rate","channel":"derivatives:funding","payload":{"symbol":"B","rate":%d}}',
        b'{"type":"signal","symbol":"BTC","signal_type":"s%d","timestamp":1790000000000}',
        b'{"type":"pong"}',
        b'{"n":%d}',
    ],
}
