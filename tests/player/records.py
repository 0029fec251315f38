"""Records to replay, and a decoder of what a client gets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from recorder.clock import NS, ulid
from recorder.frame import Frame
from recorder.record import seal
from recorder.record.layout import Layout, stem
from recorder.schema.raw import RAW

MS = 1_000_000
#: 2026-09-21 14:13:20 UTC.
T0 = 1_790_000_000 * NS


def name(number: int) -> str:
    """A connection, or a run."""
    return ulid(T0, number.to_bytes(10, "big"))


def write(
    root: Path,
    feed: str,
    frames: Sequence[Frame],
    *,
    run: int = 1,
    number: int = 1,
    kind: str = "generic",
    schema: str = "1",
    group: int = 1000,
) -> Path:
    """Seal frames as one segment, `group` rows at a time."""
    path = Layout(root).parquet(feed, stem(frames[0].recv_ns, name(run), number))
    parts = (table(frames[start : start + group]) for start in range(0, len(frames), group))
    seal.write(path, iter(list(parts)), {"recorder.kind": kind, "recorder.schema": schema})
    return path


def table(frames: Sequence[Frame]) -> pa.Table:
    columns = zip(*frames, strict=True)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, RAW, strict=True)], RAW)


def frames_of(
    payloads: Sequence[bytes],
    *,
    at: int = T0,
    step: int = MS,
    seq: int = 0,
    connection: int = 1,
    kind: str = "text",
) -> list[Frame]:
    """Frames of one connection, a step apart."""
    return [
        Frame(at + i * step, at + i * step - T0, seq + i, name(connection), kind, payload)
        for i, payload in enumerate(payloads)
    ]


def marker(kind: str, at: int, seq: int = 0, connection: int = 1, **told: object) -> Frame:
    """A frame of the recorder's own."""
    place = {"line": "A", "group": "all"}
    return Frame(at, at - T0, seq, name(connection), kind, json.dumps(place | told).encode())
